package source

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/event"
)

// AppendWire writes an event as Segment's SDKs would.
func AppendWire(dst []byte, e *event.Event) []byte {
	dst = append(append(append(dst, `{"type":"`...), e.Type.String()...), '"')
	dst = appendText(dst, `,"messageId":`, e.MessageID)
	dst = append(dst, `,"timestamp":"`...)
	dst = append(e.Time.AppendFormat(dst, time.RFC3339Nano), '"')
	name := `,"event":`
	if e.Type == event.Page || e.Type == event.Screen {
		name = `,"name":`
	}
	for _, m := range [...]struct{ key, value string }{
		{name, e.Name}, {`,"userId":`, e.UserID}, {`,"anonymousId":`, e.Anonymous}, {`,"groupId":`, e.GroupID}, {`,"previousId":`, e.Previous},
	} {
		if m.value != "" {
			dst = appendText(dst, m.key, m.value)
		}
	}
	if len(e.Properties) > 0 {
		dst = append(append(dst, `,"properties":`...), e.Properties...)
	}
	inContext := e.Type != event.Identify && e.Type != event.Group
	if !inContext {
		email := e.Email
		if e.Type == event.Group {
			email = "" // A group's traits are not the person's.
		}
		dst = appendTraits(append(dst, `,"traits":`...), e.Traits, email)
	}
	return append(appendContext(dst, e, inContext), '}')
}

// appendContext writes what belongs into the context, if there is something.
func appendContext(dst []byte, e *event.Event, inContext bool) []byte {
	var traits []byte
	if inContext {
		traits = e.Traits
	}
	email := e.Email
	if e.Type == event.Identify {
		email = ""
	}
	if len(traits) <= len("{}") && email == "" && len(e.External) == 0 {
		return dst
	}
	dst = appendTraits(append(dst, `,"context":{"traits":`...), traits, email)
	for i, x := range e.External {
		open := `,`
		if i == 0 {
			open = `,"externalIds":[`
		}
		dst = appendText(append(dst, open...), `{"type":`, x.Type)
		dst = appendText(dst, `,"id":`, x.Value)
		dst = append(dst, `,"collection":"users","encoding":"none"}`...)
	}
	if len(e.External) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// named tells whether traits have an address of their own.
func named(traits []byte) bool {
	if !bytes.Contains(traits, []byte(`"email":`)) {
		return false
	}
	var members map[string]json.RawMessage
	_ = json.Unmarshal(traits, &members) // Liquid wrote them.
	_, own := members["email"]
	return own
}

// appendTraits writes traits with the address among them; one that the mapping
// of the traits itself makes stands.
func appendTraits(dst, traits []byte, email string) []byte {
	if len(traits) == 0 {
		traits = []byte("{}")
	}
	if email == "" || named(traits) {
		return append(dst, traits...)
	}
	dst = appendText(dst, `{"email":`, email)
	if len(traits) > len("{}") {
		dst = append(dst, ',')
	}
	return append(dst, traits[1:]...)
}

func appendText(dst []byte, key, value string) []byte {
	dst, _ = jsontext.AppendQuote(append(dst, key...), value) // Lines have been found to be UTF-8.
	return dst
}

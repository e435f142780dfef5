package manage

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/message"
	"rapport/internal/purpose"
	"rapport/internal/rule"
	"rapport/internal/wire"
)

// Limits of a request for one mail.
const (
	maxSendBody  = 64 << 10
	maxSendDepth = 32
	maxSendKey   = 255
	maxRefValue  = 500
	maxSendName  = 200
)

// sendRequest is a request for one mail, read and checked by itself.
type sendRequest struct {
	template, to   string
	kind, value    string // whom it is about, "" for nobody but the address
	who            id.Person
	purpose        string
	provider       string
	data           jsontext.Value // in canonical order, nil for none
	validFor       int64          // milliseconds, 0 when not said
	class          message.Class
	decidedPurpose purpose.Purpose
}

type decoding struct {
	dec jsontext.Decoder
	buf bytes.Buffer
}

var decodings = sync.Pool{New: func() any { return new(decoding) }}

// parseSend reads the body of a request for one mail. It reads tokens: there is
// no faster way that refuses doubled names and unknown ones alike.
func parseSend(body []byte) (req sendRequest, err error) {
	d := decodings.Get().(*decoding)
	defer decodings.Put(d)
	d.buf.Reset()
	_, _ = d.buf.Write(body) // A buffer takes everything.
	d.dec.Reset(&d.buf)
	if d.dec.PeekKind() != '{' {
		if _, err := d.dec.ReadValue(); err != nil {
			return req, notJSON(err)
		}
		return req, wrong("", "wrong_type", "the body must be a JSON object")
	}
	_, _ = d.dec.ReadToken() // The brace that was peeked at.
	for d.dec.PeekKind() == '"' {
		name, err := d.text("")
		if err != nil {
			return req, err
		}
		if err := req.member(d, name); err != nil {
			return req, err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return req, notJSON(err)
	}
	if _, err := d.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return req, fault.New(fault.Invalid, "bad_json", "something follows the JSON object")
	}
	return req, req.check()
}

// text reads a string.
func (d *decoding) text(pointer string) (string, error) {
	kind := d.dec.PeekKind()
	tok, err := d.dec.ReadToken()
	switch {
	case err != nil:
		return "", notJSON(err)
	case kind != '"':
		return "", wrong(pointer, "wrong_type", "the value must be a string")
	}
	return tok.String(), nil
}

func (req *sendRequest) member(d *decoding, name string) (err error) {
	switch name {
	case "template":
		req.template, err = d.text("/template")
	case "to":
		req.to, err = d.text("/to")
	case "purpose":
		req.purpose, err = d.text("/purpose")
	case "provider":
		req.provider, err = d.text("/provider")
	case "valid_for":
		var s string
		if s, err = d.text("/valid_for"); err != nil {
			return err
		}
		if req.validFor, err = rule.ParseDuration(s); err != nil {
			return wrong("/valid_for", "bad_duration", "a duration is a whole number and one of s, m, h, d and w, for example 36h")
		}
	case "person":
		return req.person(d)
	case "data":
		v, err := d.dec.ReadValue()
		if err != nil {
			return notJSON(err)
		}
		if v.Kind() != '{' {
			return wrong("/data", "wrong_type", "the data for the template must be a JSON object")
		}
		if !shallow(v, maxSendDepth) {
			return wrong("/data", "too_deep", "the data may nest at most %d deep", maxSendDepth)
		}
		// Two spellings of one object are one request. What passed the reader can
		// be formatted, so the error has nothing to say.
		req.data = append(jsontext.Value(nil), v...)
		_ = req.data.Format(jsontext.ReorderRawObjects(true), jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false))
	default:
		if _, err := d.dec.ReadValue(); err != nil {
			return notJSON(err)
		}
		return wrong(pointer("/"+name), "unknown_field", "there is no such field; there are template, to, person, data, purpose, provider and valid_for")
	}
	return err
}

// shallow tells whether a value that was read nests at most so deep.
func shallow(v []byte, most int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

// person reads whom a mail is about: {"kind": "value"} or "kind:value".
func (req *sendRequest) person(d *decoding) error {
	switch d.dec.PeekKind() {
	case '"':
		s, err := d.text("/person")
		if err != nil {
			return err
		}
		var ok bool
		if req.kind, req.value, ok = strings.Cut(s, ":"); !ok {
			return wrong("/person", "bad_person", "write the kind of identifier before the value, for example user_id:42")
		}
		return nil
	case '{':
	default:
		if _, err := d.dec.ReadValue(); err != nil {
			return notJSON(err)
		}
		return wrong("/person", "wrong_type", `a person is {"user_id": "42"} or "user_id:42"`)
	}
	_, _ = d.dec.ReadToken() // The brace that was peeked at.
	for n := 0; d.dec.PeekKind() == '"'; n++ {
		kind, err := d.text("/person")
		if err != nil {
			return err
		}
		if n > 0 {
			return wrong("/person", "bad_person", "name one identifier; the person has the others already")
		}
		if req.kind, req.value = kind, ""; !personKind(kind) {
			return errPersonKind
		}
		if req.value, err = d.text("/person/" + kind); err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return notJSON(err)
	}
	if req.kind == "" {
		return wrong("/person", "bad_person", "name one identifier, for example user_id")
	}
	return nil
}

func personKind(kind string) bool {
	return kind == identity.UserID || kind == identity.Email || kind == identity.Anonymous || kind == personsOwn
}

// personsOwn is the kind of a person's own id.
const personsOwn = "id"

var errPersonKind = wrong("/person", "bad_person", "a person is named by user_id, email, anonymous_id or id")

// check holds the members against each other and normalises addresses.
func (req *sendRequest) check() error {
	switch {
	case req.template == "":
		return wrong("/template", "template_required", "name the template")
	case req.to == "" && req.kind == "":
		return wrong("/to", "recipient_required", "name an address in to, or a person")
	case len(req.template) > maxSendName || len(req.provider) > maxSendName || len(req.purpose) > maxSendName:
		return wrong("", "name_too_long", "a name has at most %d bytes", maxSendName)
	}
	if req.to != "" {
		var ok bool
		if req.to, ok = ingest.NormalizeAddress(req.to); !ok {
			return wrong("/to", "bad_address", "this is no address that mail can be sent to")
		}
	}
	if req.kind == "" {
		return nil
	}
	if !personKind(req.kind) {
		return errPersonKind
	}
	return req.identifier()
}

func (req *sendRequest) identifier() (err error) {
	switch req.kind {
	case personsOwn:
		if req.who, err = id.ParsePerson(req.value); err != nil {
			return wrong("/person", "bad_person", "a person's own id is per_ and a number")
		}
	case identity.Email:
		var ok bool
		if req.value, ok = ingest.NormalizeAddress(req.value); !ok {
			return wrong("/person", "bad_address", "this is no address that mail can be sent to")
		}
	default:
		if req.value == "" || len(req.value) > maxRefValue || identity.Blocked(req.value) {
			return wrong("/person", "bad_person", "the identifier is empty, longer than %d bytes, or one that broken programs send for everybody", maxRefValue)
		}
	}
	return nil
}

// appendCanonical writes what makes two requests the same behind dst.
func (req *sendRequest) appendCanonical(dst []byte) []byte {
	for _, s := range [...]string{req.template, req.to, req.kind, req.value, req.purpose, req.provider} {
		dst = wire.AppendString(dst, s)
	}
	dst = strconv.AppendInt(dst, req.validFor, 10)
	return append(append(dst, 0), req.data...)
}

// appendRecord writes what the log holds of the request, processor.SendRequest
// as JSON, behind dst.
func (req *sendRequest) appendRecord(dst []byte, key string, received time.Time) []byte {
	dst = appendMember(append(dst, '{'), "key", key)
	if req.to != "" {
		dst = appendMember(append(dst, ','), "to", req.to)
	}
	dst = appendMember(append(dst, ','), "template", req.template)
	dst = appendMember(append(dst, ','), "purpose", string(req.decidedPurpose))
	dst = strconv.AppendUint(append(dst, `,"class":`...), uint64(req.class), 10)
	if req.provider != "" {
		dst = appendMember(append(dst, ','), "provider", req.provider)
	}
	if req.data != nil {
		dst = append(append(dst, `,"data":`...), req.data...)
	}
	if req.validFor > 0 {
		dst = strconv.AppendInt(append(dst, `,"valid_until":`...), received.UnixMilli()+req.validFor, 10)
	}
	return append(dst, '}')
}

// appendMember writes a name that needs no quoting inside, and a value.
func appendMember(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, '"'), name...), `":`...)
	out, err := jsontext.AppendQuote(dst, value)
	if err != nil {
		// Only bytes that are no UTF-8 fail; they are replaced in out all the same.
		return out
	}
	return out
}

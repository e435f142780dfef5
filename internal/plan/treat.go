package plan

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/plan/pii"
	"rapport/internal/scan"
)

// value treats one JSON value. It gives the same slice where nothing changes,
// and drop where the value must go.
func (w *treatment) value(raw []byte, key string, t *tree) (out []byte, drop bool) {
	if len(raw) == 0 {
		return raw, false
	}
	switch raw[0] {
	case '"':
		return w.text(raw, key, t)
	case '{':
		return w.object(raw, t)
	case '[':
		return w.list(raw, key, t)
	case 't', 'f', 'n':
		return raw, false
	}
	return w.number(raw, key, t)
}

func (w *treatment) text(raw []byte, key string, t *tree) ([]byte, bool) {
	inner := raw[1 : len(raw)-1]
	if len(inner) < 3 {
		return raw, false
	}
	var text string
	if bytes.IndexByte(inner, '\\') >= 0 {
		plain, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return raw, false // It was sound at the door.
		}
		text = string(plain)
	} else {
		text = alias(inner)
	}
	if named := pii.Named(key); named != pii.None && pii.Fits(named, text) {
		return w.whole(raw, text, named, t)
	}
	w.found = pii.Find(w.room[:0], text)
	if len(w.found) == 0 || isVersion(key) {
		return raw, false
	}
	out, drop := w.rewrite(text, t, Drop)
	if drop || out == text {
		return raw, drop
	}
	quoted, _ := jsontext.AppendQuote(nil, out) // What came in was UTF-8, and so is what stands in its place.
	return quoted, false
}

// whole does about a value what the name of its field asks for.
func (w *treatment) whole(raw []byte, text string, k pii.Kind, t *tree) ([]byte, bool) {
	a := w.act(k, t)
	if a == Ignore {
		return raw, false
	}
	if masked := "[" + k.String() + "]"; text == masked {
		return raw, false // It has been treated before.
	}
	w.tell(k, a)
	switch a {
	case Report:
		return raw, false
	case Drop:
		return raw, true
	}
	quoted, _ := jsontext.AppendQuote(nil, w.stand(k, text, a)) // A digest and a mask are ASCII.
	return quoted, false
}

// number treats a number: a card, or what its field's name says.
func (w *treatment) number(raw []byte, key string, t *tree) ([]byte, bool) {
	named := pii.Named(key)
	if named != pii.None && pii.Fits(named, string(raw)) {
		return w.whole(raw, string(raw), named, t)
	}
	if len(raw) < 13 || len(raw) > 19 {
		return raw, false
	}
	w.found = pii.Find(w.room[:0], string(raw))
	if len(w.found) != 1 || w.found[0].Kind != pii.Card || w.found[0].To != len(raw) {
		return raw, false
	}
	return w.whole(raw, string(raw), pii.Card, t)
}

func (w *treatment) object(raw []byte, t *tree) ([]byte, bool) {
	if w.depth == maxSteps {
		return raw, false
	}
	w.depth++
	defer func() { w.depth-- }()
	var out []byte // nil as long as everything stays
	for m, kept := scan.MembersOf(raw), 1; ; {
		key, value, ok := m.Next()
		if !ok {
			if out == nil {
				return raw, false
			}
			return append(out, '}'), false
		}
		w.steps[w.depth-1] = key
		var below *tree
		if t != nil {
			below = t.fields[string(key)]
		}
		next, drop := w.value(value, alias(key), below)
		if !drop && below == nil {
			drop = w.key(key)
		}
		if out == nil && !drop && same(next, value) {
			kept = m.At()
			continue
		}
		if out == nil {
			out = append(make([]byte, 0, len(raw)), raw[:kept]...)
		}
		if !drop {
			out = append(member(out, key), next...)
		}
	}
}

// key tells whether a member must go because its name is personal data.
func (w *treatment) key(key []byte) bool {
	w.found = pii.Find(w.room[:0], alias(key))
	for _, m := range w.found {
		if a := w.act(m.Kind, nil); a != Ignore {
			if a != Report {
				a = Drop
			}
			w.tell(m.Kind, a)
			return a == Drop
		}
	}
	return false
}

func (w *treatment) list(raw []byte, key string, t *tree) ([]byte, bool) {
	var items *tree
	if t != nil {
		if items = t.items; items == nil {
			items = &tree{class: t.class}
		}
	}
	var out []byte
	for l, kept := scan.ElementsOf(raw), 1; ; {
		value, ok := l.Next()
		if !ok {
			if out == nil {
				return raw, false
			}
			return append(out, ']'), false
		}
		next, drop := w.value(value, key, items)
		if out == nil && !drop && same(next, value) {
			kept = l.At()
			continue
		}
		if out == nil {
			out = append(make([]byte, 0, len(raw)), raw[:kept]...)
		}
		if drop {
			continue
		}
		if out[len(out)-1] != '[' {
			out = append(out, ',')
		}
		out = append(out, next...)
	}
}

// same tells whether two slices are one.
func same(a, b []byte) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// isVersion tells fields whose values look like addresses of the network.
func isVersion(key string) bool {
	return len(key) >= 7 && (key[len(key)-7:] == "version" || key[len(key)-7:] == "Version")
}

// structural are members of a context that programs fill in and that hold no
// words of people, or are read by the house itself.
var structural = map[string]bool{
	"consent": true, "externalIds": true, "library": true, "os": true, "app": true, "device": true, "network": true, "screen": true,
	"timezone": true, "locale": true, "protocols": true, "active": true, "direct": true, "groupId": true, "sessionId": true,
}

// context treats a context: the client's address and agent by their own rules,
// traits as traits are, and whatever else people's words may stand in.
func (w *treatment) context(raw []byte, traits *tree) []byte {
	if len(raw) == 0 {
		return raw
	}
	var out []byte
	for m, kept := scan.MembersOf(raw), 1; ; {
		key, value, ok := m.Next()
		if !ok {
			if out == nil {
				return raw
			}
			return append(out, '}')
		}
		next, drop := w.inContext(string(key), value, traits)
		if out == nil && !drop && same(next, value) {
			kept = m.At()
			continue
		}
		if out == nil {
			out = append(make([]byte, 0, len(raw)), raw[:kept]...)
		}
		if !drop {
			out = append(member(out, key), next...)
		}
	}
}

func (w *treatment) inContext(key string, value []byte, traits *tree) ([]byte, bool) {
	switch {
	case key == "ip":
		return shorten(value, w.ip, pii.Truncate)
	case key == "userAgent":
		return shorten(value, w.agent, func(s string) (string, bool) { return pii.Reduce(s), true })
	case key == "userAgentData":
		if w.agent == Less {
			return coarse(value), false
		}
		return value, w.agent == Without
	case key == "traits":
		return w.top("traits", value, traits), false
	case structural[key]:
		return value, false
	}
	w.first, w.depth = "context", 1
	w.steps[0] = []byte(key)
	return w.value(value, key, nil)
}

// shorten does to a text of the context what is to be done.
func shorten(raw []byte, how Shorten, short func(string) (string, bool)) ([]byte, bool) {
	if how == Keep || len(raw) == 0 || raw[0] != '"' {
		return raw, how == Without
	}
	if how == Without {
		return raw, true
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return raw, true
	}
	less, ok := short(string(text))
	if !ok || less == string(text) {
		return raw, false
	}
	quoted, _ := jsontext.AppendQuote(nil, less) // Part of what was UTF-8.
	return quoted, false
}

// coarse keeps of the client hints those of low entropy, which every request
// bears: https://wicg.github.io/client-hints-infrastructure/#low-entropy-hint-table.
func coarse(raw []byte) []byte {
	if len(raw) == 0 || raw[0] != '{' {
		return raw
	}
	out := []byte{'{'}
	for m := scan.MembersOf(raw); ; {
		key, value, ok := m.Next()
		if !ok {
			return append(out, '}')
		}
		switch string(key) {
		case "brands", "mobile", "platform":
			out = append(member(out, key), value...)
		}
	}
}

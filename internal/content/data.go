package content

import (
	"strings"

	"rapport/internal/liquid"
	"rapport/internal/profile"
)

// personData is what a template sees as `person`: the traits that the purpose
// may see, each read only when it is asked for. What cannot be shown to a person
// is as good as missing, so that the template's own default steps in: text of
// nothing but space, text with template signs in it, a name that is no text.
type personData struct {
	view    profile.View
	named   bool // only the traits one is addressed by: the rest is not for this mail
	fell    *int
	guarded map[string]bool // paths for which the template has a default
}

// addressing are the traits that a person is addressed by, which is no profiling.
var addressing = map[string]bool{
	"first_name": true, "last_name": true, "name": true, "title": true, "email": true, "locale": true, "timezone": true,
	"firstName": true, "lastName": true,
}

// texts are the reserved traits that are always text.
var texts = map[string]bool{
	"first_name": true, "last_name": true, "name": true, "title": true, "email": true, "phone": true, "username": true,
	"website": true, "avatar": true, "description": true, "gender": true, "firstName": true, "lastName": true,
}

// Get implements liquid.Object.
func (p *personData) Get(key string) (liquid.Value, bool) {
	v, ok := p.read(key)
	if !ok && p.guarded["person."+key] {
		*p.fell++
	}
	return v, ok
}

func (p *personData) read(key string) (liquid.Value, bool) {
	if p.named && !addressing[key] {
		return liquid.Nil, false
	}
	raw, ok := p.view.Trait(key)
	if !ok {
		return liquid.Nil, false
	}
	v, err := liquid.FromJSON(raw)
	if err != nil {
		return liquid.Nil, false
	}
	if texts[key] && v.Kind() != liquid.KindString {
		return liquid.Nil, false
	}
	v = clean(v)
	return v, !v.IsNil()
}

// Keys implements liquid.Object.
func (p *personData) Keys() []string {
	var out []string
	p.view.Each(func(name string, _ []byte, _ int64) {
		if !p.named || addressing[name] {
			out = append(out, name)
		}
	})
	return out
}

// given is a JSON object that came with an event or a request, shown under a
// name such as `trigger`.
type given struct {
	liquid.Object
	root    string
	fell    *int
	guarded map[string]bool
}

// Get implements liquid.Object.
func (g *given) Get(key string) (liquid.Value, bool) {
	v, ok := g.Object.Get(key)
	if v = clean(v); !ok || v.IsNil() {
		if g.guarded[g.root+"."+key] {
			*g.fell++
		}
		return liquid.Nil, false
	}
	return v, true
}

// inner cleans the members of an object below.
type inner struct{ liquid.Object }

// Get implements liquid.Object.
func (o inner) Get(key string) (liquid.Value, bool) {
	v, ok := o.Object.Get(key)
	v = clean(v)
	return v, ok && !v.IsNil()
}

// clean takes what nobody wants to read as missing.
func clean(v liquid.Value) liquid.Value {
	if s, ok := v.AsString(); ok {
		if strings.TrimSpace(s) == "" || strings.Contains(s, "{{") || strings.Contains(s, "{%") {
			return liquid.Nil
		}
		return v
	}
	if o, ok := v.AsObject(); ok {
		return liquid.ObjectOf(inner{o})
	}
	if items, ok := v.AsArray(); ok {
		out := make([]liquid.Value, len(items))
		for i := range items {
			out[i] = clean(items[i])
		}
		return liquid.Array(out)
	}
	return v
}

// object reads a JSON object; anything else is an empty one.
func object(raw []byte) liquid.Object {
	if v, err := liquid.FromJSON(raw); err == nil {
		if o, ok := v.AsObject(); ok {
			return o
		}
	}
	return &liquid.Map{}
}

package purview

import (
	"iter"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/event"
	"rapport/internal/profile"
	"rapport/internal/purpose"
	"rapport/internal/scan"
)

// Scope is what one purpose may see. Nil sees everything.
type Scope struct {
	table   *Table
	purpose purpose.Purpose
	modest  bool // sees nothing sensitive
}

var _ profile.Scope = (*Scope)(nil)

// For gives what a purpose may see; no purpose is the operator's, who sees all.
func (t *Table) For(p purpose.Purpose) *Scope {
	if t == nil || p == "" {
		return nil
	}
	return &Scope{table: t, purpose: p}
}

// Sensitive tells whether anything that is planned needs a yes on any basis.
func (s *Scope) Sensitive() bool { return s != nil && s.table.sensitive && !s.modest }

// Modest gives what the purpose may see of whoever has not said yes to it.
func (s *Scope) Modest() *Scope {
	if s == nil {
		return nil
	}
	return &Scope{table: s.table, purpose: s.purpose, modest: true}
}

// Sees tells whether something may be used for the purpose.
func (s *Scope) Sees(u Use) bool {
	return s == nil || u.Purposes.Serves(s.purpose) && !(s.modest && u.Class == purpose.Sensitive)
}

// Serves tells whether what was made for a purpose may be seen for this one: where
// it is the same or of its family, it sees at least as much.
func (s *Scope) Serves(made purpose.Purpose) bool {
	return s == nil || made == "" || s.purpose.Of(made)
}

// Trait implements profile.Scope.
func (s *Scope) Trait(path string) bool { return s == nil || s.Sees(s.table.Trait(path)) }

// Segment tells whether the purpose may know who is in a segment.
func (s *Scope) Segment(name string) bool { return s == nil || s.Sees(s.table.Segment(name)) }

// Event tells whether the purpose may know that an event happened.
func (s *Scope) Event(of event.Type, name string) bool {
	if s == nil {
		return true
	}
	for f := range s.table.forms(of, name) {
		if !s.Sees(f.use) {
			return false
		}
	}
	return true
}

// Within implements profile.Scope: the value of a trait without what the purpose
// may not see below it. It is the same slice where nothing is hidden.
func (s *Scope) Within(path string, raw []byte) []byte {
	if s == nil || len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return raw
	}
	steps := split(path)
	if len(steps) == 0 {
		return raw
	}
	first, steps := profile.Canonical(steps[0]), steps[1:]
	groups := first == profile.GroupTrait || first == profile.GroupsTrait
	for i := range s.table.plans {
		forms := s.table.plans[i].traits
		if groups {
			forms = s.table.plans[i].groups
		}
		for _, f := range forms {
			if !groups {
				f = f.below[first]
			}
			raw = s.prune(down(f, steps), raw, false)
		}
	}
	return raw
}

// down gives the field at a path, nil where none is planned there.
func down(f *field, steps []string) *field {
	for _, step := range steps {
		if f == nil {
			return nil
		}
		if next := f.below[step]; next != nil || !isIndex(step) {
			f = next
		}
	}
	return f
}

// Traits gives the traits that a call brings, of a group or else of a person, as far
// as the purpose may see them.
func (s *Scope) Traits(of event.Type, raw []byte) []byte {
	if s == nil {
		return raw
	}
	if of != event.Group {
		of = event.Identify
	}
	for f := range s.table.forms(of, "") {
		raw = s.prune(f, raw, of == event.Identify)
	}
	if of == event.Identify {
		raw = s.prune(s.table.made, raw, true)
	}
	return raw
}

// Properties gives the properties of an event, as far as the purpose may see them:
// nothing of an event that it may not know of.
func (s *Scope) Properties(of event.Type, name string, raw []byte) []byte {
	if s == nil {
		return raw
	}
	return s.all(s.table.forms(of, name), raw)
}

// Named gives the same of an event that rules know by a name.
func (s *Scope) Named(name string, raw []byte) []byte {
	if s == nil {
		return raw
	}
	return s.all(s.table.named(name), raw)
}

func (s *Scope) all(forms iter.Seq[*field], raw []byte) []byte {
	for f := range forms {
		if !s.Sees(f.use) {
			return nil
		}
		raw = s.prune(f, raw, false)
	}
	return raw
}

// prune takes out of a value what the purpose may not see. traits says that its
// members are people's, which come under several spellings.
func (s *Scope) prune(f *field, raw []byte, traits bool) []byte {
	if f == nil || !f.bound || len(f.below) == 0 || len(raw) == 0 {
		return raw
	}
	switch raw[0] {
	case '{':
		return s.object(f, raw, traits)
	case '[':
		return s.list(f, raw)
	}
	return raw
}

func (s *Scope) object(f *field, raw []byte, traits bool) []byte {
	var out []byte // nil as long as everything stays
	for m, kept := scan.MembersOf(raw), 1; ; {
		key, value, ok := m.Next()
		if !ok {
			if out == nil {
				return raw
			}
			return append(out, '}')
		}
		name := string(key)
		if traits {
			name = profile.Canonical(name)
		}
		below := f.below[name]
		stays := below == nil || s.Sees(below.use)
		next := value
		if stays {
			next = s.prune(below, value, false)
		}
		if out == nil && stays && len(next) == len(value) {
			kept = m.At()
			continue
		}
		if out == nil {
			out = append(make([]byte, 0, len(raw)), raw[:kept]...)
		}
		if stays {
			if out[len(out)-1] != '{' {
				out = append(out, ',')
			}
			out, _ = jsontext.AppendQuote(out, string(key)) // Keys were found to be UTF-8 at the door.
			out = append(append(out, ':'), next...)
		}
	}
}

func (s *Scope) list(f *field, raw []byte) []byte {
	out := []byte{'['}
	changed := false
	for l := scan.ElementsOf(raw); ; {
		value, ok := l.Next()
		if !ok {
			if !changed {
				return raw
			}
			return append(out, ']')
		}
		next := s.prune(f, value, false)
		changed = changed || len(next) != len(value)
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, next...)
	}
}

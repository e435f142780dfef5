// Package survey tells what sources really send: their events, the fields of
// each with the share in which they are filled and the types they came as, whom
// they name, and how many say something on permission. What comes in are events
// that were taken; what goes out is a report, or the draft of a tracking plan. It
// keeps counts and no values, but for the few words of a field that has only a
// few, and none of those that look like personal data.
package survey

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"rapport/internal/event"
	"rapport/internal/plan"
	"rapport/internal/plan/pii"
	"rapport/internal/scan"
)

// Limits of what is counted one by one; what comes beyond is left out and told.
const (
	maxEvents = 500 // of one source
	maxFields = 400 // of one event
	maxLevels = 4
	maxWords  = 10 // values of one field
	longWord  = 40
)

// Source is what one source sends.
type Source struct {
	Source      string             `json:"source"`
	Events      int64              `json:"events"`
	First       time.Time          `json:"first,omitzero"`
	Last        time.Time          `json:"last,omitzero"`
	Identifiers map[string]float64 `json:"identifiers"` // the share of events that name somebody so
	Consent     Consent            `json:"consent"`
	Kinds       []Kind             `json:"kinds"`
	LeftOut     int64              `json:"left_out,omitempty"` // events of kinds beyond the limit
	Rejected    map[string]int64   `json:"rejected,omitempty"` // what is kept and was not taken, by code
}

// Consent is how much a source says on permission.
type Consent struct {
	Stated  float64            `json:"stated"`            // the share of events with context.consent
	Granted map[string]float64 `json:"granted,omitempty"` // of those, the share that grants a category
	GPC     float64            `json:"gpc"`               // the share with a Global Privacy Control signal
}

// Kind is one event of a source.
type Kind struct {
	Type   string    `json:"type"`
	Name   string    `json:"name,omitempty"`
	Count  int64     `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Fields []Field   `json:"fields"`
}

// Field is one property or trait.
type Field struct {
	Path     string           `json:"path"`   // "total", "products[].sku"
	Filled   float64          `json:"filled"` // the share of events, or items, that have a value there
	Types    map[string]int64 `json:"types"`
	Drift    bool             `json:"drift,omitempty"`    // it comes as several types
	Values   []string         `json:"values,omitempty"`   // all that it has been, where they are few and harmless
	Personal string           `json:"personal,omitempty"` // the kind of personal data that it holds
}

// Survey counts. It is used by one goroutine at a time.
type Survey struct {
	sources map[string]*source
	room    [4]pii.Match
}

type source struct {
	events, stated, gpc, leftOut int64
	first, last                  time.Time
	identifiers, granted         map[string]int64
	kinds                        map[key]*kind
}

type key struct {
	t    event.Type
	name string
}

type kind struct {
	count       int64
	first, last time.Time
	fields      map[string]*field
}

type field struct {
	seen, filled, parents int64
	types                 map[string]int64
	words                 map[string]int64
	many                  bool // it has more words than are kept, or some that must not be
	personal              pii.Kind
	above                 string // the list of objects that it stands in
}

// New makes an empty survey.
func New() *Survey { return &Survey{sources: map[string]*source{}} }

// Add counts one event. It keeps nothing of it but names.
func (s *Survey) Add(e *event.Event) {
	if e.Type < event.Track || e.Type > event.Alias || e.Name == plan.Generated {
		return
	}
	src := s.sources[e.Source]
	if src == nil {
		src = &source{identifiers: map[string]int64{}, granted: map[string]int64{}, kinds: map[key]*kind{}}
		s.sources[string([]byte(e.Source))] = src
	}
	src.add(e)
	k := src.kinds[key{e.Type, e.Name}]
	if k == nil {
		if len(src.kinds) >= maxEvents {
			src.leftOut++
			return
		}
		k = &kind{fields: map[string]*field{}, first: e.Time}
		src.kinds[key{e.Type, string([]byte(e.Name))}] = k
	}
	k.count++
	k.first, k.last = earlier(k.first, e.Time), later(k.last, e.Time)
	raw := e.Properties
	if e.Type == event.Identify || e.Type == event.Group {
		raw = e.Traits
	}
	s.object(k, raw, "", "", 0)
}

func (src *source) add(e *event.Event) {
	src.events++
	if src.first.IsZero() {
		src.first = e.Time
	}
	src.first, src.last = earlier(src.first, e.Time), later(src.last, e.Time)
	for name, there := range map[string]bool{
		"user_id": e.UserID != "", "anonymous_id": e.Anonymous != "", "email": e.Email != "", "group_id": e.GroupID != "",
	} {
		if there {
			src.identifiers[name]++
		}
	}
	for _, x := range e.External {
		if len(src.identifiers) < maxFields {
			src.identifiers[string([]byte(x.Type))]++
		}
	}
	if e.Flags&event.GPC != 0 {
		src.gpc++
	}
	consent, _ := scan.Find(e.Context, "consent")
	preferences, ok := scan.Find(consent, "categoryPreferences")
	if !ok {
		return
	}
	src.stated++
	for m := scan.MembersOf(preferences); ; {
		category, value, ok := m.Next()
		if !ok {
			return
		}
		if len(src.granted) < maxFields {
			n := int64(0)
			if string(value) == "true" {
				n = 1
			}
			src.granted[string(category)] += n
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// object counts the members of an object.
func (s *Survey) object(k *kind, raw []byte, path, above string, level int) {
	for m := scan.MembersOf(raw); ; {
		name, value, ok := m.Next()
		if !ok {
			return
		}
		here := path + plan.SafeName(string(name))
		f := k.fields[here]
		if f == nil {
			if len(k.fields) >= maxFields {
				continue
			}
			f = &field{types: map[string]int64{}, words: map[string]int64{}, above: above}
			k.fields[here] = f
		}
		s.value(k, f, string(name), value, here, above, level)
	}
}

func (s *Survey) value(k *kind, f *field, name string, raw []byte, here, above string, level int) {
	t := typeOf(raw)
	f.seen++
	f.types[t]++
	if t != "null" && string(raw) != `""` {
		f.filled++
	}
	switch t {
	case "string":
		f.word(s, name, string(raw[1:len(raw)-1]))
	case "number", "integer":
		if named := pii.Named(name); named != pii.None && pii.Fits(named, string(raw)) {
			f.personal = named
		}
	case "object":
		if level < maxLevels {
			s.object(k, raw, here+".", above, level+1)
		}
	case "array":
		if level < maxLevels {
			s.list(k, f, raw, here+"[]", level+1)
		}
	}
}

func (s *Survey) list(k *kind, f *field, raw []byte, here string, level int) {
	for l := scan.ElementsOf(raw); ; {
		one, ok := l.Next()
		if !ok {
			return
		}
		f.parents++
		if one[0] == '{' {
			s.object(k, one, here+".", here[:len(here)-2], level)
		}
	}
}

// word counts a text, as long as the field has few and harmless ones.
func (f *field) word(s *Survey, name, text string) {
	if named := pii.Named(name); named != pii.None && pii.Fits(named, text) {
		f.personal = named
	} else if found := pii.Find(s.room[:0], text); len(found) > 0 {
		f.personal = found[0].Kind
	}
	if f.many || f.personal != pii.None {
		f.many = true
		return
	}
	if _, there := f.words[text]; !there && (len(f.words) == maxWords || len(text) > longWord) {
		f.many = true
		return
	}
	f.words[text]++
}

func typeOf(raw []byte) string {
	if len(raw) == 0 {
		return "null"
	}
	switch raw[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	if _, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return "integer"
	}
	return "number"
}

// Report tells what was counted, sources by name, their events by count.
func (s *Survey) Report() []Source {
	out := []Source{}
	for _, name := range slices.Sorted(maps.Keys(s.sources)) {
		src := s.sources[name]
		r := Source{
			Source: name, Events: src.events, First: src.first, Last: src.last, LeftOut: src.leftOut,
			Identifiers: shares(src.identifiers, src.events), Kinds: []Kind{},
			Consent: Consent{Stated: share(src.stated, src.events), GPC: share(src.gpc, src.events), Granted: shares(src.granted, src.stated)},
		}
		for at, k := range src.kinds {
			r.Kinds = append(r.Kinds, k.report(at))
		}
		slices.SortFunc(r.Kinds, func(a, b Kind) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
		})
		out = append(out, r)
	}
	return out
}

func (k *kind) report(at key) Kind {
	out := Kind{Type: at.t.String(), Name: at.name, Count: k.count, First: k.first, Last: k.last, Fields: []Field{}}
	for _, path := range slices.Sorted(maps.Keys(k.fields)) {
		f := k.fields[path]
		of := k.count
		if list := k.fields[f.above]; f.above != "" && list != nil {
			of = list.parents
		}
		types := map[string]int64{}
		distinct := 0
		for t, n := range f.types {
			if n > 0 {
				types[t] = n
			}
			if n > 0 && t != "null" && t != "integer" || t == "integer" && f.types["number"] == 0 {
				distinct++
			}
		}
		one := Field{Path: path, Filled: share(f.filled, of), Types: types, Drift: distinct > 1, Personal: f.personal.String()}
		if !f.many && f.filled >= 20*int64(len(f.words)) && len(f.words) > 0 && f.types["string"] == f.seen {
			one.Values = slices.Sorted(maps.Keys(f.words))
		}
		out.Fields = append(out.Fields, one)
	}
	return out
}

func share(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n*10000/of) / 10000
}

func shares(of map[string]int64, all int64) map[string]float64 {
	out := map[string]float64{}
	for name, n := range of {
		out[name] = share(n, all)
	}
	return out
}

package plan

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"rapport/internal/event"
	"rapport/internal/scan"
)

// Plan is what one source follows. It is immutable and safe for concurrent use.
type Plan struct {
	*compiled
	rules Rules
}

// Name gives the plan's name, the file's.
func (p *Plan) Name() string { return p.of.Name }

// Title gives the plan's name for readers.
func (p *Plan) Title() string {
	if p.of.Title == "" {
		return p.of.Name
	}
	return p.of.Title
}

// Quiet tells whether violations are counted only, and no events made of them.
func (p *Plan) Quiet() bool { return p.of.Quiet }

// Generated is the name of the events that tell of violations, Segment's. Such an
// event is held against no plan: it would tell of itself.
const Generated = "Violation Generated"

// Verdict is what becomes of an event.
type Verdict struct {
	Effect     Effect // Allow, Quarantine or Refuse
	Code       string // why, for what is not allowed
	Detail     string // the same in words, without values
	Field      string // and where
	Violations []Violation
	// Unnamed says that the trait with the person's address was stripped, so that
	// it must not stay an identifier either, once permission has been asked.
	Unnamed bool
}

// Hash makes a keyed digest of personal data, in hexadecimal digits.
type Hash func(kind, value string) string

// Judge holds an event against the plan. It changes the event: fields that are
// stripped go, personal data is masked, the address and agent of the client are
// shortened. What it writes anew are new slices; those that the event came with
// are not touched.
func (p *Plan) Judge(e *event.Event, hash Hash) (v Verdict) {
	v.Effect = Allow
	if !(e.Type == event.Track && e.Name == Generated) {
		p.judge(e, &v)
	}
	if p.personal != nil {
		p.personal.treat(p, e, hash, &v)
	}
	return v
}

// finding gathers why an event is not taken until the effect is known.
type finding struct {
	unplanned, broken bool
	effect            Effect
}

func (p *Plan) judge(e *event.Event, v *Verdict) {
	var f finding
	is := p.find(e.Type, e.Name)
	rules := p.rules
	switch {
	case is != nil:
		rules = is.of.Rules.over(rules)
		p.fields(e, is.version(versionOf(e.Context)), rules, v, &f)
	case p.plans(e.Type):
		f.unplanned = rules.UnplannedEvents > Strip
		f.effect = max(f.effect, rules.UnplannedEvents)
		v.Violations = append(v.Violations, Violation{UnplannedEvent, CodeUnplanned, "event", "the " + e.Type.String() + " " + strconv.Quote(safeName(e.Name)) + " is not in the plan"})
	}
	if p.identify != nil && e.Type != event.Group && rules.UnplannedFields == Strip {
		p.strayTraits(e, v)
	}
	if p.context != nil && !p.context.valid(e.Context, "context", CodeCommonSchema, v) {
		f.effect = max(f.effect, rules.OnViolation)
	}
	if f.effect > Strip {
		v.Effect = f.effect
		v.Code = f.code()
		v.reason()
	}
}

// reason tells the first violation because of which the event is not taken.
func (v *Verdict) reason() {
	code := v.Code
	if code == CodeUnplannedSchema {
		code = CodeSchema
	}
	at := max(slices.IndexFunc(v.Violations, func(x Violation) bool { return x.Code == code }), 0)
	v.Detail, v.Field = v.Violations[at].Description, v.Violations[at].Field
}

func (f *finding) code() string {
	switch {
	case f.unplanned && f.broken:
		return CodeUnplannedSchema
	case f.unplanned:
		return CodeUnplanned
	case f.broken:
		return CodeSchema
	}
	return CodeCommonSchema
}

// fields holds the properties or traits of a planned event against its form.
func (p *Plan) fields(e *event.Event, is *form, rules Rules, v *Verdict, f *finding) {
	where, at := "properties", &e.Properties
	if e.Type == event.Identify || e.Type == event.Group {
		where, at = "traits", &e.Traits
	}
	u := unplanned{strip: rules.UnplannedFields == Strip, most: mostViolations}
	u.path = append(u.path, where...)
	if stripped, changed := u.walk(*at, is.tree); changed {
		*at = stripped
	}
	if len(u.found) > 0 {
		f.unplanned = rules.UnplannedFields > Strip
		f.effect = max(f.effect, rules.UnplannedFields)
		p.unplannedFields(&u, v)
	}
	if !is.valid(*at, where, CodeSchema, v) {
		f.broken = rules.OnViolation > Strip
		f.effect = max(f.effect, rules.OnViolation)
	}
}

// strayTraits strips the traits that an event brings in its context, which is
// where everything but identify has them.
func (p *Plan) strayTraits(e *event.Event, v *Verdict) {
	t := p.identify.version(0).tree
	own, ok := scan.Find(e.Context, "traits")
	if !ok {
		return
	}
	u := unplanned{strip: true, most: mostViolations, path: []byte("context.traits")}
	out, changed := u.walk(own, t)
	if !changed {
		return
	}
	if e.Type != event.Identify && same(e.Traits, own) {
		e.Traits = out
	}
	e.Context = replaced(e.Context, "traits", out)
	p.unplannedFields(&u, v)
}

// unplannedFields adds what a walk has found, and notes when the address of the
// person was among it.
func (p *Plan) unplannedFields(u *unplanned, v *Verdict) {
	for _, x := range u.found {
		x.Code = CodeUnplanned
		v.Violations = append(v.Violations, x)
	}
	v.Unnamed = v.Unnamed || u.strip && u.unnamed
}

// replaced gives an object with another value for one member.
func replaced(object []byte, name string, value []byte) []byte {
	out := make([]byte, 0, len(object))
	out = append(out, '{')
	for m := scan.MembersOf(object); ; {
		key, old, ok := m.Next()
		if !ok {
			return append(out, '}')
		}
		out = member(out, key)
		if string(key) == name {
			old = value
		}
		out = append(out, old...)
	}
}

// valid holds an object against a form; what is missing is an empty one.
func (f *form) valid(raw []byte, where, code string, v *Verdict) bool {
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	if f.shape != nil && f.shape.accepts(raw) {
		return true
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil { // It was sound at the door; what cannot be judged is not as planned.
		v.Violations = append(v.Violations, Violation{InvalidValue, code, where, where + " cannot be read"})
		return false
	}
	err = f.schema.Validate(doc)
	if err == nil {
		return true
	}
	before := len(v.Violations)
	if invalid, ok := err.(*jsonschema.ValidationError); ok { //nolint:errorlint // The library gives nothing else, unwrapped.
		v.Violations = explain(invalid, where, code, v.Violations)
	}
	slices.SortStableFunc(v.Violations[before:], func(a, b Violation) int { return cmp.Compare(a.Field, b.Field) })
	if len(v.Violations) == before {
		v.Violations = append(v.Violations, Violation{InvalidValue, code, where, where + " is not as planned"})
	}
	return false
}

// versionOf reads context.protocols.event_version; zero where it is no whole number.
func versionOf(context []byte) int {
	if len(context) == 0 {
		return 0
	}
	protocols, ok := scan.Find(context, "protocols")
	if !ok {
		return 0
	}
	raw, _ := scan.Find(protocols, "event_version")
	n, err := strconv.Atoi(string(bytes.Trim(raw, `"`)))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

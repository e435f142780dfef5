package journey

import (
	"strconv"
	"strings"

	"rapport/internal/rule"
)

// Answer is what one line of an explanation says.
type Answer string

// The answers. A line without one tells a fact.
const (
	Yes  Answer = "yes"
	No   Answer = "no"
	Wait Answer = "wait"
	Fact Answer = ""
)

// Explanation says why somebody did, or did not, get the mails of a journey:
// each gate with what was seen and when.
type Explanation struct {
	Text     string            `json:"text"`
	Answer   Answer            `json:"answer,omitempty"`
	Seen     string            `json:"seen,omitempty"`
	At       string            `json:"at,omitempty"`    // when it was decided, RFC 3339
	Until    string            `json:"until,omitempty"` // when it may change because time passes
	Rule     *rule.Explanation `json:"rule,omitempty"`
	Children []Explanation     `json:"children,omitempty"`
}

// String gives the explanation for a terminal, a line for each gate.
func (e Explanation) String() string {
	var b strings.Builder
	writeExplanation(&b, &e, 0)
	return b.String()
}

func writeExplanation(b *strings.Builder, e *Explanation, depth int) {
	b.WriteString(strings.Repeat("     ", depth))
	b.WriteString((string(e.Answer) + "     ")[:5])
	b.WriteString(e.Text)
	if e.Seen != "" {
		b.WriteString("  # " + e.Seen)
	}
	if e.At != "" {
		b.WriteString("  at " + e.At)
	}
	if e.Until != "" {
		b.WriteString("  (until " + e.Until + ")")
	}
	b.WriteByte('\n')
	if e.Rule != nil {
		for _, line := range strings.SplitAfter(strings.TrimSuffix(e.Rule.String(), "\n"), "\n") {
			b.WriteString(strings.Repeat("     ", depth+1) + line)
		}
		b.WriteByte('\n')
	}
	for i := range e.Children {
		writeExplanation(b, &e.Children[i], depth+1)
	}
}

// Explain says where t.Person stands in a journey at t.Now: what an entry would
// meet now, each place with its steps, and the decisions that are remembered.
// It changes nothing.
func (c *Catalog) Explain(journey string, t *Turn) Explanation {
	root := Explanation{Text: "journey " + journey}
	f := c.current(journey)
	if f == nil && len(c.flows[journey]) == 0 {
		root.Answer, root.Seen = No, "there is no such journey"
		return root
	}
	places := t.State.placesIn(journey)
	r := t.State.Record(journey)
	switch {
	case len(places) > 0:
		root.Answer, root.Seen = Yes, "inside since "+instant(places[0].Entered)
	case r != nil && r.Count > 0:
		root.Answer, root.Seen = No, "not inside; entered "+times(r.Count)+", last "+instant(r.Entered)
	default:
		root.Answer, root.Seen = No, "never entered"
	}
	if f == nil {
		root.Children = append(root.Children, Explanation{Text: "the journey is no longer in the configuration", Answer: No})
	} else {
		root.Children = append(root.Children, t.explainEntry(f))
	}
	for _, p := range places {
		root.Children = append(root.Children, c.explainPlace(t, p))
	}
	if r != nil && len(r.Notes) > 0 {
		root.Children = append(root.Children, explainNotes(r))
	}
	return root
}

func (s *State) placesIn(journey string) []*Place {
	var out []*Place
	for i := range s.Places {
		if p := &s.Places[i]; p.Journey == journey {
			out = append(out, p)
		}
	}
	return out
}

// explainEntry asks each gate of the entry as if the trigger came now.
func (t *Turn) explainEntry(f *flow) Explanation {
	e := Explanation{Text: "could enter now (version " + strconv.Itoa(f.version) + ")", Answer: Yes}
	t.inner.props.Reset(nil)
	p := &Place{Journey: f.name, Trigger: t.Now}
	gate := func(g Explanation) {
		if g.Answer == No {
			e.Answer = No
		}
		e.Children = append(e.Children, g)
	}
	if f.closed {
		gate(Explanation{Text: "status: stopped", Answer: No})
	}
	gate(t.explainTrigger(f, p))
	if f.trigger.where != nil {
		g := t.explainRule("trigger where "+f.trigger.where.String(), f.trigger.fits, p)
		g.Seen, g.Rule = g.Rule.Note, nil
		gate(g)
	}
	if r := f.trigger.rule; r != nil {
		g := t.explainRule("trigger if", r, p)
		if len(r.Properties()) > 0 {
			g.Answer, g.Seen = Fact, "it asks for properties that only the trigger brings"
		}
		gate(g)
	}
	gate(t.explainReentry(f))
	if f.exit != nil {
		g := t.explainCond("exit_when does not hold", f.exit, p)
		if g.Answer == Yes {
			g.Answer = No
		} else {
			g.Answer = Yes
		}
		gate(g)
	}
	allowed, why := t.Person.Permit(f.purpose)
	gate(Explanation{Text: "permission for " + string(f.purpose), Answer: answer(allowed), Seen: why})
	return e
}

func (t *Turn) explainTrigger(f *flow, p *Place) Explanation {
	switch name := strconv.Quote(f.trigger.name); f.trigger.kind {
	case OnDate:
		return t.explainDate(f)
	case OnRequest:
		return Explanation{Text: "trigger by a request", Answer: Fact, Seen: "POST /v1/journeys/" + f.name + "/trigger"}
	case OnEnter, OnLeave:
		verb := "enters"
		if f.trigger.kind == OnLeave {
			verb = "leaves"
		}
		seen := "not a member"
		in := t.Person.Member(f.trigger.name)
		if in {
			seen = "a member"
		}
		g := Explanation{Text: "trigger " + verb + " " + name, Answer: answer(in == (f.trigger.kind == OnEnter)), Seen: seen}
		if !f.include {
			g.Seen += "; who was already in it does not count"
		}
		return g
	default:
		g := t.explainRule("trigger event "+name, f.trigger.ever, p)
		g.Seen, g.Rule = g.Rule.Note, nil
		return g
	}
}

func (t *Turn) explainRule(text string, r *rule.Rule, p *Place) Explanation {
	x := r.Explain(&t.inner, rule.At{Now: t.Now, Since: p.Trigger})
	e := Explanation{Text: text, Answer: answer(x.Truth), Rule: &x}
	if x.ValidUntil != Never {
		e.Until = instant(x.ValidUntil)
	}
	return e
}

func (t *Turn) explainReentry(f *flow) Explanation {
	e := Explanation{Text: "reentry: once", Answer: Yes, Seen: "never entered"}
	switch f.reentry {
	case Always:
		e.Text = "reentry: always"
	case Every:
		e.Text = "reentry: every " + span(f.every)
	}
	if f.key != "" {
		e.Text += ", for each " + f.key
	}
	r := t.State.Record(f.name)
	if r != nil && r.Count > 0 {
		e.Seen = "entered " + times(r.Count) + ", last " + instant(r.Entered)
	}
	if f.key != "" {
		return e // Which key an entry would have is not known.
	}
	if p := t.State.inside(f.name, ""); p != nil {
		e.Answer, e.Seen = No, "inside since "+instant(p.Entered)
		return e
	}
	if reason, text := t.again(f, ""); reason != "" {
		e.Answer, e.Seen = No, text
		if f.reentry == Every {
			e.Until = instant(add(r.Entered, f.every))
		}
	}
	return e
}

// explainPlace tells what a place has done and what it waits for.
func (c *Catalog) explainPlace(t *Turn, p *Place) Explanation {
	e := Explanation{
		Text: "inside " + p.ID() + " (version " + strconv.Itoa(p.Version) + ")", Answer: Yes,
		Seen: "trigger of " + instant(p.Trigger), At: instant(p.Entered),
	}
	f := c.flow(p)
	if f != nil && p.Key != "" {
		e.Text += ", " + f.key + " " + cut(strconv.Quote(p.Key), MaxNote)
	}
	if f == nil {
		e.Children = append(e.Children, Explanation{Text: "the version that was entered is no longer known", Answer: No})
		return e
	}
	t.inner.props.Reset(p.Data)
	for i := range f.nodes {
		e.Children = append(e.Children, t.explainStep(f, p, i))
	}
	if f.exit != nil {
		e.Children = append(e.Children, t.explainCond("exit_when", f.exit, p))
	}
	return e
}

// explainCond asks everything that a condition looks for.
func (t *Turn) explainCond(text string, c *cond, p *Place) Explanation {
	held, until, _ := t.holds(c, p, t.Now)
	e := Explanation{Text: text, Answer: answer(held)}
	if until != Never {
		e.Until = instant(until)
	}
	for i := range c.events {
		m := &c.events[i]
		name := "event " + strconv.Quote(m.name)
		if m.where != nil {
			name += " where " + m.where.String()
		}
		if m.stored == nil {
			e.Children = append(e.Children, Explanation{Text: name + " with the same " + m.same, Answer: Fact, Seen: "looked for in every event since the entry"})
			continue
		}
		g := t.explainRule(name, m.stored, p)
		g.Seen, g.Rule = g.Rule.Note+" since the trigger", nil
		e.Children = append(e.Children, g)
	}
	if c.rule != nil {
		x := c.rule.Explain(&t.inner, rule.At{Now: t.Now, Since: p.Trigger})
		e.Rule = &x
	}
	return e
}

func (t *Turn) explainStep(f *flow, p *Place, i int) Explanation {
	n := &f.nodes[i]
	e := Explanation{Text: n.words()}
	if n.kind == sendStep {
		for k := range p.Sent {
			if m := &p.Sent[k]; m.Step == n.id && !m.Dropped {
				e.Answer, e.Seen = Yes, [...]string{"decided", "sent", "bounced or skipped"}[m.Fate%3]
			}
		}
	}
	if i != p.Node {
		return e
	}
	if n.kind == waitForStep {
		e = t.explainCond(e.Text, n.cond, p)
	}
	e.Answer, e.Seen, e.Until = Wait, "here", instant(p.Until)
	return e
}

// words names a step as a reader would: where it stands, its own name, and what
// it does.
func (n *node) words() string {
	var b strings.Builder
	b.WriteString(stepWords(n.path))
	if n.named {
		b.WriteString(" (" + n.id + ")")
	}
	b.WriteString(": ")
	switch {
	case n.kind == sendStep:
		b.WriteString("send " + n.template)
	case n.kind == waitStep && n.window != nil:
		b.WriteString("wait for its window")
	case n.kind == waitStep && n.until == nil:
		b.WriteString("wait " + span(n.length))
	case n.kind == waitForStep && n.cond != nil && n.cond.rule == nil && len(n.cond.events) == 1:
		b.WriteString("wait for " + strconv.Quote(n.cond.events[0].name) + ", at most " + span(n.timeout))
	case n.kind == waitForStep:
		b.WriteString("wait, at most " + span(n.timeout))
	case n.kind == setStep:
		b.WriteString("set")
		for i := range n.sets {
			b.WriteString(" " + n.sets[i].trait)
		}
	case n.kind == stopStep && n.reason != "":
		b.WriteString("stop: " + n.reason)
	default:
		b.WriteString(kindNames[n.kind])
	}
	return b.String()
}

// stepWords writes the path of a step in words: "3.then.1" is the first step
// under the then of the third. A name that is no path stays as it is.
func stepWords(path string) string {
	parts := strings.Split(path, ".")
	if path == "" || strings.Trim(parts[0], "0123456789") != "" || len(parts)%2 == 0 {
		return path
	}
	var b strings.Builder
	b.WriteString("step " + parts[0])
	for i := 1; i+1 < len(parts); i += 2 {
		way := strings.ReplaceAll(parts[i], "_", " ")
		if strings.Trim(way, "0123456789") == "" {
			way = "branch " + way
		}
		b.WriteString(", " + way + ", step " + parts[i+1])
	}
	return b.String()
}

func explainNotes(r *Record) Explanation {
	e := Explanation{Text: "remembered, oldest first"}
	for _, n := range r.Notes {
		g := Explanation{Text: n.Kind.String(), Seen: n.Said(), At: instant(n.At)}
		if n.Step != "" {
			g.Text += " " + stepWords(n.Step)
		}
		if n.Occurrence > 0 {
			g.Text += " (entry " + strconv.FormatInt(n.Occurrence, 10) + ")"
		}
		if n.Times > 1 {
			g.Text += ", " + times(n.Times) + " in a row"
		}
		switch n.Kind {
		case NoteRefused, NoteSkipped:
			g.Answer = No
		case NoteSent, NoteEntered, NoteGate:
			g.Answer = Yes
		}
		e.Children = append(e.Children, g)
	}
	return e
}

func answer(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return strconv.FormatInt(n, 10) + " times"
}

// span writes a length of time as the language does.
func span(ms int64) string {
	if ms == 0 {
		return "0s"
	}
	var b strings.Builder
	if ms < 0 {
		b.WriteByte('-')
		ms = -ms
	}
	for _, u := range [...]struct {
		name string
		ms   int64
	}{{"d", day}, {"h", 3_600_000}, {"m", 60_000}, {"s", 1000}, {"ms", 1}} {
		if n := ms / u.ms; n > 0 {
			b.WriteString(strconv.FormatInt(n, 10))
			b.WriteString(u.name)
			ms -= n * u.ms
		}
	}
	return b.String()
}

// summary says in one line what a rule was decided by: those of its conditions
// that carry the answer, with what was seen.
func summary(e rule.Explanation) string {
	var b strings.Builder
	summarize(&b, &e)
	return b.String()
}

func summarize(b *strings.Builder, e *rule.Explanation) {
	if b.Len() > MaxNote {
		return
	}
	if len(e.Children) == 0 {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(e.Text)
		if e.Note != "" {
			b.WriteString(" (" + e.Note + ")")
		}
		return
	}
	for i := range e.Children {
		if k := &e.Children[i]; k.Truth == e.Truth || e.Text == "not" {
			summarize(b, k)
		}
	}
}

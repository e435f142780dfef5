package journey

import (
	"strconv"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/rule"
)

// OnEvent does what an event means to a person: it ends stays whose exit_when
// it fulfils, moves those that waited for it, and then begins those it
// triggers. Before it, OnTime must have done what was due earlier than t.Now.
func (c *Catalog) OnEvent(t *Turn, ev *Event) {
	triggers := c.triggers(ev)
	if len(t.State.Places) == 0 && len(triggers) == 0 && ev.Type != event.Outcome {
		return
	}
	t.event.Reset(ev.Properties)
	if ev.Type == event.Outcome && len(t.State.Records) > 0 {
		c.outcome(t, ev.Name)
	}
	if len(t.State.Places) > 0 && ev.Type != event.Trigger {
		for i := range t.State.Places {
			c.meet(t, &t.State.Places[i], ev)
		}
		t.sweep()
	}
	for _, f := range triggers {
		c.enter(t, f, ev)
	}
}

// OnTime does what is due by t.Now and nothing else, at the instants at which
// it was due and in their order, however late it is called. When a step sets
// traits it returns early with t.Again.
func (c *Catalog) OnTime(t *Turn) {
	for {
		var next *Place
		for i := range t.State.Places {
			p := &t.State.Places[i]
			if due := p.due(); due <= t.Now && (next == nil || due < next.due()) {
				next = p
			}
		}
		if i := t.State.dueDate(t.Now); i >= 0 && (next == nil || t.State.Dates[i].Fire < next.due()) {
			if c.begin(t, i); t.Again {
				return
			}
			continue
		}
		if next == nil {
			return
		}
		c.wake(t, next, next.due())
		t.sweep()
		if t.Again {
			return
		}
	}
}

// open finds the version of a place and makes its trigger's properties
// readable. It ends the stay when there is nothing left to go on with.
func (c *Catalog) open(t *Turn, p *Place, at int64) *flow {
	f := c.flow(p)
	switch {
	case f == nil:
		t.end(nil, p, at, Lost, "version "+strconv.Itoa(p.Version))
		return nil
	case c.stopped(p.Journey, p.Version):
		t.end(f, p, at, SwitchedOff, "")
		return nil
	case c.left(p.Journey, p.Version):
		t.end(f, p, at, Changed, "on_change: exit")
		return nil
	}
	if _, ok := f.step(p.Node); !ok {
		t.end(f, p, at, Lost, "step "+strconv.Itoa(p.Node))
		return nil
	}
	t.inner.props.Reset(p.Data)
	t.workspace = c.zone
	return f
}

// meet lets a place see an event.
func (c *Catalog) meet(t *Turn, p *Place, ev *Event) {
	f := c.open(t, p, t.Now)
	if f == nil {
		return
	}
	since := ev.Time >= p.Trigger
	check := Never
	if f.exit != nil {
		if since && f.exit.matches(t, ev) {
			t.endBy(f, p, t.Now, Exited, seen{ev.Name, ev.Time})
			return
		}
		held, until := t.ask(f.exit.rule, p, t.Now)
		if held {
			t.end(f, p, t.Now, Exited, t.why(f.exit.rule, p, t.Now))
			return
		}
		check = until
	}
	if since {
		for bit, i := range f.waits {
			if f.nodes[i].cond.matches(t, ev) && p.Seen&(1<<bit) == 0 {
				p.Seen |= 1 << bit
				t.Changed = true
			}
		}
	}
	if n := &f.nodes[p.Node]; p.Waiting && n.kind == waitForStep {
		if p.Seen&(1<<n.bit) != 0 {
			c.came(t, f, p, t.Now, seen{ev.Name, ev.Time})
			return
		}
		held, until := t.ask(n.cond.rule, p, t.Now)
		if held {
			c.came(t, f, p, t.Now, seen{text: t.why(n.cond.rule, p, t.Now)})
			return
		}
		check = min(check, until)
	}
	t.recheck(p, check)
}

// wake does what is due for a place at an instant.
func (c *Catalog) wake(t *Turn, p *Place, at int64) {
	f := c.open(t, p, at)
	if f == nil {
		return
	}
	check := Never
	if f.exit != nil {
		held, until, why := t.holds(f.exit, p, at)
		if held {
			t.end(f, p, at, Exited, why)
			return
		}
		check = until
	}
	n := &f.nodes[p.Node]
	if !p.Waiting {
		if p.Until > at {
			t.recheck(p, check)
			return
		}
		c.run(t, f, p, at)
		return
	}
	if n.kind == waitForStep {
		held, until, why := t.holds(n.cond, p, at)
		if held {
			c.came(t, f, p, at, seen{text: why})
			return
		}
		check = min(check, until)
	}
	if p.Until > at {
		t.recheck(p, check)
		return
	}
	p.Waiting = false
	next := f.after(p.Node)
	if n.kind == waitForStep {
		t.note(p, at, NoteTimeout, n.id, "")
		if n.orElse >= 0 {
			next = n.orElse
		}
	}
	c.goOn(t, f, p, next, at)
}

// came moves a place on whose wait_for is over.
func (c *Catalog) came(t *Turn, f *flow, p *Place, at int64, by seen) {
	n := &f.nodes[p.Node]
	t.noteOf(p, Note{At: at, Kind: NoteCame, Step: n.id, Text: by.text, When: by.when})
	next := f.after(p.Node)
	if to := n.branches[0].to; to >= 0 {
		next = to
	}
	p.Waiting = false
	c.goOn(t, f, p, next, at)
}

// goOn puts a place at a step and runs from there; -1 is the end.
func (c *Catalog) goOn(t *Turn, f *flow, p *Place, step int, at int64) {
	if step < 0 {
		t.end(f, p, at, Completed, "")
		return
	}
	p.Node = step
	c.run(t, f, p, at)
}

// run does steps until one waits or the stay ends. There are no loops: each
// step leads to a later one.
func (c *Catalog) run(t *Turn, f *flow, p *Place, at int64) {
	t.Changed = true
	for {
		n := &f.nodes[p.Node]
		next := f.after(p.Node)
		switch n.kind {
		case sendStep:
			t.send(f, p, n, at)
		case waitStep:
			until, ok := t.waitUntil(f, p, n, at)
			if !ok {
				return
			}
			if until > at {
				t.pause(f, p, n, at, until)
				return
			}
		case waitForStep:
			held, why := p.Seen&(1<<n.bit) != 0, "it came before"
			if !held {
				held, _, why = t.holds(n.cond, p, at)
			}
			if !held {
				t.pause(f, p, n, at, add(at, n.timeout))
				return
			}
			t.note(p, at, NoteCame, n.id, why)
			if to := n.branches[0].to; to >= 0 {
				next = to
			}
		case ifStep:
			if to := t.choose(p, n, at); to >= 0 {
				next = to
			}
		case setStep:
			if !t.set(f, p, n, at) {
				return
			}
			if next >= 0 {
				p.Node, p.Waiting, p.Until, p.Check = next, false, at, Never
				return
			}
		default:
			t.end(f, p, at, Stopped, n.reason)
			return
		}
		if next < 0 {
			t.end(f, p, at, Completed, "")
			return
		}
		p.Node = next
	}
}

// pause lets a place wait at its step.
func (t *Turn) pause(f *flow, p *Place, n *node, at, until int64) {
	p.Waiting, p.Until = true, until
	t.noteOf(p, Note{At: at, Kind: NoteWait, Step: n.id, When: until})
	check := Never
	if f.exit != nil {
		_, check = t.ask(f.exit.rule, p, at)
	}
	if n.cond != nil {
		_, again := t.ask(n.cond.rule, p, at)
		check = min(check, again)
	}
	t.recheck(p, check)
}

// recheck arms the instant at which conditions must be asked again. Those later
// than the end of the wait need no arming: the end asks anyway.
func (t *Turn) recheck(p *Place, check int64) {
	if check >= p.Until {
		check = Never
	}
	if p.Check != check {
		p.Check = check
		t.Changed = true
	}
}

// choose gives the first step of the branch that an if takes, -1 for none.
func (t *Turn) choose(p *Place, n *node, at int64) int {
	text := ""
	for i := range n.branches {
		r := n.branches[i].rule
		held, _ := t.ask(r, p, at)
		if text = t.why(r, p, at); held {
			t.note(p, at, NoteBranch, n.id, "branch "+strconv.Itoa(i+1)+": "+text)
			return n.branches[i].to
		}
	}
	t.note(p, at, NoteBranch, n.id, "else: "+text)
	return n.orElse
}

// send decides a mail, unless the same step already did for this stay.
func (t *Turn) send(f *flow, p *Place, n *node, at int64) {
	if p.sent(n.id) {
		t.note(p, at, NoteSkipped, n.id, "already sent in a stay that was joined")
		return
	}
	until, due := Never, at
	if n.window != nil {
		due = n.window.opens(at, t.zone())
	}
	in := message.Intent{
		Key:    mailKey(p, n.id),
		Person: t.Person.ID(), Template: n.template, Purpose: n.purpose, Class: n.class, Provider: n.provider,
		Journey: p.Journey, Step: n.id, Place: p.ID(), Version: f.version, Cause: p.Cause, Data: p.Data,
		Decided: time.UnixMilli(at).UTC(), Due: time.UnixMilli(due).UTC(),
	}
	in.ID = id.NewMessage(in.Decided, in.Key)
	if n.validFor > 0 {
		until = add(due, n.validFor)
		in.ValidUntil = time.UnixMilli(until).UTC()
	}
	p.Sent = append(p.Sent, Sent{Step: n.id, By: p.Twin(), Until: until})
	template := n.template
	if template == n.id {
		template = ""
	}
	t.note(p, at, NoteSent, n.id, template)
	e := Effect{Kind: Send, At: at, Step: n.id, Intent: in}
	switch f.trigger.kind {
	case OnNamedEvent:
		e.Trigger = f.trigger.name
	case OnDate:
		e.Trait = f.trigger.date.trait
	default: // What brought it is nobody's attribute.
	}
	t.emit(f, p, e)
}

// mailKey is "journey/<name>/<person>/<step>/<occurrence>"; the person is who
// entered, so that keys stay apart after a merge.
func mailKey(p *Place, step string) string {
	b := make([]byte, 0, len(p.Journey)+len(step)+40)
	b = append(b, "journey/"...)
	b = append(b, p.Journey...)
	b = append(b, "/per_"...)
	b = strconv.AppendInt(b, int64(p.Origin), 10)
	b = append(b, '/')
	b = append(b, step...)
	b = append(b, '/')
	return string(strconv.AppendInt(b, p.Occurrence, 10))
}

// matches tells whether the event at hand is one of those looked for.
func (c *cond) matches(t *Turn, ev *Event) bool {
	for i := range c.events {
		if m := &c.events[i]; m.name == ev.Name && m.where.Match(&t.event) && (m.same == "" || t.alike(m.same)) {
			return true
		}
	}
	return false
}

// alike tells whether the event at hand has the trigger's value of a property.
// Where either has none they are not alike.
func (t *Turn) alike(path string) bool {
	theirs := valueOf(t.event.Get(path))
	return theirs != "" && theirs == valueOf(t.inner.props.Get(path))
}

// ask answers a rule for a place at an instant, and says when to ask again.
func (t *Turn) ask(r *rule.Rule, p *Place, at int64) (held bool, until int64) {
	if r == nil {
		return false, Never
	}
	held, until = r.Eval(&t.inner, rule.At{Now: at, Since: p.Trigger})
	return held, max(until, at+1)
}

// holds asks a whole condition, what is already stored included.
func (t *Turn) holds(c *cond, p *Place, at int64) (held bool, until int64, why string) {
	until = Never
	for i := range c.events {
		m := &c.events[i]
		held, again := t.ask(m.stored, p, at)
		if held {
			return true, Never, m.name + " came before"
		}
		until = min(until, again)
	}
	held, again := t.ask(c.rule, p, at)
	if held {
		return true, Never, t.why(c.rule, p, at)
	}
	return false, min(until, again), ""
}

// instant writes business time for people.
func instant(at int64) string {
	if at == Never {
		return "never"
	}
	return time.UnixMilli(at).UTC().Format("2006-01-02T15:04:05.999Z07:00")
}

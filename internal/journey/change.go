package journey

// Change brings a person's places to the definitions in effect: those of a
// journey that says on_change: exit end, those of one that says move go on in
// its version. It must be called before anything else is done for the person
// under a new configuration; where nothing changed it does nothing.
func (c *Catalog) Change(t *Turn) {
	for i := range t.State.Places {
		p := &t.State.Places[i]
		versions := c.flows[p.Journey]
		for _, next := range versions {
			if next.version <= p.Version || p.End != 0 {
				continue
			}
			switch {
			case next.change == ExitOnChange:
				t.end(c.flow(p), p, t.Now, Changed, "on_change: exit")
			case next.change == MoveOnChange:
				if f := c.flow(p); f != nil && !f.closed {
					t.move(f, next, p)
				}
			}
		}
	}
	t.sweep()
}

// move puts a place at the step of the same id in another version. Where that
// step is gone it is the first later one, in the order of the text, that is
// still there, and it is yet to be done. A wait goes on from when it began.
func (t *Turn) move(old, next *flow, p *Place) {
	t.Changed = true
	seen := uint64(0)
	for bit, i := range old.waits {
		if to := next.named(old.nodes[i].id); to >= 0 && next.nodes[to].kind == waitForStep && p.Seen&(1<<bit) != 0 {
			seen |= 1 << next.nodes[to].bit
		}
	}
	to, same := -1, true
	for i := p.Node; i >= 0 && i < len(old.nodes) && to < 0; i++ {
		to, same = next.named(old.nodes[i].id), i == p.Node
	}
	if to < 0 {
		t.end(old, p, t.Now, Changed, "no step is left to go on with")
		return
	}
	was, now := &old.nodes[p.Node], &next.nodes[to]
	until := t.Now
	if same && p.Waiting && was.kind == now.kind {
		until = t.rearm(p, was, now)
	} else {
		p.Waiting = false
	}
	p.Version, p.Node, p.Seen, p.Until, p.Check = next.version, to, seen, max(until, t.Now), t.Now
	t.noteOf(p, Note{At: t.Now, Kind: NoteMoved, Step: now.id})
}

// rearm gives the end that a wait has in another version, counted from when it
// began. One whose beginning is not known any more, because it waited for an
// instant, is asked anew.
func (t *Turn) rearm(p *Place, was, now *node) int64 {
	length := func(n *node) int64 {
		switch {
		case n.kind == waitForStep:
			return n.timeout
		case n.until == nil && n.window == nil:
			return n.length
		}
		return -1
	}
	before, after := length(was), length(now)
	if before >= 0 && after >= 0 {
		return add(p.Until-before, after)
	}
	p.Waiting = false
	return t.Now
}

// named finds a step by its id, -1 when there is none.
func (f *flow) named(id string) int {
	for i := range f.nodes {
		if f.nodes[i].id == id {
			return i
		}
	}
	return -1
}

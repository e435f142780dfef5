package journey

import "rapport/internal/purpose"

// OnDenied ends the stays in journeys whose purpose the person has said no to: what
// waits there waits no longer, and a later yes begins nothing that was begun before.
// no tells whether they have, and in which word. Mails that are owed already are asked
// about, each for its own purpose, when they are handed over.
func (c *Catalog) OnDenied(t *Turn, no func(purpose.Purpose) (said bool, word string)) {
	for i := range t.State.Places {
		p := &t.State.Places[i]
		f := c.open(t, p, t.Now)
		if f == nil {
			continue
		}
		if said, word := no(f.purpose); said {
			t.end(f, p, t.Now, Denied, string(f.purpose)+": "+word)
		}
	}
	t.sweep()
}

package journey

// Part ends the places that were begun by what turned out to be somebody else's:
// theirs tells it by the message id of what began them. Mails that have not left
// do not leave.
func (c *Catalog) Part(t *Turn, theirs func(cause string) bool) {
	for i := range t.State.Places {
		if p := &t.State.Places[i]; p.End == 0 && theirs(p.Cause) {
			t.end(c.flow(p), p, t.Now, Parted, "")
			t.Changed = true
		}
	}
	t.sweep()
}

// Remembered gives what somebody who is parted from this person remembers: each
// journey as if they had been in it too, so that none mails them again for the
// same, and no place in any.
func (s *State) Remembered() State {
	var out State
	if err := out.Decode((&State{Records: s.Records}).Append(nil)); err != nil {
		return State{} // What was just written can be read.
	}
	return out
}

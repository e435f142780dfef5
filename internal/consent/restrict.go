package consent

import (
	"rapport/internal/id"
	"rapport/internal/purpose"
)

// Restriction is under which it is kept that somebody's data may be held and not
// used (GDPR, Art. 18): no purpose of a policy, but a word of the ledger like any
// other. Objected restricts, Granted lifts.
const Restriction purpose.Purpose = "restriction"

// Restricted is the reason of what is denied because of it.
const Restricted = "restricted"

// restrictionShift is where it stands in a subject's word of states.
const restrictionShift = 2 * MaxPurposes

// stores tells whether an operation only keeps data: a restriction does not touch that
// (Art. 18(2)), nor what people are given of their own, for which nobody asks.
func (o Operation) stores() bool { return o == Collect || o == Merge }

// spared tells whether a restriction does not touch what is asked: it only keeps data,
// or the person has asked for it since (Art. 18(2)), to lift the restriction say.
func (q *Question) spared() bool { return q.Operation.stores() || q.Claim }

// Restricts tells from memory whether somebody of these identifiers has restricted all
// use of their data.
func (a *Authority) Restricts(subjects ...id.Hash) bool {
	return a.view.Load().restricts(&Question{Subjects: subjects, Operation: Track})
}

// restricts tells from memory whether one of the subjects asked for it.
func (v *view) restricts(q *Question) bool {
	if q.spared() {
		return false
	}
	var all uint64
	for i := range q.Subjects {
		states, _ := v.picture.look(&q.Subjects[i])
		all |= states
	}
	states, _ := v.picture.look(&q.Address)
	return (all|states)>>restrictionShift != 0
}

// restriction is a subject's part of the word of states.
func restriction(held []Held) uint64 {
	if h, ok := standing(held, Restriction); ok && h.State > Granted {
		return uint64(h.State-Granted) << restrictionShift
	}
	return 0
}

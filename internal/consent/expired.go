package consent

import (
	"cmp"
	"slices"
	"time"

	"rapport/internal/purpose"
)

// Expiry is the end of a yes that nobody took back: its time was over. The ledger has no
// row of it, for nobody said anything; it follows from the rows and the policy.
type Expiry struct {
	Of       *Entry // the yes
	At       time.Time
	Purposes []purpose.Purpose // that ended then: of a family those with this term
}

// Record names what ended.
func (x *Expiry) Record() string { return x.Of.Record + "/expired" }

// ByTerm is how an expiry came about.
const ByTerm = "term"

// Expiries finds in the rows of one subject, oldest first, which yeses had ended by an
// instant while nothing else had been said: for each purpose as Decide answered then,
// by the terms of this policy.
func (p *Policy) Expiries(rows []Entry, now time.Time) (out []Expiry) {
	for _, def := range p.list {
		var held []Held
		var stands *Entry
		for i := range rows {
			e := &rows[i]
			if !within(def.Name, e.Purpose) {
				continue
			}
			held = append(slices.DeleteFunc(held, func(h Held) bool { return h.Purpose == e.Purpose }), Held{Purpose: e.Purpose, State: e.State, Seq: e.Seq, At: e.At})
			best, _ := standing(held, def.Name)
			if stands != nil && best.Seq == stands.Seq {
				continue
			}
			out = def.expired(out, stands, e.At)
			stands = rowOf(rows, best.Seq)
		}
		out = def.expired(out, stands, now)
	}
	slices.SortStableFunc(out, func(x, y Expiry) int { return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Of.Seq, y.Of.Seq)) })
	return out
}

func rowOf(rows []Entry, seq int64) *Entry {
	i := slices.IndexFunc(rows, func(e Entry) bool { return e.Seq == seq })
	return &rows[i]
}

// expired notes the end of a yes if it came before an instant.
func (d *Definition) expired(out []Expiry, yes *Entry, before time.Time) []Expiry {
	if yes == nil || yes.State != Granted {
		return out
	}
	end := until(d, yes.At, yes.Expires)
	if end.IsZero() || before.Before(end) {
		return out
	}
	for i := range out {
		if out[i].Of == yes && out[i].At.Equal(end) {
			out[i].Purposes = append(out[i].Purposes, d.Name)
			return out
		}
	}
	return append(out, Expiry{Of: yes, At: end, Purposes: []purpose.Purpose{d.Name}})
}

// describe tells of it in the words of the standard.
func (x *Expiry) describe() *Record {
	r := Describe(x.Of)
	r.ID, r.Purposes, r.Time, r.Said, r.Type, r.State = x.Record(), x.Purposes, arrival(x.At), time.Time{}, "expired", "expired"
	r.Method, r.Channel, r.Entity, r.Evidence, r.ValidUntil = ByTerm, "", "", RecordEvidence{}, arrival(x.At)
	return r
}

package processor

import (
	"iter"

	"rapport/internal/consent"
	"rapport/internal/id"
	"rapport/internal/identity"
)

// foresight reads ahead what a batch's people permit: who asks for a few of them
// asks for most, and a store behind a wire answers for all in the time it takes to
// answer for one.
type foresight struct {
	consent.Store
	set   *workingSet
	asked int
}

// foreseeAfter is after how many questions all of the batch's people are asked for:
// where only few are asked about, each alone is quicker.
const foreseeAfter = 3

// Foresee implements consent.Store.
func (f *foresight) Foresee(subjects iter.Seq2[id.Hash, bool]) error {
	if f.asked++; f.asked != foreseeAfter {
		return f.Store.Foresee(subjects)
	}
	return f.Store.Foresee(func(yield func(id.Hash, bool) bool) {
		for h, address := range subjects {
			if !yield(h, address) {
				return
			}
		}
		f.set.subjects(yield)
	})
}

// subjects gives what the permission of everybody in a batch is kept under, and
// which of that is an address: what its people bear, and what it names, which they
// may be given.
func (s *workingSet) subjects(yield func(id.Hash, bool) bool) {
	for i := range s.batch.items {
		for _, x := range s.batch.items[i].ids {
			if !yield(x.Hash, x.Kind == identity.Email) {
				return
			}
		}
	}
	for _, f := range s.figures {
		if !f.used || f.erased != 0 || f.ident.MergedInto != 0 {
			continue
		}
		for _, x := range f.ident.Identifiers {
			if !yield(x.Hash, false) {
				return
			}
		}
		email := f.ident.Address(f.prof.Text("email"))
		if email != "" && !yield(s.w.Resolver.Hash(identity.Email, email), true) {
			return
		}
	}
}

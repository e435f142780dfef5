package identity

import (
	"slices"

	"rapport/internal/event"
	"rapport/internal/id"
)

// Without takes out of an event the identifiers that are gone, of those that it was
// found to carry: nothing is kept under them any more. What it says in its traits
// and properties stays: that is about whom it is about now.
func Without(e *event.Event, carried []Identifier, gone func(id.Hash) bool) {
	for _, x := range carried {
		if !gone(x.Hash) {
			continue
		}
		switch {
		case x.Kind == UserID && x.Value == e.UserID:
			e.UserID = ""
		case x.Kind == Email && x.Value == e.Email:
			e.Email = ""
		case x.Kind == Anonymous && x.Value == e.Anonymous:
			e.Anonymous = ""
		}
		if x.Value == e.Previous {
			e.Previous = ""
		}
		e.External = slices.DeleteFunc(slices.Clone(e.External), func(y event.ExternalID) bool { return y.Type == x.Kind && y.Value == x.Value })
	}
}

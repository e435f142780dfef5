package processor_test

import (
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/processor"
	"rapport/internal/rights"
)

// erases has somebody erased.
func (h *house) erases(who id.Person, subjects ...string) {
	h.t.Helper()
	now := h.clock.Now()
	e, err := processor.EraseEvent("erase-1", who, now, processor.EraseRequest{Law: rights.GDPR, Received: now.UnixMilli(), Subjects: subjects})
	h.must(err)
	h.do(*e)
}

// TestTheLivingKeepTheirIdentifiers has a late event name somebody with two identifiers
// of who was erased among their own: theirs are kept, and only theirs.
func TestTheLivingKeepTheirIdentifiers(t *testing.T) {
	t.Parallel()
	h := setup(t, quiet)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "phone", Email: "ann@people.example"})
	h.clock.Move(time.Minute)
	h.erases(h.person("user_id", "ann").ID)
	h.do(event.Event{
		Name: "Seen", UserID: "bob", Anonymous: "phone", Email: "ann@people.example",
		External: []event.ExternalID{{Type: "shopify_id", Value: "7"}},
	})
	same(t, "what is set aside", 0, len(h.asides()))
	var kinds []string
	for _, x := range h.person("user_id", "bob").Identifiers {
		kinds = append(kinds, x.Kind)
	}
	same(t, "bob's identifiers", []string{"user_id", "shopify_id"}, kinds)
}

// TestAHashThatIsNone is refused, however long it is.
func TestAHashThatIsNone(t *testing.T) {
	t.Parallel()
	h := setup(t, quiet)
	h.do(event.Event{Type: event.Identify, UserID: "ann"})
	h.erases(h.person("user_id", "ann").ID, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
	aside := h.asides()
	if len(aside) != 1 || aside[0].Code != "bad_erase" {
		t.Errorf("set aside is %+v", aside)
	}
}

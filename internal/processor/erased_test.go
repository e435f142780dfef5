package processor_test

import (
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/identity"
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

// TestTheBarredComeToNobody walks events under names that are barred though nobody is
// known by them: nothing of them is kept, and of somebody else only the name goes.
func TestTheBarredComeToNobody(t *testing.T) {
	t.Parallel()
	h := setup(t, quiet)
	hasher, err := id.NewHasher([]byte("0123456789abcdef0123456789abcdef"))
	h.must(err)
	resolver := identity.New(identity.Config{Hasher: hasher})
	phone := resolver.Hash(identity.Anonymous, "phone")
	h.walker.Barred = func(x id.Hash) bool { return x == phone }
	h.do(event.Event{Name: "Seen", Anonymous: "phone"})
	h.do(event.Event{Name: "Seen", UserID: "bob", Anonymous: "phone"})
	same(t, "what is set aside", 0, len(h.asides()))
	same(t, "late events", int64(1), h.walker.Stats().Late)
	same(t, "bob's events", 1, len(h.names("user_id", "bob")))
	same(t, "bob's identifiers", 1, len(h.person("user_id", "bob").Identifiers))
	same(t, "bob's number", id.Person(1), h.person("user_id", "bob").ID)
}

// TestReleased takes a name from somebody: what came under it goes with it, from the
// timeline and from what is known of them, and everything else stays.
func TestReleased(t *testing.T) {
	t.Parallel()
	h := setup(t, quiet)
	h.do(event.Event{Name: "Seen", Anonymous: "tablet"})
	h.do(event.Event{Type: event.Identify, Anonymous: "tablet", Properties: []byte(`{"colour":"red"}`)})
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "tablet", Properties: []byte(`{"size":"m"}`)})
	h.do(event.Event{Name: "Bought", UserID: "ann"})
	ann := h.person("user_id", "ann")
	tablet := ""
	hasher, err := id.NewHasher([]byte("0123456789abcdef0123456789abcdef"))
	h.must(err)
	tablet = identity.New(identity.Config{Hasher: hasher}).Hash(identity.Anonymous, "tablet").String()
	now := h.clock.Now()
	e, err := processor.ReleaseEvent("release-1", ann.ID, now, processor.ReleaseRequest{Subjects: []string{tablet}})
	h.must(err)
	h.do(*e)
	same(t, "what is set aside", 0, len(h.asides()))
	after := h.person("user_id", "ann")
	same(t, "her number", ann.ID, after.ID)
	same(t, "her identifiers", 1, len(after.Identifiers))
	same(t, "her events", []string{"identify", "Bought"}, h.names("user_id", "ann"))
	h.do(event.Event{Name: "Seen", Anonymous: "tablet"})
	if who := h.person("anonymous_id", "tablet").ID; who == ann.ID {
		t.Error("the tablet still leads to her")
	}
}

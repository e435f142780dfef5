package processor_test

import (
	"testing"

	"rapport/internal/event"
	"rapport/internal/identity"
)

// Whoever can write with a public key cannot become somebody by knowing their
// address, nor put words into their mouth.
func TestAPublicKeyTakesNobodyOver(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{Type: event.Identify, Anonymous: "own-device", Email: "nell@shop.example", Traits: []byte(`{"email":"nell@shop.example","first_name":"Nell"}`)})
	nell := h.person("email", "nell@shop.example").ID

	browser := func(e event.Event) {
		e.Flags, e.Type = event.FromBrowser, event.Identify
		h.do(e)
	}
	browser(event.Event{Anonymous: "other-device", Email: "nell@shop.example", Traits: []byte(`{"email":"nell@shop.example","first_name":"Mallory"}`)})
	browser(event.Event{Anonymous: "other-device", UserID: "mallory", Traits: []byte(`{}`)})
	h.do(event.Event{Type: event.Identify, UserID: "mallory", Email: "mallory@shop.example", Traits: []byte(`{"email":"mallory@shop.example"}`)})

	p := h.person("email", "nell@shop.example")
	same(t, "who answers to the address", nell, p.ID)
	same(t, "name", `"Nell"`, string(p.Traits["first_name"]))
	for _, x := range p.Identifiers {
		if x.Kind == identity.UserID || x.Value == "other-device" {
			t.Errorf("a stranger's %s was bound to somebody known", x.Kind)
		}
	}
	if mallory := h.person("user_id", "mallory").ID; mallory == nell {
		t.Error("a stranger became somebody known")
	}
}

// An address that two people name reaches the one whose it was first.
func TestASharedAddressReachesTheFirst(t *testing.T) {
	t.Parallel()
	var first, second identity.Record
	first.Identifiers = []identity.Identifier{{Kind: identity.UserID, Value: "u1"}, {Kind: identity.Email, Value: "both@shop.example"}}
	second.Identifiers = []identity.Identifier{{Kind: identity.UserID, Value: "u2"}}
	same(t, "the first is mailed", "both@shop.example", first.Address("both@shop.example"))
	same(t, "the second is not", "", second.Address("both@shop.example"))
}

package consent_test

import (
	"context"
	"testing"
	"time"

	"rapport/internal/consent"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

// TestOneOfSeveralPurposes: where one permits it is permitted, until the last that
// does ends; and nobody who cannot be asked permits anything.
func TestOneOfSeveralPurposes(t *testing.T) {
	t.Parallel()
	h := setup(t)
	p := policy(t, "purposes:\n  service: {basis: contract}\n  short: {basis: consent, categories: [short], valid_for: 1d}\n  long: {basis: consent, categories: [long], valid_for: 9d}\n")
	if err := h.a.SetPolicy(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	any := func(class consent.Class, purposes ...purpose.Purpose) consent.Decision {
		t.Helper()
		q := consent.Question{Subjects: []id.Hash{h.hash("user_id", "u1")}, Operation: consent.Compute, Channel: purpose.Web, Class: class, At: h.now}
		return h.a.DecideAny(h.store, q, purposes...)
	}
	h.want("nothing is said", any("", "short", "long"), consent.Deny, consent.NoConsent)
	h.want("by its basis", any("", "short", "service"), consent.Allow, consent.ByBasis)
	h.want("by its basis, of what is sensitive", any(consent.Sensitive, "service"), consent.Deny, consent.NoConsent)
	h.want("by none", any("", "nothing"), consent.Deny, consent.UnknownPurpose)
	h.want("of none", any(""), consent.Deny, consent.UnknownPurpose)
	h.door(prefs("u1", "", `{"short":true,"long":true}`), false)
	h.walk()
	given := h.now
	for _, order := range [][]purpose.Purpose{{"short", "long"}, {"long", "short"}} {
		d := any("", order...)
		if h.want("both are granted", d, consent.Allow, consent.ByGrant); !d.Until.Equal(given.Add(9 * 24 * time.Hour)) {
			t.Errorf("%v: until %s", order, d.Until)
		}
	}
	if d := any("", "short", "service"); !d.Until.IsZero() {
		t.Errorf("what rests on a contract ends at %s", d.Until)
	}
	h.door(prefs("u1", "", `{"long":false}`), false)
	h.walk()
	if d := any("", "short", "long"); !d.Until.Equal(given.Add(24 * time.Hour)) {
		t.Errorf("one is left: %+v", d)
	}
	h.now = given.Add(24 * time.Hour)
	if d := any("", "short", "long"); d.Effect != consent.Deny {
		t.Errorf("at its end: %+v", d)
	}
	h.store.broke = errBroken
	h.want("nothing can be read", any("", "short", "service"), consent.Deny, consent.Unreadable)
}

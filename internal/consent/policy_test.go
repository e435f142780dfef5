package consent_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/spec"
)

func TestStarterDeclaresWhatTheHouseRefersTo(t *testing.T) {
	t.Parallel()
	p := policy(t, consent.Starter)
	var got []string
	for _, d := range p.Purposes() {
		got = append(got, fmt.Sprintf("%s %s %s gpc=%v %v", d.Name, d.Basis, d.Scope, d.GPC, d.Objectable()))
		if d.Title == "" || d.Description == "" {
			t.Errorf("%s says nothing on the preference page", d.Name)
		}
	}
	want := []string{
		"service contract address gpc=false false",
		"marketing.newsletter consent address gpc=false true",
		"profiling legitimate_interest device gpc=false true",
		"tracking.opens consent device gpc=false true",
		"tracking.clicks consent device gpc=false true",
		"sale_or_share legitimate_interest device gpc=true true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParsePolicyNamesEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	const text = `purposes:
  service: {basis: consent}
  Marketing: {basis: consent}
  marketing.news:
    basis: permission
    scope: phone
    categories: marketing
    gpc: perhaps
    valid_for: ever
    colour: red
  orders: {basis: contract, categories: [a], gpc: true, valid_for: 3d}
  nothing: {}
  tracking.opens: {basis: consent}
other: 1
`
	var doc yaml.Node
	if err := yaml.Load([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	p, problems := consent.ParsePolicy(&doc)
	if p != nil {
		t.Error("a policy with mistakes was taken")
	}
	var got []string
	for _, pr := range problems {
		got = append(got, fmt.Sprintf("%d: %s", pr.Line, pr.Message))
		if pr.Hint == "" {
			t.Errorf("line %d: %s: no hint", pr.Line, pr.Message)
		}
	}
	for _, want := range []string{
		`2: "service" is what a person asked for: it cannot rest on consent`,
		`3: the name "Marketing" cannot be used`,
		`5: "permission" is no legal basis`,
		`6: "phone" is no scope`,
		`7: a list of consent categories is missing here`,
		`8: "perhaps" is neither true nor false`,
		`9: "ever" is no duration`,
		`10: unknown key "colour"`,
		`11: nobody can say no to "orders" (basis contract): a consent category cannot mean it`,
		`11: nobody can say no to "orders" (basis contract): a GPC signal cannot narrow it`,
		`11: "orders" does not rest on consent: no grant can expire`,
		`12: the purpose "nothing" names no legal basis`,
		`13: "tracking.opens" observes a device: its scope must be device`,
		`14: unknown key "other"`,
	} {
		if !strings.Contains(strings.Join(got, "\n")+"\n", want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Log(strings.Join(got, "\n"))
	}
}

func FuzzFromEvent(f *testing.F) {
	for _, s := range []string{`{"consent":{"categoryPreferences":{"marketing":true}}}`, `{"consent":{"categoryPreferences":{"marketing":false,"marketing":true}}}`, `{"consent":{"globalPrivacyControl":true}}`, `{"consent":null,"categoryPreferences":1}`, `{`, `{"entries":[{"subject":"00","state":"granted"}]}`} {
		f.Add([]byte(s), []byte(`{"list_id":"marketing"}`), uint8(1))
	}
	h := setup(f)
	f.Fuzz(func(t *testing.T, context, properties []byte, typ uint8) {
		ev := &event.Event{Type: event.Type(typ), Name: consent.UnsubscribedEvent, MessageID: "m", Source: "s", Email: ada, Context: context, Properties: properties, Received: h.now}
		narrow, widen := h.a.FromEvent(ev, false)
		for _, e := range narrow {
			if e.State <= consent.Granted {
				t.Fatalf("a grant among what narrows: %+v", e)
			}
		}
		for _, e := range widen {
			if e.State != consent.Granted {
				t.Fatalf("a narrowing among what widens: %+v", e)
			}
		}
	})
}

// TestTheSpecKnowsWhatSpeaksOfPermission holds that a slip in a name which ends
// or changes permission is noticed at the door.
func TestTheSpecKnowsWhatSpeaksOfPermission(t *testing.T) {
	t.Parallel()
	for _, name := range []string{consent.PreferenceUpdated, consent.UnsubscribedEvent, consent.SpamEvent} {
		if _, match := spec.Known(name); match != spec.Exact {
			t.Errorf("%s is not reserved", name)
		}
		if _, match := spec.Known(strings.ToLower(name)); match != spec.Near {
			t.Errorf("%s in lower case is not near it", name)
		}
	}
}

package processor_test

import (
	"fmt"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/plan"
	"rapport/internal/processor/processortest"
	"rapport/internal/purview"
	"rapport/internal/store/pgstore/pgtest"
)

// The date that begins a journey is in a mail only where the mail's purpose may see
// the trait that it stands in, also where a plan says so only since.
func TestADateIsInAMailWhereItsPurposeMaySeeIt(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		purposes string
		want     string
	}{{"[marketing, service]", `{"trait":"renews_at","date":"2026-03-10"}`}, {"[service]", ""}} {
		h := &house{
			t: t, dir: t.TempDir(), database: pgtest.Chosen(t), clock: processortest.NewHand(start), trouble: &trouble{},
			configs: map[int]string{1: "journeys: {renew: {purpose: marketing.newsletter, trigger: {date: {trait: renews_at, before: 1d}}, steps: [{send: renew}]}}"},
			sees:    planned(t, fmt.Sprintf("traits: {renews_at: {type: string, purposes: %s}}", row.purposes)),
		}
		h.begin()
		h.do(event.Event{Type: event.Identify, UserID: "ann", Traits: []byte(`{"email":"ann@shop.example","renews_at":"2026-03-10"}`)})
		h.at(10 * 24 * time.Hour)
		mails := h.mails(h.person("user_id", "ann").ID)
		if len(mails) != 1 {
			t.Fatalf("%s: %d mails", row.purposes, len(mails))
		}
		same(t, row.purposes, row.want, string(mails[0].Data))
	}
}

// planned gives what a plan lets each purpose see.
func planned(t *testing.T, text string) *purview.Table {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	d, problems := plan.Parse("people", n.Content[0])
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	set, err := plan.Compile([]*plan.Document{d})
	if err != nil {
		t.Fatal(err)
	}
	return purview.Of(set)
}

package destination

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/plan"
	"rapport/internal/purpose"
	"rapport/internal/purview"
	"rapport/internal/rule"
)

// seeing makes a destination for marketing under a plan.
func seeing(t *testing.T) *Definition {
	t.Helper()
	const text = `
traits: {note: {type: string, purposes: [support]}, city: string}
events:
  Ticket Opened: {purposes: [support]}
  Order Completed: {properties: {total: {type: number, purposes: [support]}, sku: string}}
`
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
	table := purview.Of(set).Dividing(map[string]purview.Use{"noted": {Purposes: purpose.Set{"support"}}})
	all := Choice{All: true}
	return &Definition{Name: "ads", Purpose: "marketing", Sees: table.For("marketing"), Events: all, Segments: all, Messages: all}
}

// TestADestinationSeesItsPurpose: what is not for it is not told, is not in what is
// told, and decides nothing about what is.
func TestADestinationSeesItsPurpose(t *testing.T) {
	t.Parallel()
	d := seeing(t)
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(`{did: any, where: {total: {gt: 1}}}`), &n); err != nil {
		t.Fatal(err)
	}
	r, problems := rule.Parse(n.Content[0], rule.Context{})
	if r == nil {
		t.Fatal(problems)
	}
	order := &event.Event{Type: event.Track, Name: "Order Completed", Properties: []byte(`{"total":5,"sku":"a"}`)}
	ticket := &event.Event{Type: event.Track, Name: "Ticket Opened"}
	filtered := *d
	filtered.Where = r.Tallies()[0].Where
	for _, c := range []struct {
		what string
		d    *Definition
		it   Item
		e    *event.Event
		want bool
	}{
		{"an event", d, Item{Kind: Event, Name: "Order Completed"}, order, true},
		{"by a hidden property", &filtered, Item{Kind: Event, Name: "Order Completed"}, order, false},
		{"a hidden event", d, Item{Kind: Event, Name: "Ticket Opened"}, ticket, false},
		{"a segment", d, Item{Kind: Segment, Name: "other"}, nil, true},
		{"a hidden segment", d, Item{Kind: Segment, Name: "noted"}, nil, false},
		{"its end by consent", d, Item{Kind: Segment, Name: "noted", Flags: Left | Narrows}, nil, false},
	} {
		if got, _ := c.d.wants(&c.it, c.e); got != c.want {
			t.Errorf("%s is wanted: %t", c.what, got)
		}
	}
	traits := &event.Event{Type: event.Identify, Traits: []byte(`{"note":"x","city":"y"}`)}
	opened := func(why string) Item {
		return Item{Kind: Message, Name: "opened", Body: []byte(`{"email_subject":"s","link_url":"u","purpose":"` + why + `","template":"t"}`)}
	}
	for _, c := range []struct {
		it       Item
		e        *event.Event
		has, not string
	}{
		{Item{Kind: Event}, order, `"properties":{"sku":"a"}`, "total"},
		{Item{Kind: Event}, traits, `"traits":{"city":"y"}`, "note"},
		{opened("support"), nil, `"template":"t"`, "email_subject"},
		{opened("support"), nil, `"purpose":"support"`, "link_url"},
		{opened("marketing"), nil, `"email_subject":"s"`, "no such thing"},
	} {
		b, err := envelope(&c.it, c.e, nil, d, nil)
		if err != nil || !strings.Contains(string(b), c.has) || strings.Contains(string(b), c.not) {
			t.Errorf("%v in %s, wanted %s and not %s", err, b, c.has, c.not)
		}
	}
}

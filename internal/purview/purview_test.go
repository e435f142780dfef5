package purview_test

import (
	"testing"

	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/plan"
	"rapport/internal/profile"
	"rapport/internal/purpose"
	"rapport/internal/purview"
)

func table(t testing.TB, texts ...string) *purview.Table {
	t.Helper()
	var docs []*plan.Document
	for i, text := range texts {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		d, problems := plan.Parse(string(rune('a'+i)), n.Content[0])
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		docs = append(docs, d)
	}
	set, err := plan.Compile(docs)
	if err != nil {
		t.Fatal(err)
	}
	return purview.Of(set)
}

const people = `
traits:
  plan: {type: string, purposes: [service, marketing]}
  secret_note: {type: string, purposes: [support], class: sensitive}
  firstName: {type: string, purposes: [service]}
  "odd.name": {type: string, purposes: [support]}
  "odd[0]": {type: string, purposes: [support]}
  city: string
  address:
    type: object
    properties:
      street: {type: string, purposes: [service]}
      postalCode: {type: string, purposes: [service]}
      city: string
  cards:
    type: array
    items:
      type: object
      properties:
        last4: {type: string, purposes: [service]}
        brand: string
group_traits:
  revenue: {type: number, purposes: [service]}
  industry: string
events:
  Order Completed:
    purposes: [service, marketing.news]
    properties:
      total: {type: number, purposes: [service]}
      sku: string
      "box[x]": {type: string, purposes: [service]}
  Ticket Opened:
    purposes: [support]
    properties: {text: string}
pages:
  "*": {properties: {search: {type: string, purposes: [service]}, url: string}}
`

const narrower = `
sources: [app]
traits:
  plan: {type: string, purposes: [marketing.news]}
  city: {type: string, purposes: [service]}
`

func TestEachAttributeHasItsPurposes(t *testing.T) {
	t.Parallel()
	one, both := table(t, people), table(t, people, narrower)
	for _, c := range []struct {
		what string
		got  purview.Use
		want string
	}{
		{"a trait", one.Trait("plan"), "marketing, service"},
		{"of two plans", both.Trait("plan"), "marketing.news"},
		{"that one plan leaves open", both.Trait("city"), "service"},
		{"that no plan knows", one.Trait("colour"), "every purpose"},
		{"under its other spelling", one.Trait("first_name"), "service"},
		{"with a dot in its name", one.Trait(`odd\.name`), "support"},
		{"as a template reads it", one.Trait(purview.FromTemplate(`["odd.name"]`)), "support"},
		{"with brackets in its name", one.Trait("odd[0]"), "support"},
		{"with brackets in its name, as a template reads it", one.Trait(purview.FromTemplate(`["odd[0]"]`)), "support"},
		{"below one with brackets", one.Trait("odd[0].more"), "support"},
		{"what would be read as a list", one.Trait("odd"), "every purpose"},
		{"a property with brackets in its name", one.Property("Order Completed", "box[x]"), "service"},
		{"joined of others", one.Reads("name"), "service"},
		{"below", one.Trait("address.street"), "service"},
		{"below, in its other spelling", one.Trait("address.postal_code"), "service"},
		{"with all below", one.Reads("address"), "service"},
		{"with all below, of a list", one.Reads("cards"), "service"},
		{"without what is below", one.Trait("address"), "every purpose"},
		{"all properties of an event", one.ReadsProperty(profile.PageViewed, ""), "service"},
		{"beside it", one.Trait("address.city"), "every purpose"},
		{"of a list", one.Trait("cards.0.last4"), "service"},
		{"of a list, as a template reads it", one.Trait(purview.FromTemplate("cards[].last4")), "service"},
		{"of a group", one.Trait("$group.revenue"), "service"},
		{"of groups", one.Trait("$groups.1.revenue"), "service"},
		{"an event", one.Event("Order Completed"), "marketing.news, service"},
		{"its property", one.Property("Order Completed", "total"), "service"},
		{"its property without a word", one.Property("Order Completed", "sku"), "marketing.news, service"},
		{"its property that is not planned", one.Property("Order Completed", "note"), "marketing.news, service"},
		{"of a page", one.Property(profile.PageViewed, "search"), "service"},
		{"of another event", one.Property("Seen", "search"), "every purpose"},
	} {
		if got := c.got.Purposes.String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	if got := one.Trait("secret_note").Class; got != purpose.Sensitive {
		t.Errorf("its class is %q", got)
	}
	if table(t, "traits: {city: string}\n") != nil {
		t.Error("a plan that says no purpose made a table")
	}
}

func TestAPurposeSeesWhatItMay(t *testing.T) {
	t.Parallel()
	s := table(t, people).Computing(map[string]purview.Use{"score": {Purposes: purpose.Set{"support"}}}).
		Dividing(map[string]purview.Use{"helped": {Purposes: purpose.Set{"support"}}}).For("marketing.news")
	for _, c := range []struct{ what, got, want string }{
		{"traits", string(s.Traits(event.Identify, []byte(`{"plan":"pro","secret_note":"x","firstName":"Ann","first_name":"Ann","score":1,"address":{"street":"High", "city":"Y"},"cards":[{"last4":"1","brand":"v"},{"brand":"w"}]}`))),
			`{"plan":"pro","address":{"city":"Y"},"cards":[{"brand":"v"},{"brand":"w"}]}`},
		{"traits that may all be seen", string(s.Traits(event.Identify, []byte(`{"plan": "pro"}`))), `{"plan": "pro"}`},
		{"nothing but what is hidden", string(s.Traits(event.Identify, []byte(`{"secret_note":"x"}`))), `{}`},
		{"traits of a group", string(s.Traits(event.Group, []byte(`{"revenue":1,"industry":"x"}`))), `{"industry":"x"}`},
		{"properties", string(s.Properties(event.Track, "Order Completed", []byte(`{"total":5,"sku":"a"}`))), `{"sku":"a"}`},
		{"of an event that is hidden", string(s.Properties(event.Track, "Ticket Opened", []byte(`{"text":"x"}`))), ""},
		{"of a page", string(s.Properties(event.Page, "Home", []byte(`{"search":"x","url":"/"}`))), `{"url":"/"}`},
		{"of a page by the name of rules", string(s.Named(profile.PageViewed, []byte(`{"search":"x","url":"/"}`))), `{"url":"/"}`},
		{"the value of a trait", string(s.Within("address", []byte(`{"street":"High","city":"Y"}`))), `{"city":"Y"}`},
		{"of a group", string(s.Within("$group", []byte(`{"id":"g","revenue":1}`))), `{"id":"g"}`},
		{"of groups", string(s.Within("$groups", []byte(`[{"id":"g","revenue":1}]`))), `[{"id":"g"}]`},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
		}
	}
	if s.Event(event.Track, "Ticket Opened") || !s.Event(event.Track, "Order Completed") || s.Segment("helped") || !s.Segment("other") {
		t.Error("events or segments are seen that must not, or the other way round")
	}
	if !s.Serves("marketing.news") || !s.Serves("marketing") || s.Serves("support") {
		t.Error("what was made for a purpose")
	}
	if all := table(t, people).For(""); !all.Trait("secret_note") || string(all.Traits(event.Identify, []byte(`{"secret_note":"x"}`))) != `{"secret_note":"x"}` {
		t.Error("the operator does not see all")
	}
}

// TestPathsOfTemplates are read as the analysis of templates names them.
func TestPathsOfTemplates(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"": "", "a": "a", "a.b": "a.b", "a[].b": "a.b", "a[]": "a", `a["b c"].d`: "a.b c.d", `["a.b"]`: `a\.b`, `a["x]y"].b`: "a.x]y.b",
		`a["say \"no\""]`: `a.say "no"`, `["a\\b"][].c`: `a\\b.c`, "a[": "a", `a["b`: "a",
	} {
		if got := purview.FromTemplate(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// BenchmarkScope looks at one call as a purpose sees it: what a destination or a read
// costs for each event.
func BenchmarkScope(b *testing.B) {
	s := table(b, people, narrower).Computing(map[string]purview.Use{"score": {Purposes: purpose.Set{"support"}}, "level": {Purposes: purpose.Set{"service"}}}).For("marketing.news")
	traits := []byte(`{"plan":"pro","city":"Y","colour":"red","address":{"city":"Y"}}`)
	props := []byte(`{"sku":"a","note":"b"}`)
	for name, fn := range map[string]func(){
		"Traits":     func() { s.Traits(event.Identify, traits) },
		"Properties": func() { s.Properties(event.Track, "Order Completed", props) },
		"Event":      func() { s.Event(event.Track, "Order Completed") },
		"Page":       func() { s.Event(event.Page, "Home") },
		"Named":      func() { s.Named("Order Completed", props) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fn()
			}
		})
	}
}

func FuzzScope(f *testing.F) {
	f.Add([]byte(`{"plan":"pro","secret_note":"x","address":{"street":[1]}}`))
	f.Add([]byte(`{"a`))
	s := table(f, people).For("marketing")
	f.Fuzz(func(_ *testing.T, raw []byte) {
		s.Traits(event.Identify, raw)
		s.Properties(event.Track, "Order Completed", raw)
		s.Within(string(raw), raw)
	})
}

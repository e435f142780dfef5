package plan_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/plan"
	"rapport/internal/purpose"
)

const shop = `
title: Acorn Books
sources:
  website: {unplanned_fields: strip}
  app: {unplanned_fields: quarantine, unplanned_events: refuse}
on_violation: quarantine
events:
  Order Completed:
    purposes: [service, marketing]
    retention: 730d
    properties:
      order_id: {type: string, required: true}
      total: {type: number, minimum: 0}
      currency: {type: string, enum: [EUR, USD]}
      email: {type: string, format: email, class: personal, purposes: [service], retention: 30d}
      products:
        type: array
        items:
          type: object
          properties:
            sku: {type: string, required: true}
            price: number
  Loose:
    on_violation: allow
    unplanned_fields: allow
    schema: {type: object, anyOf: [{required: [a]}, {required: [b]}]}
  Signed Up:
    versions:
      1: {properties: {plan: string}}
      2: {properties: {plan: {type: string, required: true}, seats: {type: integer, required: true}}}
pages:
  "*": {properties: {url: string, path: string, title: string}}
traits:
  email: {type: string, class: personal}
  plan: {type: string, enum: [free, paid]}
  address: {type: object, class: personal, properties: {city: string}}
context:
  app: {type: object, properties: {version: {type: string, required: true}}}
`

func parse(t testing.TB, text string) *plan.Document {
	t.Helper()
	var n yaml.Node
	if err := yaml.Load([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	d, problems := plan.Parse("shop", &n)
	if d == nil {
		t.Fatal(problems)
	}
	return d
}

func compiled(t testing.TB, text string) *plan.Set {
	t.Helper()
	s, err := plan.Compile([]*plan.Document{parse(t, text)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func digest(kind, value string) string {
	sum := sha256.Sum256([]byte(kind + ":" + value))
	return hex.EncodeToString(sum[:16])
}

func TestJudge(t *testing.T) {
	t.Parallel()
	set := compiled(t, shop)
	const good = `{"order_id":"o1","total":1.5,"currency":"EUR","products":[{"sku":"a","price":1}]}`
	for name, tt := range map[string]struct {
		source string
		e      event.Event
		effect plan.Effect
		code   string
		fields string // kinds and fields of the violations
		props  string // properties afterwards; "" as they were
		traits string
	}{
		"as planned":             {e: event.Event{Type: event.Track, Name: "Order Completed", Properties: []byte(good)}},
		"unplanned event taken":  {e: event.Event{Type: event.Track, Name: "Other"}, fields: "Unplanned Event event"},
		"unplanned event turned": {source: "app", e: event.Event{Type: event.Track, Name: "Other"}, effect: plan.Refuse, code: "unplanned", fields: "Unplanned Event event"},
		"missing":                {e: event.Event{Type: event.Track, Name: "Order Completed", Properties: []byte(`{"total":1}`)}, effect: plan.Quarantine, code: "schema_violation", fields: "Required properties.order_id"},
		"no properties at all":   {e: event.Event{Type: event.Track, Name: "Order Completed"}, effect: plan.Quarantine, code: "schema_violation", fields: "Required properties.order_id"},
		"wrong type":             {e: event.Event{Type: event.Track, Name: "Order Completed", Properties: []byte(`{"order_id":7}`)}, effect: plan.Quarantine, code: "schema_violation", fields: "Invalid Type properties.order_id"},
		"wrong value below": {
			e:      event.Event{Type: event.Track, Name: "Order Completed", Properties: []byte(`{"order_id":"o","currency":"GBP","total":-1,"products":[{"price":"x"}]}`)},
			effect: plan.Quarantine, code: "schema_violation",
			fields: "Invalid Value properties.currency, Invalid Type properties.products.0.price, Required properties.products.0.sku, Invalid Value properties.total",
		},
		"stripped": {
			e:      event.Event{Type: event.Track, Name: "Order Completed", Properties: []byte(`{"extra":1,"order_id":"o","products":[{"sku":"a","margin":3},{"sku":"b"}],"more":{}}`)},
			fields: "Unplanned Property properties.extra, Unplanned Property properties.products.margin, Unplanned Property properties.more",
			props:  `{"order_id":"o","products":[{"sku":"a"},{"sku":"b"}]}`,
		},
		"unplanned field kept aside": {
			source: "app", e: event.Event{Type: event.Track, Name: "Order Completed", Properties: []byte(`{"order_id":"o","extra":1}`)},
			effect: plan.Quarantine, code: "unplanned", fields: "Unplanned Property properties.extra",
		},
		"both": {
			source: "app", e: event.Event{Type: event.Track, Name: "Order Completed", Properties: []byte(`{"extra":1}`)},
			effect: plan.Quarantine, code: "unplanned_and_schema_violation", fields: "Unplanned Property properties.extra, Required properties.order_id",
		},
		"a field that is an address": {
			source: "app", e: event.Event{Type: event.Track, Name: "Order Completed", Properties: []byte(`{"order_id":"o","ann@shop.example":1}`)},
			effect: plan.Quarantine, code: "unplanned", fields: "Unplanned Property properties.[email]",
		},
		"an event's own rules":    {e: event.Event{Type: event.Track, Name: "Loose", Properties: []byte(`{"c":1}`)}, fields: "Invalid Value properties"},
		"the other branch":        {e: event.Event{Type: event.Track, Name: "Loose", Properties: []byte(`{"b":1}`)}},
		"the oldest version":      {e: event.Event{Type: event.Track, Name: "Signed Up", Properties: []byte(`{"plan":"x"}`)}},
		"a version that is named": {e: event.Event{Type: event.Track, Name: "Signed Up", Properties: []byte(`{"plan":"x"}`), Context: []byte(`{"protocols":{"event_version":2}}`)}, effect: plan.Quarantine, code: "schema_violation", fields: "Required properties.seats"},
		"a version that is not":   {e: event.Event{Type: event.Track, Name: "Signed Up", Properties: []byte(`{"plan":"x"}`), Context: []byte(`{"protocols":{"event_version":3.2}}`)}},
		"any page":                {e: event.Event{Type: event.Page, Name: "Home", Properties: []byte(`{"url":1}`)}, effect: plan.Quarantine, code: "schema_violation", fields: "Invalid Type properties.url"},
		"screens are not planned": {e: event.Event{Type: event.Screen, Name: "Home", Properties: []byte(`{"url":1}`)}},
		"traits":                  {e: event.Event{Type: event.Identify, Traits: []byte(`{"plan":"gold","x":1}`)}, effect: plan.Quarantine, code: "schema_violation", fields: "Unplanned Property traits.x, Invalid Value traits.plan", traits: `{"plan":"gold"}`},
		"the context":             {e: event.Event{Type: event.Track, Name: "Signed Up", Context: []byte(`{"app":{}}`)}, effect: plan.Quarantine, code: "common_schema_violation", fields: "Required context.app.version"},
		"what tells of violations": {
			source: "app", e: event.Event{Type: event.Track, Name: plan.Generated, Properties: []byte(`{"x":1}`)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.source == "" {
				tt.source = "website"
			}
			if tt.effect == plan.Unsaid {
				tt.effect = plan.Allow
			}
			e := tt.e
			v := set.For(tt.source).Judge(&e, digest)
			var fields []string
			for _, x := range v.Violations {
				fields = append(fields, x.Kind+" "+x.Field)
				if x.Code == "" || x.Description == "" {
					t.Errorf("%+v says too little", x)
				}
			}
			got := strings.Join(fields, ", ")
			if v.Code != tt.code || v.Effect != tt.effect || got != tt.fields {
				t.Errorf("%v %q: %s\nwant %v %q: %s", v.Effect, v.Code, got, tt.effect, tt.code, tt.fields)
			}
			if want := tt.props; want != "" && string(e.Properties) != want {
				t.Errorf("properties %s, want %s", e.Properties, want)
			} else if want == "" && string(e.Properties) != string(tt.e.Properties) {
				t.Errorf("properties became %s", e.Properties)
			}
			if tt.traits != "" && string(e.Traits) != tt.traits {
				t.Errorf("traits %s, want %s", e.Traits, tt.traits)
			}
		})
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	set := compiled(t, shop)
	day := 24 * time.Hour
	for name, tt := range map[string]struct {
		get  func() (plan.Attribute, bool)
		want plan.Attribute
		ok   bool
	}{
		"of the event":           {func() (plan.Attribute, bool) { return set.Property("Order Completed", "") }, plan.Attribute{Purposes: []purpose.Purpose{"service", "marketing"}, Retention: 730 * day}, true},
		"of a field":             {func() (plan.Attribute, bool) { return set.Property("Order Completed", "email") }, plan.Attribute{Class: purpose.Personal, Purposes: []purpose.Purpose{"service"}, Retention: 30 * day}, true},
		"as the event":           {func() (plan.Attribute, bool) { return set.Property("Order Completed", "products.sku") }, plan.Attribute{Purposes: []purpose.Purpose{"service", "marketing"}, Retention: 730 * day}, true},
		"as the field above":     {func() (plan.Attribute, bool) { return set.Trait("address.city") }, plan.Attribute{Class: purpose.Personal}, true},
		"of what nobody planned": {func() (plan.Attribute, bool) { return set.Trait("shoe_size") }, plan.Attribute{}, false},
		"of no event":            {func() (plan.Attribute, bool) { return set.Property("Other", "") }, plan.Attribute{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := tt.get()
			if diff := cmp.Diff(tt.want, got); diff != "" || ok != tt.ok {
				t.Errorf("planned %v, want %v (-want +got):\n%s", ok, tt.ok, diff)
			}
		})
	}
	one, _ := set.Property("Order Completed", "total")
	two, _ := set.Property("Order Completed", "email")
	both := one.And(two)
	if !both.Permits("service") || both.Permits("marketing.newsletter") || !one.Permits("marketing.newsletter") || both.Class != purpose.Personal {
		t.Errorf("of both: %+v", both)
	}
	if none := both.And(plan.Attribute{Purposes: []purpose.Purpose{"profiling"}}); none.Permits("service") || none.Permits("profiling") {
		t.Errorf("purposes that nothing has in common permit: %+v", none)
	}
	if !(plan.Attribute{}).Permits("anything") || (*plan.Set)(nil).For("x") != nil {
		t.Error("where nothing is said something is forbidden")
	}
}

func TestSourcesFollowOnePlan(t *testing.T) {
	t.Parallel()
	all, web := parse(t, "title: all\n"), parse(t, "sources: [website]\n")
	web.Name = "web"
	set, err := plan.Compile([]*plan.Document{all, web})
	if err != nil {
		t.Fatal(err)
	}
	if set.For("website").Name() != "web" || set.For("other").Name() != "shop" || len(set.Documents()) != 2 {
		t.Error("sources follow the wrong plans")
	}
	for _, docs := range [][]*plan.Document{{all, all}, {web, web}} {
		if _, err := plan.Compile(docs); err == nil || !strings.Contains(err.Error(), "both") {
			t.Errorf("two plans for one source: %v", err)
		}
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"a key":             {"evnts: {}", `a plan has no key "evnts"; did you mean "events"?`},
		"an effect":         {"unplanned_events: strip", `"unplanned_events" cannot be "strip"`},
		"a type":            {"events: {A: {properties: {a: strin}}}", `"type" cannot be "strin"; did you mean "string"?`},
		"a class":           {"traits: {a: {class: secret}}", `"class" cannot be "secret"`},
		"a duration":        {"traits: {a: {retention: 2y}}", `"retention" must be a duration`},
		"a version":         {"events: {A: {versions: {one: {}}}}", `"one" is no number of a version`},
		"both":              {"events: {A: {properties: {}, versions: {1: {}}}}", "not both"},
		"a pattern":         {"events: {A: {properties: {a: {pattern: '('}}}}", "its schema is no JSON Schema"},
		"a schema":          {"events: {A: {schema: {type: 7}}}", "its schema is no JSON Schema"},
		"a remote schema":   {"events: {A: {schema: {$ref: 'https://schemas.example/a.json'}}}", "may not point outside"},
		"a local file":      {"events: {A: {schema: {$ref: 'file:///etc/passwd'}}}", "may not point outside"},
		"an act":            {"personal_data: {email: hide}", `"email" cannot be "hide"`},
		"a number":          {"traits: {a: {minimum: much}}", `"minimum" must be a number`},
		"a dialect unknown": {"events: {A: {schema: {$schema: 'https://schemas.example/mine'}}}", "may not point outside"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n yaml.Node
			if err := yaml.Load([]byte(tt.text), &n); err != nil {
				t.Fatal(err)
			}
			d, problems := plan.Parse("p", &n)
			if d != nil || len(problems) == 0 {
				t.Fatal("no mistake was found")
			}
			if got := problems[0].Message + "; " + problems[0].Hint; !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

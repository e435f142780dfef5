package plan_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/plan"
)

const segmentPublic = `{"data":{"rules":[
 {"type":"TRACK","key":"Order Completed","version":1,"jsonSchema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","description":"Paid",
  "properties":{"context":{},"traits":{"type":"object"},"properties":{"type":"object","required":["order_id"],"properties":{
   "order_id":{"type":"string","description":"No.","id":"/properties/properties/properties/order_id"},"total":{"type":["number","null"],"minimum":0},"kind":{"type":"string","pattern":"^(a|b)$"},
   "products":{"type":"array","items":{"type":"object","properties":{"sku":{"type":"string"}},"required":["sku"]}}}}}}},
 {"type":"TRACK","key":"Order Completed","version":2,"jsonSchema":{"properties":{"properties":{"type":"object","required":["subtotal"],"properties":{"subtotal":{"type":"number"}}}}}},
 {"type":"TRACK","key":"Odd","version":1,"jsonSchema":{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"properties":{"type":"object","properties":{"pair":{"type":"array","items":[{"type":"string"},{"type":"number"}],"additionalItems":false}}}}}},
 {"type":"IDENTIFY","jsonSchema":{"properties":{"traits":{"type":"object","properties":{"plan":{"enum":["free","paid"]}}}}}},
 {"type":"COMMON","jsonSchema":{"properties":{"context":{"type":"object","properties":{"app":{"type":"object"}},"required":["app"]}}}}
]}}`

const segmentConfig = `{"name":"workspaces/a/tracking-plans/rs_1","display_name":"Kicks","rules":{"global":{},"identify":{"properties":{"traits":{"type":"object","properties":{"age":{"type":"integer"}}}}},
 "events":[{"name":"Signed Up","description":"An account","version":1,"rules":{"type":"object","properties":{"properties":{"type":"object","properties":{"plan":{"type":"string"}},"required":["plan"]}},"required":["properties"]}}]}}`

const rudder = `{"name":"Ordered","version":3,"events":[{"name":"Product Clicked","eventType":"track","rules":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object",
 "properties":{"properties":{"type":"object","additionalProperties":false,"properties":{"sku":{"type":["string"]}},"required":["sku"]}}}},{"name":"","eventType":"page","rules":{"properties":{"properties":{"properties":{"url":{"type":"string"}}}}}}]}`

func TestImport(t *testing.T) {
	t.Parallel()
	type judged struct {
		e    event.Event
		code string
	}
	track := func(name, properties, context string) event.Event {
		return event.Event{Type: event.Track, Name: name, Properties: []byte(properties), Context: []byte(context)}
	}
	const app = `{"app":{}}`
	for name, tt := range map[string]struct {
		text  string
		notes int
		say   []judged
	}{
		"Segment's Public API": {segmentPublic, 1, []judged{
			{track("Order Completed", `{"order_id":"o","total":null,"kind":"a","products":[{"sku":"s"}]}`, app), ""},
			{track("Order Completed", `{"total":1}`, app), "schema_violation"},
			{track("Order Completed", `{"order_id":"o","kind":"c"}`, app), "schema_violation"},
			{track("Order Completed", `{"order_id":"o","products":[{}]}`, app), "schema_violation"},
			{track("Order Completed", `{"subtotal":1}`, `{"app":{},"protocols":{"event_version":2}}`), ""},
			{track("Odd", `{"pair":["a",1]}`, app), ""},
			{track("Odd", `{"pair":[1,"a"]}`, app), "schema_violation"},
			{track("Odd", `{"pair":["a",1,2]}`, app), "schema_violation"},
			{event.Event{Type: event.Identify, Traits: []byte(`{"plan":"gold"}`), Context: []byte(app)}, "schema_violation"},
			{track("Odd", `{}`, `{}`), "common_schema_violation"},
		}},
		"Segment's Config API": {segmentConfig, 0, []judged{
			{track("Signed Up", `{"plan":"p"}`, ``), ""},
			{track("Signed Up", `{}`, ``), "schema_violation"},
			{event.Event{Type: event.Identify, Traits: []byte(`{"age":"7"}`)}, "schema_violation"},
		}},
		"RudderStack": {rudder, 0, []judged{
			{track("Product Clicked", `{"sku":"s"}`, ``), ""},
			{track("Product Clicked", `{"sku":"s","x":1}`, ``), "schema_violation"},
			{event.Event{Type: event.Page, Name: "Home", Properties: []byte(`{"url":1}`)}, "schema_violation"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, notes, err := plan.Import("imported", []byte(tt.text))
			if err != nil || len(notes) != tt.notes {
				t.Fatalf("%v, notes %q", err, notes)
			}
			d.Rules.OnViolation = plan.Quarantine
			text, err := plan.Write(d)
			if err != nil {
				t.Fatal(err)
			}
			set := compiled(t, string(text)) // What is written is read again.
			for _, j := range tt.say {
				e := j.e
				v := set.For("x").Judge(&e, nil)
				code := v.Code
				if j.code == "schema_violation" && code == "unplanned_and_schema_violation" {
					code = j.code
				}
				if code != j.code {
					t.Errorf("%s %s %s: %q %+v, want %q; the plan is\n%s", j.e.Name, j.e.Properties, j.e.Context, v.Code, v.Violations, j.code, text)
				}
			}
		})
	}
	for _, bad := range []string{"", "[]", "{}", `{"rules":[{"type":"ALIAS","key":"x"}]}`, `[1`} {
		if d, _, err := plan.Import("x", []byte(bad)); err == nil {
			t.Errorf("%q was imported: %+v", bad, d)
		}
	}
}

// TestWrite reads what is written: the plans of the tests mean the same.
func TestWrite(t *testing.T) {
	t.Parallel()
	for _, text := range []string{shop, careful} {
		d := parse(t, text)
		once, err := plan.Write(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := plan.Write(parse(t, string(once)))
		if err != nil {
			t.Fatal(err)
		}
		if string(once) != string(again) {
			t.Errorf("written, read and written it is\n%s\nnot\n%s", again, once)
		}
		for _, e := range d.Events {
			same := parse(t, string(once))
			for _, o := range same.Events {
				if o.Label() == e.Label() && string(o.Schema(&o.Versions[0])) != string(e.Schema(&e.Versions[0])) {
					t.Errorf("%s has another schema", e.Label())
				}
			}
		}
	}
}

// FuzzImport holds for any bytes: a plan that is made of them is one that can be
// written, read and compiled.
func FuzzImport(f *testing.F) {
	for _, s := range []string{segmentPublic, segmentConfig, rudder, `{"rules":[{"key":"a","jsonSchema":{"properties":{"properties":{"$ref":"#"}}}}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, _, err := plan.Import("p", data)
		if err != nil || len(data) > 8<<10 {
			return
		}
		text, err := plan.Write(d)
		if err != nil {
			t.Fatal(err)
		}
		var n yaml.Node
		if err := yaml.Load(text, &n); err != nil {
			if strings.ContainsFunc(string(data), func(r rune) bool { return r < ' ' || r > '~' }) {
				return // YAML knows fewer characters than JSON.
			}
			t.Fatalf("%v\n%s", err, text)
		}
	})
}

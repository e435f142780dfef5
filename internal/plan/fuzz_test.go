package plan_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/plan"
)

// FuzzJudge holds for any event that the door lets in: what comes out is sound,
// judged again it stays, and a violation holds no address.
func FuzzJudge(f *testing.F) {
	for _, s := range []string{
		`{"order_id":"o","total":1,"extra":{"a":[1]}}`, `{"note":"ann@shop.example","card":"4111111111111111"}`, `{"products":[{"sku":1,"x":2},[],"\u0000"]}`,
		`{"traits":{"email":"a@b.example"},"protocols":{"event_version":2},"ip":"198.51.100.7","userAgent":"A/1.2"}`, `{"":{"":""}}`, `{ "a" : [ "a@b.example" , 1 ] }`,
	} {
		f.Add([]byte(s), uint8(1), "Order Completed")
		f.Add([]byte(s), uint8(2), "Note Written")
	}
	sets := []*plan.Set{compiled(f, shop), compiled(f, careful)}
	f.Fuzz(func(t *testing.T, raw []byte, kind uint8, name string) {
		if v := jsontext.Value(raw); !v.IsValid() || v.Kind() != '{' || len(raw) == 0 || raw[0] != '{' || raw[len(raw)-1] != '}' {
			return
		}
		for i, set := range sets {
			e := event.Event{Type: event.Type(kind%6) + 1, Name: name, Properties: raw, Traits: raw, Context: raw}
			p := set.For("website")
			before := string(raw)
			p.Judge(&e, digest)
			if string(raw) != before {
				t.Fatalf("what came in was changed: %q", raw)
			}
			for _, out := range [][]byte{e.Properties, e.Traits, e.Context} {
				if !jsontext.Value(out).IsValid() || out[0] != '{' {
					t.Fatalf("plan %d made of %q: %q", i, raw, out)
				}
			}
			again := e
			v := p.Judge(&again, digest)
			if string(again.Properties) != string(e.Properties) || string(again.Traits) != string(e.Traits) || string(again.Context) != string(e.Context) {
				t.Fatalf("plan %d judged %q again: %q %q %q, not %q %q %q", i, raw, again.Properties, again.Traits, again.Context, e.Properties, e.Traits, e.Context)
			}
			for _, x := range v.Violations {
				if i == 0 && x.Kind == plan.UnplannedProperty {
					t.Fatalf("%q was not stripped of %s: %q", raw, x.Field, e.Properties)
				}
			}
		}
	})
}

// FuzzParse holds for any text: a plan is read or its mistakes are named, and
// one that is read can be compiled and judges.
func FuzzParse(f *testing.F) {
	for _, s := range []string{shop, careful, "events: {A: {versions: {2: {}, 1: {properties: {a: [string, 'null']}}}}}", "traits: {a: {enum: [1, .inf, 0x1]}}", "sources: 7", "a: [", "events: {A: {schema: {$ref: '#'}}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var n yaml.Node
		if len(text) > 4<<10 || yaml.Load([]byte(text), &n) != nil {
			return
		}
		d, problems := plan.Parse("p", &n)
		if (d == nil) != (len(problems) > 0) {
			t.Fatalf("%v beside %v", d, problems)
		}
		if d == nil {
			return
		}
		set, err := plan.Compile([]*plan.Document{d})
		if err != nil {
			t.Fatalf("it was read and cannot be compiled: %v", err)
		}
		for _, name := range d.Events {
			e := event.Event{Type: name.Type, Name: name.Name, Properties: []byte(`{"a":1}`), Traits: []byte(`{"a":"b"}`)}
			for source := range d.Sources {
				set.For(source).Judge(&e, digest)
			}
		}
	})
}

package plan_test

import (
	"errors"
	"strings"
	"testing"

	"rapport/internal/event"
	"rapport/internal/plan"
)

// specFiles takes a text apart: "== name" begins a file.
func specFiles(text string) (out []plan.SpecFile) {
	for part := range strings.SplitSeq(strings.TrimPrefix(text, "== "), "\n== ") {
		name, body, _ := strings.Cut(part, "\n")
		out = append(out, plan.SpecFile{Name: name, Data: []byte(body)})
	}
	return out
}

// A bicycle shop's project in the form of today …
const cycles = `== plans/web.yaml
version: rudder/v1
kind: tracking-plan
metadata: {name: cycles}
spec:
  id: Cycles Web
  display_name: Cycles on the web
  rules:
    - {id: r1, type: event_rule, event: "#event:rented", additional_properties: true, properties: [{property: "#property:frame", required: true}, {property: "#property:hours"}, {property: "#property:tags"}]}
    - id: r2
      type: event_rule
      event: "#event:paid"
      properties:
        - {property: "#property:method", required: true}
        - property: "#property:bill"
          properties: [{property: "#property:hours", required: true}]
        - property: "#property:lines"
          properties: [{property: "#property:frame", required: true}]
        - {property: "#property:where"}
      variants:
        - type: discriminator
          discriminator: "#property:method"
          cases:
            - {display_name: By card, match: [card], properties: [{property: "#property:last4", required: true}]}
          default: {properties: [{property: "#property:note", required: true}]}
    - {id: r3, type: event_rule, event: "#event:known", identity_section: context.traits, properties: [{property: "#property:mail", required: true}]}
    - {id: r4, type: event_rule, event: "#event:seen"}
== catalog/events.yaml
version: rudder/v1
kind: events
metadata: {name: cycles}
spec:
  events:
    - {id: rented, name: Bike Rented, event_type: track, description: Somebody took a bicycle., category: "#category:c"}
    - {id: paid, name: Bike Paid, event_type: track}
    - {id: known, event_type: identify}
    - {id: seen, event_type: page}
== catalog/properties.yml
version: rudder/v1
kind: properties
metadata: {name: cycles}
spec:
  properties:
    - {id: frame, name: frame_no, type: string, config: {pattern: "^F[0-9]+$", min_length: 2}}
    - {id: hours, name: hours, types: [integer, "null"], config: {minimum: 1}}
    - {id: tags, name: tags, type: array, item_type: string, config: {max_items: 2}}
    - {id: method, name: method, type: string, config: {enum: [card, cash, voucher]}}
    - {id: bill, name: bill, type: object}
    - {id: lines, name: lines, type: array}
    - {id: where, name: station, type: "#custom-type:place"}
    - {id: last4, name: last4, type: string}
    - {id: note, name: note, type: string}
    - {id: mail, name: email, type: "#custom-type:address", config: {colour: blue}}
    - {id: city, name: city, type: string}
== catalog/types.yaml
version: rudder/v1
kind: custom-types
metadata: {name: cycles}
spec:
  types:
    - {id: place, name: Place, type: object, properties: [{property: "#property:city", required: true}]}
    - {id: address, name: Address, type: string, config: {format: email}}
== catalog/categories.yaml
version: rudder/v1
kind: categories
metadata: {name: cycles}
spec: {categories: [{id: c, name: C}]}
== deploy.yaml
on: push
`

// … and one as it was written before.
const ferry = `== ferry.yaml
version: rudder/v0.1
kind: tp
metadata: {name: ferry}
spec:
  id: ferry
  display_name: Ferry
  rules:
    - {id: a, type: event_rule, event: {$ref: "#/events/sea/sailed", allow_unplanned: false}, properties: [{$ref: "#/properties/sea/port", required: true}, {$ref: "#/properties/sea/deck"}]}
    - {id: b, type: event_rule, includes: {$ref: "#/tp/harbour/event_rule/*"}}
== harbour.yaml
version: rudder/0.1
kind: tp
metadata: {name: harbour}
spec:
  id: quay
  display_name: Harbour
  rules:
    - {id: c, type: event_rule, event: {$ref: "#/events/sea/moored", identity_section: properties}, properties: [{$ref: "#/properties/sea/port"}]}
== sea.yaml
version: rudder/v0.1
kind: events
metadata: {name: sea}
spec: {events: [{id: sailed, name: Sailed, event_type: track}, {id: moored, name: Moored, event_type: track}]}
== things.yaml
version: rudder/v0.1
kind: properties
metadata: {name: sea}
spec:
  properties:
    - {id: port, name: port, type: "string, integer", propConfig: {minLength: 2}}
    - {id: deck, name: decks, type: array, propConfig: {itemTypes: ["#/custom-types/sea/deck"]}}
== types.yaml
version: rudder/v0.1
kind: custom-types
metadata: {name: sea}
spec: {types: [{id: deck, name: Deck, type: string, config: {enum: [upper, lower]}}]}
`

func TestImportSpecs(t *testing.T) {
	t.Parallel()
	track := func(name, properties string) event.Event {
		return event.Event{Type: event.Track, Name: name, Properties: []byte(properties)}
	}
	for name, tt := range map[string]struct {
		text  string
		plans []string
		notes []string
		good  []event.Event
		bad   []event.Event
	}{
		"as of today": {
			cycles, []string{"cycles-web"},
			[]string{"categories of events", `"colour" of "email"`, `variants by "method"`, "1 files hold nothing"},
			[]event.Event{
				track("Bike Rented", `{"frame_no":"F12","hours":null,"tags":["a"],"more":1}`), track("Bike Rented", `{"frame_no":"F1","hours":2}`),
				track("Bike Paid", `{"method":"card","last4":"4242","bill":{"hours":1},"lines":[{"frame_no":"F1"}],"station":{"city":"Sampletown"}}`),
				track("Bike Paid", `{"method":"cash","note":"n"}`), {Type: event.Identify, Traits: []byte(`{"email":"a@people.example"}`)},
				{Type: event.Page, Name: "Home"},
			},
			[]event.Event{
				track("Bike Rented", `{"hours":2}`), track("Bike Rented", `{"frame_no":"x12"}`), track("Bike Rented", `{"frame_no":"F1","hours":0}`),
				track("Bike Rented", `{"frame_no":"F1","tags":["a","b","c"]}`), track("Bike Rented", `{"frame_no":"F1","tags":[1]}`),
				track("Bike Paid", `{"method":"card","note":"n"}`), track("Bike Paid", `{"method":"cash","last4":"1"}`), track("Bike Paid", `{"method":"gold","note":"n"}`),
				track("Bike Paid", `{"method":"cash","note":"n","bill":{}}`), track("Bike Paid", `{"method":"cash","note":"n","lines":[{}]}`),
				track("Bike Paid", `{"method":"cash","note":"n","station":{}}`), {Type: event.Identify, Traits: []byte(`{"email":"none"}`)},
			},
		},
		"as before": {
			ferry, []string{"ferry", "quay"}, nil,
			[]event.Event{track("Sailed", `{"port":7,"decks":["upper"]}`), track("Sailed", `{"port":"Emden"}`), track("Moored", `{}`)},
			[]event.Event{track("Sailed", `{}`), track("Sailed", `{"port":true}`), track("Sailed", `{"port":"E"}`), track("Sailed", `{"port":1,"decks":["mid"]}`), track("Moored", `{"port":[]}`)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, notes, err := plan.ImportSpecs(specFiles(tt.text))
			if err != nil || len(docs) != len(tt.plans) {
				t.Fatalf("%d plans, %v", len(docs), err)
			}
			for i, d := range docs {
				if d.Name != tt.plans[i] {
					t.Errorf("plan %d is %q", i, d.Name)
				}
			}
			said := strings.Join(notes, "\n")
			for _, want := range tt.notes {
				if !strings.Contains(said, want) {
					t.Errorf("the notes lack %q:\n%s", want, said)
				}
			}
			if len(notes) != len(tt.notes) {
				t.Errorf("notes: %q", notes)
			}
			docs[0].Rules.OnViolation = plan.Quarantine
			text, err := plan.Write(docs[0])
			if err != nil {
				t.Fatal(err)
			}
			set := compiled(t, string(text)) // What is written is read again.
			judge := func(e event.Event) string { return set.For("x").Judge(&e, nil).Code }
			for _, e := range tt.good {
				if code := judge(e); code != "" {
					t.Errorf("%s %s%s is %s by\n%s", e.Name, e.Properties, e.Traits, code, text)
				}
			}
			for _, e := range tt.bad {
				if code := judge(e); code != "schema_violation" {
					t.Errorf("%s %s%s is %q by\n%s", e.Name, e.Properties, e.Traits, code, text)
				}
			}
		})
	}
}

// TestImportSpecsOpensWhatIsNested as RudderStack does: what is not planned below is
// stripped only where an item says that nothing more may stand there.
func TestImportSpecsOpensWhatIsNested(t *testing.T) {
	t.Parallel()
	const bill, lines = `properties: [{property: "#property:hours", required: true}]`, `properties: [{property: "#property:frame", required: true}]`
	plain := strings.Replace(cycles, `event: "#event:paid"`, `event: "#event:billed"`, 1)
	plain = strings.Replace(plain, "    - {id: paid,", "    - {id: billed, name: Billed}\n    - {id: paid,", 1)
	before, variants, _ := strings.Cut(plain, "      variants:")
	_, after, _ := strings.Cut(variants, "    - {id: r3")
	plain = before + "    - {id: r3" + after // A schema with conditions is open as a whole.
	open := `{"method":"cash","bill":{"hours":1,"vat":"DE123"},"lines":[{"frame_no":"F1","colour":"red"}]}`
	closed := strings.NewReplacer(bill, bill+"\n          additional_properties: false", lines, lines+"\n          additionalProperties: false").Replace(plain)
	for text, want := range map[string]string{
		plain:  open,
		closed: `{"method":"cash","bill":{"hours":1},"lines":[{"frame_no":"F1"}]}`,
	} {
		docs, _, err := plan.ImportSpecs(specFiles(text))
		if err != nil {
			t.Fatal(err)
		}
		docs[0].Rules.UnplannedFields = plan.Strip
		written, err := plan.Write(docs[0])
		if err != nil {
			t.Fatal(err)
		}
		e := event.Event{Type: event.Track, Name: "Billed", Properties: []byte(open[:len(open)-1] + `,"more":1}`)}
		if v := compiled(t, string(written)).For("x").Judge(&e, nil); v.Code != "" || string(e.Properties) != want {
			t.Errorf("%q and %s, want %s, by\n%s", v.Code, e.Properties, want, written)
		}
	}
}

// TestImportSpecsReadsEitherReference whatever version a file has.
func TestImportSpecsReadsEitherReference(t *testing.T) {
	t.Parallel()
	for name, row := range map[string][2]string{
		"newer references in files of before": {cycles, strings.ReplaceAll(cycles, "rudder/v1", "rudder/v0.1")},
		"older references in files of today":  {ferry, strings.NewReplacer("rudder/v0.1", "rudder/v1", "rudder/0.1", "rudder/v1").Replace(ferry)},
		"only the plan is newer":              {cycles, strings.Replace(strings.ReplaceAll(cycles, "rudder/v1", "rudder/v0.1"), "rudder/v0.1", "rudder/v1", 1)},
	} {
		want, _, err := plan.ImportSpecs(specFiles(row[0]))
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := plan.ImportSpecs(specFiles(row[1]))
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: %d plans, %v", name, len(got), err)
			continue
		}
		for i := range got {
			a, errA := plan.Write(want[i])
			b, errB := plan.Write(got[i])
			if err := errors.Join(errA, errB); err != nil || string(a) != string(b) {
				t.Errorf("%s: %v\n%s\nis not\n%s", name, err, b, a)
			}
		}
	}
}

// TestImportSpecsRefuses what it cannot take over, and says which file and why.
func TestImportSpecsRefuses(t *testing.T) {
	t.Parallel()
	for name, row := range map[string][2]string{
		"no plan":             {"== a.yaml\nversion: rudder/v1\nkind: events\nspec: {events: [{id: a, name: A}]}\n", "none of the files is a tracking plan"},
		"a missing event":     {strings.Replace(cycles, "{id: seen, event_type", "{id: saw, event_type", 1), `plans/web.yaml: the rule "r4": it points to an event "#event:seen", which none of the files has`},
		"a missing property":  {strings.Replace(cycles, "{id: city,", "{id: town,", 1), `the property "#property:where": it points to a property "#property:city"`},
		"a missing type":      {strings.Replace(cycles, "{id: address,", "{id: letter,", 1), `a custom type "#custom-type:address"`},
		"an unknown version":  {strings.Replace(ferry, "rudder/0.1", "rudder/v9", 1), "harbour.yaml: its version is \"rudder/v9\""},
		"a missing rule":      {strings.Replace(ferry, "event_rule/*", "event_rule/z", 1), "there is no such rule"},
		"a missing plan":      {strings.Replace(ferry, "#/tp/harbour/", "#/tp/port/", 1), `it includes "#/tp/port/event_rule/*"`},
		"two of one id":       {strings.Replace(cycles, "{id: note,", "{id: last4,", 1), "catalog/properties.yml: #property:last4 is in catalog/properties.yml already"},
		"two that one names":  {strings.ReplaceAll(cycles, "rudder/v1", "rudder/v0.1") + "== b.yaml\nversion: rudder/v0.1\nkind: events\nmetadata: {name: b}\nspec: {events: [{id: seen, event_type: screen}]}\n", `an event "#event:seen", of which there are several`},
		"no YAML":             {"== a.yaml\na: [\n", "a.yaml: it is no YAML"},
		"several documents":   {"== a.yaml\na: 1\n---\nb: 2\n", "several documents"},
		"a type in itself":    {strings.Replace(cycles, "{id: city, name: city, type: string}", `{id: city, name: city, type: "#custom-type:place"}`, 1), "stands in itself"},
		"a pattern that none": {strings.Replace(cycles, `^F[0-9]+$`, `^(F`, 1), "plans/web.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, _, err := plan.ImportSpecs(specFiles(row[0]))
			if err == nil || !strings.Contains(err.Error(), row[1]) {
				t.Errorf("got %d plans and %v, want %q", len(docs), err, row[1])
			}
		})
	}
}

// FuzzImportSpecs holds for any bytes: no panic, and a plan that is made can be written.
func FuzzImportSpecs(f *testing.F) {
	f.Add([]byte(cycles))
	f.Add([]byte(ferry))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, _, err := plan.ImportSpecs(specFiles(string(data)))
		if err != nil || len(data) > 16<<10 {
			return
		}
		for _, d := range docs {
			if _, err := plan.Write(d); err != nil {
				t.Fatal(err)
			}
		}
	})
}

package survey_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/plan"
	"rapport/internal/plan/survey"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// traffic is what a source sent: forty orders, a page, a few people.
func traffic() (out []event.Event) {
	for i := range 40 {
		total := fmt.Sprint(i) + ".5"
		if i%10 == 9 {
			total = fmt.Sprintf("%q", total)
		}
		out = append(out, event.Event{
			Type: event.Track, Source: "web", Name: "Order Completed", UserID: "u", Time: start.Add(time.Duration(i) * time.Minute),
			Properties: fmt.Appendf(nil, `{"order_id":"o-%d","total":%s,"currency":"%s","note":"call ann@shop.example","products":[{"sku":"s"},{"sku":"t","price":%d}],"gift":null}`, i, total, []string{"EUR", "USD"}[i%2], i),
			Context:    fmt.Appendf(nil, `{"consent":{"categoryPreferences":{"ads":%v}}}`, i%4 == 0),
		})
	}
	out = append(out,
		event.Event{Type: event.Identify, Source: "web", Anonymous: "a", Email: "ann@shop.example", Time: start, Traits: []byte(`{"email":"ann@shop.example","plan":"free"}`), Flags: event.GPC},
		event.Event{Type: event.Track, Source: "web", Name: plan.Generated, UserID: "schema-violations", Time: start},
		event.Event{Type: event.Config, Source: "rapport", Time: start},
		event.Event{Type: event.Page, Source: "app", Name: "Home", Anonymous: "a", Time: start},
	)
	return out
}

func report() []survey.Source {
	s := survey.New()
	for _, e := range traffic() {
		s.Add(&e)
	}
	return s.Report()
}

func TestReport(t *testing.T) {
	t.Parallel()
	got := report()
	if len(got) != 2 || got[0].Source != "app" || got[1].Source != "web" {
		t.Fatalf("%+v", got)
	}
	web := got[1]
	if web.Events != 41 || !web.Last.Equal(start.Add(39*time.Minute)) || len(web.Kinds) != 2 {
		t.Errorf("%d events, last %v, %d kinds", web.Events, web.Last, len(web.Kinds))
	}
	if diff := cmp.Diff(map[string]float64{"user_id": 0.9756, "anonymous_id": 0.0243, "email": 0.0243}, web.Identifiers); diff != "" {
		t.Errorf("identifiers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(survey.Consent{Stated: 0.9756, GPC: 0.0243, Granted: map[string]float64{"ads": 0.25}}, web.Consent); diff != "" {
		t.Errorf("consent (-want +got):\n%s", diff)
	}
	want := []survey.Field{
		{Path: "currency", Filled: 1, Types: map[string]int64{"string": 40}, Values: []string{"EUR", "USD"}},
		{Path: "gift", Filled: 0, Types: map[string]int64{"null": 40}},
		{Path: "note", Filled: 1, Types: map[string]int64{"string": 40}, Personal: "email"},
		{Path: "order_id", Filled: 1, Types: map[string]int64{"string": 40}},
		{Path: "products", Filled: 1, Types: map[string]int64{"array": 40}},
		{Path: "products[].price", Filled: 0.5, Types: map[string]int64{"integer": 40}},
		{Path: "products[].sku", Filled: 1, Types: map[string]int64{"string": 80}, Values: []string{"s", "t"}},
		{Path: "total", Filled: 1, Types: map[string]int64{"number": 36, "string": 4}, Drift: true},
	}
	if diff := cmp.Diff(want, web.Kinds[0].Fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if strings.Contains(fmt.Sprint(got), "ann@") {
		t.Errorf("the report holds an address: %+v", got)
	}
}

// TestDraft: a plan that is drafted from traffic is one that the traffic keeps to.
func TestDraft(t *testing.T) {
	t.Parallel()
	d := survey.Draft(report()[1])
	d.Rules = plan.Rules{OnViolation: plan.Quarantine, UnplannedEvents: plan.Quarantine, UnplannedFields: plan.Quarantine}
	text, err := plan.Write(d)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "ann@") {
		t.Errorf("the draft holds an address:\n%s", text)
	}
	var n yaml.Node
	if err := yaml.Load(text, &n); err != nil {
		t.Fatal(err)
	}
	again, problems := plan.Parse("web", &n)
	if again == nil {
		t.Fatalf("%v\n%s", problems, text)
	}
	set, err := plan.Compile([]*plan.Document{again})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range traffic() {
		if e.Source != "web" {
			continue
		}
		if v := set.For("web").Judge(&e, nil); v.Code != "" {
			t.Errorf("%s: %+v", e.Name, v)
		}
	}
	odd := event.Event{Type: event.Track, Source: "web", Name: "Order Completed", Properties: []byte(`{"order_id":"o","currency":"GBP"}`)}
	if v := set.For("web").Judge(&odd, nil); v.Code != "schema_violation" || len(v.Violations) != 4 {
		t.Errorf("what never came keeps to the draft: %+v\n%s", v, text)
	}
}

// FuzzAdd holds for any event: it is counted, and its draft can be written.
func FuzzAdd(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":{"c":[1]}}],"":null,"x.y":{"z":1}}`), "n")
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		s := survey.New()
		e := event.Event{Type: event.Track, Source: "s", Name: name, Properties: raw, Context: raw}
		s.Add(&e)
		for _, one := range s.Report() {
			if _, err := plan.Write(survey.Draft(one)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

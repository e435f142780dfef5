package ingest_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/plan"
)

const tracked = `
on_violation: quarantine
unplanned_events: refuse
unplanned_fields: strip
events:
  Bought:
    properties: {total: {type: number, required: true}, note: string}
  Order Completed:
    properties: {order_id: {type: string, required: true}, total: number}
personal_data: {default: mask, card: drop, client_ip: truncate, user_agent: reduce}
`

// follows gives a plan to the source of the tests, and takes it away again.
func follows(t testing.TB, text string) *plan.Plan {
	t.Helper()
	var n yaml.Node
	if err := yaml.Load([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	d, problems := plan.Parse("shop", &n)
	if d == nil {
		t.Fatal(problems)
	}
	s, err := plan.Compile([]*plan.Document{d})
	if err != nil {
		t.Fatal(err)
	}
	return s.For("shop")
}

func planned(p *plan.Plan, c ingest.Call) ingest.Call {
	c.Source.Plan = p
	return c
}

// props gives the names and properties of what stands in the log.
func props(t testing.TB, b *bundle) (out []string) {
	for _, e := range b.log.events(t) {
		out = append(out, e.Name+" "+string(e.Properties))
	}
	return out
}

func TestAPlanIsKept(t *testing.T) {
	t.Parallel()
	p := follows(t, tracked)
	for name, tt := range map[string]struct {
		call     ingest.Call
		denied   bool
		log      []string // name and properties; of what tells of violations the kind and field
		rejected string   // codes of the receipt
		kept     string   // payloads of the rejects
		err      string
	}{
		"as planned": {
			call: single(event.Track, `{"event":"Bought","userId":"u","messageId":"m","properties":{"total":1}}`), log: []string{`Bought {"total":1}`},
		},
		"typed by the spec before the plan looks": {
			call: single(event.Track, `{"event":"Order Completed","userId":"u","properties":{"order_id":7,"total":"1.50"}}`), log: []string{`Order Completed {"order_id":"7","total":1.50}`},
		},
		"stripped and masked": {
			call: single(event.Track, `{"event":"Bought","userId":"u","properties":{"total":1,"x":2,"note":"of ann@shop.example"}}`),
			log:  []string{`Bought {"total":1,"note":"of [email]"}`, "Unplanned Property properties.x", "Personal Data properties.note"},
		},
		"kept aside, masked": {
			call:     single(event.Track, `{"event":"Bought","userId":"u","messageId":"m","mail":"ann@shop.example","properties":{"note":"ann@shop.example"},"context":{"ip":"198.51.100.7"}}`),
			rejected: "schema_violation", log: []string{"Required properties.total", "Personal Data properties.note"},
			kept: `{"event":"Bought","userId":"u","messageId":"m","properties":{"note":"[email]"},"context":{"ip":"198.51.100.0"}}`,
		},
		"kept aside out of a batch": {
			call:     batch(`{"batch":[{"type":"track","event":"Bought","userId":"u","messageId":"m"},{"type":"track","event":"Bought","userId":"u","properties":{"total":2}}],"context":{"ip":"198.51.100.7","userHash":"00"},"sentAt":"2026-11-23T15:00:00.000Z","writeKey":"w"}`),
			rejected: "schema_violation", log: []string{`Bought {"total":2}`, "Required properties.total"},
			kept: `{"sentAt":"2026-11-23T15:00:00.000Z","batch":[{"type":"track","event":"Bought","userId":"u","messageId":"m","context":{"ip":"198.51.100.0","userHash":"00"}}]}`,
		},
		"forbidden": {
			call: single(event.Track, `{"event":"Bought","userId":"u"}`), denied: true,
		},
		"refused": {
			call: single(event.Track, `{"event":"Other","userId":"u"}`), rejected: "unplanned", err: "unplanned", log: []string{"Unplanned Event event"},
		},
		"refused in a batch": {
			call: batch(`{"batch":[{"type":"track","event":"Other","userId":"u"},{"type":"track","event":"Bought","userId":"u","properties":{"total":2}}]}`), rejected: "unplanned",
			log: []string{`Bought {"total":2}`, "Unplanned Event event"},
		},
		"strict": {
			call: func() ingest.Call {
				c := batch(`{"batch":[{"type":"track","event":"Bought","userId":"u","messageId":"m"},{"type":"track","event":"Bought","userId":"u","properties":{"total":2}}]}`)
				c.Strict = true
				return c
			}(), rejected: "schema_violation", err: "schema_violation", kept: `{"batch":[{"type":"track","event":"Bought","userId":"u","messageId":"m"}]}`,
		},
		"somebody else's violation": {
			call: single(event.Track, `{"event":"Violation Generated","userId":"schema-violations","properties":{"violationType":"Required","violationField":"properties.a"}}`),
			log:  []string{"Required properties.a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.permit.denied["u"] = tt.denied
			r, err := b.Take(t.Context(), planned(p, tt.call))
			if (err != nil) != (tt.err != "") || err != nil && fault.CodeOf(err) != tt.err {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			var codes []string
			for _, x := range r.Rejected {
				codes = append(codes, x.Code)
			}
			if got := strings.Join(codes, ","); got != tt.rejected {
				t.Errorf("rejected %q, want %q", got, tt.rejected)
			}
			if got := told(t, b); strings.Join(got, "\n") != strings.Join(tt.log, "\n") {
				t.Errorf("the log holds %q, want %q", got, tt.log)
			}
			var kept []string
			for _, x := range b.keeper.rows {
				kept = append(kept, string(x.Payload))
			}
			if got := strings.Join(kept, "\n"); got != tt.kept {
				t.Errorf("kept\n%s, want\n%s", got, tt.kept)
			}
		})
	}
}

// told is props, with kind and field for what tells of violations.
func told(t testing.TB, b *bundle) (out []string) {
	for i, line := range props(t, b) {
		if raw, ok := strings.CutPrefix(line, plan.Generated+" "); ok {
			var v struct{ ViolationType, ViolationField string }
			if err := json.Unmarshal([]byte(raw), &v); err != nil {
				t.Fatal(err)
			}
			line = v.ViolationType + " " + v.ViolationField
			if e := b.log.events(t)[i]; e.UserID != "schema-violations" || e.Type != event.Track {
				t.Errorf("what tells of a violation is %+v", e)
			}
		}
		out = append(out, line)
	}
	return out
}

// TestWhatIsMendedIsTaken: what was kept aside is judged by the plan of now.
func TestWhatIsMendedIsTaken(t *testing.T) {
	t.Parallel()
	p := follows(t, tracked)
	b := setup(t, func(c *ingest.Config) {
		c.Sources = func(name string) (ingest.Source, bool) {
			s := source(name)
			s.Plan = p
			return s, true
		}
	})
	r, err := b.Take(t.Context(), planned(p, single(event.Track, `{"event":"Bought","userId":"u","messageId":"m","properties":{"note":"+4930123456"}}`)))
	if err != nil || len(r.Rejected) != 1 || r.Rejected[0].ID == 0 {
		t.Fatal(r, err)
	}
	id := r.Rejected[0].ID
	if _, err := b.Resend(t.Context(), id, nil, false); fault.CodeOf(err) != "schema_violation" {
		t.Fatalf("sent again as it is: %v", err)
	}
	p = follows(t, strings.Replace(tracked, "required: true", "required: false", 1))
	if r, err := b.Resend(t.Context(), id, nil, true); err != nil || r.Accepted != 1 {
		t.Fatal("tried:", r, err)
	}
	if r, err := b.Resend(t.Context(), id, nil, false); err != nil || r.Accepted != 1 {
		t.Fatal(r, err)
	}
	list := told(t, b)
	if last := list[len(list)-1]; last != `Bought {"note":"[phone]"}` {
		t.Errorf("the log ends with %s", last)
	}
	if e := b.log.events(t)[len(list)-1]; e.MessageID != "m" {
		t.Errorf("its id is %s", e.MessageID)
	}
	if _, err := b.Resend(t.Context(), id, nil, false); fault.CodeOf(err) != "already_sent" {
		t.Errorf("sent a third time: %v", err)
	}
}

// TestViolationsAreToldNowAndThen: a sender who errs does not fill the log.
func TestViolationsAreToldNowAndThen(t *testing.T) {
	t.Parallel()
	machine := now
	b := setup(t, func(c *ingest.Config) { c.Machine = func() time.Time { return machine } })
	p := follows(t, "events: {Bought: {properties: {total: number}}}\n")
	for range 5 {
		if _, err := b.Take(t.Context(), planned(p, single(event.Track, `{"event":"Bought","userId":"u","properties":{"total":"x"}}`))); err != nil {
			t.Fatal(err)
		}
	}
	machine = machine.Add(time.Minute)
	if _, err := b.Take(t.Context(), planned(p, single(event.Track, `{"event":"Bought","userId":"u","properties":{"total":"x"}}`))); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, line := range told(t, b) {
		if strings.HasPrefix(line, "Invalid Type") {
			n++
		}
	}
	if n != 2 {
		t.Errorf("told %d times in two minutes, want 2", n)
	}
	list, err := b.Violations(t.Context(), ingest.ViolationQuery{Code: "schema_violation"})
	if err != nil || len(list) != 1 || list[0].Count != 6 || list[0].Property != "properties.total" || list[0].Event != "Bought" {
		t.Errorf("counted %+v %v", list, err)
	}
}

// TestNamesOfSendersAreNotCountedForEver: names that a sender makes up are
// counted together in the end.
func TestNamesOfSendersAreNotCountedForEver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := follows(t, "violations: count\nevents: {Bought: {}}\n")
	for i := range 4 {
		var items []string
		for k := range 1500 {
			items = append(items, `{"type":"track","userId":"u","event":"`+strings.Repeat("x", i+1)+"-"+string(rune('a'+k%26))+string(rune('a'+k/26%26))+string(rune('a'+k/676))+`"}`)
		}
		if _, err := b.Take(t.Context(), planned(p, batch(`{"batch":[`+strings.Join(items, ",")+`]}`))); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.Violations(t.Context(), ingest.ViolationQuery{})
	if err != nil || len(list) > 5001 || list[0].Event != "(others)" || list[0].Count != 1000 {
		t.Fatalf("%d kinds, the first %+v; %v", len(list), list[0], err)
	}
}

// FuzzPlanned holds for any bytes under a plan: nothing panics, what reaches the
// log is sound, and what is kept aside makes the same event when it comes again.
func FuzzPlanned(f *testing.F) {
	for _, s := range []string{
		track(1), string(batchOf(2)), mixed, sloppy,
		`{"batch":[{"type":"track","event":"Bought","userId":"a","properties":{"n":"ann@shop.example","x":{}}},{"type":"track","event":"B","userId":"a"}],"context":{"ip":"198.51.100.7","traits":{"email":"a@b.example"}}}`,
		`{"type":"page","name":"ann@shop.example","userId":"u","category":"c","properties":{ "a" : "4111111111111111" }}`,
	} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(1))
	}
	p := follows(f, strings.Replace(tracked, "unplanned_events: refuse", "unplanned_events: quarantine", 1))
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		b := setup(t)
		c := ingest.Call{Source: source("shop"), Path: "/v1/batch", Type: event.Type(kind % 7), Body: body}
		if c.Type != event.Unknown {
			c.Path = "/v1/" + c.Type.String()
		}
		r, err := b.Take(t.Context(), planned(p, c))
		if err != nil {
			return
		}
		own := 0
		for _, e := range b.log.events(t) {
			if strings.HasPrefix(e.MessageID, "violation/") && e.UserID == "schema-violations" {
				own++
			}
			for _, raw := range [][]byte{e.Properties, e.Traits, e.Context} {
				if raw != nil && (!jsontext.Value(raw).IsValid() || raw[0] != '{') {
					t.Fatalf("not a sound object: %q", raw)
				}
			}
		}
		if len(b.log.records)-own > r.Accepted {
			t.Fatalf("%+v, %d records, %d tell of violations", r, len(b.log.records), own)
		}
		for _, x := range b.keeper.rows {
			if x.Code != plan.CodeSchema && x.Code != plan.CodeUnplanned && x.Code != plan.CodeUnplannedSchema {
				continue
			}
			again := setup(t)
			kind, _ := ingest.RouteType(x.Path)
			got, err := again.Take(t.Context(), ingest.Call{Source: source("shop"), Path: x.Path, Type: kind, Body: x.Payload})
			if err != nil || got.Accepted != 1 {
				t.Fatalf("%s was kept of %q, and comes again as %+v, %v", x.Payload, body, got, err)
			}
		}
	})
}

// TestAStrippedAddressNamesNobody: where nobody planned the trait, its address is
// no identifier in the log, and yet permission was asked about it.
func TestAStrippedAddressNamesNobody(t *testing.T) {
	t.Parallel()
	p := follows(t, "unplanned_fields: strip\nviolations: count\ntraits: {plan: string}\n")
	for name, call := range map[string]ingest.Call{
		"identify":    single(event.Identify, `{"userId":"u","traits":{"email":"ann@shop.example","plan":"free"}}`),
		"any context": single(event.Track, `{"event":"Bought","userId":"u","context":{"traits":{"email":"ann@shop.example","plan":"free"}}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := ""
			b := setup(t)
			in, err := ingest.New(ingest.Config{
				Log: b.log, Keeper: b.keeper, Now: func() time.Time { return now }, Machine: func() time.Time { return now },
				Permit: asks(func(s ingest.Statement) { asked = s.Event.Email }),
			})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := in.Take(t.Context(), planned(p, call)); err != nil || r.Accepted != 1 {
				t.Fatal(r, err)
			}
			e := b.log.events(t)[0]
			if asked != "ann@shop.example" || e.Email != "" || string(e.Traits) != `{"plan":"free"}` || strings.Contains(string(e.Context), "ann@") {
				t.Errorf("permission was asked for %q, and the log holds %+v", asked, e)
			}
		})
	}
}

// asks permits everything and tells of what it is asked.
type asks func(ingest.Statement)

func (asks) Narrow(context.Context, []ingest.Statement) error { return nil }
func (a asks) Admit(_ *ingest.Source, s ingest.Statement) ingest.Verdict {
	a(s)
	return ingest.Verdict{Allow: true}
}

package ingest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/spec"
)

// sloppy is a batch in which nearly nothing is as the spec has it.
const sloppy = `{"batch":[
	{"type":"track","event":"Order Completed","userId":"u","messageId":"m1","properties":{"order_id":50314,"total":"27.50","products":[{"price":"x"}]}},
	{"type":"track","event":"Order Completed","userId":"u","messageId":"m2","properties":{"total":"3"}},
	{"type":"track","event":"order_completed","userId":"u","messageId":"m3","properties":{"total":"3"}},
	{"type":"track","event":"Lesson Finished","userId":"u","messageId":"m4","properties":{"total":"3"}},
	{"type":"page","name":"Order Completed","userId":"u","messageId":"m5","properties":{"total":"3"}},
	{"type":"track","event":"Order Completed","userId":"denied","messageId":"m6","properties":{"tax":"x"}}]}`

func violations(t *testing.T, b *bundle, q ingest.ViolationQuery) []ingest.Violation {
	t.Helper()
	list, err := b.Violations(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestViolationsAreWrittenDown holds that counts reach the store with time, at
// the end, and after a write that fails, and that none is counted twice.
func TestViolationsAreWrittenDown(t *testing.T) {
	t.Parallel()
	clock := now
	b := setup(t, func(c *ingest.Config) { c.Machine = func() time.Time { return clock } })
	take := func() {
		t.Helper()
		r, err := b.Take(t.Context(), single(event.Track, `{"event":"Cart Viewed","userId":"u","properties":{"cart_id":9}}`))
		if err != nil || r.Accepted != 1 {
			t.Fatal(r, err)
		}
	}
	kept := func(want int64) {
		t.Helper()
		n := int64(0)
		for _, v := range b.keeper.kept {
			n += v.Count
		}
		if n != want {
			t.Errorf("the store has %d, want %d", n, want)
		}
	}
	take()
	kept(1) // The first is written at once.
	take()
	take()
	kept(1)
	clock = clock.Add(time.Minute)
	b.keeper.fail = errDisk
	take()
	kept(1)
	if _, err := b.Violations(t.Context(), ingest.ViolationQuery{}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("with a full disk: %v", err)
	}
	b.keeper.fail = nil
	take()
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept(5)
	clock = clock.Add(time.Minute)
	take()
	kept(6)
	if got := violations(t, b, ingest.ViolationQuery{}); len(got) != 1 || got[0].Count != 6 {
		t.Errorf("violations %+v", got)
	}
}

func TestReservedEventsGetTheirTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.permit.denied["denied"] = true
	r, err := b.Take(t.Context(), batch(sloppy))
	if err != nil || r.Accepted != 5 || r.Denied != 1 || len(r.Rejected) != 0 {
		t.Fatal(r, err)
	}
	var got []string
	for _, e := range b.log.events(t) {
		got = append(got, e.MessageID+" "+e.Name+" "+string(e.Properties))
	}
	want := []string{
		`m1 Order Completed {"order_id":"50314","total":27.50,"products":[{"price":"x"}]}`,
		`m2 Order Completed {"total":3}`,
		`m3 order_completed {"total":"3"}`,
		`m4 Lesson Finished {"total":"3"}`,
		`m5 Order Completed {"total":"3"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log differs (-want +got):\n%s", diff)
	}
	line := func(property string, code spec.Code, detail string, n int64) ingest.Violation {
		return ingest.Violation{
			Source: "shop", Event: "Order Completed", Property: property, Code: string(code), Detail: detail, Count: n, First: now, Last: now,
		}
	}
	all := []ingest.Violation{
		line("total", spec.Converted, "total of Order Completed came as another type; it is kept as number", 2),
		line("", spec.NearName, "did you mean Order Completed?", 1),
		line("order_id", spec.Converted, "order_id of Order Completed came as another type; it is kept as text", 1),
		line("order_id", spec.Missing, "Order Completed needs order_id", 1),
		line("products.price", spec.WrongType, "products.price of Order Completed is no number", 1),
	}
	if diff := cmp.Diff(all, violations(t, b, ingest.ViolationQuery{})); diff != "" {
		t.Errorf("violations differ (-want +got):\n%s", diff)
	}
	for name, tt := range map[string]struct {
		q    ingest.ViolationQuery
		want int
	}{
		"by source":     {ingest.ViolationQuery{Source: "shop"}, 5},
		"of no source":  {ingest.ViolationQuery{Source: "app"}, 0},
		"by event":      {ingest.ViolationQuery{Event: "Order Completed"}, 5},
		"by code":       {ingest.ViolationQuery{Code: "property_missing"}, 1},
		"of no finding": {ingest.ViolationQuery{Event: "Cart Viewed"}, 0},
	} {
		if got := violations(t, b, tt.q); len(got) != tt.want {
			t.Errorf("%s: %d violations, want %d", name, len(got), tt.want)
		}
	}
}

// TestReservedEventsGoTheSlowWayToo holds that an event which the fast check
// leaves alone is looked at alike.
func TestReservedEventsGoTheSlowWayToo(t *testing.T) {
	t.Parallel()
	for name, properties := range map[string]string{
		"fast":           `{"order_id":7,"tax":"1"}`,
		"an escaped key": `{"order\u005fid":7,"tax":"1"}`,
		"NUL beside it":  `{"order_id":7,"tax":"1","note":"\u0000"}`,
		"an exponent":    `{"order_id":7,"tax":"1","note":1e2}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if _, err := b.Take(t.Context(), single(event.Track, `{"event":"Order Completed","userId":"u","properties":`+properties+`}`)); err != nil {
				t.Fatal(err)
			}
			var c spec.Check
			e := b.log.events(t)[0]
			if c.Properties(e.Name, e.Properties); len(c.Found) != 0 {
				t.Errorf("the log holds %s", e.Properties)
			}
			if n := len(violations(t, b, ingest.ViolationQuery{Code: string(spec.Converted)})); n != 2 {
				t.Errorf("%d conversions", n)
			}
		})
	}
}

func TestStrictRefusesWhatBreaksTheSpec(t *testing.T) {
	t.Parallel()
	call := batch(sloppy)
	call.Strict = true
	b := setup(t)
	r, err := b.Take(t.Context(), call)
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Code != string(spec.WrongType) || len(b.log.records) != 0 {
		t.Fatalf("%v, %d records", err, len(b.log.records))
	}
	want := []fault.Field{
		{Pointer: "/batch/0/properties/products/0/price", Code: "property_wrong_type", Detail: "products.price of Order Completed is no number"},
		{Pointer: "/batch/1/properties", Code: "property_missing", Detail: "Order Completed needs order_id"},
		{Pointer: "/batch/5/properties/tax", Code: "property_wrong_type", Detail: "tax of Order Completed is no number"},
	}
	if diff := cmp.Diff(want, f.Fields); diff != "" {
		t.Errorf("fields differ (-want +got):\n%s", diff)
	}
	if n := len(violations(t, b, ingest.ViolationQuery{})); n != 0 {
		t.Errorf("%d violations of what was not taken", n)
	}
	// Whoever has looked at a reject may send it as it is.
	again, err := b.Resend(t.Context(), r.Rejected[1].ID, nil, false)
	if err != nil || again.Accepted != 1 {
		t.Errorf("sent again: %+v, %v", again, err)
	}
}

func TestStrictTakesWhatCanBeConverted(t *testing.T) {
	t.Parallel()
	call := single(event.Track, `{"event":"Cart Viewed","userId":"u","properties":{"cart_id":9}}`)
	call.Strict = true
	b := setup(t)
	if _, err := b.Take(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if got := string(b.log.events(t)[0].Properties); got != `{"cart_id":"9"}` {
		t.Errorf("the log holds %s", got)
	}
}

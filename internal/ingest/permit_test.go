package ingest_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

func asFault(err error, f **fault.Error) bool { return errors.As(err, f) }

func counted(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	return d.GetCounter().GetValue()
}

// TestNarrowsBeforeItAppends shows what people said reaches the authority,
// whole and before the log, and only then is an answer given.
func TestNarrowsBeforeItAppends(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, err := b.Take(t.Context(), batch(`{"batch":[
	 {"type":"page","userId":"a"},
	 {"type":"track","event":"Segment Consent Preference Updated","userId":"b","context":{"consent":{"version":2,"categoryPreferences":{"Marketing":false,"Ads":true}}}},
	 {"type":"page","userId":"c","context":{"consent":{"categoryPreferences":{"Marketing":true}}}}]}`))
	if err != nil || r.Accepted != 3 {
		t.Fatal(r, err)
	}
	if !slices.Equal(*b.steps, []string{"narrow", "append"}) {
		t.Errorf("steps %q", *b.steps)
	}
	want := []said{
		{User: "b", Prefs: []ingest.Preference{{Category: "Marketing"}, {Category: "Ads", Granted: true}}},
		{User: "c", Prefs: []ingest.Preference{{Category: "Marketing", Granted: true}}},
	}
	if diff := cmp.Diff(want, b.permit.said); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// TestWithoutRoomNothingIsTakenButWhatNarrows refuses events and rejects while
// the disk is nearly full; who says no is heard all the same.
func TestWithoutRoomNothingIsTakenButWhatNarrows(t *testing.T) {
	t.Parallel()
	full := fault.New(fault.Unavailable, "disk_low", "no room")
	room := error(full)
	b := setup(t, func(c *ingest.Config) { c.Room = func() error { return room } })
	calls := map[string]ingest.Call{
		"a batch with a mistake": batch(`{"batch":[{"type":"page","userId":"a"},{"type":"nonsense","userId":"b"}]}`),
		"an empty batch":         batch(`{"batch":[]}`),
		"no JSON":                single(event.Track, `{`),
		"a refusal":              batch(`{"batch":[{"type":"page","userId":"c","context":{"consent":{"categoryPreferences":{"Marketing":false}}}}]}`),
	}
	for name, c := range calls {
		var f *fault.Error
		if r, err := b.Take(t.Context(), c); !asFault(err, &f) || f.Code != "disk_low" || f.Kind != fault.Unavailable {
			t.Errorf("%s: %+v, %v; want disk_low", name, r, err)
		}
	}
	if !slices.Equal(*b.steps, []string{"narrow"}) || len(b.permit.said) != 1 || len(b.keeper.rows) != 0 {
		t.Errorf("steps %q, %d statements, %d rejects kept; want what narrows alone", *b.steps, len(b.permit.said), len(b.keeper.rows))
	}
	room = nil
	if r, err := b.Take(t.Context(), calls["a batch with a mistake"]); err != nil || r.Accepted != 1 || len(r.Rejected) != 1 {
		t.Errorf("with room again: %+v, %v", r, err)
	}
}

func TestBatchConsentHoldsForItsItems(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.Take(t.Context(), batch(`{"context":{"consent":{"categoryPreferences":{"Ads":false}}},"batch":[{"type":"page","userId":"a"},{"type":"page","userId":"b","context":{"consent":{"categoryPreferences":{"Ads":true}}}}]}`)); err != nil {
		t.Fatal(err)
	}
	want := []said{
		{User: "a", Prefs: []ingest.Preference{{Category: "Ads"}}},
		{User: "b", Prefs: []ingest.Preference{{Category: "Ads", Granted: true}}},
	}
	if diff := cmp.Diff(want, b.permit.said); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestGPCSpeaksForEveryEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := batch(`{"batch":[{"type":"page","userId":"a"},{"type":"page","userId":"b"}]}`)
	c.GPC = true
	if _, err := b.Take(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]said{{User: "a", GPC: true}, {User: "b", GPC: true}}, b.permit.said); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// TestReservedNamesSpeak shows that an event whose name says it all reaches the
// authority without a consent object.
func TestReservedNamesSpeak(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.Take(t.Context(), batch(`{"batch":[{"type":"track","event":"Unsubscribed","userId":"a"},{"type":"track","event":"Subscribed","userId":"b"}]}`)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]said{{User: "a"}}, b.permit.said); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// TestDenied shows that what permission forbids leaves no trace but a count,
// save for the record that the authority wants in its place.
func TestDenied(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.permit.denied["no"] = true
	b.permit.instead = &event.Event{Type: event.Consent, MessageID: "said", Source: "shop", Received: now, Time: now}
	r, err := b.Take(t.Context(), batch(`{"batch":[{"type":"page","userId":"no","properties":{"secret":"x"}},{"type":"page","messageId":"m","userId":"yes"}]}`))
	if err != nil || r.Accepted != 1 || r.Denied != 1 || len(r.Rejected) != 0 {
		t.Fatal(r, err)
	}
	got := b.log.events(t)
	if len(got) != 2 || got[0].Type != event.Consent || got[0].Properties != nil || got[1].MessageID != "m" || len(b.keeper.rows) != 0 {
		t.Errorf("log %+v, rejects %+v", got, b.keeper.rows)
	}
	b.permit.instead = nil
	r, err = b.Take(t.Context(), single(event.Page, `{"userId":"no"}`))
	if err != nil || r.Denied != 1 || r.Last != 0 || len(b.log.records) != 2 {
		t.Fatal(r, err)
	}
	if n := counted(t, b.metrics.Events.WithLabelValues("shop", "denied")); n != 2 {
		t.Errorf("%v counted, want 2", n)
	}
}

// TestNothingIsAcknowledgedThatIsNotDurable fails each thing that must last.
func TestNothingIsAcknowledgedThatIsNotDurable(t *testing.T) {
	t.Parallel()
	const withConsent = `{"type":"page","userId":"a","context":{"consent":{"categoryPreferences":{"Ads":false}}}}`
	for _, tt := range []struct {
		name string
		fail func(*bundle)
		body string
	}{
		{"log", func(b *bundle) { b.log.fail = errDisk }, `{"batch":[{"type":"page","userId":"a"}]}`},
		{"permission", func(b *bundle) { b.permit.fail = errDisk }, `{"batch":[` + withConsent + `]}`},
		{"rejects", func(b *bundle) { b.keeper.fail = errDisk }, `{"batch":[{"type":"page","userId":"a"},{"type":"page"}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tt.fail(b)
			_, err := b.Take(t.Context(), batch(tt.body))
			if fault.KindOf(err) != fault.Unavailable || !fault.Temporary(err) || !errors.Is(err, errDisk) {
				t.Errorf("got %v, want Unavailable", err)
			}
			if len(b.log.records) != 0 {
				t.Error("the log holds a record")
			}
		})
	}
}

func TestDisabledSource(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := single(event.Page, `{"userId":"a"}`)
	c.Source.Disabled = true
	if _, err := b.Take(t.Context(), c); fault.CodeOf(err) != ingest.CodeSourceDisabled || len(b.log.records) != 0 {
		t.Error(err)
	}
}

// TestTheDoorDecidesNoDuplicates is the door's part of fault 20: equal message
// ids, with equal or other payloads, go into the log as they came; the walk
// decides.
func TestTheDoorDecidesNoDuplicates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, name := range []string{"A", "A", "B"} {
		if _, err := b.Take(t.Context(), single(event.Track, `{"messageId":"same","userId":"u","event":"`+name+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, e := range b.log.events(t) {
		got = append(got, e.Source+"/"+e.MessageID+"/"+e.Name)
	}
	if diff := cmp.Diff([]string{"shop/same/A", "shop/same/A", "shop/same/B"}, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

package ingest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

// userHash signs the user "u" under the secret of the tests' source.
const userHash = "02851d967ea0bc466fa5e8c260d497efcdf2c3d98d3d0a16540b3d5351daa871"

// taken is an event as a browser's call with a signed user hash leaves it.
func taken() event.Event {
	at := now.Add(-48 * time.Hour)
	return event.Event{
		Type: event.Track, Flags: event.Verified | event.GPC, MessageID: "m", Source: "shop", Name: "Seen", UserID: "u", Email: "ann@shop.example",
		External: []event.ExternalID{{Type: "till", Value: "7"}},
		Time:     at.Add(-time.Hour), Original: at.Add(-3 * time.Hour), Received: at,
		Properties: []byte(`{"n":1}`), Traits: []byte(`{"email":"ann@shop.example"}`), Integrations: event.Integrations(`{"All":false,"Till":true}`),
		Context: []byte(`{"traits":{"email":"ann@shop.example"},"externalIds":[{"type":"till","id":"7"}],"locale":"de","ip":"192.0.2.7"}`),
	}
}

// TestWhatWasKeptIsTakenAsItWas: nothing of an event is lost or changed when it
// is sent again as it is.
func TestWhatWasKeptIsTakenAsItWas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	kept := taken()
	r, err := b.TakeKept(t.Context(), ingest.Kept{Event: &kept, DryRun: true})
	if err != nil || r.Accepted != 1 || len(b.log.records) != 0 {
		t.Fatalf("the dry run says %+v, %v, and writes %d records", r, err, len(b.log.records))
	}
	r, err = b.TakeKept(t.Context(), ingest.Kept{Event: &kept, Bulk: true})
	if err != nil || r.Accepted != 1 || r.First != 1 || b.log.lane.String() != "bulk" {
		t.Fatalf("%+v, %v in the %s lane", r, err, b.log.lane)
	}
	if diff := cmp.Diff([]event.Event{taken()}, b.log.events(t)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if len(b.permit.said) != 0 {
		t.Errorf("what it said on permission stands since it came, and was said again: %+v", b.permit.said)
	}
	b.permit.denied["u"] = true
	if r, err := b.TakeKept(t.Context(), ingest.Kept{Event: &kept}); err != nil || r.Denied != 1 || len(b.log.records) != 1 {
		t.Errorf("without permission: %+v, %v, %d records", r, err, len(b.log.records))
	}
	kept.Source = "gone"
	if _, err := b.TakeKept(t.Context(), ingest.Kept{Event: &kept}); fault.CodeOf(err) != ingest.CodeUnknownSource {
		t.Errorf("of a source that is gone: %v", err)
	}
}

// TestMendsChangeWhatTheySay: what a mend does not speak of stays as it was, and
// no mend makes the event more trusted than it was.
func TestMendsChangeWhatTheySay(t *testing.T) {
	t.Parallel()
	const plain = `{"type":"track","event":"Seen","userId":"u","properties":{"n":1}`
	for name, row := range map[string]struct {
		kept   func(*event.Event)
		mended string
		want   func(*event.Event)
	}{
		"nothing":           {mended: plain + `}`},
		"the message id":    {mended: plain + `,"messageId":"m"}`},
		"the name":          {mended: `{"type":"track","event":"Bought","userId":"u","properties":{"n":1}}`, want: func(e *event.Event) { e.Name = "Bought" }},
		"the time it shows": {mended: plain + `,"timestamp":"2026-11-21T14:00:00Z"}`},
		"its own time":      {mended: plain + `,"originalTimestamp":"2026-11-21T12:00:00Z"}`},
		"another time": {mended: plain + `,"timestamp":"2026-11-20T00:00:00Z"}`, want: func(e *event.Event) {
			e.Time = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
			e.Original = e.Time
		}},
		"a time after it came": {mended: plain + `,"timestamp":"2026-11-23T00:00:00Z"}`, want: func(e *event.Event) {
			e.Time, e.Original = e.Received, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
		}},
		"a member of the context": {mended: plain + `,"context":{"traits":{"email":"ann@shop.example"},"externalIds":[{"type":"till","id":"7"}],"locale":"en"}}`, want: func(e *event.Event) {
			e.Context = []byte(`{"traits":{"email":"ann@shop.example"},"externalIds":[{"type":"till","id":"7"}],"locale":"en","ip":"192.0.2.7"}`)
		}},
		"less of what is shown": {mended: plain + `,"context":{"traits":{"email":"ann@shop.example"}}}`, want: func(e *event.Event) {
			e.Context, e.External = []byte(`{"traits":{"email":"ann@shop.example"},"locale":"de","ip":"192.0.2.7"}`), nil
		}},
		"a destination": {mended: plain + `,"integrations":{"All":true}}`, want: func(e *event.Event) {
			e.Integrations = event.Integrations(`{"All":true,"Till":true}`)
		}},
		"another user": {mended: `{"type":"track","event":"Seen","userId":"v","properties":{"n":1}}`, want: func(e *event.Event) {
			e.UserID, e.Flags = "v", event.FromBrowser|event.GPC
		}},
		"a signature": {
			kept:   func(e *event.Event) { e.Flags = event.FromBrowser },
			mended: plain + `,"context":{"traits":{"email":"ann@shop.example"},"externalIds":[{"type":"till","id":"7"}],"userHash":"` + userHash + `"}}`,
			want: func(e *event.Event) {
				e.Context = []byte(`{"traits":{"email":"ann@shop.example"},"externalIds":[{"type":"till","id":"7"}],"locale":"de","ip":"192.0.2.7"}`)
			},
		},
		"of a server":  {kept: func(e *event.Event) { e.Flags = 0 }, mended: plain + `}`},
		"of an import": {kept: func(e *event.Event) { e.Flags = event.Bulk }, mended: plain + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			kept, want := taken(), taken()
			if row.kept != nil {
				row.kept(&kept)
				row.kept(&want)
			}
			if row.want != nil {
				row.want(&want)
			}
			r, err := b.TakeKept(t.Context(), ingest.Kept{Event: &kept, Bulk: kept.Flags&event.Bulk != 0, Mended: []byte(row.mended)})
			if err != nil || r.Accepted != 1 {
				t.Fatal(r, err)
			}
			if diff := cmp.Diff([]event.Event{want}, b.log.events(t)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			if len(b.permit.said) != 0 { // It has said it when it came.
				t.Errorf("it says on permission once more %+v", b.permit.said)
			}
		})
	}
}

// TestMendsThatAreRefused take nothing.
func TestMendsThatAreRefused(t *testing.T) {
	t.Parallel()
	for mended, code := range map[string]string{
		`{"type":"track","event":"Seen","userId":"u","messageId":"n"}`: ingest.CodeOtherMessageID,
		`{"type":"track","userId":"u"}`:                                ingest.CodeEventMissing,
		`{"type":"track","event":"Seen","userId":"u"},{}`:              "bad_event",
		`[{"type":"track","event":"Seen","userId":"u"}]`:               "bad_event",
		`{"type":"track"`:                        "bad_event",
		` `:                                      "bad_event",
		`{"type":"track","type":"page","a":"b"}`: ingest.CodeDuplicateKey,
	} {
		b := setup(t)
		kept := taken()
		r, err := b.TakeKept(t.Context(), ingest.Kept{Event: &kept, Mended: []byte(mended)})
		if fault.KindOf(err) != fault.Invalid || fault.CodeOf(err) != code || len(b.log.records) != 0 || len(b.keeper.rows) != 0 {
			t.Errorf("%s: %+v, %v; want %s", mended, r, err, code)
		}
	}
}

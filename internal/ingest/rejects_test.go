package ingest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

const mixed = `{"sentAt":"2026-11-23T15:00:00Z","context":{"locale":"de"},"batch":[
 {"type":"track","event":"A","messageId":"1","userId":"u","timestamp":"2026-11-23T14:00:00Z"},
 {"type":"track","messageId":"2","userId":"u","timestamp":"2026-11-23T14:30:00Z"},
 {"type":"track","event":"B",broken},
 {"type":"page","messageId":"4","userId":"u"}
]}`

func TestOneBadItemDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, err := b.Take(t.Context(), batch(mixed))
	if err != nil {
		t.Fatal(err)
	}
	if r.Accepted != 2 || r.First != 1 || r.Last != 2 || len(r.Rejected) != 2 {
		t.Fatalf("receipt %+v", r)
	}
	got := b.log.events(t)
	if got[0].MessageID != "1" || got[1].MessageID != "4" || string(got[0].Context) != `{"locale":"de"}` {
		t.Errorf("log holds %+v", got)
	}
	if r.Rejected[0].Index != 1 || r.Rejected[0].Code != ingest.CodeEventMissing || r.Rejected[1].Index != 2 || r.Rejected[1].Code != ingest.CodeJSON {
		t.Errorf("rejected %+v", r.Rejected)
	}
	counts, err := b.RejectCounts(t.Context())
	if diff := cmp.Diff(map[string]int64{ingest.CodeEventMissing: 1, ingest.CodeJSON: 1}, counts); diff != "" || err != nil {
		t.Errorf("%v, want -, got +:\n%s", err, diff)
	}
}

// TestOfTheErasedOnlyTheReasonIsKept: and what is sent again must be given.
func TestOfTheErasedOnlyTheReasonIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *ingest.Config) {
		c.Erased = func(payload []byte) bool { return strings.Contains(string(payload), "ann") }
	})
	if _, err := b.Take(t.Context(), batch(`{"batch":[{"type":"track","messageId":"1","userId":"ann"},{"type":"track","messageId":"2","userId":"eve"}]}`)); err != nil {
		t.Fatal(err)
	}
	list, err := b.Rejects(t.Context(), ingest.RejectQuery{})
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	if list[1].Code != ingest.CodeEventMissing || len(list[1].Payload) != 0 || !strings.Contains(string(list[0].Payload), "eve") {
		t.Errorf("kept is %+v", list)
	}
	if _, err := b.Resend(t.Context(), list[1].ID, nil, false); fault.CodeOf(err) != "payload_not_kept" {
		t.Errorf("sent again without a payload: %v", err)
	}
	if _, err := b.Resend(t.Context(), list[1].ID, []byte(`{"batch":[{"type":"track","messageId":"1","userId":"eve","event":"Seen"}]}`), false); err != nil {
		t.Errorf("sent again with one: %v", err)
	}
}

// TestResend mends a reject and sends it again: it arrives as if it had been
// right at first, once.
func TestResend(t *testing.T) {
	t.Parallel()
	clock := now
	b := setup(t, func(c *ingest.Config) { c.Now = func() time.Time { return clock } })
	if _, err := b.Take(t.Context(), batch(mixed)); err != nil {
		t.Fatal(err)
	}
	list, err := b.Rejects(t.Context(), ingest.RejectQuery{Code: ingest.CodeEventMissing})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	kept := list[0]
	clock = now.Add(48 * time.Hour)
	if _, err := b.Resend(t.Context(), kept.ID, nil, false); fault.KindOf(err) != fault.Invalid || fault.CodeOf(err) != ingest.CodeEventMissing {
		t.Fatalf("sent again unmended: %v", err)
	}
	if after, _ := b.Rejects(t.Context(), ingest.RejectQuery{}); len(after) != 2 {
		t.Errorf("a failed attempt is kept beside the first: %d rejects", len(after))
	}
	mended := strings.Replace(string(kept.Payload), `"type":"track"`, `"type":"track","event":"Mended"`, 1)
	r, err := b.Resend(t.Context(), kept.ID, []byte(mended), false)
	if err != nil || r.Accepted != 1 {
		t.Fatal(r, err)
	}
	e := b.log.events(t)[2]
	if e.Name != "Mended" || e.MessageID != "2" || !e.Time.Equal(now.Add(-30*time.Minute)) || !e.Received.Equal(now) || string(e.Context) != `{"locale":"de"}` {
		t.Errorf("log holds %+v", e)
	}
	if _, err := b.Resend(t.Context(), kept.ID, []byte(mended), false); fault.KindOf(err) != fault.Conflict {
		t.Errorf("sent again twice: %v", err)
	}
	if _, err := b.Resend(t.Context(), 999, nil, false); fault.KindOf(err) != fault.NotFound {
		t.Errorf("sent again what is not kept: %v", err)
	}
}

// TestResendKeepsItsMessageID shows that sending again is safe to repeat also
// for an event that came without an id.
func TestResendKeepsItsMessageID(t *testing.T) {
	t.Parallel()
	var ids [2]string
	for i := range ids {
		b := setup(t)
		r, err := b.Take(t.Context(), single(event.Track, `{"userId":"u"}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Resend(t.Context(), r.Rejected[0].ID, []byte(`{"userId":"u","event":"A"}`), false); err != nil {
			t.Fatal(err)
		}
		ids[i] = b.log.events(t)[0].MessageID
	}
	if ids[0] != ids[1] || !strings.HasPrefix(ids[0], "resent-") {
		t.Errorf("got %q", ids)
	}
}

func TestStrictIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := batch(mixed)
	c.Strict = true
	_, err := b.Take(t.Context(), c)
	if fault.KindOf(err) != fault.Invalid || len(b.log.records) != 0 {
		t.Fatalf("%v, %d records", err, len(b.log.records))
	}
	var f *fault.Error
	if !asFault(err, &f) {
		t.Fatal(err)
	}
	want := []fault.Field{
		{Pointer: "/batch/1", Code: ingest.CodeEventMissing, Detail: `a track needs "event"`},
		{Pointer: "/batch/2", Code: ingest.CodeJSON, Detail: "it is not valid JSON"},
	}
	if diff := cmp.Diff(want, f.Fields); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestEmptyBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, err := b.Take(t.Context(), batch(`{"batch":[]}`))
	if err != nil || len(r.Rejected) != 1 || r.Rejected[0].Code != ingest.CodeEmptyBatch || r.Rejected[0].ID == 0 || r.Accepted != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if len(b.keeper.rows) != 1 || b.keeper.rows[0].Code != ingest.CodeEmptyBatch || string(b.keeper.rows[0].Payload) != `{"batch":[]}` {
		t.Errorf("kept %+v", b.keeper.rows)
	}
	if n := counted(t, b.metrics.Rejects.WithLabelValues("shop", ingest.CodeEmptyBatch)); n != 1 {
		t.Errorf("counted %v, want 1", n)
	}
	c := batch(`{"batch":[]}`)
	c.Strict = true
	if _, err := b.Take(t.Context(), c); fault.CodeOf(err) != ingest.CodeEmptyBatch {
		t.Errorf("strict: %v", err)
	}
}

func TestWhatIsTurnedAwayUnreadIsKeptToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		call ingest.Call
		code string
	}{{batch(""), ingest.CodeBatchTooLarge}, {single(event.Track, ""), ingest.CodeEventTooLarge}} {
		if err := b.TooLarge(t.Context(), c.call); err != nil {
			t.Fatal(err)
		}
		kept := b.keeper.rows[len(b.keeper.rows)-1]
		if kept.Code != c.code || kept.Path != c.call.Path || kept.Source != "shop" || !kept.At.Equal(now) || len(kept.Payload) != 0 {
			t.Errorf("kept %+v", kept)
		}
		if n := counted(t, b.metrics.Rejects.WithLabelValues("shop", c.code)); n != 1 {
			t.Errorf("%s: counted %v, want 1", c.code, n)
		}
		if _, err := b.Resend(t.Context(), kept.ID, nil, false); fault.CodeOf(err) != "payload_not_kept" {
			t.Errorf("sent again without a payload: %v", err)
		}
	}
}

func TestStrictSingleEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := single(event.Track, `{"userId":"u"}`)
	c.Strict = true
	_, err := b.Take(t.Context(), c)
	var f *fault.Error
	if !asFault(err, &f) || f.Detail != "1 event is malformed; nothing was taken" || len(f.Fields) != 1 || f.Fields[0].Pointer != "" {
		t.Errorf("%+v", f)
	}
}

// TestNobody rejects what nobody could be found by later.
func TestNobody(t *testing.T) {
	t.Parallel()
	for body, code := range map[string]string{
		`{"event":"A","userId":"null"}`:    ingest.CodeNoUser,
		`{"event":"A","userId":"000"}`:     ingest.CodeNoUser,
		`{"event":"A","anonymousId":"-1"}`: ingest.CodeNoUser,
		`{"event":"A","userId":"Anonymous","anonymousId":"00000000-0000-0000-0000-000000000000"}`:                           ingest.CodeNoUser,
		`{"event":"A","userId":"null","context":{"externalIds":[{"type":"shop","id":"null"}]}}`:                             ingest.CodeNoUser,
		`{"event":"A","userId":"null","context":{"traits":{"email":"no address"}}}`:                                         ingest.CodeNoUser,
		`{"event":"A","userId":"null","anonymousId":"a1"}`:                                                                  "",
		`{"event":"A","userId":"null","context":{"traits":{"email":"ann@shop.example"}}}`:                                   "",
		`{"event":"A","userId":"null","context":{"externalIds":[{"type":"shop","id":"7"}]}}`:                                "",
		`{"event":"A","context":{"traits":{"email":"ann@shop.example"}}}`:                                                   ingest.CodeNoUser,
		`{"event":"A","userId":"0","anonymousId":"","context":{"externalIds":[{"type":"shop","id":"7","collection":"x"}]}}`: ingest.CodeNoUser,
	} {
		b := setup(t)
		r, err := b.Take(t.Context(), single(event.Track, body))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(r.Rejected) > 0 {
			got = r.Rejected[0].Code
		}
		if got != code || r.Accepted+len(r.Rejected) != 1 || len(b.keeper.rows) != len(r.Rejected) {
			t.Errorf("%s: rejected %q, want %q", body, got, code)
		}
	}
}

// TestTimesThatSayNothing are taken, at receipt, and counted.
func TestTimesThatSayNothing(t *testing.T) {
	t.Parallel()
	for members, bad := range map[string]float64{
		`"timestamp":12345`:                  1,
		`"timestamp":0`:                      1,
		`"timestamp":"0001-01-01T00:00:00Z"`: 1,
		`"timestamp":"0001-01-02T00:00:00Z"`: 1,
		`"timestamp":"1969-12-31T23:59:59Z","sentAt":"2026-11-23T14:59:59Z"`:                1,
		`"timestamp":"1970-01-01T00:00:10Z","sentAt":"1970-01-01T00:00:10Z"`:                0, // an unset clock that knows how long ago it was
		`"originalTimestamp":"0001-01-01T00:00:00Z","timestamp":"2026-11-23T14:00:00.000Z"`: 1,
		`"timestamp":""`:   0,
		`"timestamp":null`: 0,
		`"messageId":"m"`:  0,
	} {
		b := setup(t)
		r, err := b.Take(t.Context(), single(event.Track, `{"event":"A","userId":"u",`+members+`}`))
		if err != nil || r.Accepted != 1 {
			t.Fatalf("%s: %+v, %v", members, r, err)
		}
		if e := b.log.events(t)[0]; !e.Time.Equal(now) {
			t.Errorf("%s: happened at %v, want at receipt", members, e.Time)
		}
		if n := counted(t, b.metrics.BadTimestamp); n != bad {
			t.Errorf("%s: counted %v, want %v", members, n, bad)
		}
	}
	for _, raw := range []string{`"garbage"`, `-1`, `1.5`, `true`, `{}`, `99999999999999999`} {
		b := setup(t)
		r, err := b.Take(t.Context(), single(event.Track, `{"event":"A","userId":"u","timestamp":`+raw+`}`))
		if err != nil || len(r.Rejected) != 1 || r.Rejected[0].Code != ingest.CodeTimestamp {
			t.Errorf("%s: %+v, %v", raw, r, err)
		}
	}
}

// TestRejectsCannotFlood shows that a broken sender is counted in full, while
// what is kept of it is bounded in rate and number.
func TestRejectsCannotFlood(t *testing.T) {
	t.Parallel()
	clock := now
	b := setup(t, func(c *ingest.Config) {
		c.Limits = ingest.Limits{RejectsASec: 1, RejectsBurst: 10, KeptRejects: 8}
		c.Machine = func() time.Time { return clock }
	})
	for range 30 {
		if r, err := b.Take(t.Context(), single(event.Track, `{"userId":"u"}`)); err != nil || len(r.Rejected) != 1 {
			t.Fatal(r, err)
		}
	}
	if n := len(b.keeper.rows); n != 10 {
		t.Errorf("%d kept, want 10", n)
	}
	if n := counted(t, b.metrics.Unkept); n != 20 {
		t.Errorf("%v counted only, want 20", n)
	}
	for range 300 {
		clock = clock.Add(time.Second)
		if _, err := b.Take(t.Context(), single(event.Track, `{"userId":"u"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.keeper.rows); n > 8+256 {
		t.Errorf("%d kept, want at most 264", n)
	}
}

func TestTooLargeForAnItem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, err := b.Take(t.Context(), batch(`{"batch":[{"type":"page","userId":"u","properties":{"a":"`+strings.Repeat("x", 40<<10)+`"}},{"type":"page","userId":"u"}]}`))
	if err != nil || r.Accepted != 1 || len(r.Rejected) != 1 || r.Rejected[0].Code != ingest.CodeEventTooLarge {
		t.Fatal(r.Accepted, r.Rejected, err)
	}
	if n := len(b.keeper.rows[0].Payload); n != 32<<10 {
		t.Errorf("%d bytes kept, want %d", n, 32<<10)
	}
}

// TestKeysAreNotKept: a key in the body of what is refused is not kept with it.
func TestKeysAreNotKept(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"writeKey":"rpk_secret","event":7,"userId":"u"}`:                          `{"writeKey":"","event":7,"userId":"u"}`,
		`{"event":7, "writeKey" : "rpk_secret" }`:                                   `{"event":7, "writeKey" : "" }`,
		`{"a":{"writeKey":"kept"},"writeKey":"rpk_secret","writeKey":"rpk_secret"}`: `{"a":{"writeKey":"kept"},"writeKey":"","writeKey":""}`,
		`{"event":7}`: `{"event":7}`,
	} {
		b := setup(t)
		r, err := b.Take(t.Context(), ingest.Call{Source: ingest.Source{Name: "shop"}, Path: "/v1/track", Type: event.Track, Body: []byte(body)})
		if err != nil && len(r.Rejected) == 0 {
			t.Fatalf("%s: %v", body, err)
		}
		kept, err := b.Reject(t.Context(), r.Rejected[0].ID)
		if err != nil || string(kept.Payload) != want {
			t.Errorf("%s is kept as %s, %v", body, kept.Payload, err)
		}
	}
}

// TestThePathOfAnImportIsABatch also where its source is called like a type.
func TestThePathOfAnImportIsABatch(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]event.Type{
		ingest.ImportPath("shop"): event.Unknown, ingest.ImportPath("track"): event.Unknown, "/v1/import": event.Unknown, "/v1/track/": event.Track,
	} {
		if got, ok := ingest.RouteType(path); got != want || !ok {
			t.Errorf("%s: %v, %v; want %v", path, got, ok, want)
		}
	}
	if _, ok := ingest.RouteType("/v1/shop"); ok {
		t.Error("/v1/shop is no route")
	}
}

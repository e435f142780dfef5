package ingest_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/event"
	"rapport/internal/ingest"
	"rapport/internal/spec"
)

// FuzzTake holds for any bytes: nothing panics, every item is accounted for, and
// whatever reaches the log is sound for every reader behind it.
func FuzzTake(f *testing.F) {
	for _, s := range []string{
		track(1), string(batchOf(2)), mixed, sloppy,
		`{"event":"Order Completed","userId":"u","properties":{"order\u005fid":7,"total":"1e2","products":[{"price":"1"}],"x":"\u0000"}}`,
		`{"batch":[{"type":"page","userId":"a","context":{"consent":{"categoryPreferences":{"Ads":false}},"externalIds":[{"id":"1","type":"x"},7,{}],"userHash":"00","device":{"advertisingId":"a"}}}],"context":{"ip":null}}`,
		`{"type":"page","userId":"u","properties":{ },"category":"c"}`,
		`{"batch":[{"type":"page","userId":"a","integrations":{"A":false, "\u0042":{}}},{"type":"page","userId":"a","integrations":{ }}],"integrations":{"A":true,"C\"":[{}]}}`,
		`{"type":"alias","userId":"u","previousId":"p"}`,
		`{"type":"track","event":"\ud83d","userId":"u","properties":{"a":"\u0000","b":1e400}}`,
		`{"type":"track","event":"A","userId":"u","properties":{"a":1,"\u0061":2}}`,
		`{"type":"track","event":"A","userId":"u","timestamp":"2026-02-29T00:00:00.000Z","sentAt":0}`,
		"{\"type\":\"track\",\"event\":\"\xff\",\"userId\":\"u\"}", `{"batch":[{"type":"track"},,]}`, `{"batch":[]}`, `{`, `{"`, `[`, "\ufeff{}",
		`{"batch":[[[[{}]]]]}`, `{"type":"identify","userId":"u","traits":{"email":"A@B.example"}}`,
	} {
		f.Add([]byte(s), uint8(0), false)
		f.Add([]byte(s), uint8(1), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8, browser bool) {
		b := setup(t)
		c := ingest.Call{
			Source: source("shop"), Path: "/v1/batch", Type: event.Type(kind % 7), Body: body, Browser: browser, GPC: browser,
			Remote: netip.MustParseAddr("192.0.2.7"), Agent: "agent",
		}
		r, err := b.Take(t.Context(), c)
		_ = ingest.WriteKey(body)
		if err != nil {
			if len(b.log.records) != 0 {
				t.Fatalf("%v, and %d records", err, len(b.log.records))
			}
			return
		}
		if len(b.log.records) != r.Accepted || c.Type != event.Unknown && r.Accepted+len(r.Rejected) != 1 {
			t.Fatalf("%+v, %d records", r, len(b.log.records))
		}
		for _, e := range b.log.events(t) {
			for _, raw := range [][]byte{e.Properties, e.Traits, e.Context, e.Integrations} {
				if raw != nil && (!json.Valid(raw) || !jsontext.Value(raw).IsValid() || raw[0] != '{') {
					t.Fatalf("not a sound object: %q", raw)
				}
				var v map[string]any
				if err := json.Unmarshal(raw, &v); raw != nil && err != nil {
					t.Fatalf("%q: %v", raw, err)
				}
			}
			for _, s := range []string{e.MessageID, e.Name, e.UserID, e.Anonymous, e.Previous, e.GroupID, e.Email} {
				if !utf8.ValidString(s) {
					t.Fatalf("not UTF-8: %q", s)
				}
			}
			var c spec.Check
			if e.Type == event.Track {
				c.Properties(e.Name, e.Properties)
			}
			for i := range c.Found {
				if c.Found[i].Code == spec.Converted {
					t.Fatalf("%s of %s was not given its type: %s", c.Found[i].Path(), e.Name, e.Properties)
				}
			}
			if e.MessageID == "" || e.UserID == "" && e.Anonymous == "" || e.Time.After(e.Received) || e.Type == event.Unknown {
				t.Fatalf("incomplete: %+v", e)
			}
		}
	})
}

package group

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"rapport/internal/event"
)

func call(at int, traits string) *event.Event {
	return &event.Event{Type: event.Group, Time: time.Unix(int64(at), 0), Traits: []byte(traits)}
}

// TestFold holds each trait to the last write by event time, and the row to what
// was written.
func TestFold(t *testing.T) {
	t.Parallel()
	g := Group{ID: "firm"}
	for _, c := range []struct {
		e       *event.Event
		changed bool
	}{
		{call(10, `{"name":"Firm","plan":"basic","$groups":1}`), true},
		{call(20, `{"plan":"pro"}`), true},
		{call(20, `{"plan":"pro"}`), false},
		{call(5, `{"plan":"old","age":3}`), true},
		{call(4, `{"age":2}`), false},
		{call(30, `{"name":null}`), true},
		{call(40, `{}`), false},
	} {
		if got := g.Fold(c.e, c.e.Time.String()); got != c.changed {
			t.Errorf("%s at %v: changed %v", c.e.Traits, c.e.Time, got)
		}
	}
	const want = `{"id":"firm","seen_at":"x","age":3,"plan":"pro"}`
	if got := string(g.AppendJSON(nil, "x")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var again Group
	row := g.Append(nil)
	if err := again.Decode(row); err != nil || again.Cause != call(30, "").Time.String() || string(again.AppendJSON(nil, "x")) != want {
		t.Errorf("read back: %v, %+v", err, again)
	}
	counted := append(append([]byte{1, 4}, "\x04firm"...), g.profile.Append(nil)...)
	if err := again.Decode(counted); err != nil || again.Cause != "" || !again.Known() || string(again.AppendJSON(nil, "x")) != want {
		t.Errorf("a row of the first format: %v, %+v", err, again)
	}
	for n := 1; n < len(row); n++ {
		var cut Group
		if cut.Decode(bytes.Clone(row[:n])) == nil {
			t.Errorf("%d bytes of %d are read", n, len(row))
		}
	}
}

// TestCopiedIsBounded: what members carry of a group stays small and is JSON,
// whatever the group's traits and name are.
func TestCopiedIsBounded(t *testing.T) {
	t.Parallel()
	g := Group{ID: strings.Repeat("\"", MaxID)}
	for i := range 40 {
		g.Fold(call(i, fmt.Sprintf(`{"t%d":%q,"id":"forged","seen_at":"forged"}`, i, strings.Repeat("x", 1000))), "")
	}
	raw := g.AppendJSON(nil, "2026-03-01T12:00:00.000Z")
	var o map[string]string
	if err := json.Unmarshal(raw, &o); err != nil || len(raw) > MaxCopied+1 || o["id"] != g.ID || o["seen_at"] == "forged" || len(o) < 4 {
		t.Errorf("%d bytes, %v, %d members", len(raw), err, len(o))
	}
}

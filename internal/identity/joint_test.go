package identity

import (
	"testing"
	"time"

	"rapport/internal/id"
)

// TestJoined follows identifiers through the merge log: whose record they were in
// when, and since when the two sides shared one.
func TestJoined(t *testing.T) {
	t.Parallel()
	x := func(n byte, first int64) Identifier {
		return Identifier{Kind: Anonymous, Value: string(rune('a' + n)), Hash: id.Hash{n}, First: first}
	}
	a, b, c, d := x(1, 10), x(2, 20), x(3, 30), x(4, 90)
	moved := func(list ...Identifier) []byte { return (&Record{Identifiers: list}).Append(nil) }
	merges := []Merge{
		{Into: 1, From: 3, At: time.UnixMilli(70), Rule: "anonymous", Moved: moved(c)},
		{Into: 1, From: 2, At: time.UnixMilli(50), Rule: "anonymous", Moved: moved(b)},
	}
	// a and c stay, b leaves; d was bound when they were one.
	j, err := Joined(1, merges, []Identifier{a, c, d}, []Identifier{b})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		x    Identifier
		want int64
	}{{a, 50}, {b, 50}, {c, 70}, {d, 90}, {x(9, 1), Never}} {
		if got := j.Since(row.x.Hash); got != row.want {
			t.Errorf("%s: since %d, want %d", row.x.Value, got, row.want)
		}
	}
	for _, row := range []struct {
		who           id.Person
		at            int64
		stays, leaves bool
		since         int64
	}{{1, 9, false, false, Never}, {1, 49, true, false, 50}, {1, 50, true, true, 50}, {2, 49, false, true, 50}, {3, 60, true, false, 70}, {7, 99, false, false, Never}} {
		if stays, leaves, since := j.Held(row.who, row.at); stays != row.stays || leaves != row.leaves || since != row.since {
			t.Errorf("%s at %d: %v, %v, since %d", row.who, row.at, stays, leaves, since)
		}
	}
	// They were parted from somebody else before, with whom b had been since 20.
	merges = []Merge{{Into: 8, From: 1, At: time.UnixMilli(40), Rule: RuleUnmerge, Moved: moved(a, b)}}
	if j, err = Joined(1, merges, []Identifier{a}, []Identifier{b}); err != nil || j.Since(b.Hash) != 20 || j.Since(a.Hash) != 20 {
		t.Errorf("since %d and %d, %v", j.Since(a.Hash), j.Since(b.Hash), err)
	}
	if _, err := Joined(1, []Merge{{Moved: []byte{9}}}, nil, nil); err == nil {
		t.Error("a damaged row of the merge log is read")
	}
}

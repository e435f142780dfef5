package processor

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rapport/internal/id"
)

// What was added is remembered for the window at least and a quarter longer at
// most, whatever was added or asked in between, and alike when the window is
// built anew from its rows.
func TestTheDuplicateWindowIsExact(t *testing.T) {
	t.Parallel()
	const window = 24 * time.Hour
	rapid.Check(t, func(rt *rapid.T) {
		s := newSeen(window)
		added := map[id.Hash]time.Time{}
		var order []id.Hash
		now := time.UnixMilli(1_700_000_000_000)
		for n := range rapid.IntRange(1, 60).Draw(rt, "n") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40*3600).Draw(rt, "gap")) * time.Second)
			h := id.Hash{1: byte(n), 9: byte(n)}
			s.add(h, now)
			added[h], order = now, append(order, h)
			anew := newSeen(window)
			since := anew.since(now)
			for _, h := range order {
				if !added[h].Before(since) {
					anew.add(h, added[h])
				}
			}
			for h, at := range added {
				age := now.Sub(at)
				got := s.has(h, now)
				if again := anew.has(h, now); again != got {
					rt.Fatalf("after %s: %t, built anew %t", age, got, again)
				}
				if age < window && !got || age > window+window/4 && got {
					rt.Fatalf("after %s: remembered is %t", age, got)
				}
			}
		}
	})
}

func TestTheDuplicateWindowHoldsMany(t *testing.T) {
	t.Parallel()
	h, err := id.NewHasher([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSeen(24 * time.Hour)
	at := time.UnixMilli(1_700_000_000_000)
	const n = 200_000
	for i := range n {
		s.add(h.Sum("message", fmt.Sprint(i)), at.Add(time.Duration(i)*100*time.Millisecond))
	}
	end := at.Add(n * 100 * time.Millisecond)
	for i := range n {
		if !s.has(h.Sum("message", fmt.Sprint(i)), end) {
			t.Fatalf("%d is forgotten", i)
		}
		if s.has(h.Sum("message", fmt.Sprint(-1-i)), end) {
			t.Fatalf("%d was never added", -1-i)
		}
	}
}

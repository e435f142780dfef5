package spelling

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		a, b  string
		limit int
		want  int
	}{
		{"the same", "within", "within", 3, 0},
		{"nothing and nothing", "", "", 3, 0},
		{"a letter too many", "withinn", "within", 3, 1},
		{"a letter too few", "withn", "within", 3, 1},
		{"another letter", "withim", "within", 3, 1},
		{"neighbours exchanged", "wihtin", "within", 3, 1},
		{"two slips", "wihtim", "within", 3, 2},
		{"a letter is a letter, however many bytes", "größe", "grösse", 9, 2},
		{"too far", "trait", "segment", 3, 3},
		{"too far by length alone", "a", "segment", 3, 3},
		{"sixty-four letters", strings.Repeat("ä", 64), strings.Repeat("ä", 63), 3, 1},
		{"more letters than any word has", strings.Repeat("a", 65), strings.Repeat("a", 65), 3, 3},
		{"far more", strings.Repeat("a", 1<<20), "a", 3, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Distance(tt.a, tt.b, tt.limit); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
			if got := Distance(tt.b, tt.a, tt.limit); got != tt.want {
				t.Errorf("the other way round: got %d, want %d", got, tt.want)
			}
		})
	}
}

// plain is the definition: try everything.
func plain(a, b []rune) int {
	if len(a) == 0 || len(b) == 0 {
		return len(a) + len(b)
	}
	n, m := len(a)-1, len(b)-1
	change := 1
	if a[n] == b[m] {
		change = 0
	}
	least := min(plain(a[:n], b)+1, plain(a, b[:m])+1, plain(a[:n], b[:m])+change)
	if n > 0 && m > 0 && a[n] == b[m-1] && a[n-1] == b[m] {
		least = min(least, plain(a[:n-1], b[:m-1])+1)
	}
	return least
}

func TestDistanceIsTheLeastOfAllWays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.SampledFrom([]rune("abä")), 0, 6, -1)
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		limit := rapid.IntRange(0, 8).Draw(t, "limit")
		want := min(plain([]rune(a), []rune(b)), limit)
		if got := Distance(a, b, limit); got != want {
			t.Fatalf("Distance(%q, %q, %d): got %d, want %d", a, b, limit, got, want)
		}
	})
}

func BenchmarkDistance(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Distance("wihtin_the_last", "within_the_last", 6)
	}
}

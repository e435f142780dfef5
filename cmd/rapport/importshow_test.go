package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProgress reads what an import shows: on a terminal one line that is
// written over, in a file a line every five seconds.
func TestProgress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		watched bool
		size    int64
		want    string
	}{
		"on a terminal": {true, 1000, "\r\x1b[K[======                  ]  25 %  20,000 lines, 20,000/s, 3s left" +
			"\r\x1b[K[============            ]  50 %  60,000 lines, 12,000/s, 1,234 bad, 5s left" +
			"\r\x1b[Klook here\n" +
			"\r\x1b[K[============            ]  50 %  60,000 lines, 12,000/s, 1,234 bad, 5s left\n"},
		"in a file":            {false, 1000, "[============            ]  50 %  60,000 lines, 12,000/s, 1,234 bad, 5s left\nlook here\n"},
		"of nobody knows size": {false, 0, "60,000 lines, 12,000/s, 1,234 bad\nlook here\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			var seen bytes.Buffer
			in := &input{size: c.size}
			p := newProgress(&console{err: &seen, watched: c.watched, now: func() time.Time { return now }}, in, 0)
			p.at(sums{Lines: 1}) // too early to say anything
			now = now.Add(time.Second)
			in.raw.Store(250)
			p.at(sums{Lines: 20_000})
			now = now.Add(4 * time.Second)
			in.raw.Store(500)
			p.at(sums{Lines: 60_000, Bad: 1000, Rejected: 234})
			p.say("look here")
			p.end()
			if diff := cmp.Diff(c.want, seen.String()); diff != "" {
				t.Errorf("shown (-want +got):\n%s", diff)
			}
		})
	}
}

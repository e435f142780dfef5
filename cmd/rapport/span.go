package main

import (
	"time"

	"github.com/spf13/pflag"
)

// span is a span of time that somebody asks for: each side an instant, or how
// long ago it was.
type span struct{ since, until string }

func (s *span) flags(f *pflag.FlagSet) {
	f.StringVar(&s.since, "since", "", "only what came then or later: 2026-03-01T12:00:00Z, or 2h for two hours ago")
	f.StringVar(&s.until, "until", "", "only what came before")
}

func (s *span) empty() bool { return s.since == "" && s.until == "" }

// into puts both sides into a query as instants.
func (s *span) into(q map[string]string, now time.Time) error {
	for name, text := range map[string]string{"since": s.since, "until": s.until} {
		if text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			ago, agoErr := time.ParseDuration(text)
			if agoErr != nil || ago < 0 {
				return usagef("--%s takes a time in RFC 3339 (2026-03-01T12:00:00Z) or how long ago (90m, 48h), not %q", name, text)
			}
			at = now.Add(-ago)
		}
		q[name] = at.UTC().Format(time.RFC3339Nano)
	}
	return nil
}

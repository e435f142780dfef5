package outbox_test

import (
	"testing"
	"time"

	"rapport/internal/message"
	"rapport/internal/outbox"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestQuietHours(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	night := outbox.Quiet{From: 22 * time.Hour, Until: 8 * time.Hour}
	noon := outbox.Quiet{From: 12 * time.Hour, Until: 13*time.Hour + 30*time.Minute}
	tests := []struct {
		name  string
		quiet outbox.Quiet
		zone  *time.Location
		now   string
		ends  string // "" when it is not quiet
	}{
		{"none", outbox.Quiet{}, time.UTC, "2026-03-01T00:00:00Z", ""},
		{"day", night, time.UTC, "2026-03-01T12:00:00Z", ""},
		{"the start belongs to it", night, time.UTC, "2026-03-01T22:00:00Z", "2026-03-02T08:00:00Z"},
		{"just before", night, time.UTC, "2026-03-01T21:59:59Z", ""},
		{"after midnight", night, time.UTC, "2026-03-02T07:59:59Z", "2026-03-02T08:00:00Z"},
		{"the end does not", night, time.UTC, "2026-03-02T08:00:00Z", ""},
		{"within one day", noon, time.UTC, "2026-03-02T12:30:00Z", "2026-03-02T13:30:00Z"},
		{"on the reader's clock", night, berlin, "2026-03-01T21:30:00Z", "2026-03-02T07:00:00Z"},
		{"the clock goes forward that night", night, berlin, "2026-03-28T22:00:00Z", "2026-03-29T06:00:00Z"},
		{"the clock goes back that night", night, berlin, "2026-10-24T22:00:00Z", "2026-10-25T07:00:00Z"},
		{"the last hour of the short night", night, berlin, "2026-03-29T05:59:59Z", "2026-03-29T06:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ends, quiet := tt.quiet.Ends(at(tt.now), tt.zone)
			if quiet != (tt.ends != "") || quiet && !ends.Equal(at(tt.ends)) {
				t.Errorf("quiet %v until %s, want %q", quiet, ends, tt.ends)
			}
		})
	}
}

func TestCheckKnowsWhatAMailIsWorth(t *testing.T) {
	t.Parallel()
	now := at("2026-03-02T12:00:00Z")
	tests := []struct {
		name   string
		mail   message.Intent
		reason string
	}{
		{"fresh", message.Intent{Class: message.Triggered, Decided: now}, ""},
		{"at the end of its day", message.Intent{Class: message.Triggered, Decided: now.Add(-24 * time.Hour)}, ""},
		{"a day and a bit", message.Intent{Class: message.Broadcast, Decided: now.Add(-24*time.Hour - time.Millisecond)}, "expired"},
		{"decided long ago, due now", message.Intent{Class: message.Triggered, Decided: now.Add(-90 * 24 * time.Hour), Due: now}, ""},
		{"its own end", message.Intent{Class: message.Triggered, Decided: now.Add(-48 * time.Hour), ValidUntil: now}, ""},
		{"after its own end", message.Intent{Class: message.Transactional, Decided: now, ValidUntil: now.Add(-1)}, "expired"},
		{"transactional has none", message.Intent{Class: message.Transactional, Decided: now.Add(-90 * 24 * time.Hour)}, ""},
	}
	for _, tt := range tests {
		var r outbox.Rules
		a := r.Check(&outbox.Mail{Intent: tt.mail}, now, time.UTC)
		if a.Reason != tt.reason || a.OK != (tt.reason == "") {
			t.Errorf("%s: %+v, want %q", tt.name, a, tt.reason)
		}
	}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	var r outbox.Rules
	for _, c := range []message.Class{message.Transactional, message.Triggered, message.Broadcast} {
		s := r.Schedule(c)
		last := time.Duration(0)
		for n := 1; n < 12; n++ {
			least, most := s.After(n, 0), s.After(n, 0.999999)
			if least < last || most <= least || most > 2*least {
				t.Errorf("%s: wait %d is %s to %s after %s", c, n, least, most, last)
			}
			last = least
		}
		m := outbox.Mail{Intent: message.Intent{Class: c, Decided: at("2026-03-02T12:00:00Z")}}
		if r.GaveUp(&m, m.Decided.Add(s.GiveUp-1)) || !r.GaveUp(&m, m.Decided.Add(s.GiveUp)) {
			t.Errorf("%s is not given up after %s", c, s.GiveUp)
		}
	}
	own := outbox.Rules{Schedules: map[message.Class]outbox.Schedule{message.Triggered: {Waits: []time.Duration{time.Second}}}}
	if got := own.Schedule(message.Triggered).After(9, 0.5); got != time.Second {
		t.Errorf("own wait = %s", got)
	}
	if own.GaveUp(&outbox.Mail{Intent: message.Intent{Class: message.Triggered}}, at("2036-01-01T00:00:00Z")) {
		t.Error("a schedule without end ends")
	}
}

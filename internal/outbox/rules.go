package outbox

import (
	"fmt"
	"time"

	"rapport/internal/message"
)

// DefaultValidFor is how long a marketing mail stays worth sending when nobody
// said otherwise: what it says about the reader grows stale.
const DefaultValidFor = 24 * time.Hour

// LongestWindow is the longest window that a cap may have. Uses are kept for as
// long, whatever caps there are: a cap that comes tomorrow counts them too.
const LongestWindow = 90 * 24 * time.Hour

// Cap allows at most Most marketing mails to one person within any Window.
type Cap struct {
	Most   int
	Window time.Duration
}

// String gives the form people read: "3 in 24h0m0s".
func (c Cap) String() string { return fmt.Sprintf("%d in %s", c.Most, c.Window) }

// Quiet is the part of each day, as time since midnight on the reader's clock,
// in which no marketing mail is handed over. It may pass midnight. Equal ends
// mean that there is none.
type Quiet struct {
	From  time.Duration
	Until time.Duration
}

// Ends tells whether an instant lies in the quiet part of the day in a zone,
// and when that part ends. The start belongs to it, the end does not.
func (q Quiet) Ends(now time.Time, zone *time.Location) (time.Time, bool) {
	if q.From == q.Until {
		return time.Time{}, false
	}
	local := now.In(zone)
	y, mo, d := local.Date()
	at := func(day int, since time.Duration) time.Time {
		return time.Date(y, mo, day, 0, 0, int(since/time.Second), 0, zone)
	}
	for _, day := range [...]int{d - 1, d} {
		end := day
		if q.Until < q.From {
			end = day + 1
		}
		from, until := at(day, q.From), at(end, q.Until)
		if !local.Before(from) && local.Before(until) {
			return until.UTC(), true
		}
	}
	return time.Time{}, false
}

// Schedule says how long to wait after each temporary refusal, and when to stop
// trying. Refusals burn no attempts: only time ends the trying.
type Schedule struct {
	Waits  []time.Duration // after the first, second … refusal; the last one repeats
	GiveUp time.Duration   // after the mail was due; zero means never
}

// After gives the wait after so many refusals, spread by a jitter in [0, 1) over
// three quarters to five quarters of its length, so that mails refused together
// do not come back together.
func (s Schedule) After(refusals int, jitter float64) time.Duration {
	if len(s.Waits) == 0 {
		return time.Minute
	}
	w := s.Waits[min(max(refusals, 1), len(s.Waits))-1]
	return time.Duration(float64(w) * (0.75 + jitter/2))
}

// Rules are what must hold of a mail's time and number for it to be handed
// over, and what happens when it is refused temporarily. The zero value has no caps
// and no quiet hours, and the default schedules.
type Rules struct {
	Caps      []Cap
	Quiet     Quiet
	Schedules map[message.Class]Schedule
}

// defaultSchedules wait little for what a person asked for and stop early for
// what nobody waits for.
var defaultSchedules = map[message.Class]Schedule{
	message.Transactional: {
		Waits:  []time.Duration{15 * time.Second, time.Minute, 3 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour},
		GiveUp: 48 * time.Hour,
	},
	message.Triggered: {
		Waits:  []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour},
		GiveUp: 24 * time.Hour,
	},
	message.Broadcast: {
		Waits:  []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour},
		GiveUp: 72 * time.Hour,
	},
}

// Schedule gives the schedule of a class.
func (r *Rules) Schedule(c message.Class) Schedule {
	if s, ok := r.Schedules[c]; ok {
		return s
	}
	return defaultSchedules[c]
}

// End gives the instant after which a mail is no longer worth handing over;
// false when there is none.
func (r *Rules) End(m *Mail) (time.Time, bool) {
	switch {
	case !m.ValidUntil.IsZero():
		return m.ValidUntil, true
	case m.Class.Marketing():
		return due(m).Add(DefaultValidFor), true
	default:
		return time.Time{}, false
	}
}

// GaveUp tells whether a mail has been refused for so long that it is given up.
func (r *Rules) GaveUp(m *Mail, now time.Time) bool {
	s := r.Schedule(m.Class)
	return s.GiveUp > 0 && !now.Before(due(m).Add(s.GiveUp))
}

// due is when the mail could first have gone.
func due(m *Mail) time.Time {
	if m.Due.After(m.Decided) {
		return m.Due
	}
	return m.Decided
}

// Answer is what the rules say of one mail at one instant: it may go, or it
// waits until an instant, or it never goes.
type Answer struct {
	OK     bool
	Wait   time.Time // not zero: ask again then
	Reason string    // "expired", "quiet_hours", "frequency_cap", or ""
	Detail string    // the limit that stood in the way and its value
}

// Check asks whether a mail's time lets it be handed over at an instant to a
// person in a zone. It belongs in the transaction that hands the mail over.
func (r *Rules) Check(m *Mail, now time.Time, zone *time.Location) Answer {
	end, ends := r.End(m)
	if ends && now.After(end) {
		return Answer{Reason: "expired", Detail: "valid until " + end.UTC().Format(time.RFC3339)}
	}
	if !m.Class.Marketing() {
		return Answer{OK: true}
	}
	if until, quiet := r.Quiet.Ends(now, zone); quiet {
		a := Answer{Reason: "quiet_hours", Detail: "quiet until " + until.Format(time.RFC3339)}
		if !ends || !until.After(end) {
			a.Wait = until
		}
		return a
	}
	return Answer{OK: true}
}

// Reserve takes one place under every cap for a marketing mail, or says which
// cap is full. It is the last question before a mail is handed over, in the same
// transaction. A mail that holds a place from an earlier hand-over does not stand
// in its own way.
func (r *Rules) Reserve(s Store, m *Mail, now time.Time) (Answer, error) {
	if !r.capped(m) {
		return Answer{OK: true}, nil
	}
	if m.MessageID != "" {
		if err := s.Release(m.ID); err != nil {
			return Answer{}, fmt.Errorf("release %s: %w", m.ID, err)
		}
	}
	for _, c := range r.Caps {
		used, err := s.Used(m.Person, now.Add(-c.Window))
		if err != nil {
			return Answer{}, fmt.Errorf("count mails of %s: %w", m.Person, err)
		}
		if used >= c.Most {
			return Answer{Reason: "frequency_cap", Detail: fmt.Sprintf("%d of %s", used, c)}, nil
		}
	}
	if err := s.Reserve(m.Person, m.ID, now); err != nil {
		return Answer{}, fmt.Errorf("reserve %s: %w", m.ID, err)
	}
	return Answer{OK: true}, nil
}

// Return gives a mail's place under the caps back: it did not go.
func (r *Rules) Return(s Store, m *Mail) error {
	if !r.capped(m) || m.MessageID == "" {
		return nil
	}
	if err := s.Release(m.ID); err != nil {
		return fmt.Errorf("release %s: %w", m.ID, err)
	}
	return nil
}

func (r *Rules) capped(m *Mail) bool { return len(r.Caps) > 0 && m.Class.Marketing() }

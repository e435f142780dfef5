package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/message"
)

// wire is a provider that lies, as networks do: it takes mails and loses the
// answer, refuses, puts off, and breaks before the end.
type wire struct {
	w *world
	l *life
}

var _ delivery.Provider = (*wire)(nil)

// Capabilities implements delivery.Provider.
func (p *wire) Capabilities() delivery.Capabilities { return delivery.Capabilities{Concurrency: 4} }

// Send implements delivery.Provider.
func (p *wire) Send(_ context.Context, mails []message.Rendered) []message.Outcome {
	out := make([]message.Outcome, 0, len(mails))
	for i := range mails {
		out = append(out, p.one(&mails[i]))
	}
	return out
}

func (p *wire) one(m *message.Rendered) message.Outcome {
	w := p.w
	w.gate.Lock()
	defer w.gate.Unlock()
	if p.l.dead {
		return message.Outcome{Verdict: message.MaybeSent, Reason: "connection_lost"}
	}
	// What happens to a mail follows from the seed, the mail and how often it was tried.
	w.serialOf(m)
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d/%s/%d", w.Seed, m.ID, w.taken["tries "+m.ID.String()]) // A hash never fails to be written to.
	marketing := !strings.HasPrefix(m.Subject, "Receipt")
	s := w.byAddress[m.To.Email]
	if s == nil {
		w.broken = append(w.broken, fmt.Errorf("a mail left to an address that nobody gave: %s", m.ID))
		return message.Outcome{Verdict: message.SentOK}
	}
	if marketing && !s.said {
		w.broken = append(w.broken, fmt.Errorf("%s was mailed %q (%s) without permission", s.user, m.Subject, m.ID))
	}
	switch n := h.Sum64() % 100; {
	case n < 78:
		p.take(m, s, marketing)
		return message.Outcome{Verdict: message.SentOK, Code: 250}
	case n < 83:
		p.take(m, s, marketing)
		w.report.Lost++
		return message.Outcome{Verdict: message.MaybeSent, Reason: "connection_lost"}
	case n < 86:
		return message.Outcome{Verdict: message.MaybeSent, Reason: "connection_lost"}
	case n < 90:
		return message.Outcome{Verdict: message.Refused, Code: 550, Enhanced: "5.7.1", Reason: "policy"}
	case n < 96:
		return message.Outcome{Verdict: message.TryLater, Code: 451, Enhanced: "4.2.0", Reason: "greylisted"}
	}
	return message.Outcome{Verdict: message.TryLater, Code: 450, Reason: "mailbox_busy", RetryAfter: time.Minute}
}

func (w *world) serialOf(m *message.Rendered) { w.taken["tries "+m.ID.String()]++ }

// take is the mail arriving.
func (p *wire) take(m *message.Rendered, s *shopper, marketing bool) {
	w := p.w
	w.report.Mails++
	w.taken[m.ID.String()]++
	if !marketing {
		return
	}
	w.report.Marketing++
	if n := w.taken[m.ID.String()]; n > 1 {
		w.broken = append(w.broken, fmt.Errorf("marketing mail %s was sent %d times", m.ID, n))
	}
	key := s.user + " " + m.Subject
	if w.subjects[key]++; w.subjects[key] > 1 {
		w.broken = append(w.broken, fmt.Errorf("%s got %q %d times, under different ids", s.user, m.Subject, w.subjects[key]))
	}
}

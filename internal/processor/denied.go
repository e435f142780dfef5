package processor

import (
	"fmt"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/purpose"
)

// leave ends what waits in journeys for whom the record in hand says no.
func (w *Walker) leave(e *event.Event) error {
	for _, h := range w.denied {
		who, err := w.set.Who(h)
		if err != nil {
			return err
		}
		f, err := w.whose(who)
		if err != nil {
			return err
		}
		if f == nil || len(f.jour.Places) == 0 {
			continue
		}
		if err := w.ready(f, w.now); err != nil {
			return err
		}
		w.subject.f, w.subject.props = f, nil
		w.turn.Begin(&w.subject, &f.jour, w.now)
		w.version.Journeys.OnDenied(&w.turn, w.subject.denies)
		if err := w.effects(f, w.now); err != nil {
			return err
		}
		if err := w.settle(f, fmt.Sprintf("denied/%s/%d", e.MessageID, f.id), e.Flags&event.Bulk != 0); err != nil {
			return err
		}
	}
	return nil
}

// denies tells whether the person has said no to a purpose. That their address takes no
// mail, or that their data are restricted, is no such word: it may pass.
func (s *subject) denies(p purpose.Purpose) (bool, string) {
	d := s.w.Consent.DecideIn(s.w.p.books.Consent, consent.Question{
		Subjects: s.f.ident.Subjects(), Operation: consent.Enter, Purpose: p, Channel: purpose.Email, At: time.UnixMilli(s.w.now).UTC(),
	})
	switch d.Reason {
	case consent.IsRefused, consent.IsWithdrawn, consent.IsObjected:
		return true, d.Reason
	}
	return false, ""
}

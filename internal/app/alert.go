package app

import (
	"context"

	"rapport/internal/alert"
	"rapport/internal/destination"
	"rapport/internal/message"
	"rapport/internal/project"
	"rapport/internal/store"
)

// openBoard makes the room that tells people that something is wrong.
func (h *House) openBoard() (err error) {
	mailer := &alertMailer{operatorMailer{h: h, way: func(w *project.Workspace) string { return w.Alerts.Provider }}}
	h.onClose(mailer.close)
	h.board, err = alert.New(alert.Config{
		Keeper: store.Alerts{State: h.state, Wants: func(it *destination.Item) bool { return h.office.Wants(it, nil) }},
		Mailer: mailer, Watches: h.watches(), Now: utcNow, Logger: h.logger.With("room", "alert"),
	})
	return err
}

// startAlerting looks once everything that had arrived at the start is walked: to
// be behind is no news then. A simulation alerts nobody.
func (h *House) startAlerting(ctx context.Context) error {
	if h.Wire != nil {
		return nil
	}
	for _, first := range []chan struct{}{h.settled, h.inEffect} { // Who is told is known with the configuration.
		select {
		case <-ctx.Done():
			return nil
		case <-first:
		}
	}
	return h.board.Run(ctx)
}

// Alert looks once, as the running house does by itself, and lists what is wrong.
func (h *House) Alert(ctx context.Context) ([]alert.Alert, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-h.inEffect:
	}
	if err := h.board.Look(ctx); err != nil {
		return nil, err
	}
	return h.board.Open(ctx)
}

// alertMailer mails what is wrong to the operators.
type alertMailer struct{ operatorMailer }

var _ alert.Mailer = (*alertMailer)(nil)

// Mail implements alert.Mailer.
func (m *alertMailer) Mail(ctx context.Context, subject, text string) error {
	to := m.h.edition().config.Workspace.Alerts.Mail
	if len(to) == 0 {
		return alert.ErrNobody
	}
	list, err := m.send(ctx, to, operatorMail{About: "alert", Subject: subject, Text: text, Page: true})
	if err != nil {
		return err
	}
	return m.outcome(list)
}

// outcome is nil where somebody was reached, or nobody ever will be: what failed
// for good must not be mailed again and again.
func (m *alertMailer) outcome(list []message.Outcome) error {
	var again error
	refused := 0
	for _, o := range list {
		switch o.Verdict {
		case message.SentOK, message.MaybeSent:
			return nil
		case message.Refused:
			refused++
		case message.TryLater, message.NotSent, message.ProviderFault:
			again = notMailed(&o)
		}
	}
	if again == nil && refused > 0 {
		m.h.logger.Error("mails about alerts are refused for good: look at alerts.mail in rapport.yaml", "addresses", refused)
	}
	return again
}

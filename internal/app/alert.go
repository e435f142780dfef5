package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"html"
	"sync"
	"time"

	"rapport/internal/alert"
	"rapport/internal/delivery"
	"rapport/internal/destination"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/project"
	"rapport/internal/store"
)

// openBoard makes the room that tells people that something is wrong.
func (h *House) openBoard() (err error) {
	mailer := &alertMailer{h: h}
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

// Raise tells people that something is wrong until End says that it is over, for
// what no watch looks for. The name is one that docs/alerts.md tells of.
func (h *House) Raise(ctx context.Context, a alert.Alert) error { return h.board.Raise(ctx, a) }

// End tells that what was raised is over.
func (h *House) End(ctx context.Context, name, about string) error {
	return h.board.End(ctx, name, about)
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

// alertPatience is how long one mail about alerts may take: the next look tries again.
const alertPatience = 30 * time.Second

// alertMailer mails to the operators by the provider that the configuration names,
// beside the queue of readers' mails: what holds that up must not hold this up.
type alertMailer struct {
	h *House

	mu   sync.Mutex
	of   int // the version of the configuration that way belongs to
	way  delivery.Provider
	shut func() error
}

var _ alert.Mailer = (*alertMailer)(nil)

// close lets go of connections that are kept.
func (m *alertMailer) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shut == nil {
		return nil
	}
	return m.shut()
}

// Mail implements alert.Mailer.
func (m *alertMailer) Mail(ctx context.Context, subject, text string) error {
	e := m.h.edition()
	conf := e.config.Workspace
	if len(conf.Alerts.Mail) == 0 {
		return alert.ErrNobody
	}
	ctx, cancel := context.WithTimeout(ctx, alertPatience)
	defer cancel()
	way, err := m.provider(e)
	if err != nil {
		return err
	}
	var list []message.Rendered
	for _, to := range conf.Alerts.Mail {
		r, err := alertMail(conf, to, subject, text, m.h.clock.Now())
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	return m.outcome(send(ctx, way, list))
}

// send hands mails over in batches that the provider takes.
func send(ctx context.Context, way delivery.Provider, list []message.Rendered) (out []message.Outcome) {
	most := max(way.Capabilities().Batch, 1)
	for len(list) > 0 {
		n := min(most, len(list))
		out = append(out, way.Send(ctx, list[:n])...)
		list = list[n:]
	}
	return out
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
			again = fault.New(fault.Unavailable, "alert_not_mailed", "the provider did not take it: %s %d", o.Reason, o.Code)
		}
	}
	if again == nil && refused > 0 {
		m.h.logger.Error("mails about alerts are refused for good: look at alerts.mail in rapport.yaml", "addresses", refused)
	}
	return again
}

func alertMail(w project.Workspace, to, subject, text string, now time.Time) (message.Rendered, error) {
	var once [8]byte
	if _, err := rand.Read(once[:]); err != nil {
		return message.Rendered{}, fmt.Errorf("name a mail: %w", err)
	}
	name := hex.EncodeToString(once[:])
	return message.Rendered{
		ID: id.NewMessage(now, "alert/"+name), MessageID: "<alert-" + name + "@" + w.Sending.Domain + ">",
		From: w.Sending.From, To: message.Address{Email: to}, EnvelopeFrom: w.Sending.From.Email,
		Subject: "[" + w.Title + "] " + subject, Text: []byte(text),
		HTML:    []byte("<!doctype html><html><body><pre>" + html.EscapeString(text) + "</pre></body></html>"),
		Headers: [][2]string{{"Auto-Submitted", "auto-generated"}},
	}, nil
}

// provider gives the way out of the configuration in effect, made once for each.
func (m *alertMailer) provider(e *edition) (delivery.Provider, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.way != nil && m.of == e.number {
		return m.way, nil
	}
	p, ok := e.config.Provider(e.config.Workspace.Alerts.Provider)
	if !ok {
		return nil, fault.New(fault.NotFound, "no_such_provider", "there is no provider %q for mails about alerts", e.config.Workspace.Alerts.Provider)
	}
	if m.shut != nil {
		_ = m.shut() // Its connections belong to what was in effect before.
	}
	m.way, m.shut = nil, nil
	if p.Kind == project.DevinboxProvider {
		m.way, m.of = m.h.inbox.Provider(), e.number
		return m.way, nil
	}
	relay, err := m.h.relay(p)
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", p.Name, err)
	}
	m.of, m.way, m.shut = e.number, relay, relay.Close
	if p.EnvelopeFrom != "" {
		m.way = returning{relay, p.EnvelopeFrom}
	}
	return m.way, nil
}

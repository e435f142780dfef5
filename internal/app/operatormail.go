package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"html"
	"sync"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/project"
)

// mailPatience is how long one mail to operators may take: it is tried again.
const mailPatience = 30 * time.Second

// operatorMailer mails to operators by a provider of the configuration, beside the
// queue of readers' mails: what holds that up must not hold this up.
type operatorMailer struct {
	h   *House
	way func(w *project.Workspace) string // the provider's name

	mu   sync.Mutex
	of   int // the version of the configuration that out belongs to
	out  delivery.Provider
	shut func() error
}

// close lets go of connections that are kept.
func (m *operatorMailer) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shut == nil {
		return nil
	}
	return m.shut()
}

// operatorMail is a mail to operators.
type operatorMail struct {
	About   string // what kind of mail: a word of its Message-ID
	Subject string
	Text    string
	Page    bool // as a page too
}

// send mails the same to some addresses, each a mail of its own.
func (m *operatorMailer) send(ctx context.Context, to []string, mail operatorMail) (out []message.Outcome, err error) {
	e := m.h.edition()
	ctx, cancel := context.WithTimeout(ctx, mailPatience)
	defer cancel()
	way, err := m.provider(e)
	if err != nil {
		return nil, err
	}
	var list []message.Rendered
	for _, address := range to {
		r, err := mail.to(&e.config.Workspace, address, m.h.clock.Now())
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	most := max(way.Capabilities().Batch, 1)
	for len(list) > 0 {
		n := min(most, len(list))
		out = append(out, way.Send(ctx, list[:n])...)
		list = list[n:]
	}
	return out, nil
}

// notMailed says that a mail did not leave, without naming anybody.
func notMailed(o *message.Outcome) error {
	return fault.New(fault.Unavailable, "not_mailed", "the provider did not take it: %s %d", o.Reason, o.Code)
}

func (x *operatorMail) to(w *project.Workspace, to string, now time.Time) (message.Rendered, error) {
	var once [8]byte
	if _, err := rand.Read(once[:]); err != nil {
		return message.Rendered{}, fmt.Errorf("name a mail: %w", err)
	}
	name := hex.EncodeToString(once[:])
	r := message.Rendered{
		ID: id.NewMessage(now, x.About+"/"+name), MessageID: "<" + x.About + "-" + name + "@" + w.Sending.Domain + ">",
		From: w.Sending.From, To: message.Address{Email: to}, EnvelopeFrom: w.Sending.From.Email,
		Subject: "[" + w.Title + "] " + x.Subject, Text: []byte(x.Text), Headers: [][2]string{{"Auto-Submitted", "auto-generated"}},
	}
	if x.Page {
		r.HTML = []byte("<!doctype html><html><body><pre>" + html.EscapeString(x.Text) + "</pre></body></html>")
	}
	return r, nil
}

// provider gives the way out of the configuration in effect, made once for each.
func (m *operatorMailer) provider(e *edition) (delivery.Provider, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.out != nil && m.of == e.number {
		return m.out, nil
	}
	name := m.way(&e.config.Workspace)
	p, ok := e.config.Provider(name)
	if !ok {
		return nil, fault.New(fault.NotFound, "no_such_provider", "there is no provider %q for mails to operators", name)
	}
	if m.shut != nil {
		_ = m.shut() // Its connections belong to what was in effect before.
	}
	m.out, m.shut = nil, nil
	if p.Kind == project.DevinboxProvider {
		m.out, m.of = m.h.inbox.Provider(), e.number
		return m.out, nil
	}
	relay, err := m.h.relay(p)
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", p.Name, err)
	}
	m.of, m.out, m.shut = e.number, relay, relay.Close
	if p.EnvelopeFrom != "" {
		m.out = returning{relay, p.EnvelopeFrom}
	}
	return m.out, nil
}

package scenario

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/id"
	"rapport/internal/message"
)

// Mail is one mail that left.
type Mail struct {
	At                          time.Time
	To, Template, Journey, Step string
	Subject, Text, HTML         string
	id                          id.Message
	leave                       string // the path of its link to unsubscribe
}

// wire takes the place of every provider: it remembers what it is given, and
// refuses mailboxes that a script has let vanish.
type wire struct {
	now func() time.Time

	mu   sync.Mutex
	left []Mail
	dead map[string]bool
}

var _ delivery.Provider = (*wire)(nil)

// Capabilities implements delivery.Provider.
func (w *wire) Capabilities() delivery.Capabilities { return delivery.Capabilities{Concurrency: 1} }

// Send implements delivery.Provider.
func (w *wire) Send(_ context.Context, mails []message.Rendered) []message.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]message.Outcome, 0, len(mails))
	for i := range mails {
		m := &mails[i]
		if w.dead[strings.ToLower(m.To.Email)] {
			out = append(out, message.Outcome{Verdict: message.Refused, Code: 550, Enhanced: "5.1.1", Reason: "mailbox_unknown", Suppress: true})
			continue
		}
		mail := Mail{At: w.now(), To: m.To.Email, Subject: m.Subject, Text: string(m.Text), HTML: string(m.HTML), id: m.ID}
		for _, h := range m.Headers {
			if u, err := url.Parse(strings.Trim(h[1], "<>")); h[0] == "List-Unsubscribe" && err == nil {
				mail.leave = u.Path
			}
		}
		w.left = append(w.left, mail)
		out = append(out, message.Outcome{Verdict: message.SentOK, Code: 250})
	}
	return out
}

// vanish lets a mailbox exist no longer.
func (w *wire) vanish(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead[strings.ToLower(address)] = true
}

// last gives the link to unsubscribe of the last mail to an address, "" when
// there is none.
func (w *wire) last(address string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.left) - 1; i >= 0; i-- {
		if m := &w.left[i]; strings.EqualFold(m.To, address) && m.leave != "" {
			return m.leave
		}
	}
	return ""
}

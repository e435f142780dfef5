// Package devinbox is a mailbox for development: it takes every mail, from
// anybody to anybody, and shows it in the browser. What comes in are mails over
// SMTP or, without any network, as a delivery provider; what goes out are pages
// and JSON. It holds a bounded number of mails in memory, the oldest go first,
// and it never passes a mail on to anybody.
package devinbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"rapport/internal/delivery"
	"rapport/internal/delivery/letter"
	"rapport/internal/fault"
	"rapport/internal/message"
)

// Config is what an Inbox is made of. Now is required.
type Config struct {
	Now       func() time.Time
	Logger    *slog.Logger // nil: silent
	Mails     int          // most mails kept; 0: 2000
	MailBytes int64        // largest mail; 0: 10 MB
	Bytes     int64        // most bytes kept; 0: 128 MB
}

// Inbox keeps mails. It is safe for concurrent use.
type Inbox struct {
	cfg Config

	mu    sync.RWMutex
	mails []*Mail // oldest first
	bytes int64
	last  int64
	total int64
	added chan struct{} // closed with the next mail
}

// Mail is one mail as it arrived.
type Mail struct {
	ID       int64     `json:"id"`
	From     string    `json:"from"` // envelope
	To       []string  `json:"to"`   // envelope
	Subject  string    `json:"subject"`
	Received time.Time `json:"received"`
	Size     int       `json:"size"`
	Raw      []byte    `json:"-"`
}

// New makes an empty Inbox.
func New(c Config) (*Inbox, error) {
	if c.Now == nil {
		return nil, errors.New("development inbox: a clock is required")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Mails <= 0 {
		c.Mails = 2000
	}
	if c.MailBytes <= 0 {
		c.MailBytes = 10 << 20
	}
	if c.Bytes <= 0 {
		c.Bytes = 128 << 20
	}
	return &Inbox{cfg: c, added: make(chan struct{})}, nil
}

// add keeps a mail and lets the oldest go where there is no room.
func (i *Inbox) add(from string, to []string, raw []byte) int64 {
	m := &Mail{From: from, To: to, Received: i.cfg.Now().UTC(), Size: len(raw), Raw: raw, Subject: subjectOf(raw)}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last++
	i.total++
	m.ID = i.last
	i.mails = append(i.mails, m)
	i.bytes += int64(len(raw))
	for len(i.mails) > 1 && (len(i.mails) > i.cfg.Mails || i.bytes > i.cfg.Bytes) {
		i.bytes -= int64(i.mails[0].Size)
		i.mails[0] = nil
		i.mails = i.mails[1:]
	}
	close(i.added)
	i.added = make(chan struct{})
	return m.ID
}

// List gives up to limit mails, newest first, those to one address only unless
// it is empty, and the number of mails that have ever arrived.
func (i *Inbox) List(to string, limit int) ([]*Mail, int64) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	var out []*Mail
	for n := len(i.mails) - 1; n >= 0 && len(out) < limit; n-- {
		if m := i.mails[n]; to == "" || m.isTo(to) {
			out = append(out, m)
		}
	}
	return out, i.total
}

func (m *Mail) isTo(address string) bool {
	for _, to := range m.To {
		if to == address {
			return true
		}
	}
	return false
}

// Get finds one mail.
func (i *Inbox) Get(id int64) (*Mail, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	for n := len(i.mails) - 1; n >= 0; n-- {
		if i.mails[n].ID == id {
			return i.mails[n], true
		}
	}
	return nil, false
}

// Changed is closed when the next mail has arrived.
func (i *Inbox) Changed() <-chan struct{} {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.added
}

// Clear forgets all mails.
func (i *Inbox) Clear() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mails, i.bytes = nil, 0
}

// Provider gives the inbox as a delivery provider in this process, without any
// network.
func (i *Inbox) Provider() delivery.Provider { return inProcess{i} }

type inProcess struct{ inbox *Inbox }

var _ delivery.Provider = inProcess{}

// Capabilities implements delivery.Provider.
func (p inProcess) Capabilities() delivery.Capabilities { return delivery.Capabilities{} }

// Send implements delivery.Provider.
func (p inProcess) Send(_ context.Context, mails []message.Rendered) []message.Outcome {
	out := make([]message.Outcome, len(mails))
	for n := range mails {
		raw, err := letter.Append(nil, &mails[n], p.inbox.cfg.Now())
		if err != nil {
			out[n] = message.Outcome{Verdict: message.Refused, Reason: fault.CodeOf(err)}
			continue
		}
		if int64(len(raw)) > p.inbox.cfg.MailBytes {
			out[n] = message.Outcome{Verdict: message.Refused, Reason: "too_large"}
			continue
		}
		id := p.inbox.add(mails[n].EnvelopeFrom, []string{mails[n].To.Email}, raw)
		out[n] = message.Outcome{Verdict: message.SentOK, ProviderID: strconv.FormatInt(id, 10)}
	}
	return out
}

// ServeSMTP takes mails from a listener until the context ends. It is meant for
// loopback: it asks for no password and offers no TLS.
func (i *Inbox) ServeSMTP(ctx context.Context, l net.Listener) error {
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{inbox: i}, nil }))
	srv.Domain = "inbox.localhost"
	srv.MaxMessageBytes = i.cfg.MailBytes
	srv.MaxRecipients = 100
	srv.EnableSMTPUTF8 = true
	srv.ReadTimeout, srv.WriteTimeout = 5*time.Minute, time.Minute
	srv.ErrorLog = errorLog{i.cfg.Logger}
	stop := context.AfterFunc(ctx, func() {
		_ = srv.Close()
		_ = l.Close() // the server may not have known of it yet
	})
	defer stop()
	if err := srv.Serve(l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve the development inbox: %w", err)
	}
	return nil
}

// errorLog says that a conversation failed; what the library would say about it
// may hold addresses.
type errorLog struct{ log *slog.Logger }

func (e errorLog) Printf(string, ...any) {
	e.log.Debug("a conversation with the development inbox failed")
}
func (e errorLog) Println(...any) { e.log.Debug("a conversation with the development inbox failed") }

// session is one SMTP conversation.
type session struct {
	inbox *Inbox
	from  string
	to    []string
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(r); err != nil {
		return err
	}
	s.inbox.add(s.from, append([]string(nil), s.to...), buf.Bytes())
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.from, s.to = "", nil }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// Package smtprelay hands mails to an SMTP server. What comes in are rendered
// mails; what goes out is, for each, an outcome that is exact about one thing:
// whether the server can have taken the mail. Until the final dot has been
// written nothing is taken (NotSent); from then on a missing reply means that
// nobody knows (MaybeSent). It never sends a mail twice by itself, never falls
// back to plain text when TLS is required, and never gives a password to a
// connection that others could read.
//
// The client side of go-smtp, the library that serves SMTP in this house, waits
// for each reply before it writes the next command and does not show whether a
// failure came before or after the final dot. One mail then takes five round
// trips instead of two, and every lost connection would have to count as
// unknown. So this package speaks SMTP over bufio by itself, with PIPELINING
// (RFC 2920); everything it speaks to in the tests is go-smtp's server.
package smtprelay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/delivery/letter"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
)

// Policy says how a connection is protected.
type Policy string

// The policies.
const (
	Required      Policy = "required"      // STARTTLS, or nothing is sent
	Opportunistic Policy = "opportunistic" // STARTTLS where offered, the certificate is not checked
	Implicit      Policy = "implicit"      // TLS from the first byte (port 465)
	None          Policy = "none"          // plain text
)

// Signer puts signatures in front of a mail.
type Signer interface {
	Sign(ctx context.Context, mail []byte) ([]byte, error)
}

// Timeouts bound each step of a conversation; zero values are those of RFC 5321
// §4.5.3.2.
type Timeouts struct {
	Dial     time.Duration // 30 s
	Greeting time.Duration // 5 min
	Command  time.Duration // 5 min: EHLO, AUTH, MAIL, RCPT
	Data     time.Duration // 2 min: the reply to DATA
	Block    time.Duration // 3 min: each piece of the mail that is written
	Dot      time.Duration // 10 min: the reply to the final dot
}

// Config is what a Relay is made of. Addr, Now and Mono are required.
type Config struct {
	Addr     string // host:port
	TLS      Policy // "" means Required
	TLSBase  *tls.Config
	Username string
	Password string
	Hello    string           // the name we give in EHLO; "" means localhost
	Signer   Signer           // nil: mails are not signed
	Now      func() time.Time // business time, for the Date of a mail
	Mono     func() time.Time // machine time

	Connections int           // most at a time; 0: 32
	PerConn     int           // most mails over one connection; 0: 100
	Idle        time.Duration // how long an unused connection is kept; 0: 30 s
	Rate        float64       // mails a second; 0: no limit
	Timeouts    Timeouts
	Dial        func(ctx context.Context, addr string) (net.Conn, error) // nil: TCP
}

// Relay is one SMTP server that takes our mails. It is safe for concurrent use.
type Relay struct {
	cfg   Config
	host  string
	plain bool // the server is on this machine: plain text cannot be read by others
	slots chan struct{}

	mu     sync.Mutex
	idle   []*conn // the last one was used last
	closed bool
}

var (
	_ delivery.Connector = (*Relay)(nil)
	_ delivery.Line      = (*line)(nil)
)

// New checks the configuration. It does not connect.
func New(c Config) (*Relay, error) {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return nil, fmt.Errorf("smtp relay: address %q: want host:port", c.Addr)
	}
	if c.Now == nil || c.Mono == nil {
		return nil, errors.New("smtp relay: both clocks are required")
	}
	if c.TLS == "" {
		c.TLS = Required
	}
	switch c.TLS {
	case Required, Opportunistic, Implicit, None:
	default:
		return nil, fmt.Errorf("smtp relay: tls %q: want required, opportunistic, implicit or none", c.TLS)
	}
	if strings.ContainsAny(c.Hello+c.Username, "\r\n") {
		return nil, errors.New("smtp relay: the EHLO name and the user name must be one line each")
	}
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	if c.Username != "" && c.TLS == None && !local {
		return nil, errors.New("smtp relay: a password is not sent in plain text; use tls: required or implicit")
	}
	if c.Hello == "" {
		c.Hello = "localhost"
	}
	for _, d := range []struct {
		at *time.Duration
		is time.Duration
	}{
		{&c.Timeouts.Dial, 30 * time.Second},
		{&c.Timeouts.Greeting, 5 * time.Minute},
		{&c.Timeouts.Command, 5 * time.Minute},
		{&c.Timeouts.Data, 2 * time.Minute},
		{&c.Timeouts.Block, 3 * time.Minute},
		{&c.Timeouts.Dot, 10 * time.Minute},
		{&c.Idle, 30 * time.Second},
	} {
		if *d.at <= 0 {
			*d.at = d.is
		}
	}
	if c.Connections <= 0 {
		c.Connections = delivery.DefaultConcurrency
	}
	if c.PerConn <= 0 {
		c.PerConn = 100
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	return &Relay{cfg: c, host: host, plain: local, slots: make(chan struct{}, c.Connections)}, nil
}

// Capabilities implements delivery.Provider. SMTP knows no keys and reports
// nothing about a mail of unknown end.
func (r *Relay) Capabilities() delivery.Capabilities {
	t := r.cfg.Timeouts
	return delivery.Capabilities{
		Concurrency: r.cfg.Connections, Rate: r.cfg.Rate,
		Deadline: min(t.Dot+2*time.Minute, delivery.DefaultDeadline),
	}
}

// Send implements delivery.Provider.
func (r *Relay) Send(ctx context.Context, mails []message.Rendered) []message.Outcome {
	l := line{r: r}
	defer l.Close()
	return l.Send(ctx, mails)
}

// Connect implements delivery.Connector. The mails are written and signed before
// a connection is looked for. A connection that was kept is ready as
// long as the server has said nothing over it. One that it closes after that, and
// before it has said a word about the mail, is not replaced while the mail is
// handed over: nothing is on a wire then, and dialling can take minutes. Such a
// mail comes back as not sent, to go again at once.
func (r *Relay) Connect(ctx context.Context, mails []message.Rendered) (delivery.Line, message.Outcome) {
	l := &line{r: r, handed: true}
	for i := range mails {
		l.ready = append(l.ready, r.prepare(ctx, &mails[i]))
	}
	if o, ok := l.open(ctx); !ok {
		l.Close()
		return nil, o
	}
	return l, message.Outcome{}
}

// line is one place among the relay's connections, with a connection while it
// has one. It is used by one goroutine at a time.
type line struct {
	r      *Relay
	c      *conn
	reused bool // c was kept, and nothing was said over it since
	handed bool // the first mail is handed over once the line stands: it is sent over c or not at all
	slot   bool
	ready  []*prepared // mails that were made before they were handed over
}

// open gives the line its connection.
func (l *line) open(ctx context.Context) (message.Outcome, bool) {
	if !l.slot {
		select {
		case l.r.slots <- struct{}{}:
			l.slot = true
		case <-ctx.Done():
			return message.Outcome{Verdict: message.NotSent, Reason: "provider_unreachable"}, false
		}
	}
	if l.c == nil {
		var err error
		if l.c, l.reused, err = l.r.connect(ctx); err != nil {
			l.c = nil
			return outcomeOfError(err), false
		}
	}
	return message.Outcome{}, true
}

// Send implements delivery.Line.
func (l *line) Send(ctx context.Context, mails []message.Rendered) []message.Outcome {
	out := make([]message.Outcome, len(mails))
	for i := range mails {
		out[i] = l.one(ctx, &mails[i])
	}
	return out
}

// Close implements delivery.Line: the connection is kept for the next mail.
func (l *line) Close() {
	for _, p := range l.ready {
		p.free()
	}
	l.ready = nil
	if l.c != nil {
		l.r.release(l.c, true)
		l.c = nil
	}
	if l.slot {
		l.slot = false
		<-l.r.slots
	}
}

// buffers holds the bytes of mails while they are written.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// one sends one mail.
func (l *line) one(ctx context.Context, m *message.Rendered) message.Outcome {
	p := l.prepared(ctx, m)
	defer p.free()
	if !p.ok {
		return p.refusal
	}
	for {
		if o, ok := l.open(ctx); !ok {
			return o
		}
		c, reused, handed := l.c, l.reused, l.handed
		l.c, l.reused, l.handed = nil, false, false
		o, alive := c.deliver(ctx, &p.envelope)
		// A connection that was kept may have been closed by the server in the
		// meantime; nothing was taken, so another one may have the mail.
		if reused && !c.answered && (o.Verdict == message.NotSent || o.Code == 421) && ctx.Err() == nil {
			c.close()
			if handed {
				return message.Outcome{Verdict: message.NotSent, Reason: "connection_closed", Again: true}
			}
			continue
		}
		l.r.release(c, alive)
		return o
	}
}

// envelope is one mail in the form in which it is written.
type envelope struct {
	from, to string
	mail     []byte
	utf8     bool // an address needs SMTPUTF8
}

// prepared is a mail that can be sent, or what keeps it from being sent.
type prepared struct {
	envelope
	id      id.Message
	buf     *[]byte
	refusal message.Outcome
	ok      bool
}

// free gives the memory back.
func (p *prepared) free() {
	if p.buf != nil && cap(*p.buf) <= 1<<20 {
		buffers.Put(p.buf)
	}
	p.buf = nil
}

// prepared takes a mail that was made before, or makes it now.
func (l *line) prepared(ctx context.Context, m *message.Rendered) *prepared {
	i := slices.IndexFunc(l.ready, func(p *prepared) bool { return p.id == m.ID })
	if i < 0 {
		return l.r.prepare(ctx, m)
	}
	p := l.ready[i]
	l.ready = slices.Delete(l.ready, i, i+1)
	return p
}

// prepare makes a mail.
func (r *Relay) prepare(ctx context.Context, m *message.Rendered) *prepared {
	p := &prepared{id: m.ID, buf: buffers.Get().(*[]byte)}
	p.envelope, p.refusal, p.ok = r.write(ctx, m, p.buf)
	return p
}

// write makes the bytes. What cannot be written is refused here, for good.
func (r *Relay) write(ctx context.Context, m *message.Rendered, buf *[]byte) (envelope, message.Outcome, bool) {
	refuse := func(err error) (envelope, message.Outcome, bool) {
		o := message.Outcome{Verdict: message.Refused, Reason: fault.CodeOf(err)}
		if o.Reason == "internal" {
			o.Reason = "mail_malformed"
		}
		return envelope{}, o, false
	}
	from := ""
	if m.EnvelopeFrom != "" {
		var err error
		if from, err = letter.Mailbox(m.EnvelopeFrom); err != nil {
			return refuse(err)
		}
	}
	to, err := letter.Mailbox(m.To.Email)
	if err != nil {
		return refuse(err)
	}
	if *buf, err = letter.Append((*buf)[:0], m, r.cfg.Now()); err != nil {
		return refuse(err)
	}
	e := envelope{from: from, to: to, mail: *buf, utf8: letter.NeedsUTF8(m)}
	if r.cfg.Signer == nil {
		return e, message.Outcome{}, true
	}
	fields, err := r.cfg.Signer.Sign(ctx, e.mail)
	if err != nil {
		return envelope{}, message.Outcome{Verdict: message.NotSent, Reason: "signing_failed"}, false
	}
	e.mail = append(fields, e.mail...)
	return e, message.Outcome{}, true
}

// connect gives a connection that is ready for a mail, an idle one if there is
// one that is fresh enough and that the server has not given up.
func (r *Relay) connect(ctx context.Context) (c *conn, reused bool, err error) {
	r.mu.Lock()
	for n := len(r.idle); n > 0; n = len(r.idle) {
		c = r.idle[n-1]
		r.idle = r.idle[:n-1]
		if !c.expire.Stop() {
			continue // drop has it
		}
		if !c.silent() {
			_ = c.raw.Close() // There is nobody to take leave from.
			continue
		}
		r.mu.Unlock()
		c.answered = false
		return c, true, nil
	}
	r.mu.Unlock()
	c, err = r.dial(ctx)
	return c, false, err
}

// release keeps a connection for the next mail, or ends it.
func (r *Relay) release(c *conn, alive bool) {
	if !alive {
		c.close()
		return
	}
	r.mu.Lock()
	if r.closed || c.mails >= r.cfg.PerConn {
		r.mu.Unlock()
		c.quit()
		return
	}
	r.idle = append(r.idle, c)
	c.expire = time.AfterFunc(r.cfg.Idle, func() { r.drop(c) })
	r.mu.Unlock()
}

// drop ends a connection that was not used for too long.
func (r *Relay) drop(c *conn) {
	r.mu.Lock()
	for i := range r.idle {
		if r.idle[i] == c {
			r.idle = append(r.idle[:i], r.idle[i+1:]...)
			break
		}
	}
	r.mu.Unlock()
	c.quit()
}

// Close ends the connections that are kept. Mails under way are finished.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	idle := r.idle
	r.idle = nil
	r.mu.Unlock()
	for _, c := range idle {
		if c.expire.Stop() {
			c.quit()
		}
	}
	return nil
}

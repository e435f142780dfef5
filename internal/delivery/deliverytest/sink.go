package deliverytest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/mail"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Fault is what the sink does to one mail instead of taking it.
type Fault struct {
	// Refuse answers RCPT, or with AtDot the final dot, with this reply.
	Refuse *smtp.SMTPError
	AtMail bool
	AtDot  bool
	// Drop cuts the connection.
	Drop Point
	// Hang says nothing any more at this point until the sink closes or the
	// client goes away.
	Hang Point
}

// Point is a moment in the transfer of one mail.
type Point uint8

// The points. A mail dropped at AfterDot, or held there, has arrived.
const (
	Nowhere    Point = iota
	BeforeData       // at RCPT
	InData           // after the first bytes of the text
	AfterDot         // after the final dot, before its reply
)

// SinkConfig is what a Sink is made of. The zero value takes everything in
// plain text.
type SinkConfig struct {
	TLS      *tls.Config // offers STARTTLS, or with Implicit speaks TLS at once
	Implicit bool
	User     string // wants AUTH PLAIN or LOGIN
	Password string
	MaxBytes int64
	Slow     time.Duration // the time between two bytes of every reply
	UTF8     bool
	Slim     bool // count only
	// Judge decides each mail once its recipient is known; nil takes all.
	Judge func(from, to string) Fault
}

// Sink is an SMTP server on loopback that keeps a record of what it took and
// fails as it is told. It is go-smtp's server, on real TCP.
type Sink struct {
	Record
	cfg     SinkConfig
	srv     *smtp.Server
	addr    string
	listen  net.Listener
	done    chan struct{}
	open    sync.Map // the connections of now
	conns   atomic.Int64
	opened  atomic.Int64
	wire    atomic.Int64
	ended   sync.WaitGroup
	closing sync.Once
}

// NewSink starts a sink.
func NewSink(c SinkConfig) (*Sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Sink{cfg: c, addr: l.Addr().String(), done: make(chan struct{})}
	s.Slim = c.Slim
	s.srv = smtp.NewServer(smtp.BackendFunc(s.session))
	s.srv.Domain = "sink.example"
	s.srv.AllowInsecureAuth = true
	s.srv.MaxMessageBytes = c.MaxBytes
	s.srv.EnableSMTPUTF8 = c.UTF8
	s.srv.ErrorLog = log.New(io.Discard, "", 0)
	l = &watched{Listener: l, s: s}
	s.listen = l
	if c.Implicit {
		l = tls.NewListener(l, c.TLS)
	} else {
		s.srv.TLSConfig = c.TLS
	}
	s.ended.Go(func() { _ = s.srv.Serve(l) }) // It ends with the listener.
	return s, nil
}

// Addr gives host and port.
func (s *Sink) Addr() string { return s.addr }

// Opened counts the connections so far; Open those of now.
func (s *Sink) Opened() int { return int(s.opened.Load()) }

// Open counts the connections of now.
func (s *Sink) Open() int { return int(s.conns.Load()) }

// OnWire counts the mails whose text has begun to come and is not answered yet.
func (s *Sink) OnWire() int { return int(s.wire.Load()) }

// HangUp ends the connections of now, as a server does with those that are idle.
func (s *Sink) HangUp() {
	s.open.Range(func(c, _ any) bool {
		_ = c.(net.Conn).Close() // Its own goroutine finds it closed.
		return true
	})
}

// Close ends all connections and waits for them.
func (s *Sink) Close() {
	s.closing.Do(func() {
		close(s.done)
		_ = s.srv.Close()
		_ = s.listen.Close() // the server may not have known of it yet
		s.ended.Wait()
	})
}

// watched counts connections and slows their writes down.
type watched struct {
	net.Listener
	s *Sink
}

func (w *watched) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w.s.conns.Add(1)
	w.s.opened.Add(1)
	sc := &slowConn{Conn: c, s: w.s}
	w.s.open.Store(sc, nil)
	return sc, nil
}

type slowConn struct {
	net.Conn
	s    *Sink
	once sync.Once
}

func (c *slowConn) Close() error {
	c.once.Do(func() {
		c.s.open.Delete(c)
		c.s.conns.Add(-1)
	})
	return c.Conn.Close()
}

func (c *slowConn) Write(b []byte) (int, error) {
	if c.s.cfg.Slow <= 0 {
		return c.Conn.Write(b)
	}
	for i := range b {
		select {
		case <-c.s.done:
			return i, net.ErrClosed
		case <-time.After(c.s.cfg.Slow):
		}
		if _, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// session is one conversation.
type session struct {
	s    *Sink
	c    *smtp.Conn
	from string
	to   string
	f    Fault
	auth bool
}

var _ smtp.AuthSession = (*session)(nil)

func (s *Sink) session(c *smtp.Conn) (smtp.Session, error) { return &session{s: s, c: c}, nil }

// AuthMechanisms implements smtp.AuthSession.
func (x *session) AuthMechanisms() []string {
	if x.s.cfg.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth implements smtp.AuthSession.
func (x *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != x.s.cfg.User || password != x.s.cfg.Password {
			return smtp.ErrAuthFailed
		}
		x.auth = true
		return nil
	}), nil
}

// Mail implements smtp.Session.
func (x *session) Mail(from string, _ *smtp.MailOptions) error {
	if x.s.cfg.User != "" && !x.auth {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	x.from = from
	if x.s.cfg.Judge != nil {
		if f := x.s.cfg.Judge(from, ""); f.AtMail {
			return f.Refuse
		}
	}
	return nil
}

// Rcpt implements smtp.Session.
func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	x.to, x.f = to, Fault{}
	if x.s.cfg.Judge != nil {
		x.f = x.s.cfg.Judge(x.from, to)
	}
	if x.f.Refuse != nil && !x.f.AtDot {
		return x.f.Refuse
	}
	return x.fail(BeforeData)
}

// fail does what is scripted for a point.
func (x *session) fail(at Point) error {
	if x.f.Drop == at && at != Nowhere {
		_ = x.c.Conn().Close()
		return errors.New("dropped")
	}
	if x.f.Hang == at && at != Nowhere {
		<-x.s.done
		_ = x.c.Conn().Close()
		return errors.New("hung")
	}
	return nil
}

// Data implements smtp.Session.
func (x *session) Data(r io.Reader) error {
	x.s.wire.Add(1)
	defer x.s.wire.Add(-1)
	if x.f.Drop == InData || x.f.Hang == InData {
		_, _ = io.ReadFull(r, make([]byte, 16))
		return x.fail(InData)
	}
	var raw []byte
	var err error
	if x.s.Slim {
		_, err = io.Copy(io.Discard, r)
	} else {
		raw, err = io.ReadAll(r)
	}
	if err != nil {
		return err
	}
	if x.f.Refuse != nil {
		return x.f.Refuse
	}
	g := Got{To: x.to, Raw: raw}
	if m, err := mail.ReadMessage(bytes.NewReader(raw)); err == nil {
		g.MessageID = m.Header.Get("Message-Id")
	}
	x.s.Add(g)
	return x.fail(AfterDot)
}

// Reset implements smtp.Session.
func (x *session) Reset() {}

// Logout implements smtp.Session.
func (x *session) Logout() error { return nil }

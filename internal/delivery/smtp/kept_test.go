//go:build unix

package smtprelay_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rapport/internal/delivery/deliverytest"
	smtprelay "rapport/internal/delivery/smtp"
	"rapport/internal/message"
)

// wire remembers the connection that was dialled last.
type wire struct {
	mu   sync.Mutex
	last net.Conn
}

func (w *wire) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = nc
	return nc, err
}

// heard waits until something has come over the connection, and leaves it there.
func (w *wire) heard(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	raw, err := w.last.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK)
		return err != unix.EAGAIN
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A kept connection that the server has closed is replaced before a mail is
// handed over, not under it.
func TestAConnectionThatWasClosedIsNotReady(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t, time.Now().Add(time.Hour))
	for _, policy := range []smtprelay.Policy{smtprelay.None, smtprelay.Required, smtprelay.Implicit} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			s := sink(t, deliverytest.SinkConfig{TLS: cert, Implicit: policy == smtprelay.Implicit})
			var w wire
			r := relay(t, s.Addr(), func(c *smtprelay.Config) {
				c.TLS, c.TLSBase, c.Dial = policy, &tls.Config{RootCAs: pool}, w.dial
			})
			for range 2 {
				if got := one(t, r, mailTo("a@b.example")); got.Verdict != message.SentOK || s.Opened() != 1 {
					t.Fatalf("verdict %d (%s) over %d connections, want one that is kept", got.Verdict, got.Reason, s.Opened())
				}
			}
			s.HangUp()
			w.heard(t)
			l, o := r.Connect(t.Context(), nil)
			if l == nil {
				t.Fatalf("no connection: %s", o.Reason)
			}
			defer l.Close()
			if s.Opened() != 2 {
				t.Errorf("%d connections stand ready, want a second one", s.Opened())
			}
			if got := l.Send(t.Context(), []message.Rendered{mailTo("c@b.example")}); got[0].Verdict != message.SentOK {
				t.Errorf("verdict %d (%s)", got[0].Verdict, got[0].Reason)
			}
		})
	}
}

// One that is closed between the look and the mail is not replaced while the
// mail is handed over: dialling may take minutes, and nothing is on a wire.
func TestNothingIsDialledUnderAMailThatIsHandedOver(t *testing.T) {
	t.Parallel()
	s := sink(t, deliverytest.SinkConfig{})
	var w wire
	r := relay(t, s.Addr(), func(c *smtprelay.Config) { c.Dial = w.dial })
	one(t, r, mailTo("a@b.example"))
	l, _ := r.Connect(t.Context(), nil)
	defer l.Close()
	s.HangUp()
	w.heard(t)
	got := l.Send(t.Context(), []message.Rendered{mailTo("c@b.example")})
	if got[0].Verdict != message.NotSent || !got[0].Again || s.Opened() != 1 || s.Total() != 1 {
		t.Errorf("outcome %+v over %d connections, %d arrived; want it not sent, to go again", got[0], s.Opened(), s.Total())
	}
}

// A server that takes leave at the next MAIL has not been asked for anything.
func TestFarewellAtTheNextMailIsNoRefusal(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	leave := false
	s := sink(t, deliverytest.SinkConfig{Judge: func(string, string) deliverytest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if leave {
			return deliverytest.Fault{AtMail: true, Refuse: refusal(421, 4, 7, 0, "enough")}
		}
		return deliverytest.Fault{}
	}})
	r := relay(t, s.Addr(), nil)
	one(t, r, mailTo("a@b.example"))
	l, _ := r.Connect(t.Context(), nil)
	defer l.Close()
	mu.Lock()
	leave = true
	mu.Unlock()
	got := l.Send(t.Context(), []message.Rendered{mailTo("c@b.example")})
	if got[0].Verdict != message.NotSent || !got[0].Again || s.Opened() != 1 {
		t.Errorf("outcome %+v over %d connections; want it not sent, to go again", got[0], s.Opened())
	}
}

// signer counts how often it signs.
type signer struct{ signed atomic.Int64 }

func (s *signer) Sign(context.Context, []byte) ([]byte, error) {
	return fmt.Appendf(nil, "X-Signed: %d\r\n", s.signed.Add(1)), nil
}

// A mail is signed before it is handed over, and once.
func TestAMailIsSignedBeforeItIsHandedOver(t *testing.T) {
	t.Parallel()
	s := sink(t, deliverytest.SinkConfig{})
	var pen signer
	r := relay(t, s.Addr(), func(c *smtprelay.Config) { c.Signer = &pen })
	mails := []message.Rendered{mailTo("a@b.example"), mailTo("skipped@b.example"), mailTo("c@b.example")}
	l, o := r.Connect(t.Context(), mails)
	if l == nil || pen.signed.Load() != 3 {
		t.Fatalf("%d mails are signed: %+v", pen.signed.Load(), o)
	}
	defer l.Close()
	late := mailTo("late@b.example")
	for _, o := range l.Send(t.Context(), []message.Rendered{mails[0], mails[2], late}) {
		if o.Verdict != message.SentOK {
			t.Errorf("verdict %d (%s)", o.Verdict, o.Reason)
		}
	}
	for i, want := range []string{"X-Signed: 1\r\n", "X-Signed: 3\r\n", "X-Signed: 4\r\n"} {
		if got := s.All()[i]; !strings.HasPrefix(string(got.Raw), want) {
			t.Errorf("the mail to %s begins with %.20q, want %q", got.To, got.Raw, want)
		}
	}
}

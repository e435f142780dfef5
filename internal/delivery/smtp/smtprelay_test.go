package smtprelay_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"rapport/internal/delivery/deliverytest"
	smtprelay "rapport/internal/delivery/smtp"
	"rapport/internal/id"
	"rapport/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// certificate makes one for 127.0.0.1 that ends at an instant, and the pool that
// trusts it.
func certificate(t *testing.T, ends time.Time) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink.example"},
		NotBefore: ends.Add(-240 * time.Hour), NotAfter: ends, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func sink(t *testing.T, c deliverytest.SinkConfig) *deliverytest.Sink {
	t.Helper()
	s, err := deliverytest.NewSink(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func relay(t *testing.T, addr string, change func(*smtprelay.Config)) *smtprelay.Relay {
	t.Helper()
	c := smtprelay.Config{Addr: addr, TLS: smtprelay.None, Now: time.Now, Mono: time.Now}
	if change != nil {
		change(&c)
	}
	r, err := smtprelay.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func mailTo(to string) message.Rendered {
	mid := id.NewMessage(time.Unix(1, 0), to)
	return message.Rendered{
		ID: mid, MessageID: "<" + strings.TrimPrefix(mid.String(), "msg_") + "@shop.example>",
		From: message.Address{Name: "Shop", Email: "shop@shop.example"}, To: message.Address{Email: to},
		EnvelopeFrom: "bounce@shop.example", Subject: "Grüße", Text: []byte(".first\nlast"), HTML: []byte("<p>Hé</p>"),
	}
}

func one(t *testing.T, r *smtprelay.Relay, m message.Rendered) message.Outcome {
	t.Helper()
	out := r.Send(t.Context(), []message.Rendered{m})
	if len(out) != 1 {
		t.Fatalf("%d outcomes for one mail", len(out))
	}
	return out[0]
}

func refusal(code int, a, b, c int, words string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{a, b, c}, Message: words}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	quick := func(c *smtprelay.Config) {
		c.Timeouts.Command, c.Timeouts.Data, c.Timeouts.Dot = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	}
	tests := []struct {
		name    string
		fault   deliverytest.Fault
		change  func(*smtprelay.Config)
		want    message.Verdict
		reason  string
		arrives bool
		reused  bool // the connection goes on
	}{
		{name: "taken", want: message.SentOK, arrives: true, reused: true},
		{name: "dropped before DATA", fault: deliverytest.Fault{Drop: deliverytest.BeforeData}, want: message.NotSent, reason: "provider_connection_lost"},
		{name: "dropped after the final dot", fault: deliverytest.Fault{Drop: deliverytest.AfterDot}, want: message.MaybeSent, reason: "no_reply_to_final_dot", arrives: true},
		{name: "silent at RCPT", fault: deliverytest.Fault{Hang: deliverytest.BeforeData}, change: quick, want: message.NotSent, reason: "provider_connection_lost"},
		{name: "silent after the final dot", fault: deliverytest.Fault{Hang: deliverytest.AfterDot}, change: quick, want: message.MaybeSent, reason: "no_reply_to_final_dot", arrives: true},
		{name: "busy at RCPT", fault: deliverytest.Fault{Refuse: refusal(451, 4, 7, 1, "come back later")}, want: message.TryLater, reason: "throttled", reused: true},
		{name: "busy at the dot", fault: deliverytest.Fault{AtDot: true, Refuse: refusal(452, 4, 3, 1, "disk full")}, want: message.TryLater, reason: "try_later", reused: true},
		{name: "unknown at RCPT", fault: deliverytest.Fault{Refuse: refusal(550, 5, 1, 1, "no such user a@b.example")}, want: message.Refused, reason: "mailbox_unknown", reused: true},
		{name: "refused at the dot", fault: deliverytest.Fault{AtDot: true, Refuse: refusal(554, 5, 6, 0, "spam")}, want: message.Refused, reason: "content_refused", reused: true},
		{name: "our fault", fault: deliverytest.Fault{AtDot: true, Refuse: refusal(550, 5, 7, 515, "sender does not meet the required authentication level")}, want: message.ProviderFault, reason: "policy", reused: true},
		{name: "sender refused", fault: deliverytest.Fault{AtMail: true, Refuse: refusal(550, 5, 7, 1, "sender not allowed")}, want: message.ProviderFault, reason: "provider_sender_refused", reused: true},
		{name: "busy at MAIL", fault: deliverytest.Fault{AtMail: true, Refuse: refusal(451, 4, 3, 0, "later")}, want: message.TryLater, reason: "provider_busy", reused: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			faulty := true
			s := sink(t, deliverytest.SinkConfig{Judge: func(string, string) deliverytest.Fault {
				mu.Lock()
				defer mu.Unlock()
				if faulty {
					return tt.fault
				}
				return deliverytest.Fault{}
			}})
			r := relay(t, s.Addr(), tt.change)
			got := one(t, r, mailTo("a@b.example"))
			if got.Verdict != tt.want || got.Reason != tt.reason {
				t.Fatalf("verdict %d (%s), want %d (%s)", got.Verdict, got.Reason, tt.want, tt.reason)
			}
			if strings.Contains(got.Reply, "@") {
				t.Errorf("the reply %q names an address", got.Reply)
			}
			if arrived := s.Total() == 1; arrived != tt.arrives {
				t.Errorf("arrived %v, want %v", arrived, tt.arrives)
			}
			mu.Lock()
			faulty = false
			mu.Unlock()
			if got := one(t, r, mailTo("c@d.example")); got.Verdict != message.SentOK {
				t.Errorf("the next mail: verdict %d (%s), want it sent", got.Verdict, got.Reason)
			}
			if reused := s.Opened() == 1; reused != tt.reused {
				t.Errorf("%d connections were opened, want reuse %v", s.Opened(), tt.reused)
			}
			if s.To("c@d.example") != 1 {
				t.Errorf("the next mail arrived %d times", s.To("c@d.example"))
			}
		})
	}
}

func TestWhatArrivesIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	s := sink(t, deliverytest.SinkConfig{})
	r := relay(t, s.Addr(), nil)
	m := mailTo("a@b.example")
	m.Text, m.HTML = []byte(".dot\n..two\r\n.\r\nbare\rcr\n"), nil
	if got := one(t, r, m); got.Verdict != message.SentOK {
		t.Fatalf("verdict %d (%s)", got.Verdict, got.Reason)
	}
	raw := string(s.All()[0].Raw)
	_, body, _ := strings.Cut(raw, "\r\n\r\n")
	if want := ".dot\r\n..two\r\n.\r\nbare\r\ncr\r\n"; body != want {
		t.Errorf("body = %q, want %q", body, want)
	}
	if s.All()[0].MessageID != m.MessageID {
		t.Errorf("Message-ID = %q, want %q", s.All()[0].MessageID, m.MessageID)
	}
}

func TestOneConnectionServesManyMailsUpToItsLimit(t *testing.T) {
	t.Parallel()
	s := sink(t, deliverytest.SinkConfig{})
	r := relay(t, s.Addr(), func(c *smtprelay.Config) { c.PerConn = 10 })
	for i := range 25 {
		if got := one(t, r, mailTo(fmt.Sprintf("p%d@b.example", i))); got.Verdict != message.SentOK {
			t.Fatalf("mail %d: verdict %d (%s)", i, got.Verdict, got.Reason)
		}
	}
	if s.Opened() != 3 || s.Total() != 25 {
		t.Errorf("%d connections for %d mails, want 3 for 25", s.Opened(), s.Total())
	}
}

func TestConnectStandsReadyBeforeTheMail(t *testing.T) {
	t.Parallel()
	s := sink(t, deliverytest.SinkConfig{})
	r := relay(t, s.Addr(), func(c *smtprelay.Config) { c.Connections = 1 })
	for i := range 2 {
		l, o := r.Connect(t.Context(), nil)
		if l == nil {
			t.Fatalf("no connection: %s", o.Reason)
		}
		if s.Opened() != 1 {
			t.Fatalf("%d connections stand after Connect %d", s.Opened(), i)
		}
		if i == 0 { // one that is not used is kept, and its place is free again
			l.Close()
			continue
		}
		for _, o := range l.Send(t.Context(), []message.Rendered{mailTo("a@b.example"), mailTo("c@b.example")}) {
			if o.Verdict != message.SentOK {
				t.Errorf("verdict %d (%s)", o.Verdict, o.Reason)
			}
		}
		l.Close()
	}
	if s.Opened() != 1 || s.Total() != 2 {
		t.Errorf("%d connections for %d mails, want 1 for 2", s.Opened(), s.Total())
	}
	s.Close()
	gone := relay(t, s.Addr(), nil)
	if l, o := gone.Connect(t.Context(), nil); l != nil || o.Verdict != message.NotSent || o.Reason != "provider_unreachable" {
		t.Errorf("a server that is not there: %v, %+v", l, o)
	}
}

func TestAConnectionThatTheServerGaveUpIsReplaced(t *testing.T) {
	t.Parallel()
	s := sink(t, deliverytest.SinkConfig{})
	var mu sync.Mutex
	var last net.Conn
	r := relay(t, s.Addr(), func(c *smtprelay.Config) {
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			nc, err := d.DialContext(ctx, "tcp", addr)
			mu.Lock()
			last = nc
			mu.Unlock()
			return nc, err
		}
	})
	one(t, r, mailTo("a@b.example"))
	mu.Lock()
	_ = last.Close()
	mu.Unlock()
	if got := one(t, r, mailTo("c@b.example")); got.Verdict != message.SentOK || s.To("c@b.example") != 1 {
		t.Errorf("verdict %d (%s), arrived %d times, want sent once", got.Verdict, got.Reason, s.To("c@b.example"))
	}
}

func TestPlainServersAreServedStepByStep(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	script := make(chan string, 1)
	go func() {
		script <- converse(l, []string{
			"220 old.example", "", "502 no", "", "250 old.example", "", "250 ok", "", "250 ok", "", "354 go", ".", "250 ok queued as Q1",
		})
	}()
	r := relay(t, l.Addr().String(), nil)
	got := one(t, r, mailTo("a@b.example"))
	if got.Verdict != message.SentOK || got.ProviderID != "Q1" {
		t.Errorf("verdict %d (%s), id %q, want sent as Q1", got.Verdict, got.Reason, got.ProviderID)
	}
	if err := <-script; err != "" {
		t.Error(err)
	}
}

// converse plays one server conversation: a line to say, then "" to read one
// command, or "." to read up to the final dot.
func converse(l net.Listener, lines []string) string {
	c, err := l.Accept()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	buf := make([]byte, 1<<16)
	for _, line := range lines {
		switch line {
		case "":
			n, err := c.Read(buf)
			if err != nil || strings.Count(string(buf[:n]), "\n") != 1 {
				return fmt.Sprintf("want one command at a time, got %q, %v", buf[:n], err)
			}
		case ".":
			for text := ""; !strings.HasSuffix(text, "\r\n.\r\n"); {
				n, err := c.Read(buf)
				if err != nil {
					return err.Error()
				}
				text += string(buf[:n])
			}
		default:
			if _, err := c.Write([]byte(line + "\r\n")); err != nil {
				return err.Error()
			}
		}
	}
	return ""
}

func TestTLSPolicy(t *testing.T) {
	t.Parallel()
	good, pool := certificate(t, time.Now().Add(time.Hour))
	old, oldPool := certificate(t, time.Now().Add(-time.Hour))
	tests := []struct {
		name     string
		server   *tls.Config
		implicit bool
		policy   smtprelay.Policy
		trust    *x509.CertPool
		want     message.Verdict
		reason   string
	}{
		{name: "required and offered", server: good, policy: smtprelay.Required, trust: pool, want: message.SentOK},
		{name: "required is the default", server: nil, policy: "", trust: pool, want: message.ProviderFault, reason: "provider_tls_not_offered"},
		{name: "required and stripped", server: nil, policy: smtprelay.Required, trust: pool, want: message.ProviderFault, reason: "provider_tls_not_offered"},
		{name: "required and expired", server: old, policy: smtprelay.Required, trust: oldPool, want: message.ProviderFault, reason: "provider_tls_certificate"},
		{name: "required and of a stranger", server: good, policy: smtprelay.Required, trust: x509.NewCertPool(), want: message.ProviderFault, reason: "provider_tls_certificate"},
		{name: "opportunistic and expired", server: old, policy: smtprelay.Opportunistic, want: message.SentOK},
		{name: "opportunistic and not offered", server: nil, policy: smtprelay.Opportunistic, want: message.SentOK},
		{name: "implicit", server: good, implicit: true, policy: smtprelay.Implicit, trust: pool, want: message.SentOK},
		{name: "implicit and expired", server: old, implicit: true, policy: smtprelay.Implicit, trust: oldPool, want: message.ProviderFault, reason: "provider_tls_certificate"},
		{name: "none", server: good, policy: smtprelay.None, want: message.SentOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sink(t, deliverytest.SinkConfig{TLS: tt.server, Implicit: tt.implicit})
			r := relay(t, s.Addr(), func(c *smtprelay.Config) {
				c.TLS, c.TLSBase = tt.policy, &tls.Config{RootCAs: tt.trust}
			})
			got := one(t, r, mailTo("a@b.example"))
			if got.Verdict != tt.want || got.Reason != tt.reason {
				t.Errorf("verdict %d (%s), want %d (%s)", got.Verdict, got.Reason, tt.want, tt.reason)
			}
			if arrived := s.Total() == 1; arrived != (tt.want == message.SentOK) {
				t.Errorf("arrived %v", arrived)
			}
		})
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	good, pool := certificate(t, time.Now().Add(time.Hour))
	tests := []struct {
		name     string
		password string
		change   func(*smtprelay.Config)
		want     message.Verdict
		reason   string
	}{
		{name: "right over TLS", password: "right", want: message.SentOK},
		{name: "wrong", password: "wrong", want: message.ProviderFault, reason: "provider_authentication"},
		{name: "right, plain, on this machine", password: "right", change: func(c *smtprelay.Config) { c.TLS = smtprelay.None }, want: message.SentOK},
		{name: "none where one is wanted", change: func(c *smtprelay.Config) { c.Username = "" }, want: message.ProviderFault, reason: "provider_authentication"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sink(t, deliverytest.SinkConfig{TLS: good, User: "shop", Password: "right"})
			r := relay(t, s.Addr(), func(c *smtprelay.Config) {
				c.TLS, c.TLSBase, c.Username, c.Password = smtprelay.Required, &tls.Config{RootCAs: pool}, "shop", tt.password
				if tt.change != nil {
					tt.change(c)
				}
			})
			if got := one(t, r, mailTo("a@b.example")); got.Verdict != tt.want || got.Reason != tt.reason {
				t.Errorf("verdict %d (%s), want %d (%s)", got.Verdict, got.Reason, tt.want, tt.reason)
			}
		})
	}
	t.Run("never plain to another machine", func(t *testing.T) {
		t.Parallel()
		s := sink(t, deliverytest.SinkConfig{User: "shop", Password: "right"})
		dial := func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", s.Addr())
		}
		r := relay(t, "mail.example:25", func(c *smtprelay.Config) {
			c.TLS, c.Username, c.Password, c.Dial = smtprelay.Opportunistic, "shop", "right", dial
		})
		if got := one(t, r, mailTo("a@b.example")); got.Verdict != message.ProviderFault || got.Reason != "provider_tls_not_offered" {
			t.Errorf("verdict %d (%s), want a provider fault", got.Verdict, got.Reason)
		}
		if _, err := smtprelay.New(smtprelay.Config{Addr: "mail.example:25", TLS: smtprelay.None, Username: "u", Now: time.Now, Mono: time.Now}); err == nil {
			t.Error("a password in plain text to another machine is accepted")
		}
	})
}

func TestSlowServersAreBoundedAndTakeNoPlaceForEver(t *testing.T) {
	t.Parallel()
	s := sink(t, deliverytest.SinkConfig{Slow: time.Second})
	r := relay(t, s.Addr(), func(c *smtprelay.Config) {
		c.Connections = 2
		c.Timeouts.Greeting = 100 * time.Millisecond
	})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			if got := one(t, r, mailTo(fmt.Sprintf("p%d@b.example", i))); got.Verdict != message.NotSent {
				t.Errorf("verdict %d (%s), want not sent", got.Verdict, got.Reason)
			}
		})
	}
	wg.Wait()
	if s.Opened() != 6 {
		t.Errorf("%d connections, want each of 6 mails to have had its own", s.Opened())
	}
}

func TestTheContextEndsEverything(t *testing.T) {
	t.Parallel()
	s := sink(t, deliverytest.SinkConfig{Judge: func(string, string) deliverytest.Fault {
		return deliverytest.Fault{Hang: deliverytest.AfterDot}
	}})
	r := relay(t, s.Addr(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	arrived := s.Reached(1)
	go func() {
		<-arrived
		cancel()
	}()
	got := r.Send(ctx, []message.Rendered{mailTo("a@b.example")})
	if got[0].Verdict != message.MaybeSent {
		t.Errorf("verdict %d (%s), want maybe sent", got[0].Verdict, got[0].Reason)
	}
}

func TestAddressesBeyondASCIINeedTheServersWord(t *testing.T) {
	t.Parallel()
	for _, offered := range []bool{true, false} {
		s := sink(t, deliverytest.SinkConfig{UTF8: offered})
		r := relay(t, s.Addr(), nil)
		got := one(t, r, mailTo("jürgen@bücher.example"))
		want := message.Refused
		if offered {
			want = message.SentOK
		}
		if got.Verdict != want {
			t.Errorf("offered %v: verdict %d (%s), want %d", offered, got.Verdict, got.Reason, want)
		}
		if offered && s.To("jürgen@xn--bcher-kva.example") != 1 {
			t.Errorf("the domain was not written in ASCII: %v", s.All())
		}
		if got := one(t, r, mailTo("info@bücher.example")); got.Verdict != message.SentOK {
			t.Errorf("an ASCII local part: verdict %d (%s), want sent", got.Verdict, got.Reason)
		}
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	deliverytest.Contract(t, func(t *testing.T) deliverytest.Under {
		s := sink(t, deliverytest.SinkConfig{})
		return deliverytest.Under{Provider: relay(t, s.Addr(), nil), Arrived: s.To}
	})
}

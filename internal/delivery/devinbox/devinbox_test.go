package devinbox_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rapport/internal/delivery"
	"rapport/internal/delivery/deliverytest"
	"rapport/internal/delivery/devinbox"
	smtprelay "rapport/internal/delivery/smtp"
	"rapport/internal/id"
	"rapport/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func inbox(t *testing.T, change func(*devinbox.Config)) *devinbox.Inbox {
	t.Helper()
	c := devinbox.Config{Now: func() time.Time { return time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC) }}
	if change != nil {
		change(&c)
	}
	i, err := devinbox.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func sample(n int) message.Rendered {
	mid := id.NewMessage(time.Unix(1, 0), fmt.Sprint(n))
	return message.Rendered{
		ID: mid, MessageID: fmt.Sprintf("<%d@shop.example>", n), From: message.Address{Name: "Shop", Email: "shop@shop.example"},
		To: message.Address{Email: fmt.Sprintf("p%d@mail.example", n)}, EnvelopeFrom: "bounce@shop.example", Subject: fmt.Sprintf("Grüße <b>%d</b>", n),
		Text: []byte("Hello, Zoë.\n"), HTML: []byte(`<p>Hello, Zoë.</p><script>alert(1)</script>`),
	}
}

func send(t *testing.T, p delivery.Provider, mails ...message.Rendered) {
	t.Helper()
	for _, o := range p.Send(t.Context(), mails) {
		if o.Verdict != message.SentOK {
			t.Fatalf("verdict %d (%s)", o.Verdict, o.Reason)
		}
	}
}

func get(t *testing.T, h http.Handler, path string) (int, http.Header, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Header(), w.Body.String()
}

func TestBothDoors(t *testing.T) {
	t.Parallel()
	for _, door := range []string{"in process", "smtp"} {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			i := inbox(t, nil)
			p := i.Provider()
			if door == "smtp" {
				p = overTCP(t, i)
			}
			send(t, p, sample(1), sample(2))
			mails, total := i.List("", 10)
			if len(mails) != 2 || total != 2 || mails[0].Subject != "Grüße <b>2</b>" || mails[0].To[0] != "p2@mail.example" || mails[0].From != "bounce@shop.example" {
				t.Fatalf("mails %+v, total %d", mails, total)
			}
			if mails, _ := i.List("p1@mail.example", 10); len(mails) != 1 {
				t.Errorf("%d mails to one address", len(mails))
			}
			if _, _, body := get(t, i.Handler(), "/m/1/raw"); !strings.Contains(body, "Message-ID: <1@shop.example>\r\n") {
				t.Errorf("raw = %s", body)
			}
		})
	}
}

// overTCP serves an inbox on loopback and gives a relay to it.
func overTCP(t *testing.T, i *devinbox.Inbox) delivery.Provider {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- i.ServeSMTP(ctx, l) }()
	relay, err := smtprelay.New(smtprelay.Config{Addr: l.Addr().String(), TLS: smtprelay.None, Now: time.Now, Mono: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = relay.Close()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("ServeSMTP: %v", err)
		}
	})
	return relay
}

func TestPages(t *testing.T) {
	t.Parallel()
	i := inbox(t, nil)
	send(t, i.Provider(), sample(1))
	h := i.Handler()
	tests := []struct {
		path, want, not, kind string
		code                  int
	}{
		{path: "/", code: 200, kind: "text/html", want: "Grüße &lt;b&gt;1&lt;/b&gt;", not: "<b>1"},
		{path: "/?to=nobody@mail.example", code: 200, kind: "text/html", want: "No mail yet"},
		{path: "/m/1", code: 200, kind: "text/html", want: `<iframe title="The mail as HTML" sandbox="allow-popups`, not: "<script"},
		{path: "/m/1?view=text", code: 200, kind: "text/html", want: "<pre>Hello, Zoë."},
		{path: "/m/1?view=headers", code: 200, kind: "text/html", want: "bounce@shop.example", not: "=?utf-8"},
		{path: "/m/1?view=source", code: 200, kind: "text/html", want: "multipart/alternative", not: "<script>"},
		{path: "/m/1/html", code: 200, kind: "text/html", want: "<p>Hello, Zoë.</p>"},
		{path: "/m/1/text", code: 200, kind: "text/plain", want: "Hello, Zoë."},
		{path: "/m/1/json", code: 200, kind: "application/json", want: `"text":"Hello, Zoë.\r\n"`},
		{path: "/messages.json", code: 200, kind: "application/json", want: `"to":["p1@mail.example"]`},
		{path: "/messages.json?limit=x", code: 200, kind: "application/json", want: `"total":1`},
		{path: "/style.css", code: 200, kind: "text/css", want: "body"},
		{path: "/m/2", code: 404, want: "no such mail"},
		{path: "/m/x", code: 404, want: "no such mail"},
	}
	for _, tt := range tests {
		code, header, body := get(t, h, tt.path)
		if code != tt.code || !strings.Contains(body, tt.want) || tt.not != "" && strings.Contains(body, tt.not) || !strings.HasPrefix(header.Get("Content-Type"), tt.kind) {
			t.Errorf("%s: %d %s\n%s", tt.path, code, header.Get("Content-Type"), body)
		}
		csp := header.Get("Content-Security-Policy")
		if strings.Contains(csp, "script-src") || !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: policy %q", tt.path, csp)
		}
	}
	if _, header, _ := get(t, h, "/m/1/html"); !strings.HasPrefix(header.Get("Content-Security-Policy"), "sandbox allow-popups") {
		t.Error("the HTML part is not in a sandbox")
	}
}

func TestClearing(t *testing.T) {
	t.Parallel()
	i := inbox(t, nil)
	send(t, i.Provider(), sample(1))
	srv := httptest.NewServer(i.Handler())
	defer srv.Close()
	post := func(site string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/clear", strings.NewReader(url.Values{}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Sec-Fetch-Site", site)
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return res.StatusCode
	}
	if code := post("cross-site"); code != http.StatusForbidden {
		t.Errorf("another site cleared the inbox: %d", code)
	}
	if mails, _ := i.List("", 9); len(mails) != 1 {
		t.Errorf("%d mails are left", len(mails))
	}
	if code := post("same-origin"); code != http.StatusOK {
		t.Errorf("clearing: %d", code)
	}
	if mails, _ := i.List("", 9); len(mails) != 0 {
		t.Errorf("%d mails are left", len(mails))
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	i := inbox(t, func(c *devinbox.Config) { c.Mails, c.MailBytes = 3, 4096 })
	changed := i.Changed()
	for n := range 10 {
		send(t, i.Provider(), sample(n))
	}
	<-changed
	mails, total := i.List("", 100)
	if len(mails) != 3 || total != 10 || mails[0].ID != 10 {
		t.Errorf("%d mails of %d", len(mails), total)
	}
	big := sample(11)
	big.Text = make([]byte, 5000)
	for n := range big.Text {
		big.Text[n] = 'x'
	}
	if o := i.Provider().Send(t.Context(), []message.Rendered{big}); o[0].Verdict != message.Refused || o[0].Reason != "too_large" {
		t.Errorf("a large mail: %+v", o)
	}
	if o := overTCP(t, i).Send(t.Context(), []message.Rendered{big}); o[0].Verdict != message.Refused || o[0].Reason != "too_large" {
		t.Errorf("a large mail over SMTP: %+v", o)
	}
	small := inbox(t, func(c *devinbox.Config) { c.Bytes = 3000 })
	for n := range 10 {
		send(t, small.Provider(), sample(n))
	}
	if mails, _ := small.List("", 100); len(mails) == 0 || len(mails) > 4 {
		t.Errorf("%d mails in 3000 bytes", len(mails))
	}
}

func FuzzReading(f *testing.F) {
	f.Add("Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n")
	f.Add("no headers")
	f.Add("Content-Transfer-Encoding: base64\n\n!!!")
	f.Fuzz(func(t *testing.T, raw string) {
		i := inbox(t, nil)
		l := devinbox.Keep(i, []byte(raw))
		for _, path := range []string{"/", "/m/%d", "/m/%d?view=source", "/m/%d?view=headers", "/m/%d/html", "/m/%d/json"} {
			if strings.Contains(path, "%d") {
				path = fmt.Sprintf(path, l)
			}
			if code, _, _ := get(t, i.Handler(), path); code != 200 {
				t.Errorf("%s: %d", path, code)
			}
		}
	})
}

func TestContract(t *testing.T) {
	t.Parallel()
	for _, door := range []string{"in process", "smtp"} {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			deliverytest.Contract(t, func(t *testing.T) deliverytest.Under {
				i := inbox(t, nil)
				u := deliverytest.Under{Provider: i.Provider()}
				if door == "smtp" {
					u.Provider = overTCP(t, i)
				}
				u.Arrived = func(to string) int {
					mails, _ := i.List(to, 100)
					return len(mails)
				}
				return u
			})
		})
	}
}

package bench

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/delivery/deliverytest"
)

// The process is killed while a mail server holds mails before DATA and behind
// the final dot. What had not arrived is sent once afterwards; of what had,
// marketing is not repeated and a transactional mail is, and says so; no more
// ends are unknown than mails were on the wire.
func TestKilledWithMailsOnTheWire(t *testing.T) {
	t.Parallel()
	onBothStores(t, killedWithMailsOnTheWire)
}

func killedWithMailsOnTheWire(t *testing.T, database string) {
	t.Helper()
	const each = 3
	var asked atomic.Int64
	sink := scripted(t, func(to string, times int) deliverytest.Fault {
		asked.Add(1)
		switch {
		case times > 1:
			return deliverytest.Fault{}
		case strings.HasPrefix(to, "before"):
			return deliverytest.Fault{Hang: deliverytest.BeforeData}
		case strings.HasPrefix(to, "after"):
			return deliverytest.Fault{Hang: deliverytest.AfterDot}
		}
		return deliverytest.Fault{}
	})
	f := newFaulty(t, sink.Addr())
	f.database = database
	f.start()
	arrived := sink.Reached(2 * each)
	ids := map[string]string{}
	for i := range each {
		for _, point := range []string{"before", "after"} {
			f.trigger(fmt.Sprintf("%sm%d", point, i), fmt.Sprintf("%sm%d@%sm%d.example", point, i, point, i))
			ref := fmt.Sprintf("%st%d", point, i)
			ids[ref] = f.send(ref, fmt.Sprintf("%s@%s.example", ref, ref))
		}
	}
	select {
	case <-arrived:
	case <-time.After(20 * time.Second):
		t.Fatalf("the mails do not come:\n%s", f.said)
	}
	until(t, "every mail is on the wire", 20*time.Second, func() bool {
		st, err := f.status(t.Context())
		// One that is handed over may not have come to the mail server yet.
		return err == nil && st.Mails["handing_over"] == 4*each && asked.Load() == 4*each
	})
	f.kill()
	f.start()
	// A mail that stood before DATA is of unknown end too: the ledger knows
	// only that it was being handed over.
	var states map[string]int64
	until(t, "transactional mails are sent again", 20*time.Second, func() bool {
		states = f.quiet(20 * time.Second)
		return states["accepted"] == 2*each
	})
	if states["unknown"] != 2*each {
		t.Errorf("states %v, want %d unknown", states, 2*each)
	}
	for i := range each {
		for point, copies := range map[string][2]int{"before": {0, 1}, "after": {1, 2}} {
			if n := sink.To(fmt.Sprintf("%sm%d@%sm%d.example", point, i, point, i)); n != copies[0] {
				t.Errorf("marketing held %s DATA's end arrived %d times, want %d", point, n, copies[0])
			}
			ref := fmt.Sprintf("%st%d", point, i)
			m := f.mail(ids[ref])
			if n := sink.To(ref + "@" + ref + ".example"); n != copies[1] || m.State != "accepted" || !m.Duplicate {
				t.Errorf("transactional held %s DATA's end arrived %d times: %+v", point, n, m)
			}
		}
	}
}

// Text that is no text: invalid UTF-8, NUL, lone surrogates, line ends, marks
// that turn the direction of writing, in everything that reaches a mail. It is
// mended once or refused, and no mail gets a header it should not have.
func TestHostileTextNeverBreaksAMail(t *testing.T) {
	t.Parallel()
	onBothStores(t, hostileTextNeverBreaksAMail)
}

func hostileTextNeverBreaksAMail(t *testing.T, database string) {
	t.Helper()
	sink := scripted(t, func(string, int) deliverytest.Fault { return deliverytest.Fault{} })
	f := newFaulty(t, sink.Addr(), map[string]string{
		"templates/note/template.yaml": "subject: \"{{ person.first_name | default: 'friend' }}: {{ trigger.ref | default: '-' }}\"\npurpose: marketing.newsletter\n",
		"templates/note/body.html":     `<p>Hi {{ person.first_name | default: "friend" }}, <a href="https://shop.example/?q={{ trigger.ref | default: "-" }}">go</a></p><p>{{ workspace.postal_address }}</p><p><a href="{{ mail.unsubscribe_url }}">Unsubscribe</a></p>`,
	})
	f.database = database
	f.start()
	texts := []string{
		`a\r\nBcc: spy@evil.example\r\n\r\nx`, `a\nBcc: spy@evil.example`, `a\rBcc: spy@evil.example`, `\r\n.\r\nMAIL FROM:<a@evil.example>\r\n`,
		`a\u0000b`, `a\ud83db`, "a\xffb\xc3(", `\u202egnp.exe\u2066`, `\u200b\ufeff`, `\u2028Bcc: spy@evil.example\u0085Bcc: spy@evil.example`,
		`<script>alert(1)</script>`, `\"><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `=?utf-8?q?=0D=0ABcc:_spy@evil.example?=`,
		`{{ person.email }}{% raw %}`, strings.Repeat("ü", 3000), `null`,
	}
	for i, text := range texts {
		who := fmt.Sprintf("h%d", i)
		body := fmt.Sprintf(`{"batch":[{"type":"identify","userId":%q,"traits":{"email":"%s@hostile.example","firstName":"%s","lastName":"%s"}},{"type":"track","userId":%q,"event":"Trigger","properties":{"ref":"%s"}}]}`, who, who, text, text, who, text)
		if status, _, answer := f.ask("POST", "/v1/batch", body); status != 200 {
			t.Fatalf("text %d: %d %s", i, status, answer)
		}
	}
	states := f.quiet(20 * time.Second)
	if states["accepted"] != int64(len(texts)) || sink.Total() != len(texts) {
		t.Errorf("states %v, %d arrived; want %d", states, sink.Total(), len(texts))
	}
	for _, g := range sink.All() {
		checkMail(t, g)
	}
}

// checkMail holds a mail that arrived against what a mail may be.
func checkMail(t *testing.T, g deliverytest.Got) {
	t.Helper()
	raw := string(g.Raw)
	head, _, ok := strings.Cut(raw, "\r\n\r\n")
	if !ok {
		t.Fatalf("a mail without body: %q", raw)
	}
	seen := map[string]int{}
	for line := range strings.SplitSeq(head, "\r\n") {
		if line == "" || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		name, _, ok := strings.Cut(line, ":")
		if !ok {
			t.Errorf("%s: no header: %q", g.To, line)
		}
		seen[strings.ToLower(name)]++
	}
	for _, name := range []string{"from", "to", "subject", "message-id", "date", "list-unsubscribe"} {
		if seen[name] != 1 {
			t.Errorf("%s: %d headers %s", g.To, seen[name], name)
		}
	}
	if seen["bcc"] != 0 || seen["mail from"] != 0 {
		t.Errorf("%s: a header was smuggled in:\n%s", g.To, head)
	}
	for i, c := range []byte(raw) {
		switch {
		case c == 0, c == '\n' && (i == 0 || raw[i-1] != '\r'), c == '\r' && (i+1 == len(raw) || raw[i+1] != '\n'):
			t.Fatalf("%s: byte %q at %d: …%q…", g.To, c, i, raw[max(0, i-30):min(len(raw), i+30)])
		case c > 126 && i < len(head):
			t.Fatalf("%s: a header that is not ASCII: %q", g.To, head[max(0, i-30):min(len(head), i+30)])
		}
	}
	page := pageOf(t, g)
	for _, bad := range []string{"<script", "<img src=x", "href=\"javascript:", "Hi {{", "Hi ,"} {
		if strings.Contains(page, bad) {
			t.Errorf("%s: the page holds %q: %s", g.To, bad, page)
		}
	}
}

// pageOf gives the HTML part of a mail.
func pageOf(t *testing.T, g deliverytest.Got) string {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(g.Raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := parts.NextPart() // undoes quoted-printable
		if err != nil {
			t.Fatalf("%s: no page: %v", g.To, err)
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			page, err := io.ReadAll(part)
			if err != nil {
				t.Fatal(err)
			}
			return string(page)
		}
	}
}

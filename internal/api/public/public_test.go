package public_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/feedback"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/purpose"
	"rapport/internal/store"
)

// Fault 33: scanners look, people and mailbox providers post.
func TestOnlyPostUnsubscribes(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.said(news, consent.Granted, h.user, h.ada)
	link := h.signer.Unsubscribe(h.mail, h.ada, news)
	rows := h.rows()
	for range 3 {
		h.do(scenario{method: "GET", path: link, status: 200, contain: []string{`method="post"`, "News and offers", "Acorn Books"}, lack: []string{"ada@", "<script"}})
		if w := h.do(scenario{method: "HEAD", path: link, status: 200}); w.Body.Len() != 0 {
			t.Error("HEAD has a body")
		}
	}
	h.do(scenario{method: "GET", path: link, header: map[string]string{"Sec-GPC": "1"}, status: 200})
	for _, m := range []string{"PUT", "DELETE", "PATCH", "OPTIONS"} {
		if w := h.do(scenario{method: m, path: link, body: oneClick, kind: encoded, status: 405}); w.Header().Get("Allow") == "" {
			t.Errorf("%s: no Allow", m)
		}
	}
	h.do(scenario{method: "POST", path: link, body: "x=y", kind: encoded, status: 400})
	h.do(scenario{method: "POST", path: link, body: strings.Repeat("x", 1<<20), kind: encoded, status: 400})
	if h.rows() != rows || len(h.log) != 0 || h.may(news).Effect != consent.Allow {
		t.Fatal("looking changed something")
	}
	w := h.do(scenario{method: "POST", path: link, body: oneClick, kind: encoded, status: 200, contain: []string{"You are unsubscribed"}})
	if w.Header().Get("Location") != "" || len(w.Result().Cookies()) != 0 {
		t.Error("an answer to one click redirects or sets a cookie")
	}
	if d := h.may(news); d.Effect != consent.Deny {
		t.Errorf("after the 200: %+v", d)
	}
	if d := h.may(purpose.Service); d.Effect != consent.Allow {
		t.Errorf("service: %+v", d)
	}
	evs := h.events()
	if len(evs) != 1 || evs[0].Name != "Unsubscribed" || evs[0].Person != 5 || !strings.Contains(string(evs[0].Properties), `"list_id":"marketing.newsletter"`) {
		t.Errorf("events: %+v", evs)
	}
	rows = h.rows()
	h.walk()
	if h.rows() != rows || h.may(news).Effect != consent.Deny {
		t.Error("the walk changed what the door had written")
	}
}

func TestPostingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.said(news, consent.Granted, h.ada)
	link := h.signer.Unsubscribe(h.mail, h.ada, news)
	for range 50 {
		h.do(scenario{method: "POST", path: link, body: oneClick, kind: encoded, status: 200, contain: []string{"You are unsubscribed"}})
	}
	if n := h.rows(); n > 3 { // the grant, the no, and at most one row an hour that it was said again
		t.Errorf("%d rows in the ledger", n)
	}
	if n := len(h.events()); n > 2 {
		t.Errorf("%d events", n)
	}
}

func TestOneClickForms(t *testing.T) {
	t.Parallel()
	var multi bytes.Buffer
	m := multipart.NewWriter(&multi)
	if err := errors.Join(m.WriteField("List-Unsubscribe", "One-Click"), m.Close()); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]scenario{
		"urlencoded":      {body: oneClick, kind: encoded},
		"with a charset":  {body: oneClick, kind: encoded + "; charset=utf-8"},
		"multipart":       {body: multi.String(), kind: m.FormDataContentType()},
		"no content type": {body: oneClick},
		"text/plain":      {body: oneClick + "\r\n", kind: "text/plain"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t)
			h.said(news, consent.Granted, h.ada)
			s.method, s.path, s.status = "POST", h.signer.Unsubscribe(h.mail, h.ada, news), 200
			h.do(s)
			if h.may(news).Effect != consent.Deny {
				t.Error("not unsubscribed")
			}
		})
	}
}

func TestUnsubscribeOutlivesTheMailAndThePurpose(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.said(news, consent.Granted, h.user, h.ada)
	h.gone = true
	h.later(20 * 365 * 24 * time.Hour)
	h.do(scenario{method: "POST", path: h.signer.Unsubscribe(h.mail, h.ada, "marketing.former"), body: oneClick, kind: encoded, status: 200})
	if h.may(news).Effect != consent.Deny {
		t.Error("a purpose that is not declared any more must mean all mail")
	}
}

func TestAFailureIsNoSuccess(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.said(news, consent.Granted, h.ada)
	link := h.signer.Unsubscribe(h.mail, h.ada, news)
	h.broke = fault.New(fault.Unavailable, "disk_full", "the disk is full")
	if w := h.do(scenario{method: "POST", path: link, body: oneClick, kind: encoded, status: 503}); w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.broke = nil
	h.do(scenario{method: "POST", path: link, body: oneClick, kind: encoded, status: 200})
	logged := 0
	for _, ev := range h.log {
		if ev.Type == event.Consent {
			logged++
		}
	}
	if logged == 0 || h.may(news).Effect != consent.Deny {
		t.Error("the retry did not complete what had failed")
	}
}

func TestForgedLinksTeachNothing(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.said(news, consent.Granted, h.ada)
	good := strings.TrimPrefix(h.signer.Unsubscribe(h.mail, h.ada, news), base)
	other, err := feedback.NewSigner(feedback.SignerConfig{Base: base, Keys: [][]byte{bytes.Repeat([]byte{9}, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	flip := []byte(good)
	flip[20] ^= 1
	bad := []string{
		string(flip), good[:len(good)-2], good + "AA", "/u/x", "/u/" + strings.Repeat("A", 5000),
		strings.TrimPrefix(other.Unsubscribe(h.mail, h.ada, news), base),
		strings.Replace(strings.TrimPrefix(h.signer.Preferences(h.mail, h.ada, news), base), "/p/", "/u/", 1),
		strings.Replace(good, "/u/", "/p/", 1),
	}
	var first string
	for _, path := range bad {
		for _, method := range []string{"GET", "POST"} {
			w := h.do(scenario{method: method, path: path, body: oneClick, kind: encoded, status: 404})
			if first == "" {
				first = w.Body.String()
			}
			if w.Body.String() != first {
				t.Errorf("%s %.30s is answered in another way", method, path)
			}
		}
	}
	if h.may(news).Effect != consent.Allow {
		t.Error("a forged link unsubscribed somebody")
	}
	h.do(scenario{method: "GET", path: "/c/" + good[3:] + "?u=https://evil.example/", status: 404})
	h.do(scenario{method: "GET", path: "/o/" + good[3:] + ".gif", status: 200})
}

func TestOpenStoresOnlyWherePermittedNow(t *testing.T) {
	t.Parallel()
	h := setup(t)
	link := h.signer.Open(h.mail)
	look := func() {
		t.Helper()
		w := h.do(scenario{method: "GET", path: link, status: 200})
		if w.Header().Get("Content-Type") != "image/gif" || !bytes.HasPrefix(w.Body.Bytes(), []byte("GIF89a")) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("no picture: %v", w.Header())
		}
	}
	look()
	if n := len(h.events()); n != 0 {
		t.Fatalf("stored %d opens without consent", n)
	}
	h.said(purpose.OpenTrack, consent.Granted, h.user)
	look()
	look()
	evs := h.events()
	if len(evs) != 1 || evs[0].Name != "Email Opened" || evs[0].Person != 5 || evs[0].Flags != 0 {
		t.Fatalf("events: %+v", evs)
	}
	if ev := evs[0]; ev.UserID != "" || ev.Anonymous != "" || ev.Email != "" || len(ev.External) != 0 {
		t.Errorf("an open bears identifiers, which could merge people: %+v", ev)
	}
	h.later(2 * time.Minute)
	look()
	if n := len(h.events()); n != 2 {
		t.Errorf("a later look: %d events, want 2", n)
	}
	h.said(purpose.OpenTrack, consent.Withdrawn, h.user) // Walks, and so empties the log.
	h.later(2 * time.Minute)
	look()
	if n := len(h.events()); n != 0 {
		t.Errorf("an old mail stored an open after tracking was withdrawn")
	}
	h.broke = errors.New("log is gone")
	h.said2(purpose.OpenTrack)
	look()
	h.do(scenario{method: "POST", path: link, status: 405})
}

// said2 grants without a log.
func (h *house) said2(p purpose.Purpose) {
	err := h.Write(context.Background(), func(st consent.Store) error {
		_, err := h.a.ApplyIn(st, []consent.Entry{{Record: "r2", Subject: h.user, Kind: "user_id", Purpose: p, State: consent.Granted, At: h.clock(), Method: consent.ByAPI}})
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestClickLeadsOnlyWhereItWasSignedTo(t *testing.T) {
	t.Parallel()
	h := setup(t)
	to := "https://shop.example/a b?x=1&y=ä#z"
	to = strings.ReplaceAll(to, " ", "%20")
	link := h.signer.Click(h.mail, 3, to)
	for _, method := range []string{"GET", "HEAD"} {
		if w := h.do(scenario{method: method, path: link, status: 302}); w.Header().Get("Location") != to {
			t.Errorf("leads to %q", w.Header().Get("Location"))
		}
	}
	if n := len(h.events()); n != 0 {
		t.Errorf("stored %d clicks without consent", n)
	}
	h.said(purpose.ClickTrack, consent.Granted, h.user)
	h.do(scenario{method: "GET", path: link, status: 302})
	evs := h.events()
	if len(evs) != 1 || evs[0].Name != "Email Link Clicked" || !strings.Contains(string(evs[0].Properties), `"link_id":"3"`) || !strings.Contains(string(evs[0].Properties), "shop.example/a%20b") {
		t.Errorf("events: %+v", evs)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	for _, evil := range []string{"https://evil.example/", "//evil.example", "javascript:alert(1)", "", to + "x"} {
		u.RawQuery = url.Values{"u": {evil}}.Encode()
		if w := h.do(scenario{method: "GET", path: u.String(), status: 404}); w.Header().Get("Location") != "" {
			t.Errorf("an open redirect to %q", evil)
		}
	}
	for _, evil := range []string{"javascript:alert(1)", "https://a.example/\r\nSet-Cookie: a=b", "mailto:x@a.example", "/relative"} {
		h.do(scenario{method: "GET", path: h.signer.Click(h.mail, 1, evil), status: 404})
	}
	h.broke = errors.New("log is gone")
	h.later(time.Hour)
	h.do(scenario{method: "GET", path: link, status: 302})
}

func TestMachinesAreMarked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		method string
		header map[string]string
		sign   string
	}{
		"apple's privacy proxy": {"GET", map[string]string{"User-Agent": "Mozilla/5.0"}, "privacy_proxy"},
		"no agent":              {"GET", map[string]string{"User-Agent": ""}, "no_agent"},
		"head":                  {"HEAD", nil, "head"},
		"prefetch":              {"GET", map[string]string{"Sec-Purpose": "prefetch;prerender"}, "prefetch"},
		"a gateway":             {"GET", map[string]string{"User-Agent": "Mozilla/5.0 (compatible; Barracuda Sentinel)"}, "agent"},
		"a bot":                 {"GET", map[string]string{"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}, "agent"},
		"a program":             {"GET", map[string]string{"User-Agent": "python-requests/2.32"}, "agent"},
		"a reader":              {"GET", nil, ""},
		"gmail's proxy":         {"GET", map[string]string{"User-Agent": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"}, ""},
		"apple mail":            {"GET", map[string]string{"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t)
			h.said(purpose.OpenTrack, consent.Granted, h.user)
			h.do(scenario{method: tt.method, path: h.signer.Open(h.mail), header: tt.header, status: 200})
			evs := h.events()
			if len(evs) != 1 {
				t.Fatalf("%d events", len(evs))
			}
			marked := evs[0].Flags&event.MachineMade != 0
			if marked != (tt.sign != "") || strings.Contains(string(evs[0].Properties), `"machine_suspected":true`) != marked {
				t.Errorf("marked %v: %s", marked, evs[0].Properties)
			}
			if marked && !strings.Contains(string(evs[0].Properties), `"machine_sign":"`+tt.sign+`"`) {
				t.Errorf("sign %s: %s", tt.sign, evs[0].Properties)
			}
		})
	}
}

var (
	wasField  = regexp.MustCompile(`name="was\.([a-z._]+)" value="(on|off)"`)
	wantField = regexp.MustCompile(`name="want\.([a-z._]+)" value="on"( checked)?`)
)

// fields reads the form as a browser would send it back, with changes.
func (h *house) fields(page string, change map[string]bool) string {
	h.t.Helper()
	f := url.Values{}
	for _, m := range wasField.FindAllStringSubmatch(page, -1) {
		f.Set("was."+m[1], m[2])
	}
	for _, m := range wantField.FindAllStringSubmatch(page, -1) {
		on := m[2] != ""
		if v, ok := change[m[1]]; ok {
			on = v
		}
		if on {
			f.Set("want."+m[1], "on")
		}
	}
	if len(f) == 0 {
		h.t.Fatalf("no fields in\n%s", page)
	}
	return f.Encode()
}

func TestPreferencePageShowsAndSaves(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.said(news, consent.Granted, h.ada)
	h.said(purpose.OpenTrack, consent.Refused, h.user)
	link := h.signer.Preferences(h.mail, h.ada, news)
	rows := h.rows()
	w := h.do(scenario{method: "GET", path: link, status: 200, contain: []string{"News and offers", "Messages about your account and orders", "Noticing which links you follow"}, lack: []string{"ada@", "<script"}})
	h.do(scenario{method: "HEAD", path: link, status: 200})
	if h.rows() != rows || len(h.log) != 0 {
		t.Fatal("looking changed something")
	}
	page := w.Body.String()
	if strings.Contains(page, `name="want.service"`) {
		t.Error("service can be switched off")
	}
	w = h.do(scenario{method: "POST", path: link, kind: encoded, body: h.fields(page, map[string]bool{"marketing.newsletter": false, "tracking.opens": true}), status: 200, contain: []string{"Saved."}})
	if h.may(news).Effect != consent.Deny {
		t.Error("a no did not hold with the answer")
	}
	if got := h.fields(w.Body.String(), nil); strings.Contains(got, "want.marketing.newsletter") || !strings.Contains(got, "want.tracking.opens") {
		t.Errorf("the page does not show what was chosen: %s", got)
	}
	h.walk()
	open := consent.Question{Subjects: []id.Hash{h.user, h.ada}, Operation: consent.Track, Purpose: purpose.OpenTrack, At: h.clock()}
	if d := h.a.Decide(context.Background(), open); d.Effect != consent.Allow {
		t.Errorf("a later yes of the person herself: %+v", d)
	}
	// A second tab that still shows the newsletter as on, and changes something else.
	h.do(scenario{method: "POST", path: link, kind: encoded, body: h.fields(page, map[string]bool{"profiling": false}), status: 200})
	h.walk()
	if h.may(news).Effect != consent.Deny {
		t.Error("an old tab undid a no")
	}
	page = h.do(scenario{method: "GET", path: link, status: 200}).Body.String()
	h.later(time.Second)
	h.do(scenario{method: "POST", path: link, kind: encoded, body: h.fields(page, map[string]bool{"marketing.newsletter": true}), status: 200})
	if h.may(news).Effect != consent.Deny {
		t.Error("a yes held before it was walked")
	}
	h.walk()
	if d := h.may(news); d.Effect != consent.Allow {
		t.Errorf("a yes on the person's own page lifts her unsubscribe: %+v", d)
	}
	h.do(scenario{method: "POST", path: link, kind: encoded, body: "all=1", status: 200})
	if h.may(news).Effect != consent.Deny {
		t.Error("leaving all mail did not hold")
	}
}

func TestBackAndForthWhileTheWalkIsBehind(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.said(news, consent.Granted, h.ada)
	link, pref := h.signer.Unsubscribe(h.mail, h.ada, news), h.signer.Preferences(h.mail, h.ada, news)
	for range 3 {
		h.do(scenario{method: "POST", path: link, body: oneClick, kind: encoded, status: 200})
		h.do(scenario{method: "POST", path: link, body: oneClick, kind: encoded, status: 200})
		h.do(scenario{method: "POST", path: pref, kind: encoded, body: "was.marketing.newsletter=off&want.marketing.newsletter=on", status: 200})
		h.do(scenario{method: "POST", path: link, body: oneClick, kind: encoded, status: 200})
	}
	h.walk()
	if d := h.may(news); d.Effect != consent.Deny {
		t.Errorf("the last word was no: %+v", d)
	}
}

func TestGPCIsHonouredAndShown(t *testing.T) {
	t.Parallel()
	h := setup(t)
	link := h.signer.Preferences(h.mail, h.ada, news)
	h.do(scenario{method: "GET", path: link, status: 200, lack: []string{"Global Privacy Control"}})
	h.do(scenario{method: "GET", path: link, header: map[string]string{"Sec-GPC": "1"}, status: 200, contain: []string{"Your browser sends a Global Privacy Control signal. We honour it.", "Off: we honour"}})
	q := consent.Question{Subjects: []id.Hash{h.user}, Operation: consent.Sync, Purpose: purpose.SaleShare, At: h.clock()}
	if d := h.a.Decide(context.Background(), q); d.Effect != consent.Deny {
		t.Errorf("after the signal: %+v", d)
	}
	rows := h.rows()
	h.do(scenario{method: "GET", path: link, header: map[string]string{"Sec-GPC": "1"}, status: 200})
	h.do(scenario{method: "GET", path: h.signer.Click(h.mail, 1, "https://shop.example/"), header: map[string]string{"Sec-GPC": "1"}, status: 302})
	if h.rows() != rows {
		t.Error("the same signal was written down again")
	}
	h.do(scenario{method: "GET", path: link, status: 200, contain: []string{"Off: we honour"}, lack: []string{"Your browser sends"}})
	h.do(scenario{method: "GET", path: "/.well-known/gpc.json", status: 200, contain: []string{`"gpc":true`}})
}

// Fault 27 and 28 as far as readers go: whatever the order, the last no holds.
func TestNoWithdrawalIsLostAmongMany(t *testing.T) {
	t.Parallel()
	h := setup(t)
	var wg sync.WaitGroup
	for i := range 16 {
		address := h.hasher.Sum("email", fmt.Sprint(i, "@mail.example"))
		wg.Go(func() {
			link := h.signer.Unsubscribe(h.mail, address, news)
			h.do(scenario{method: "POST", path: link, body: oneClick, kind: encoded, status: 200})
			q := consent.Question{Address: address, Operation: consent.HandOver, Purpose: news, Channel: purpose.Email, At: h.clock()}
			if d := h.a.Decide(context.Background(), q); d.Effect != consent.Deny || d.Reason != "suppressed_unsubscribed" {
				t.Errorf("reader %d: %+v", i, d)
			}
		})
	}
	wg.Wait()
}

// Fault 27: while mails are handed over, readers leave at random moments. None is
// handed over whose hand-over began after the reader heard 200.
func TestNoHandOverBeginsAfterTheAnswer(t *testing.T) {
	t.Parallel()
	h := setup(t)
	const readers = 60
	var addresses []id.Hash
	for i := range readers {
		addresses = append(addresses, h.hasher.Sum("email", fmt.Sprint("reader", i, "@mail.example")))
	}
	h.said(news, consent.Granted, addresses...)
	var left [readers]atomic.Bool
	var wg sync.WaitGroup
	done, once := make(chan struct{}), make(chan struct{})
	passed := 0
	wg.Go(func() {
		for round := 0; ; round++ {
			if round == 1 {
				close(once)
			}
			for i, address := range addresses {
				gone := left[i].Load() // Before the transaction begins.
				err := h.state.Write(context.Background(), store.WriteOptions{Priority: store.Urgent, Durable: true}, func(tx store.Tx) error {
					d := h.a.DecideIn(tx.Consent(), consent.Question{
						Address: address, Operation: consent.HandOver, Purpose: news, Channel: purpose.Email, At: h.clock(),
					})
					if d.Effect != consent.Allow {
						return nil
					}
					passed++
					if gone {
						t.Errorf("reader %d was handed over after the answer", i)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	<-once
	var leaving sync.WaitGroup
	for w := range 4 {
		leaving.Go(func() {
			for i := w; i < readers; i += 4 {
				s := scenario{method: "POST", path: h.signer.Unsubscribe(h.mail, addresses[i], news), body: oneClick, kind: encoded, status: 200}
				if i%3 == 0 {
					s.path, s.body = h.signer.Preferences(h.mail, addresses[i], news), "all=1"
				}
				h.do(s)
				left[i].Store(true)
			}
		})
	}
	leaving.Wait()
	close(done)
	wg.Wait()
	if passed == 0 {
		t.Error("nothing was handed over before anybody left: the test shows nothing")
	}
	for _, address := range addresses {
		if !h.a.Narrows(address, news) {
			t.Error("memory forgot somebody who left")
		}
	}
}

func TestHardBounceTakesTheAddressOffEveryList(t *testing.T) {
	t.Parallel()
	h := setup(t)
	tell := func(o message.Outcome) {
		t.Helper()
		dead, ok := feedback.Dead(h.ada, o, h.clock())
		if !ok {
			return
		}
		var ap consent.Applied
		if err := h.Write(context.Background(), func(st consent.Store) (err error) { ap, err = h.a.SuppressIn(st, dead); return err }); err != nil {
			t.Fatal(err)
		}
		ap.Done()
	}
	tell(message.Outcome{Verdict: message.Refused, Code: 550, Enhanced: "5.7.1", Reason: "policy"})
	if d := h.may(purpose.Service); d.Effect != consent.Allow {
		t.Errorf("a refusal that blames us suppressed the address: %+v", d)
	}
	tell(message.Outcome{Verdict: message.Refused, Code: 550, Enhanced: "5.1.1", Reason: "mailbox_unknown", Suppress: true})
	if d := h.may(purpose.Service); d.Reason != "suppressed_hard_bounce" {
		t.Errorf("after a hard bounce: %+v", d)
	}
}

func TestServiceCannotBeLeft(t *testing.T) {
	t.Parallel()
	h := setup(t)
	link := h.signer.Unsubscribe(h.mail, h.ada, purpose.Service)
	h.do(scenario{method: "GET", path: link, status: 200, contain: []string{"nothing to unsubscribe from"}, lack: []string{`method="post"`}})
	h.do(scenario{method: "POST", path: link, body: oneClick, kind: encoded, status: 200, lack: []string{"You are unsubscribed"}})
	if h.may(purpose.Service).Effect != consent.Allow || h.rows() != 0 {
		t.Error("service was left")
	}
}

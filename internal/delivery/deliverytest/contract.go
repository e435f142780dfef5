package deliverytest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/id"
	"rapport/internal/message"
)

// Under is a provider under test, and how often its far end has got a mail for
// an address.
type Under struct {
	Provider delivery.Provider
	Arrived  func(to string) int
}

// Mail gives a whole mail to an address.
func Mail(to string) message.Rendered {
	mid := id.NewMessage(time.Unix(1, 0), to)
	return message.Rendered{
		ID: mid, MessageID: "<" + strings.TrimPrefix(mid.String(), "msg_") + "@shop.example>",
		From: message.Address{Name: "Shop", Email: "shop@shop.example"}, To: message.Address{Email: to},
		EnvelopeFrom: "bounce@shop.example", Subject: "Hello", Text: []byte("Hello.\n"), HTML: []byte("<p>Hello.</p>\n"),
	}
}

// Contract is what every provider passes. open makes a fresh one whose far end
// takes everything.
func Contract(t *testing.T, open func(t *testing.T) Under) {
	t.Helper()
	cases := []struct {
		name string
		run  func(t *testing.T, u Under)
	}{
		{"one outcome for each mail, in order", inOrder},
		{"a mail that cannot be written is refused, alone", refusedAlone},
		{"a line end in a value stays in the value", noInjection},
		{"many at a time", manyAtATime},
		{"an ended context", endedContext},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

func inOrder(t *testing.T, u Under) {
	var mails []message.Rendered
	for i := range 3 {
		mails = append(mails, Mail(fmt.Sprintf("p%d@b.example", i)))
	}
	out := u.Provider.Send(t.Context(), mails)
	if len(out) != len(mails) {
		t.Fatalf("%d outcomes for %d mails", len(out), len(mails))
	}
	for i := range out {
		if to := mails[i].To.Email; out[i].Verdict != message.SentOK || u.Arrived(to) != 1 {
			t.Errorf("mail %d: verdict %d (%s), arrived %d times", i, out[i].Verdict, out[i].Reason, u.Arrived(to))
		}
	}
	if got := u.Provider.Send(t.Context(), nil); len(got) != 0 {
		t.Errorf("%d outcomes for no mail", len(got))
	}
}

func refusedAlone(t *testing.T, u Under) {
	bad := Mail("a@b.example")
	bad.To.Email = "a@b.example>\r\nRCPT TO:<c@b.example"
	out := u.Provider.Send(t.Context(), []message.Rendered{Mail("x@b.example"), bad, Mail("y@b.example")})
	if len(out) != 3 || out[1].Verdict != message.Refused || out[1].Suppress {
		t.Fatalf("outcomes %+v", out)
	}
	if u.Arrived("x@b.example") != 1 || u.Arrived("y@b.example") != 1 || u.Arrived("c@b.example")+u.Arrived("a@b.example") != 0 {
		t.Error("the others did not arrive alone")
	}
}

func noInjection(t *testing.T, u Under) {
	m := Mail("a@b.example")
	m.Subject = "x\r\n.\r\nMAIL FROM:<e@e.example>\r\nRCPT TO:<c@b.example>\r\nDATA\r\n"
	m.Text = []byte("x\n.\nMAIL FROM:<e@e.example>\r.\rRCPT TO:<c@b.example>\r\n.\r\n")
	m.HTML = nil
	if out := u.Provider.Send(t.Context(), []message.Rendered{m}); out[0].Verdict != message.SentOK {
		t.Errorf("verdict %d (%s)", out[0].Verdict, out[0].Reason)
	}
	if u.Arrived("a@b.example") != 1 || u.Arrived("c@b.example") != 0 {
		t.Errorf("arrived %d times, smuggled %d times", u.Arrived("a@b.example"), u.Arrived("c@b.example"))
	}
}

func manyAtATime(t *testing.T, u Under) {
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			m := Mail(fmt.Sprintf("p%d@b.example", i))
			if out := u.Provider.Send(t.Context(), []message.Rendered{m}); out[0].Verdict != message.SentOK {
				t.Errorf("verdict %d (%s)", out[0].Verdict, out[0].Reason)
			}
		})
	}
	wg.Wait()
	for i := range 40 {
		if to := fmt.Sprintf("p%d@b.example", i); u.Arrived(to) != 1 {
			t.Errorf("%s got %d mails", to, u.Arrived(to))
		}
	}
}

// endedContext holds that what is called not sent has not arrived.
func endedContext(t *testing.T, u Under) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := u.Provider.Send(ctx, []message.Rendered{Mail("a@b.example")})
	if len(out) != 1 {
		t.Fatalf("%d outcomes for one mail", len(out))
	}
	arrived := u.Arrived("a@b.example")
	switch out[0].Verdict {
	case message.SentOK:
		if arrived != 1 {
			t.Errorf("sent, and arrived %d times", arrived)
		}
	case message.NotSent, message.TryLater:
		if arrived != 0 {
			t.Errorf("not sent, and arrived %d times", arrived)
		}
	case message.MaybeSent:
	default:
		t.Errorf("verdict %d (%s)", out[0].Verdict, out[0].Reason)
	}
}

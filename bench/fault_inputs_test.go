package bench

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"rapport/internal/delivery/deliverytest"
)

// endless is a template that would never end.
var endless = map[string]string{
	"templates/endless/template.yaml": "subject: Endless\npurpose: service\nclass: transactional\n",
	"templates/endless/body.html":     "<html><body>{% for i in (1..1000000000) %}{{ i }}{% endfor %}</body></html>",
}

// A full mailbox and a mail that is too large are no reason to suppress anybody;
// a template without end fails that mail, and the others go out at once.
func TestFullMailboxesAndEndlessTemplates(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := scripted(t, func(to string, _ int) deliverytest.Fault {
			switch {
			case strings.HasPrefix(to, "full"):
				return deliverytest.Fault{Refuse: &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 2, 2}, Message: "mailbox full"}}
			case strings.HasPrefix(to, "large"):
				return deliverytest.Fault{AtDot: true, Refuse: &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: "too big"}}
			}
			return deliverytest.Fault{}
		})
		f := newFaulty(t, sink.Addr(), endless)
		f.database = database
		f.start()
		for _, who := range []string{"full", "large"} {
			f.trigger(who, who+"@quota.example")
		}
		status, _, answer := f.ask("POST", "/v1/send", `{"template":"endless","to":"endless@shop.test"}`, "Idempotency-Key", "endless")
		if status != http.StatusAccepted {
			t.Fatalf("%d %s", status, answer)
		}
		fine := f.send("fine", "fine@shop.test")
		f.quiet(time.Minute)
		if m := f.mail(fine); m.State != "accepted" {
			t.Errorf("a mail beside them is %+v", m)
		}
		var list struct{ Messages []told }
		if err := f.call(context.Background(), "GET", "/v1/messages?limit=100", nil, &list); err != nil {
			t.Fatal(err)
		}
		failed := 0
		for _, m := range list.Messages {
			if m.State == "failed" && strings.Contains(m.Reason, "template") {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%d mails failed for their template, want the endless one: %+v", failed, list.Messages)
		}
		for who, reason := range map[string]string{"full": "mailbox_full", "large": "too_large"} {
			mails := f.mailsOf(who)
			if len(mails) != 1 || mails[0].State != "failed" || mails[0].Reason != reason {
				t.Errorf("%s: %+v, want failed for %s", who, mails, reason)
			}
			var p struct{ Suppressed []any }
			if err := f.call(context.Background(), "GET", "/v1/people/user_id:u-"+who, nil, &p); err != nil || len(p.Suppressed) != 0 {
				t.Errorf("%s is suppressed: %v %v", who, p.Suppressed, err)
			}
		}
	})
}

// Addresses as people write them: what is one address is one identity, and what
// is none identifies nobody and is told so.
func TestAddressesAreOneIdentityEach(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := scripted(t, func(string, int) deliverytest.Fault { return deliverytest.Fault{} })
		f := newFaulty(t, sink.Addr())
		f.database = database
		f.start()
		long := strings.Repeat("x", 64) + "@" + strings.Repeat("y", 63) + "." + strings.Repeat("z", 120) + ".example"
		for i, email := range []string{"Ann@Shop.Example", "ann@shop.example", " ANN@SHOP.EXAMPLE "} {
			body := fmt.Sprintf(`{"messageId":"case-%d","anonymousId":"case-%d","traits":{"email":%q}}`, i, i, email)
			if status, _, answer := f.ask("POST", "/v1/identify", body); status != 200 {
				t.Fatalf("%d %s", status, answer)
			}
		}
		for i, email := range []string{"ann+tag@shop.example", `"quoted local"@shop.example`, "ann@bücher.example", "jörg@shop.example", "a@b", "ann@shop.example.", "ann@", "@shop.example", "a b@shop.example", long} {
			body := fmt.Sprintf(`{"messageId":"odd-%d","userId":"odd-%d","traits":{"email":%q}}`, i, i, email)
			if status, _, answer := f.ask("POST", "/v1/identify", body); status != 200 {
				t.Fatalf("%s: %d %s", email, status, answer)
			}
		}
		f.quiet(30 * time.Second)
		who := map[string]bool{}
		for i := range 3 {
			var p struct{ ID string }
			if err := f.call(context.Background(), "GET", fmt.Sprintf("/v1/people/anonymous_id:case-%d", i), nil, &p); err != nil {
				t.Fatal(err)
			}
			who[p.ID] = true
		}
		if len(who) != 1 {
			t.Errorf("one address in three spellings is %d people", len(who))
		}
		for i := range 10 { // Nobody is lost, whatever their address is.
			var p struct {
				Identifiers []struct{ Kind, Value string }
			}
			if err := f.call(context.Background(), "GET", fmt.Sprintf("/v1/people/user_id:odd-%d", i), nil, &p); err != nil {
				t.Fatalf("odd-%d: %v", i, err)
			}
			for _, x := range p.Identifiers {
				if x.Kind == "email" && (strings.Count(x.Value, "@") == 0 || len(x.Value) > 254 || strings.HasSuffix(x.Value, ".")) {
					t.Errorf("odd-%d is known by %q", i, x.Value)
				}
			}
		}
	})
}

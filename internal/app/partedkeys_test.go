package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/app"
)

// subjects gives the subjects of the mails in somebody's story, by key, "" where
// nothing can be read any more.
func (l *lived) subjects(who string) map[string]string {
	l.t.Helper()
	var list struct {
		Messages []struct{ ID, Subject string }
	}
	l.get("/v1/messages?limit=200&person="+who, &list)
	out := map[string]string{}
	for _, m := range list.Messages {
		var mail struct {
			Key   string
			Parts struct{ Text string }
		}
		l.get("/v1/messages/"+m.ID, &mail)
		if (m.Subject == "") != (mail.Parts.Text == "") {
			l.t.Errorf("of %s the subject is %q and the text %q", mail.Key, m.Subject, mail.Parts.Text)
		}
		out[strings.TrimPrefix(mail.Key, "api/")] = m.Subject
	}
	return out
}

// TestAPartedReaderKeepsTheirMails: two were one record, and part; when one of them
// is erased, with the keys that both were under, the other still reads their mails,
// those of before and those of the time together, and nothing is left of what went
// to an address of who was erased.
func TestAPartedReaderKeepsTheirMails(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		clock := app.NewClock(at, 0)
		data := t.TempDir()
		l := live(t, app.Options{Data: data, Database: database, Clock: clock}, small(t, sink.Addr(), nil))
		passes := func() {
			l.told()
			clock.Set(clock.Now().Add(time.Minute))
		}
		mail := func(who, key string) {
			t.Helper()
			if code, _ := l.receipt(who, key); code > 299 {
				t.Fatalf("send %s: %d", key, code)
			}
		}
		var gone []string
		for _, c := range []struct {
			name, leaves, erase string // It is ann's record that lives on, whoever leaves it.
		}{{"one", "bob", "ann"}, {"two", "bob", "bob"}, {"three", "ann", "ann"}, {"four", "ann", "bob"}} {
			ann, bob := "ann-"+c.name, "bob-"+c.name
			refs := map[string]string{"ann": "user_id:" + ann, "bob": "anonymous_id:" + bob}
			names := map[string]string{"ann": ann, "bob": bob}
			l.says(`{"type":"identify","messageId":"` + ann + `","userId":"` + ann + `","traits":{"email":"` + ann + `@people.example"}}`)
			l.says(`{"type":"identify","messageId":"` + bob + `","anonymousId":"` + bob + `","traits":{"email":"` + bob + `@people.example"}}`)
			mail(ann, ann+"-before")
			mail(bob, bob+"-before")
			passes()
			l.says(`{"type":"identify","messageId":"joins-` + c.name + `","userId":"` + ann + `","anonymousId":"` + bob + `"}`)
			passes()
			mail(ann, ann+"-together")
			mail(bob, bob+"-together")
			desk := "desk-" + c.name // an address that is neither's
			if w := l.ask(http.MethodPost, "/v1/send", `{"template":"receipt","to":"`+desk+`@others.example","person":"user_id:`+ann+`","data":{"ref":"`+desk+`"}}`, "Idempotency-Key", desk); w.Code > 299 {
				t.Fatal(w.Code, w.Body)
			}
			passes()
			if w := l.parts("user_id:"+ann, "part-"+c.name, refs[c.leaves], "email:"+names[c.leaves]+"@people.example"); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
			l.told()
			other := map[string]string{"ann": "bob", "bob": "ann"}[c.erase]
			want := map[string]string{}
			for _, x := range []string{names[other] + "-before", ann + "-together", bob + "-together", desk} {
				want[x] = "Receipt " + x
			}
			if diff := cmp.Diff(want, l.subjects(refs[other])); diff != "" {
				t.Fatalf("%s: what %s reads once they are parted (-want +got):\n%s", c.name, other, diff)
			}
			l.erase(refs[c.erase])
			delete(want, names[c.erase]+"-together") // of which only that there was one is left, under no key
			want[""] = ""
			if diff := cmp.Diff(want, l.subjects(refs[other])); diff != "" {
				t.Errorf("%s: what %s reads once %s is erased (-want +got):\n%s", c.name, other, c.erase, diff)
			}
			gone = append(gone, names[c.erase]+"@people.example", "Receipt "+names[c.erase])
		}
		l.told()
		l.end()
		where := data
		if database != "" {
			where = database
		}
		for _, text := range gone {
			if tables, err := app.Holds(t.Context(), where, data, text); err != nil || tables != nil {
				t.Errorf("%q stands in %v, %v", text, tables, err)
			}
		}
	})
}

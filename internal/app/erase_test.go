package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/app"
	"rapport/internal/eventlog"
)

// marker stands in everything that is written down of the person who is erased.
const marker = "ann-marker"

// rightsConfig has something for every room to keep.
var rightsConfig = map[string]string{
	"segments/firm.yaml": "rule: {trait: $group.id, is: firm}\n",
	"segments/tall.yaml": "rule: {trait: tall, is: true}\n",
	"journeys/late.yaml": "purpose: marketing.newsletter\ntrigger: {event: Late}\nsteps:\n  - wait: 24h\n  - send: note\n",
}

// lives has somebody leave something in every room.
func (l *lived) lives(who string) {
	l.t.Helper()
	for _, call := range [][2]string{
		{"/v1/track", `{"messageId":"M-0","anonymousId":"M-phone","event":"Seen","properties":{"about":"M"}}`},
		{"/v1/identify", `{"messageId":"M-1","userId":"M","traits":{"email":"M@people.example","name":"M","tall":true}}`},
		{"/v1/identify", `{"messageId":"M-2","userId":"M","anonymousId":"M-phone"}`},
		{"/v1/group", `{"messageId":"M-3","userId":"M","groupId":"firm","traits":{"name":"Firm"}}`},
		{"/v1/track", `{"messageId":"M-4","userId":"M","event":"Trigger","properties":{"ref":"M"}}`},
		{"/v1/track", `{"messageId":"M-5","userId":"M","event":"Late"}`},
		{"/v1/track", `{"messageId":"M-6","userId":"M","event":"Trigger","properties":{"ref":"again M"}}`},
	} {
		if w := l.ask("POST", call[0], strings.ReplaceAll(call[1], "M", who)); w.Code != http.StatusOK {
			l.t.Fatal(w.Code, w.Body)
		}
	}
	w := l.ask("POST", "/v1/batch", strings.ReplaceAll(`{"batch":[{"type":"track","messageId":"M-7","userId":"M","event":""}]}`, "M", who))
	if w.Code > 299 {
		l.t.Fatal(w.Code, w.Body)
	}
	if w := l.ask("POST", "/v1/consent", strings.ReplaceAll(`{"subject":"email:M@people.example","purpose":"marketing.newsletter","state":"granted","url":"http://shop.example/M"}`, "M", who)); w.Code > 299 {
		l.t.Fatal(w.Code, w.Body)
	}
	l.settle()
}

// erase asks for it.
func (l *lived) erase(ref string) (out struct {
	ID      string
	Outcome string
	Result  map[string]any
}) {
	l.t.Helper()
	w := l.ask("POST", "/v1/people/"+ref+"/erase", `{"law":"gdpr"}`, "Idempotency-Key", "erase-"+strings.ReplaceAll(ref, ":", "-"))
	if w.Code != http.StatusOK {
		l.t.Fatalf("erase: %d %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		l.t.Fatal(err)
	}
	return out
}

// TestErase: nothing is left of somebody in any table, others keep theirs, and what
// comes late is answered and not kept.
func TestErase(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		data := t.TempDir()
		config := small(t, sink.Addr(), rightsConfig)
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		l := live(t, app.Options{Data: data, Database: database, Clock: app.NewClock(at, 0)}, config)
		l.lives(marker)
		l.lives("eve-lives")
		before := l.people("tall")
		if before != 2 {
			t.Fatalf("%d people are tall, want 2", before)
		}
		number := l.number("user_id:" + marker)
		var mails struct{ Messages []struct{ ID string } }
		l.get("/v1/messages?person=user_id:"+marker, &mails)
		if len(mails.Messages) != 2 {
			t.Fatalf("%d mails, want 2", len(mails.Messages))
		}

		would := l.ask("POST", "/v1/people/user_id:"+marker+"/erase?dry_run=true", `{}`, "Idempotency-Key", "look")
		if would.Code != http.StatusOK || !strings.Contains(would.Body.String(), `"identifiers":3`) {
			t.Fatalf("dry run: %d %s", would.Code, would.Body)
		}
		done := l.erase("user_id:" + marker)
		if done.Outcome != "done" || done.Result["identifiers"] != 3.0 || done.Result["merged"] != 1.0 || done.Result["mails"] != 2.0 || done.Result["rejects"] != 1.0 {
			t.Errorf("it came to %v", done)
		}
		if again := l.erase("user_id:" + marker); again.ID != done.ID {
			t.Errorf("asked again it is %s, not %s", again.ID, done.ID)
		}
		for _, ref := range []string{"user_id:" + marker, "email:" + marker + "@people.example", "anonymous_id:" + marker + "-phone", number} {
			if w := l.ask("GET", "/v1/people/"+ref, ""); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "person_erased") {
				t.Errorf("%s: %d %s", ref, w.Code, w.Body)
			}
		}
		if got := l.people("tall"); got != 1 {
			t.Errorf("%d people are tall, want 1", got)
		}

		// What comes late is answered, and nothing of it is kept.
		tail := logged(t, l)
		for _, body := range []string{
			`{"messageId":"late-1","userId":"ann-marker","event":"Late"}`,
			`{"messageId":"late-2","anonymousId":"ann-marker-phone","event":"Late"}`,
			`{"messageId":"late-3","userId":"ann-marker","anonymousId":"a new device","event":"Late"}`,
		} {
			if w := l.ask("POST", "/v1/track", body); w.Code != http.StatusOK {
				t.Errorf("a late event: %d %s", w.Code, w.Body)
			}
		}
		l.settle()
		if got := logged(t, l); got != tail {
			t.Errorf("the log grew by %d", got-tail)
		}
		// Her device in the hands of somebody else is theirs.
		if w := l.ask("POST", "/v1/track", `{"messageId":"other","userId":"otto","anonymousId":"ann-marker-phone","event":"Seen"}`); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		l.settle()
		if ids := l.identifiers("user_id:otto"); ids != "user_id" {
			t.Errorf("otto has %s", ids)
		}
		if cert := l.ask("GET", "/v1/requests/"+done.ID+"/certificate", ""); cert.Code != http.StatusOK || strings.Contains(cert.Body.String(), marker) ||
			!strings.Contains(cert.Body.String(), "of "+strings.TrimPrefix(number, "id:")) {
			t.Errorf("certificate: %d %s", cert.Code, cert.Body)
		}

		l.told()
		l.end()
		where := data
		if database != "" {
			where = database
		}
		for text, want := range map[string][]string{marker: nil, "eve-lives": {"intent", "ledger", "merge", "parts", "person", "reject", "timeline"}} {
			got, err := app.Holds(context.Background(), where, data, text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("tables that hold %s (-want +got):\n%s", text, diff)
			}
		}

		l = live(t, app.Options{Data: data, Database: database, Clock: app.NewClock(at.Add(48*time.Hour), 0)}, config)
		if w := l.ask("POST", "/v1/track", `{"messageId":"late-4","userId":"ann-marker","event":"Late"}`); w.Code != http.StatusOK {
			t.Errorf("a late event after a restart: %d %s", w.Code, w.Body)
		}
		l.settle()
		if w := l.ask("GET", "/v1/people/user_id:"+marker, ""); w.Code != http.StatusNotFound {
			t.Errorf("after a restart: %d %s", w.Code, w.Body)
		}
		// She comes back by her own will.
		if w := l.ask("POST", "/v1/admit", `{"kind":"user_id","value":"ann-marker"}`); w.Code != http.StatusOK {
			t.Fatalf("admit: %d %s", w.Code, w.Body)
		}
		if w := l.ask("POST", "/v1/track", `{"messageId":"back","userId":"ann-marker","event":"Back"}`); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		l.settle()
		if got := l.number("user_id:" + marker); got == number || got == "" {
			t.Errorf("who comes back is %s", got)
		}
		if diff := cmp.Diff(map[string]int{"back": 1}, l.timeline(marker)); diff != "" {
			t.Errorf("their story (-want +got):\n%s", diff)
		}
	})
}

// logged counts the records of the live lane.
func logged(t *testing.T, l *lived) int {
	t.Helper()
	all, err := app.Logged(context.Background(), l.house, eventlog.Live)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func (l *lived) identifiers(ref string) string {
	l.t.Helper()
	var p struct{ Identifiers []struct{ Kind string } }
	l.get("/v1/people/"+ref, &p)
	var out []string
	for _, x := range p.Identifiers {
		out = append(out, x.Kind)
	}
	return strings.Join(out, " ")
}

// TestErasedAfterARestore: a backup of the databases that is older than an erasure
// does not bring the person back, for the file beside them is not part of it.
func TestErasedAfterARestore(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	data, backup := t.TempDir(), t.TempDir()
	config := small(t, sink.Addr(), rightsConfig)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := live(t, app.Options{Data: data, Clock: app.NewClock(at, 0)}, config)
	l.lives(marker)
	l.lives("eve-lives")
	l.end()
	copyFiles(t, data, backup)
	l = live(t, app.Options{Data: data, Clock: app.NewClock(at.Add(time.Hour), 0)}, config)
	l.erase("email:" + marker + "@people.example")
	l.end()
	copyFiles(t, backup, data)
	l = live(t, app.Options{Data: data, Clock: app.NewClock(at.Add(2*time.Hour), 0)}, config)
	l.settle()
	if w := l.ask("GET", "/v1/people/user_id:"+marker, ""); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "person_erased") {
		t.Errorf("after a restore: %d %s", w.Code, w.Body)
	}
	if w := l.ask("GET", "/v1/people/user_id:eve-lives", ""); w.Code != http.StatusOK {
		t.Errorf("somebody else after a restore: %d %s", w.Code, w.Body)
	}
	l.end()
	got, err := app.Holds(context.Background(), data, data, marker)
	if err != nil {
		t.Fatal(err)
	}
	if got != nil {
		t.Errorf("these tables hold her again: %v", got)
	}
}

// copyFiles copies the databases of a folder as a backup does.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"state.db", "state.db-wal", "log.db", "log.db-wal"} {
		_ = os.Remove(filepath.Join(to, name))
		in, err := os.Open(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(filepath.Join(to, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(out, in); err != nil {
			t.Fatal(err)
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestrict: what somebody has restricted is kept and not used, by whatever they
// are known, until they lift it.
func TestRestrict(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		clock := app.NewClock(at, 0)
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock}, small(t, sink.Addr(), nil))
		l.lives("ann")
		mails := func() int {
			var list struct{ Messages []struct{ State string } }
			l.get("/v1/messages?person=user_id:ann", &list)
			n := 0
			for _, m := range list.Messages {
				if m.State == "accepted" {
					n++
				}
			}
			return n
		}
		track := func(messageID string) {
			if w := l.ask("POST", "/v1/track", `{"messageId":"`+messageID+`","userId":"ann","event":"Trigger"}`); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
			l.settle()
		}
		if got := mails(); got != 2 {
			t.Fatalf("%d mails before, want 2", got)
		}
		w := l.ask("POST", "/v1/people/email:ann@people.example/restrict", `{"law":"ccpa","note":"disputes an invoice"}`, "Idempotency-Key", "r")
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"outcome":"done"`) || !strings.Contains(w.Body.String(), `"due_at":"2026-04-15T12:00:00Z"`) {
			t.Fatalf("restrict: %d %s", w.Code, w.Body)
		}
		events := len(l.timeline("ann"))
		track("restricted")
		if got := len(l.timeline("ann")); got != events+1 {
			t.Error("what they do is not kept")
		}
		if got := mails(); got != 2 {
			t.Errorf("%d mails while it is restricted, want 2", got)
		}
		clock.Set(at.Add(time.Minute)) // Of two words of one instant the narrower holds.
		if w := l.ask("POST", "/v1/people/user_id:ann/lift", `{}`, "Idempotency-Key", "l"); w.Code != http.StatusOK {
			t.Fatalf("lift: %d %s", w.Code, w.Body)
		}
		track("lifted")
		if got := mails(); got != 3 {
			t.Errorf("%d mails once it is lifted, want 3", got)
		}
		if w := l.ask("POST", "/v1/people/user_id:ann/object", `{"purposes":["marketing.newsletter"]}`, "Idempotency-Key", "o"); w.Code != http.StatusOK {
			t.Fatalf("object: %d %s", w.Code, w.Body)
		}
		track("objected")
		if got := mails(); got != 3 {
			t.Errorf("%d mails after the objection, want 3", got)
		}
		if w := l.ask("POST", "/v1/people/user_id:ann/correct", `{"traits":{"name":"Ann","tall":null}}`, "Idempotency-Key", "c"); w.Code != http.StatusOK {
			t.Fatalf("correct: %d %s", w.Code, w.Body)
		}
		var p struct{ Traits map[string]any }
		l.get("/v1/people/user_id:ann", &p)
		if p.Traits["name"] != "Ann" || p.Traits["tall"] != nil {
			t.Errorf("corrected: %v", p.Traits)
		}
		var list struct {
			Requests []struct{ Kind, Outcome string }
		}
		l.get("/v1/requests", &list)
		kinds := map[string]string{}
		for _, r := range list.Requests {
			kinds[r.Kind] = r.Outcome
		}
		if diff := cmp.Diff(map[string]string{"restrict": "done", "lift": "done", "object": "done", "correct": "done"}, kinds); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// TestRequestsHaveClocks: a request that is taken down waits, with the day until
// which it must be answered, and what answers it closes it.
func TestRequestsHaveClocks(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(at, 0)}, small(t, sink.Addr(), nil))
		l.lives("ann")
		w := l.ask("POST", "/v1/requests", `{"kind":"erase","person":"user_id:ann","received_at":"2026-01-31T09:00:00Z"}`)
		if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), `"due_at":"2026-02-28T09:00:00Z"`) || !strings.Contains(w.Body.String(), `"overdue":true`) {
			t.Fatalf("open: %d %s", w.Code, w.Body)
		}
		var r struct{ ID string }
		if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		alerts := func(want ...string) {
			t.Helper()
			got, err := l.house.Alert(t.Context())
			var about []string
			for _, a := range got {
				about = append(about, a.About)
			}
			if err != nil || !slices.Equal(about, want) {
				t.Errorf("alerts about %v, want %v, %v", about, want, err)
			}
		}
		alerts(r.ID)
		l.lives("bob")
		for _, what := range []string{"erase", "restrict"} { // The second is refused for its kind.
			if w := l.ask("POST", "/v1/people/user_id:bob/"+what, `{"request":"`+r.ID+`"}`); w.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s of another by ann's request: %d %s", what, w.Code, w.Body)
			}
		}
		for who, want := range map[string]int{"ann": http.StatusOK, "bob": http.StatusUnprocessableEntity} {
			if w := l.ask("GET", "/v1/requests/"+r.ID+"?person=user_id:"+who, ""); w.Code != want {
				t.Errorf("the request as %s's: %d %s", who, w.Code, w.Body)
			}
		}
		if w := l.ask("GET", "/v1/people/user_id:bob", ""); w.Code != http.StatusOK {
			t.Errorf("bob: %d %s", w.Code, w.Body)
		}
		if w := l.ask("POST", "/v1/people/user_id:ann/erase", `{"request":"`+r.ID+`"}`); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"outcome":"done"`) {
			t.Fatalf("erase: %d %s", w.Code, w.Body)
		}
		var open struct{ Requests []struct{ ID string } }
		l.get("/v1/requests?open=true", &open)
		if len(open.Requests) != 0 {
			t.Errorf("still open: %v", open)
		}
		alerts()
		if w := l.ask("POST", "/v1/requests/"+r.ID+"/close", `{"outcome":"refused"}`); w.Code != http.StatusConflict {
			t.Errorf("closed twice: %d %s", w.Code, w.Body)
		}
	})
}

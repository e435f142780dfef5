package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/app"
)

// shopping are segments that count, that ask for traits, and that time ends.
var shopping = map[string]string{
	"segments/buyers.yaml":  "rule: {did: Order Completed, count: {min: 3}}\n",
	"segments/spender.yaml": "rule: {did: Order Completed, sum: {property: total, gte: 400}}\n",
	"segments/pro.yaml":     "rule: {trait: plan, is: pro}\n",
	"segments/fresh.yaml":   "rule: {did: Product Viewed, within: 2d}\n",
}

// doings are fifty things that one of two people does after they were joined, and
// a few before.
func doings(l *lived, who string, from, to int, seed int) {
	l.t.Helper()
	for i := from; i < to; i++ {
		body := ""
		path := "/v1/track"
		switch i % 5 {
		case 0:
			body, path = fmt.Sprintf(`"traits":{"plan":%q,"visits":%d,"only_%s":true}`, []string{"pro", "basic"}[(i/5+seed)%2], i, who), "/v1/identify"
		case 1, 2:
			body = fmt.Sprintf(`"event":"Order Completed","properties":{"total":%d.50}`, 10*(seed+1)+i)
		case 3:
			body = `"event":"Product Viewed"`
		default:
			body = fmt.Sprintf(`"event":"Trigger","properties":{"ref":"%s-%d"}`, who, i)
		}
		w := l.ask(http.MethodPost, path, fmt.Sprintf(`{"messageId":"%s-%d","userId":%q,%s}`, who, i, who, body))
		if w.Code != http.StatusOK {
			l.t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

// TestUnmerge: two people are joined by a shared address book entry, do fifty
// things each, and are parted again: both are as two people who were never
// joined, in another house that saw the same.
func TestUnmerge(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		play := func(database string, join bool) *lived {
			sink := taking(t, func(string) bool { return false })
			l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(at, 0)}, small(t, sink.Addr(), shopping))
			// Bob is known by a device of his own: only one may have a user id.
			if w := l.ask("POST", "/v1/identify", `{"messageId":"known","userId":"ann","traits":{"email":"ann@people.example"}}`); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
			doings(l, "ann", 0, 10, 0)
			l.device("bob", 0, 10, 1)
			l.settle()
			if join {
				if w := l.ask("POST", "/v1/identify", `{"messageId":"joins","userId":"ann","anonymousId":"bob"}`); w.Code != http.StatusOK {
					t.Fatal(w.Code, w.Body)
				}
			} else if w := l.ask("POST", "/v1/identify", `{"messageId":"joins","userId":"ann"}`); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
			l.settle()
			for i := 10; i < 60; i++ {
				doings(l, "ann", i, i+1, 0)
				l.device("bob", i, i+1, 1)
			}
			l.settle()
			return l
		}
		joined := play(database, true)
		if w := joined.ask("POST", "/v1/consent", `{"subject":"user_id:ann","purpose":"marketing.newsletter","state":"objected"}`); w.Code > 299 {
			t.Fatal(w.Code, w.Body)
		}
		joined.settle()
		for body, code := range map[string]string{
			`{"identifiers":[]}`: "nothing_leaves",
			`{"identifiers":[{"kind":"anonymous_id","value":"carl"}]}`:                                                                               "not_theirs",
			`{"identifiers":[{"kind":"anonymous_id","value":"bob"},{"kind":"user_id","value":"ann"},{"kind":"email","value":"Ann@people.example"}]}`: "nothing_stays",
		} {
			if w := joined.ask("POST", "/v1/people/user_id:ann/unmerge", body, "Idempotency-Key", "x"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), code) {
				t.Errorf("%s: %d %s, want %s", body, w.Code, w.Body, code)
			}
		}
		const leaves = `{"identifiers":[{"kind":"anonymous_id","value":"bob"}],"reason":"a shared device"}`
		before := joined.ask("POST", "/v1/people/user_id:ann/unmerge?dry_run=true", leaves).Body.String()
		if !strings.Contains(before, `"moved":`) || strings.Contains(before, `"moved":0`) || !strings.Contains(before, `"lost":0`) {
			t.Errorf("the dry run says %s", before)
		}
		w := joined.ask("POST", "/v1/people/user_id:ann/unmerge", leaves, "Idempotency-Key", "part-1")
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"parted":"per_`) {
			t.Fatalf("unmerge: %d %s", w.Code, w.Body)
		}
		joined.settle()
		apart := play("", false)
		for _, who := range []string{"user_id:ann", "anonymous_id:bob"} {
			if diff := cmp.Diff(apart.picture(t, who), joined.picture(t, who)); diff != "" {
				t.Errorf("%s (-never joined +parted):\n%s", who, diff)
			}
			// What narrows binds both, and mails of the time together are in both stories.
			var p struct {
				Permission []struct {
					Purpose string
					Allowed bool
				}
			}
			joined.get("/v1/people/"+who, &p)
			for _, x := range p.Permission {
				if x.Purpose == "marketing.newsletter" && x.Allowed {
					t.Errorf("%s may be mailed after the objection", who)
				}
			}
		}
		mails := map[string]int{}
		for _, who := range []string{"user_id:ann", "anonymous_id:bob"} {
			var list struct{ Messages []struct{ ID, State string } }
			joined.get("/v1/messages?limit=200&person="+who, &list)
			mails[who] = len(list.Messages)
		}
		// Two are of ann's time alone, ten of the time together: the clock stands still, and the log's order tells.
		if diff := cmp.Diff(map[string]int{"user_id:ann": 12, "anonymous_id:bob": 10}, mails); diff != "" {
			t.Errorf("mails (-want +got):\n%s", diff)
		}
		// The same thing that joined them does not join them again.
		if w := joined.ask("POST", "/v1/identify", `{"messageId":"joins-again","userId":"ann","anonymousId":"bob"}`); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		joined.settle()
		var ann, bob struct{ ID string }
		joined.get("/v1/people/user_id:ann", &ann)
		joined.get("/v1/people/anonymous_id:bob", &bob)
		if ann.ID == bob.ID {
			t.Error("they were joined again")
		}
		// The sizes of segments are what counting says.
		var sizes struct {
			Segments []struct {
				Name   string
				People int
			}
		}
		joined.get("/v1/segments", &sizes)
		want := map[string]int{}
		for _, who := range []string{"user_id:ann", "anonymous_id:bob"} {
			for _, s := range joined.picture(t, who).Segments {
				want[s]++
			}
		}
		for _, s := range sizes.Segments {
			if s.People != want[s.Name] {
				t.Errorf("%s has %d members, counted %d", s.Name, s.People, want[s.Name])
			}
		}
	})
}

// device is doings of somebody who is known by a device alone.
func (l *lived) device(who string, from, to, seed int) {
	l.t.Helper()
	for i := from; i < to; i++ {
		body, path := "", "/v1/track"
		switch i % 5 {
		case 0:
			body, path = fmt.Sprintf(`"traits":{"plan":%q,"visits":%d,"only_%s":true}`, []string{"pro", "basic"}[(i/5+seed)%2], i, who), "/v1/identify"
		case 1, 2:
			body = fmt.Sprintf(`"event":"Order Completed","properties":{"total":%d.50}`, 10*(seed+1)+i)
		default:
			body = `"event":"Product Viewed"`
		}
		if w := l.ask(http.MethodPost, path, fmt.Sprintf(`{"messageId":"%s-%d","anonymousId":%q,%s}`, who, i, who, body)); w.Code != http.StatusOK {
			l.t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

// picture is what rules and mails see of somebody.
type picture struct {
	Traits   map[string]json.RawMessage
	Segments []string
	Own      map[string]int // events that somebody sent, by message id
}

func (l *lived) picture(t *testing.T, who string) picture {
	t.Helper()
	var p struct {
		Traits   map[string]json.RawMessage
		Segments []struct{ Name string }
	}
	l.get("/v1/people/"+who, &p)
	out := picture{Traits: p.Traits, Own: map[string]int{}}
	for _, s := range p.Segments {
		out.Segments = append(out.Segments, s.Name)
	}
	for cursor := ""; ; {
		var page struct {
			Events []struct {
				MessageID string `json:"message_id"`
				Source    string
			}
			Cursor string
		}
		l.get("/v1/people/"+who+"/events?limit=200&cursor="+cursor, &page)
		for _, e := range page.Events {
			if !strings.HasPrefix(e.MessageID, "msg_") && e.Source != "rapport" { // not what became of mails
				out.Own[e.MessageID]++
			}
		}
		if cursor = page.Cursor; cursor == "" {
			return out
		}
	}
}

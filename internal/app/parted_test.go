package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/app"
)

// partedShop has a journey that somebody asks for, and one that an event begins.
var partedShop = map[string]string{
	"journeys/gift.yaml": "purpose: service\ntrigger: {api: true}\nreentry: always\nsteps: [{wait: 1d}, {send: receipt}]\n",
}

// says sends one event of a device or a user and waits until what follows is done.
func (l *lived) says(body string) {
	l.t.Helper()
	if w := l.ask(http.MethodPost, "/v1/batch", `{"batch":[`+body+`]}`); w.Code != http.StatusOK {
		l.t.Fatalf("%s: %d %s", body, w.Code, w.Body)
	}
	l.told()
}

// story lists the mails in a person's story by what led to them, in order of that.
func (l *lived) story(who string) []string {
	l.t.Helper()
	var list struct {
		Messages []struct{ ID, State, Reason, Subject string }
	}
	l.get("/v1/messages?limit=200&person="+who, &list)
	var out []string
	for _, m := range list.Messages {
		var mail struct{ Cause string }
		l.get("/v1/messages/"+m.ID, &mail)
		out = append(out, strings.TrimSpace(mail.Cause+" "+m.State+" "+m.Reason))
	}
	slices.Sort(out)
	return out
}

// TestUnmergeDividesMails: a mail from before they were joined is in the story of
// whose it was, one of the time together in both, and what the leaver alone led
// to does not leave any more.
func TestUnmergeDividesMails(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		var down atomic.Bool
		sink := taking(t, func(string) bool { return down.Load() })
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		clock := app.NewClock(at, 0)
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock}, small(t, sink.Addr(), partedShop))
		passes := func(d time.Duration) {
			t.Helper()
			at = at.Add(d)
			for {
				reached, err := l.house.Proceed(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				if !reached.Before(at) {
					return
				}
			}
		}
		const news = `{"type":"track","event":"Trigger",`
		l.says(`{"type":"identify","messageId":"ann","userId":"ann","traits":{"email":"ann@people.example"}}`)
		l.says(`{"type":"identify","messageId":"bob","anonymousId":"bob","traits":{"email":"bob@people.example"}}`)
		l.says(news + `"messageId":"ann-before","userId":"ann"}`)
		l.says(news + `"messageId":"bob-before","anonymousId":"bob"}`)
		passes(time.Minute)
		l.says(`{"type":"identify","messageId":"joins","userId":"ann","anonymousId":"bob"}`)
		passes(time.Minute)
		l.says(news + `"messageId":"ann-together","userId":"ann"}`)
		l.says(news + `"messageId":"bob-together","anonymousId":"bob"}`)
		down.Store(true)
		l.says(news + `"messageId":"ann-held","userId":"ann"}`)
		l.says(news + `"messageId":"bob-held","anonymousId":"bob"}`)
		for _, who := range []string{"user_id:ann", "anonymous_id:bob"} {
			if w := l.ask("POST", "/v1/journeys/gift/trigger", fmt.Sprintf(`{"person":%q}`, who), "Idempotency-Key", who); w.Code != http.StatusAccepted {
				t.Fatal(w.Code, w.Body)
			}
		}
		l.told()
		passes(time.Minute)
		const leaves = `{"identifiers":[{"kind":"anonymous_id","value":"bob"},{"kind":"email","value":"bob@people.example"}],"reason":"one device"}`
		first := l.ask("POST", "/v1/people/user_id:ann/unmerge", leaves, "Idempotency-Key", "part")
		if first.Code != http.StatusOK {
			t.Fatal(first.Code, first.Body)
		}
		// Asking again under the same key answers the same, whichever of the two it names.
		for _, who := range []string{"user_id:ann", "anonymous_id:bob"} {
			again := l.ask("POST", "/v1/people/"+who+"/unmerge", leaves, "Idempotency-Key", "part")
			if again.Code != http.StatusOK || again.Body.String() != first.Body.String() {
				t.Errorf("the same request of %s: %d %s, the first said %s", who, again.Code, again.Body, first.Body)
			}
		}
		other := l.ask("POST", "/v1/people/user_id:ann/unmerge", `{"identifiers":[{"kind":"email","value":"ann@people.example"}]}`, "Idempotency-Key", "part")
		if other.Code != http.StatusUnprocessableEntity || !strings.Contains(other.Body.String(), "idempotency_key_reused") {
			t.Errorf("another request under the key: %d %s", other.Code, other.Body)
		}
		down.Store(false)
		passes(26 * time.Hour)
		both := []string{"ann-held accepted", "ann-together accepted", "bob-held skipped parted", "bob-together accepted"}
		ann, bob := l.story("user_id:ann"), l.story("anonymous_id:bob")
		if n := len(ann); n == 0 || !strings.HasPrefix(ann[n-1], "trigger/gift/") {
			t.Errorf("what ann asked for did not leave: %q", ann)
		} else {
			ann = ann[:n-1]
		}
		if want := append([]string{"ann-before accepted"}, both...); !slices.Equal(ann, want) {
			t.Errorf("the story of ann is %q, want %q", ann, want)
		}
		if want := []string{both[0], both[1], "bob-before accepted", both[2], both[3]}; !slices.Equal(bob, want) {
			t.Errorf("the story of bob is %q, want %q", bob, want)
		}
		// What is sent from now on is in one story alone.
		l.says(news + `"messageId":"ann-after","userId":"ann"}`)
		l.says(news + `"messageId":"bob-after","anonymousId":"bob"}`)
		if s := l.story("user_id:ann"); slices.Contains(s, "bob-after accepted") || !slices.Contains(s, "ann-after accepted") {
			t.Errorf("the story of ann goes on with %q", s)
		}
		if s := l.story("anonymous_id:bob"); slices.Contains(s, "ann-after accepted") || !slices.Contains(s, "bob-after accepted") {
			t.Errorf("the story of bob goes on with %q", s)
		}
	})
}

// TestWhoIsPartedTwiceStaysApart: of three who were taken for one each is kept
// apart from both others, also through somebody who comes later.
func TestWhoIsPartedTwiceStaysApart(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)}, small(t, sink.Addr(), nil))
		for _, who := range []string{"bob", "tim"} {
			l.says(fmt.Sprintf(`{"type":"identify","messageId":"%[1]s","anonymousId":"%[1]s","traits":{"email":"%[1]s@people.example"}}`, who))
			l.says(fmt.Sprintf(`{"type":"identify","messageId":"joins-%[1]s","userId":"ann","anonymousId":"%[1]s"}`, who))
		}
		for _, who := range []string{"bob", "tim"} {
			w := l.ask("POST", "/v1/people/user_id:ann/unmerge",
				fmt.Sprintf(`{"identifiers":[{"kind":"anonymous_id","value":%q},{"kind":"email","value":"%s@people.example"}]}`, who, who), "Idempotency-Key", who)
			if w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
		}
		// A device becomes bob's, and then says it is tim's.
		l.says(`{"type":"identify","messageId":"third","anonymousId":"third","traits":{"email":"bob@people.example"}}`)
		l.says(`{"type":"identify","messageId":"both","anonymousId":"third","traits":{"email":"tim@people.example"}}`)
		l.says(`{"type":"identify","messageId":"all","userId":"ann","anonymousId":"third","traits":{"email":"tim@people.example"}}`)
		ids := map[string]string{}
		for _, who := range []string{"user_id:ann", "anonymous_id:bob", "anonymous_id:tim"} {
			var p struct{ ID string }
			l.get("/v1/people/"+who, &p)
			ids[p.ID] = who
		}
		if len(ids) != 3 {
			t.Errorf("three who were parted are %v", ids)
		}
	})
}

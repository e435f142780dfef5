package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/identity"
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
		former := l.number("anonymous_id:bob")
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
		for _, who := range []string{"user_id:ann", "anonymous_id:bob", former} {
			again := l.ask("POST", "/v1/people/"+who+"/unmerge", leaves, "Idempotency-Key", "part")
			if again.Code != http.StatusOK || again.Body.String() != first.Body.String() {
				t.Errorf("the same request of %s: %d %s, the first said %s", who, again.Code, again.Body, first.Body)
			}
		}
		other := l.ask("POST", "/v1/people/user_id:ann/unmerge", `{"identifiers":[{"kind":"email","value":"ann@people.example"}]}`, "Idempotency-Key", "part")
		if other.Code != http.StatusUnprocessableEntity || !strings.Contains(other.Body.String(), "idempotency_key_reused") {
			t.Errorf("another request under the key: %d %s", other.Code, other.Body)
		}
		if is := l.number(former); is == former || is != l.number("anonymous_id:bob") {
			t.Errorf("bob's former number names %s", is)
		}
		l.told()
		if n := l.skippedEvents("anonymous_id:bob") + l.skippedEvents("user_id:ann"); n != 1 {
			t.Errorf("%d events tell of one mail that was withdrawn", n)
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

// number gives what names somebody for good.
func (l *lived) number(ref string) string {
	l.t.Helper()
	var p struct{ ID string }
	l.get("/v1/people/"+ref, &p)
	return "id:" + p.ID
}

// skippedEvents counts the mails that somebody's timeline tells to be withdrawn.
func (l *lived) skippedEvents(who string) (n int) {
	l.t.Helper()
	var page struct {
		Events []struct {
			Event      string
			Properties struct{ Reason string }
		}
	}
	l.get("/v1/people/"+who+"/events?limit=200", &page)
	for _, e := range page.Events {
		if e.Event == "Email Skipped" && e.Properties.Reason == "parted" {
			n++
		}
	}
	return n
}

// parts has some identifiers leave and gives the answer.
func (l *lived) parts(who, key string, names ...string) *httptest.ResponseRecorder {
	l.t.Helper()
	var list []string
	for _, n := range names {
		kind, value, _ := strings.Cut(n, ":")
		list = append(list, fmt.Sprintf(`{"kind":%q,"value":%q}`, kind, value))
	}
	return l.ask("POST", "/v1/people/"+who+"/unmerge", `{"identifiers":[`+strings.Join(list, ",")+`]}`, "Idempotency-Key", key)
}

// TestAMailOnItsWayIsNotTriedAgain: what is being handed over while somebody is
// parted, and is then put off, does not leave later.
func TestAMailOnItsWayIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		came, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		sink := taking(t, func(string) (hangUp bool) {
			once.Do(func() {
				close(came)
				<-release
				hangUp = true
			})
			return hangUp
		})
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(at, 0)}, small(t, sink.Addr(), nil))
		l.says(`{"type":"identify","messageId":"ann","userId":"ann","anonymousId":"bob","traits":{"email":"ann@people.example"}}`)
		if w := l.ask(http.MethodPost, "/v1/batch", `{"batch":[{"type":"track","event":"Trigger","messageId":"bobs","anonymousId":"bob"}]}`); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		<-came
		w := l.parts("user_id:ann", "part", "anonymous_id:bob")
		close(release)
		if w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		for now := at; now.Before(at.Add(time.Hour)); now = now.Add(time.Minute) {
			if _, err := l.house.Proceed(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
		for _, who := range []string{"user_id:ann", "anonymous_id:bob"} {
			if got := l.story(who); !slices.Equal(got, []string{"bobs skipped parted"}) {
				t.Errorf("the story of %s is %q", who, got)
			}
		}
		if n := sink.OnWire(); n != 0 {
			t.Errorf("%d mails were taken", n)
		}
	})
}

// TestAPartingIsFoundThroughALaterMerge: the same request is answered the same
// when who stayed has become part of somebody else since.
func TestAPartingIsFoundThroughALaterMerge(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)}, small(t, sink.Addr(), nil))
		l.says(`{"type":"identify","messageId":"zoe","userId":"zoe"}`)
		l.says(`{"type":"identify","messageId":"ann","anonymousId":"ann","traits":{"email":"ann@people.example"}}`)
		l.says(`{"type":"identify","messageId":"bob","anonymousId":"bob","traits":{"email":"ann@people.example"}}`)
		stays := l.number("anonymous_id:ann")
		first := l.parts(stays, "part", "anonymous_id:bob")
		if first.Code != http.StatusOK {
			t.Fatal(first.Code, first.Body)
		}
		l.says(`{"type":"identify","messageId":"joins","userId":"zoe","anonymousId":"ann"}`)
		if stays == l.number(stays) {
			t.Fatal("ann has become nobody else")
		}
		for _, who := range []string{stays, "anonymous_id:ann", "user_id:zoe", "anonymous_id:bob"} {
			if again := l.parts(who, "part", "anonymous_id:bob"); again.Code != http.StatusOK || again.Body.String() != first.Body.String() {
				t.Errorf("the same request of %s: %d %s, the first said %s", who, again.Code, again.Body, first.Body)
			}
		}
	})
}

// TestSomebodyElseIsKeptApartFromTooMany: a dry run says so, as the request does.
func TestSomebodyElseIsKeptApartFromTooMany(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)}, small(t, sink.Addr(), nil))
		l.says(`{"type":"identify","messageId":"ann","userId":"ann","anonymousId":"bob"}`)
		l.says(`{"type":"identify","messageId":"bob","userId":"ann","anonymousId":"bobs"}`)
		if w := l.parts("user_id:ann", "bob", "anonymous_id:bob", "anonymous_id:bobs"); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		for i := range identity.MaxApart - 1 { // Somebody whom ann turns out to be is parted from so many.
			device := fmt.Sprint("d", i)
			l.says(fmt.Sprintf(`{"type":"identify","messageId":"m%[1]d","anonymousId":"%[2]s","traits":{"email":"ann@people.example"}}`, i, device))
			if w := l.parts("email:ann@people.example", device, "anonymous_id:"+device); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
		}
		l.says(`{"type":"identify","messageId":"joins","userId":"ann","traits":{"email":"ann@people.example"}}`)
		dry := l.ask("POST", "/v1/people/anonymous_id:bob/unmerge?dry_run=true", `{"identifiers":[{"kind":"anonymous_id","value":"bobs"}]}`)
		if dry.Code != http.StatusConflict || !strings.Contains(dry.Body.String(), "too_many_parted") {
			t.Errorf("a dry run: %d %s", dry.Code, dry.Body)
		}
		if w := l.parts("anonymous_id:bob", "bobs", "anonymous_id:bobs"); w.Code != dry.Code || !strings.Contains(w.Body.String(), "too_many_parted") {
			t.Errorf("the request: %d %s", w.Code, w.Body)
		}
	})
}

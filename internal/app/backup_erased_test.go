package app_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/app"
	"rapport/internal/eventlog"
	"rapport/internal/seal"
	"rapport/internal/store/pgstore/pgtest"
	"rapport/internal/store/sqlitestore"
)

// clicksConfig has mails whose opening is noticed, with a link that is followed through
// the house.
var clicksConfig = map[string]string{
	"purposes.yaml": `purposes:
  service: {title: Service, description: What you asked for., basis: contract}
  marketing.newsletter: {title: News, description: News., basis: legitimate_interest, gpc: true}
  profiling: {title: Profile, description: A profile., basis: legitimate_interest, scope: device}
  tracking.opens: {title: Opens, description: Opens., basis: legitimate_interest, scope: device}
  tracking.clicks: {title: Clicks, description: Links., basis: legitimate_interest, scope: device}
`,
	"templates/note/body.html": `<html><body><p><a href="https://shop.example/new">New</a></p><p>{{ workspace.postal_address }}</p><p><a href="{{ mail.unsubscribe_url }}">Unsubscribe</a></p></body></html>`,
}

// watched gives the links of somebody's mails by which the house hears of them.
func (l *lived) watched(who string) (out []string) {
	l.t.Helper()
	for _, m := range l.mailsOf(who) {
		var story struct{ Parts struct{ HTML string } }
		l.get("/v1/messages/"+m.ID, &story)
		for _, link := range linksIn(story.Parts.HTML) {
			if u, err := url.Parse(link); err == nil && (strings.HasPrefix(u.Path, "/o/") || strings.HasPrefix(u.Path, "/c/")) {
				out = append(out, link)
			}
		}
	}
	return out
}

// comesLate has somebody's mails opened and clicked, and says that they bounced and that
// something was done: all of it is answered, and nothing of it kept.
func (l *lived) comesLate(links []string) {
	l.t.Helper()
	tail := app.Tail(l.house, eventlog.Live)
	for _, link := range links {
		if w := l.ask("GET", link, "", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"); w.Code > 399 {
			l.t.Errorf("late, %.30s…: %d %s", link, w.Code, w.Body)
		}
	}
	for _, body := range []string{
		`{"messageId":"late-1","userId":"ann-marker","event":"Late","properties":{"about":"ann-marker"}}`,
		`{"messageId":"late-2","anonymousId":"ann-marker-phone","event":"Seen"}`,
		`{"messageId":"late-3","userId":"ann-marker","event":"Email Bounced","properties":{"email_id":"msg_0"},"context":{"traits":{"email":"ann-marker@people.example"}}}`,
	} {
		if w := l.ask("POST", "/v1/track", body); w.Code != http.StatusOK {
			l.t.Errorf("late, %s: %d %s", body, w.Code, w.Body)
		}
	}
	l.settle()
	if got := app.Tail(l.house, eventlog.Live); got != tail {
		l.t.Errorf("the log grew by %d of what came late", got-tail)
	}
}

// TestErasedAfterABackup restores a backup from before an erasure. With the keys of
// today nobody can read who was erased, also before the house has begun; with those of
// then and the newer list they are erased again. Everybody else is there, what comes
// late is answered and not kept, and no table holds anything of them after that.
func TestErasedAfterABackup(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		more := maps.Clone(rightsConfig)
		maps.Copy(more, clicksConfig)
		config := small(t, sink.Addr(), more)
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		data := t.TempDir()
		l := live(t, app.Options{Data: data, Database: database, Clock: app.NewClock(at, 0)}, config)
		l.lives(marker)
		l.lives("eve-lives")
		l.told() // What waits to go into the log would be in the copy under no key of hers.
		before, then := l.backs(), keysOf(t, data, true)
		links := l.watched(marker)
		if len(links) < 2 {
			t.Fatalf("her mails have %d links", len(links))
		}
		l.erase("user_id:" + marker)
		today := keysOf(t, data, true)
		newer, err := os.ReadFile(filepath.Join(data, "erasures.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		l.end()
		for name, row := range map[string]struct{ keys, newer []byte }{
			"the keys of today": {today, nil}, "the keys of then and the list": {then, newer}, "both": {today, newer},
		} {
			folder, there := filepath.Join(t.TempDir(), "again"), ""
			where := folder
			if database != "" {
				there = pgtest.Database(t)
				where = there
			}
			o := app.RestoreOptions{Data: folder, Database: there, Keys: unlocked(t, row.keys), Newer: row.newer}
			if _, err := app.Restore(t.Context(), unlocked(t, before), o); err != nil {
				t.Fatal(name, err)
			}
			holds := func() []string {
				t.Helper()
				got, err := app.Holds(t.Context(), where, folder, marker)
				if err != nil {
					t.Fatal(name, err)
				}
				return got
			}
			// Before the house begins: ids that callers gave are never sealed.
			if got := fmt.Sprint(holds()); name != "the keys of then and the list" && got != "[intent merge]" {
				t.Errorf("%s: she is in %s before the house has begun", name, got)
			}
			l := live(t, app.Options{Data: folder, Database: there, Clock: app.NewClock(at.Add(time.Hour), 0)}, config)
			l.settle()
			if row.newer != nil {
				l.comesLate(links)
			}
			if w := l.ask("GET", "/v1/people/user_id:"+marker, ""); w.Code != http.StatusNotFound {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
			if w := l.ask("GET", "/v1/people/user_id:eve-lives", ""); w.Code != http.StatusOK {
				t.Errorf("%s: somebody else: %d %s", name, w.Code, w.Body)
			}
			l.told()
			l.end()
			if got := holds(); row.newer != nil && len(got) > 0 {
				t.Errorf("%s: she is in %v again", name, got)
			}
		}
	})
}

// TestKeysComeBackAsTheyWere, and so does that some were destroyed: an older copy's key
// must not take their place.
func TestKeysComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	data, _, _, o := filled(t, "")
	l := live(t, o, nil)
	l.erase("user_id:ann-x")
	l.end()
	again := t.TempDir()
	if _, err := app.RestoreKeys(unlocked(t, keysOf(t, data, false)), again, ""); err != nil {
		t.Fatal(err)
	}
	rows := func(dir string) (all []seal.Row, ended int) {
		t.Helper()
		ring, err := sqlitestore.OpenKeyring(sqlitestore.KeyringConfig{Path: filepath.Join(dir, "keys.db")})
		if err != nil {
			t.Fatal(err)
		}
		all, err = ring.Copied(nil, 1_000_000)
		if err := errors.Join(err, ring.Close()); err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if len(r.Body) == 0 {
				ended++
			}
		}
		return all, ended
	}
	want, ended := rows(data)
	got, _ := rows(again)
	if diff := cmp.Diff(want, got); diff != "" || ended == 0 {
		t.Errorf("%d were destroyed (-want +got):\n%s", ended, diff)
	}
}

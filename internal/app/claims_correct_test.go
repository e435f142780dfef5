package app_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/app"
	"rapport/internal/audit"
)

// asked is a request as the API tells it.
type asked struct {
	ID, Kind, Outcome string
	Unproven          bool
	Due               time.Time `json:"due_at"`
	ProofUntil        time.Time `json:"proof_until"`
	Result            struct {
		Note string
		Asks *struct {
			Traits map[string]any
			Text   string
			Done   []string
		}
	}
}

// requestsOf lists the requests of a kind, newest first.
func (l *lived) requestsOf(kind string) []asked {
	l.t.Helper()
	var list struct{ Requests []asked }
	l.get("/v1/requests?kind="+kind, &list)
	return list.Requests
}

// receivesPreferences has somebody get a mail, and gives the path of their preferences.
func (l *lived) receivesPreferences(traits string) {
	l.t.Helper()
	if code, _ := l.receipt("ann", "r1"); code > 299 {
		l.t.Fatal(code)
	}
	if w := l.ask("POST", "/v1/identify", `{"messageId":"i","userId":"ann","traits":`+traits+`}`); w.Code != http.StatusOK {
		l.t.Fatal(w.Code, w.Body)
	}
	l.settle()
}

// TestReadersRestrictTheirData: by a mailed link a reader has their data kept and not
// used, as an operator would, and lifts it again, for the mail that proves who asks
// reaches them although nothing else does.
func TestReadersRestrictTheirData(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, sink, clock := claims(t, database, "law: gdpr")
		const ann = "ann@people.example"
		l.receivesPreferences(`{"email":"` + ann + `"}`)
		preferences := l.preferencesOf(sink, ann)
		allowed := func() bool {
			var p struct {
				Permission []struct {
					Purpose string
					Allowed bool
				}
			}
			l.get("/v1/people/user_id:ann", &p)
			for _, x := range p.Permission {
				if x.Purpose == "service" {
					return x.Allowed
				}
			}
			t.Fatalf("nothing is known of service: %+v", p.Permission)
			return false
		}
		mailed := func(key string) bool {
			before := len(sink.All())
			if code, _ := l.receipt("ann", key); code > 299 {
				t.Fatal(code)
			}
			l.settle()
			return len(sink.All()) > before
		}
		later := func() { clock.Set(clock.Now().Add(time.Minute)) } // Of two words of one instant the narrower holds.

		page := l.ask("GET", preferences, "")
		if l.wantPage(page, 200, "Stop using my data"); strings.Contains(page.Body.String(), "Let my data be used again") {
			t.Error("what is not restricted can be lifted")
		}
		link := l.claim(sink, preferences, ann, "restrict")
		for range 2 { // a gateway, and then the reader
			l.wantPage(l.ask("GET", link, ""), 200, "Stop using your data?", "not even about your orders")
		}
		if !allowed() {
			t.Fatal("looking restricts")
		}
		later()
		l.wantPage(l.form(link+"?lang=de", url.Values{}), 200, "nicht mehr verwendet")
		if allowed() || mailed("r2") {
			t.Error("it is not restricted")
		}
		l.wantPage(l.form(link, url.Values{}), 200, "done already")
		l.wantPage(l.ask("GET", link, ""), 200, "done already")
		page = l.ask("GET", preferences, "")
		if l.wantPage(page, 200, "You asked us to stop", "Let my data be used again"); strings.Contains(page.Body.String(), "Stop using my data") {
			t.Error("what is restricted can be restricted")
		}
		later()
		link = l.claim(sink, preferences, ann, "lift")
		l.wantPage(l.ask("GET", link, ""), 200, "Let your data be used again?")
		if allowed() {
			t.Error("looking lifts")
		}
		later()
		l.wantPage(l.form(link, url.Values{}), 200, "used again")
		if !allowed() || !mailed("r3") {
			t.Error("it is not lifted")
		}
		l.wantPage(l.form(link, url.Values{}), 200, "done already")
		l.wantPage(l.ask("GET", preferences, ""), 200, "All that is held about you", "You asked us to stop using your data</span>", "You let your data be used again")

		for kind, due := range map[string]string{"restrict": "2026-04-01T12:00:00Z", "lift": "2026-04-01T12:02:00Z"} {
			if list := l.requestsOf(kind); len(list) != 1 || list[0].Outcome != "done" || list[0].Due.Format(time.RFC3339) != due {
				t.Errorf("%s: %+v", kind, list)
			}
		}
		var rows struct{ Rows []audit.Entry }
		l.get("/v1/people/user_id:ann/trail", &rows)
		what := map[string]int{}
		for _, e := range rows.Rows {
			if e.Actor == "house/feedback" {
				what[e.What]++
			}
		}
		if what["person.restrict_asked"] != 1 || what["person.lift_asked"] != 1 {
			t.Errorf("in the trail: %v", what)
		}
		late := l.claim(sink, preferences, ann, "restrict")
		clock.Set(clock.Now().Add(25 * time.Hour))
		l.wantPage(l.form(late, url.Values{}), http.StatusGone, "expired")
		if !allowed() {
			t.Error("an old link restricts")
		}
	})
}

// TestReadersCorrectTheirData: behind a mailed link a reader sees what is held, and puts
// right at once what the configuration leaves to them; the rest, and what they write,
// waits sealed for an operator, who need not write it again.
func TestReadersCorrectTheirData(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		data := t.TempDir()
		clock := handClock()
		files := claiming("law: gdpr, correct_at_once: [city, firstName]")
		files["journeys/counts.yaml"] = "purpose: service\ntrigger: {event: Never}\nsteps:\n  - set: {rank: 7}\n"
		l := live(t, app.Options{Data: data, Database: database, Clock: clock}, small(t, sink.Addr(), files))
		const ann = "ann@people.example"
		l.receivesPreferences(`{"email":"` + ann + `","city":"Sampletown","firstName":"<Ann>","plan":"basic","pets":2,"vip":false,"rank":3,"likes":["tea"],"nick":"A","$own":"mine"}`)
		preferences := l.preferencesOf(sink, ann)
		traits := func() map[string]any {
			var p struct{ Traits map[string]any }
			l.get("/v1/people/user_id:ann", &p)
			return p.Traits
		}
		before := traits()

		link := l.claim(sink, preferences, ann, "correct")
		page := l.ask("GET", link, "")
		l.wantPage(page, 200, "What is wrong?", `name="want.city" value="Sampletown"`, `value="&lt;Ann&gt;" maxlength="300" autocomplete="given-name"`,
			`name="want.plan"`, `name="want.vip"`, `name="want.$own" value="mine"`, `inputmode="decimal"`, "<span>[&#34;tea&#34;]</span>", "<span>3</span>", "<textarea")
		for _, no := range []string{"want.email", "want.rank", "want.likes"} {
			if strings.Contains(page.Body.String(), no) {
				t.Errorf("%s can be changed", no)
			}
		}
		// What was not changed, what cannot be, and what nobody has is not taken.
		fill := func(pairs ...string) url.Values {
			f := url.Values{"was.city": {"Sampletown"}, "want.city": {"Sampletown"}, "was.pets": {"2"}, "want.pets": {"2"}, "was.$own": {"mine"}, "want.$own": {"mine"}, "was.plan": {"free"}, "want.plan": {"free"}}
			for i := 0; i < len(pairs); i += 2 {
				f.Set(pairs[i], pairs[i+1])
			}
			return f
		}
		l.wantPage(l.form(link, fill()), http.StatusUnprocessableEntity, "Change something")
		l.wantPage(l.form(link, fill("was.rank", "3", "want.rank", "9", "was.email", ann, "want.email", "eve@people.example", "was.x", "", "want.x", "1")),
			http.StatusUnprocessableEntity, "Change something")
		l.wantPage(l.form(link, fill("want.pets", "many", "want.city", "Elsewhere")), http.StatusUnprocessableEntity, "A number must stay a number", `value="many"`, `value="Elsewhere"`, `aria-invalid="true"`)
		l.wantPage(l.form(link, fill("want.city", strings.Repeat("x", 301))), http.StatusUnprocessableEntity, "cannot be its value")
		l.wantPage(l.form(link, fill("words", strings.Repeat("ä", 1001))), http.StatusUnprocessableEntity, "too long")
		l.wantPage(l.form(link, fill("words", strings.Repeat("x", 300<<10))), http.StatusBadRequest)
		if diff := cmp.Diff(before, traits()); diff != "" {
			t.Fatalf("changed (-was +is):\n%s", diff)
		}

		const words = "the invoice was never mine"
		l.wantPage(l.form(link, fill("want.city", "Elsewhere", "want.pets", "2.5", "was.first_name", "<Ann>", "want.first_name", "",
			"was.vip", "false", "want.vip", "true", "was.nick", "A", "want.nick", "", "words", words)), 200, "we will look at it", "1 April 2026")
		l.wantPage(l.form(link, fill("want.city", "Nowhere")), 200, "done already")
		want := map[string]any{"email": ann, "city": "Elsewhere", "plan": "basic", "pets": 2.0, "vip": false, "rank": 3.0, "likes": []any{"tea"}, "nick": "A", "$own": "mine"}
		if diff := cmp.Diff(want, traits()); diff != "" {
			t.Errorf("put right at once (-want +got):\n%s", diff)
		}
		open := l.requestsOf("correct")
		if len(open) != 1 || open[0].Outcome != "" || open[0].Result.Asks == nil {
			t.Fatalf("requests: %+v", open)
		}
		x := open[0].Result.Asks
		if diff := cmp.Diff(map[string]any{"pets": 2.5, "vip": true, "nick": nil}, x.Traits); diff != "" || x.Text != words || !cmp.Equal(x.Done, []string{"city", "first_name"}) {
			t.Errorf("what waits: %s %q %v", diff, x.Text, x.Done)
		}
		files2, err := filepath.Glob(filepath.Join(data, "state.db*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files2 {
			if raw, err := os.ReadFile(name); err != nil || bytes.Contains(raw, []byte(words)) {
				t.Errorf("%s has the words in the clear %v", filepath.Base(name), err)
			}
		}

		// An operator looks at it, and carries it out.
		other := l.ask("POST", "/v1/people/user_id:ann/correct", `{}`, "Idempotency-Key", "none")
		if other.Code != http.StatusUnprocessableEntity && other.Code != http.StatusBadRequest {
			t.Errorf("nothing to correct: %d %s", other.Code, other.Body)
		}
		if w := l.ask("POST", "/v1/people/user_id:ann/correct", `{"traits":{"pets":1e999}}`, "Idempotency-Key", "b"); w.Code != http.StatusBadRequest {
			t.Errorf("a number beyond all: %d %s", w.Code, w.Body)
		}
		carry := func(more, want string) {
			t.Helper()
			w := l.ask("POST", "/v1/people/user_id:ann/correct", `{"request":"`+open[0].ID+`"`+more+`}`, "Idempotency-Key", "c")
			if !strings.Contains(w.Body.String(), want) {
				t.Fatalf("carried out: %d %s, want %s", w.Code, w.Body, want)
			}
		}
		carry("", `"decided":true`)
		if waits := l.requestsOf("correct"); waits[0].Outcome != "" || waits[0].Result.Asks.Text != words {
			t.Errorf("what they wrote is answered by nobody, and the request is %+v", waits)
		}
		carry("", "nothing_corrected")
		for range 2 {
			carry(`,"note":"told them by letter"`, `"outcome":"done"`)
		}
		if done := l.requestsOf("correct"); done[0].Result.Asks == nil || done[0].Result.Asks.Text != words || done[0].Result.Note != "told them by letter" {
			t.Errorf("beside the note stands %+v", done[0].Result)
		}
		want["pets"], want["vip"] = 2.5, true
		delete(want, "nick")
		if diff := cmp.Diff(want, traits()); diff != "" {
			t.Errorf("put right by an operator (-want +got):\n%s", diff)
		}
		l.wantPage(l.form(link, fill("want.city", "Nowhere")), 200, "done already")

		// What is all the reader's own needs nobody.
		clock.Set(clock.Now().Add(time.Minute))
		link = l.claim(sink, preferences, ann, "correct")
		l.wantPage(l.form(link, url.Values{"was.city": {"Elsewhere"}, "want.city": {"Sampletown"}}), 200, "It is put right")
		done := l.requestsOf("correct")
		if traits()["city"] != "Sampletown" || len(done) != 2 || done[0].Outcome != "done" || !cmp.Equal(done[0].Result.Asks.Done, []string{"city"}) {
			t.Errorf("put right: %v, %+v", traits()["city"], done)
		}
		if raw, _ := json.Marshal(done[0]); bytes.Contains(raw, []byte("Sampletown")) {
			t.Errorf("a request that is done keeps the value: %s", raw)
		}
	})
}

// TestOneOfManyCorrectionsCounts: of those who press a link's button at once one is
// heard, and nothing of the others is taken.
func TestOneOfManyCorrectionsCounts(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, sink, _ := claims(t, database, "correct_at_once: [city]")
		const ann = "ann@people.example"
		l.receivesPreferences(`{"email":"` + ann + `","city":"Sampletown"}`)
		link := l.claim(sink, l.preferencesOf(sink, ann), ann, "correct")
		var all sync.WaitGroup
		pages := make([]string, 8)
		for i := range pages {
			all.Go(func() {
				want := "Town " + strconv.Itoa(i)
				pages[i] = l.form(link, url.Values{"was.city": {"Sampletown"}, "want.city": {want}, "words": {want}}).Body.String()
			})
		}
		all.Wait()
		var p struct{ Traits map[string]any }
		l.get("/v1/people/user_id:ann", &p)
		heard := 0
		for i, page := range pages {
			if strings.Contains(page, "we will look at it") {
				heard++
				if want := "Town " + strconv.Itoa(i); p.Traits["city"] != want || l.requestsOf("correct")[0].Result.Asks.Text != want {
					t.Errorf("%s was heard, and %v is held, %+v", want, p.Traits["city"], l.requestsOf("correct")[0].Result.Asks)
				}
			} else if !strings.Contains(page, "done already") {
				t.Errorf("another page: %s", page)
			}
		}
		if heard != 1 {
			t.Errorf("%d were heard, want 1", heard)
		}
	})
}

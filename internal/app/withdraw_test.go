package app_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/project"
)

// apart is a folder in which a note is for support alone, which needs a yes.
var apart = map[string]string{
	"purposes.yaml": `purposes:
  service: {title: Service, basis: contract}
  support: {title: Support, description: Help., basis: consent, categories: [support], valid_for: 30d}
  care: {title: Care, description: Care., basis: consent, categories: [care]}
  marketing.newsletter: {title: News, description: News., basis: legitimate_interest, gpc: true}
  profiling: {title: Profile, description: A profile., basis: legitimate_interest, scope: device}
`,
	"plan/people.yaml": `traits:
  secret_note: {type: string, purposes: [support, care]}
  colour: {type: string, purposes: [marketing]}
  email: string
events:
  Ticket Opened: {purposes: [support], properties: {text: string}}
`,
	"segments/noted.yaml":   "title: Whoever has a note\nrule: {trait: secret_note, exists: true}\n",
	"segments/red.yaml":     "rule: {trait: colour, is: red}\n",
	"segments/both.yaml":    "rule: {all: [{in_segment: noted}, {did: Ticket Opened}]}\n",
	"segments/anybody.yaml": "rule: {trait: email, exists: true}\n",
}

// permits says something of a purpose for somebody, by whatever they are known. Of two
// words of one instant the narrower would hold.
func (l *lived) permits(subject, why, state string) {
	l.t.Helper()
	clock := l.house.Clock()
	clock.Set(clock.Now().Add(time.Minute))
	if w := l.ask(http.MethodPost, "/v1/consent", fmt.Sprintf(`{"subject":%q,"purpose":%q,"state":%q}`, subject, why, state)); w.Code > 299 {
		l.t.Fatal(w.Code, w.Body)
	}
	l.settle()
}

// passes lets business time go on until an instant.
func (l *lived) passes(until time.Time) {
	l.t.Helper()
	for {
		reached, err := l.house.Proceed(context.Background(), until)
		if err != nil {
			l.t.Fatal(err)
		}
		if !reached.Before(until) {
			return
		}
	}
}

// within lists the segments somebody is in.
func (l *lived) within(who string) string {
	l.t.Helper()
	var p struct{ Segments []struct{ Name string } }
	l.get("/v1/people/user_id:"+who, &p)
	var names []string
	for _, s := range p.Segments {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// moves lists entries and exits of somebody, the oldest first.
func (l *lived) moves(who string) (out []string) {
	l.t.Helper()
	var page struct {
		Events []struct {
			Event      string
			Timestamp  time.Time
			Properties struct {
				Key    string `json:"audience_key"`
				Reason string
			}
		}
	}
	l.get("/v1/people/user_id:"+who+"/events?limit=500", &page)
	for _, e := range page.Events {
		if verb, ok := strings.CutPrefix(e.Event, "Audience "); ok {
			out = append(out, strings.TrimSpace(fmt.Sprint(strings.ToLower(verb), " ", e.Properties.Key, " ", e.Properties.Reason)))
		}
	}
	slices.Reverse(out)
	return out
}

func (l *lived) identify(id, who, traits string) {
	l.t.Helper()
	if w := l.ask(http.MethodPost, "/v1/identify", fmt.Sprintf(`{"messageId":%q,"userId":%q,"traits":%s}`, id, who, traits)); w.Code != http.StatusOK {
		l.t.Fatal(w.Code, w.Body)
	}
	l.settle()
}

// TestWhoeverTakesAPurposeBackLeaves: a segment that reads what is for some purposes
// only holds people who permit one of them. They leave by their word, and when a
// grant ends, with the reason consent, and come back by another grant; what is for
// every purpose asks nobody.
func TestWhoeverTakesAPurposeBackLeaves(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		r := receiving(t, whsec("SECRET_ONE"))
		files := map[string]string{"destinations/desk.yaml": strings.Replace(hook(r, "segments: all\n"), "marketing.newsletter", "support", 1)}
		for name, text := range apart {
			files[name] = text
		}
		clock := handClock()
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock, Secrets: project.Secrets{Env: secrets}}, small(t, sink.Addr(), files))
		is := func(what, want string) {
			t.Helper()
			if got := l.within("ann"); got != want {
				t.Errorf("%s: in %q, want %q", what, got, want)
			}
		}
		l.identify("1", "ann", `{"email":"ann@people.example","secret_note":"x","colour":"red"}`)
		is("nothing is said of support", "anybody red")
		l.permits("email:ann@people.example", "support", "granted")
		is("granted under the address", "anybody noted red")
		l.track("Ticket Opened", "ann", "2")
		l.settle()
		is("another segment reads it", "anybody both noted red")
		l.permits("user_id:ann", "support", "withdrawn")
		is("withdrawn", "anybody red")
		l.permits("user_id:ann", "care", "granted")
		is("one of the purposes is permitted", "anybody noted red")
		l.permits("user_id:ann", "care", "withdrawn")
		l.permits("user_id:ann", "support", "granted")
		is("granted again", "anybody both noted red")
		l.permits("user_id:ann", "marketing.newsletter", "objected")
		is("an objection counts as well", "anybody both noted")
		l.passes(clock.Now().Add(31 * 24 * time.Hour))
		is("the grant has ended", "anybody")
		want := []string{
			"entered anybody", "entered red", "entered noted", "entered both", "exited noted consent", "exited both consent",
			"entered noted", "exited noted consent", "entered noted", "entered both", "exited red consent", "exited noted consent", "exited both consent",
		}
		if got := l.moves("ann"); !slices.Equal(got, want) {
			t.Errorf("she moved %q\nwant %q", got, want)
		}
		var why struct {
			Member   bool
			Withheld string
			Purposes []string
		}
		if l.get("/v1/segments/noted/explain?person=user_id:ann", &why); why.Member || why.Withheld != "consent" || fmt.Sprint(why.Purposes) != "[support care]" {
			t.Errorf("it is explained by %+v", why)
		}
		if l.people("noted") != 0 || l.people("both") != 0 || l.people("red") != 0 || l.people("anybody") != 1 {
			t.Error("the sizes of the segments are wrong")
		}
		got := r.wait("her last exit, although she permits nothing", func(all []*message) bool {
			return len(all) > 0 && fmt.Sprint(all[len(all)-1].Data["segment"], all[len(all)-1].Data["reason"]) == "both"+"consent" && len(r.exits()) == 5
		})
		for _, m := range got {
			if m.Data["segment"] == "red" {
				t.Errorf("support is told of a segment for marketing: %s", m.Raw)
			}
		}
	})
}

func (r *receiver) exits() (out []*message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.all {
		if m.Type == "segment.exited" {
			out = append(out, m)
		}
	}
	return out
}

// TestWhatWasSaidUnderAnotherNameCounts: whoever is known by another identifier from
// now on permits what was said under it.
func TestWhatWasSaidUnderAnotherNameCounts(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: handClock()}, small(t, sink.Addr(), apart))
		l.permits("email:bob@people.example", "support", "granted")
		l.identify("1", "bob", `{"secret_note":"x"}`)
		if got := l.within("bob"); got != "" {
			t.Errorf("nobody knows that it is him: in %q", got)
		}
		l.identify("2", "bob", `{"email":"bob@people.example"}`)
		if got := l.within("bob"); got != "anybody noted" {
			t.Errorf("with his address: in %q", got)
		}
		// Whoever has restricted all use of their data is used for nothing.
		for _, c := range []struct{ act, want string }{{"restrict", "anybody"}, {"lift", "anybody noted"}} {
			clock := l.house.Clock()
			clock.Set(clock.Now().Add(time.Minute))
			if w := l.ask(http.MethodPost, "/v1/people/user_id:bob/"+c.act, "{}", "Idempotency-Key", c.act); w.Code > 299 {
				t.Fatal(w.Code, w.Body)
			}
			l.settle()
			if got := l.within("bob"); got != c.want {
				t.Errorf("%s: in %q, want %q", c.act, got, c.want)
			}
			if w := l.ask("GET", "/v1/people/user_id:bob?purpose=support", ""); (w.Code == http.StatusOK) != (c.act == "lift") {
				t.Errorf("%s: read for support: %d", c.act, w.Code)
			}
		}
		// A configuration in which the note is for everything asks nobody any more.
		files := map[string]string{"plan/people.yaml": "traits: {secret_note: string, email: string}\n"}
		for name, text := range apart {
			if files[name] == "" {
				files[name] = text
			}
		}
		l.permits("user_id:bob", "support", "withdrawn")
		if got := l.within("bob"); got != "anybody" {
			t.Errorf("withdrawn: in %q", got)
		}
		if _, err := l.house.Apply(t.Context(), small(t, sink.Addr(), files).Files, 0); err != nil {
			t.Fatal(err)
		}
		l.settle()
		if got := l.within("bob"); got != "anybody noted" {
			t.Errorf("for every purpose: in %q", got)
		}
	})
}

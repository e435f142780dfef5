package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/app"
	"rapport/internal/id"
	owed "rapport/internal/message"
	"rapport/internal/outbox"
)

// keptWorkspace keeps by class and by purpose.
const keptWorkspace = `workspace: kept
base_url: http://mail.shop.example
sending:
  from: Shop <shop@shop.example>
  postal_address: 1 Sample Street, Sampletown
  provider: sink
retention:
  mails: 300d
  classes: {sensitive: 60d}
  purposes: {marketing: 90d, profiling: 200d}
limits: {events_per_second: 1000000, burst: 1000000, manage_per_second: 100000}
`

const keptPlan = `
traits:
  city: {type: string, retention: 30d}
  address:
    type: object
    properties:
      street: {type: string, retention: 30d}
      postal_code: {type: string, class: sensitive}
      country: string
  name: string
events:
  Looked:
    properties:
      about: {type: string, retention: 30d}
      illness: {type: string, class: sensitive}
      campaign: {type: string, purposes: [marketing.newsletter]}
      basket: {type: string, purposes: [marketing.newsletter, service]}
      items:
        type: array
        items: {type: object, properties: {sku: string, engraving: {type: string, retention: 30d}}}
  Bought:
    retention: 60d
    properties:
      card: {type: string, retention: 30d}
  Gained: {purposes: [marketing.newsletter, profiling], properties: {prize: string}}
`

// kept gives what is kept of an event, or of the traits of a call, as JSON.
func (l *lived) kept(who, messageID string) string {
	l.t.Helper()
	var page struct {
		Events []struct {
			MessageID          string `json:"message_id"`
			Properties, Traits json.RawMessage
		}
	}
	l.get("/v1/people/"+who+"/events?limit=200", &page)
	for _, e := range page.Events {
		if e.MessageID == messageID {
			return string(e.Properties) + string(e.Traits)
		}
	}
	return "gone"
}

// TestPropertiesEndWithTheirTerm: what is kept shorter than the event it is in is
// taken out of it, by its own word, its class or its purposes, and of traits also
// what stands below one; the rest stays, and is still sealed for whose it is.
func TestPropertiesEndWithTheirTerm(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		clock := app.NewClock(at, 0)
		data := t.TempDir()
		l := live(t, app.Options{Data: data, Database: database, Clock: clock}, small(t, sink.Addr(), map[string]string{
			"rapport.yaml": keptWorkspace, "plan/all.yaml": keptPlan, "segments/near.yaml": "rule: {trait: address.street, exists: true}\n",
		}))
		day := 24 * time.Hour
		passes := func(days int) {
			t.Helper()
			for until := at.Add(time.Duration(days) * day); ; {
				reached, err := l.house.Proceed(t.Context(), until)
				if err != nil {
					t.Fatal(err)
				}
				if !reached.Before(until) {
					break
				}
			}
			if err := l.house.Retain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, who := range []string{"ann", "eve"} {
			for _, body := range []string{
				`{"type":"identify","messageId":"W-i","userId":"W","traits":{"name":"W","city":"Sampletown","address":{"street":"High St","postalCode":"12345","country":"DE"}}}`,
				`{"type":"track","messageId":"W-l","userId":"W","event":"Looked","properties":{"about":"W-about","illness":"W-illness","campaign":"W-campaign","basket":"W-basket","other":1,"items":[{"sku":"a","engraving":"W-engraving"},{"sku":"b"}]}}`,
				`{"type":"track","messageId":"W-b","userId":"W","event":"Bought","properties":{"card":"W-card","price":1}}`,
				`{"type":"track","messageId":"W-w","userId":"W","event":"Gained","properties":{"prize":"W-prize"}}`,
			} {
				l.says(strings.ReplaceAll(body, "W", who))
			}
		}
		has := func(when string, messageID, want string) {
			t.Helper()
			for _, who := range []string{"ann", "eve"} {
				if got := l.kept("user_id:"+who, who+messageID); got != strings.ReplaceAll(want, "W", who) {
					t.Errorf("%s, %s of %s: %s, want %s", when, messageID, who, got, want)
				}
			}
		}
		traits := func(when, want string) {
			t.Helper()
			var p struct{ Traits json.RawMessage }
			l.get("/v1/people/user_id:ann", &p)
			if string(p.Traits) != want {
				t.Errorf("%s: her traits are %s, want %s", when, p.Traits, want)
			}
		}
		passes(29)
		has("after 29 days", "-l", `{"about":"W-about","illness":"W-illness","campaign":"W-campaign","basket":"W-basket","other":1,"items":[{"sku":"a","engraving":"W-engraving"},{"sku":"b"}]}`)
		traits("after 29 days", `{"address":{"street":"High St","postalCode":"12345","country":"DE"},"city":"Sampletown","name":"ann"}`)
		if n := l.people("near"); n != 2 {
			t.Errorf("%d are near after 29 days, want 2", n)
		}
		passes(31)
		has("after 31 days", "-l", `{"illness":"W-illness","campaign":"W-campaign","basket":"W-basket","other":1,"items":[{"sku":"a"},{"sku":"b"}]}`)
		has("after 31 days", "-b", `{"price":1}`)
		has("after 31 days", "-i", `{"name":"W","address":{"postalCode":"12345","country":"DE"}}`)
		traits("after 31 days", `{"address":{"postalCode":"12345","country":"DE"},"name":"ann"}`)
		if n := l.people("near"); n != 0 {
			t.Errorf("%d are near after 31 days, want none", n)
		}
		passes(61)
		has("after 61 days", "-l", `{"campaign":"W-campaign","basket":"W-basket","other":1,"items":[{"sku":"a"},{"sku":"b"}]}`)
		has("after 61 days", "-b", "gone")
		has("after 61 days", "-i", `{"name":"W","address":{"country":"DE"}}`)
		traits("after 61 days", `{"address":{"country":"DE"},"name":"ann"}`)
		passes(91)
		has("after 91 days", "-l", `{"basket":"W-basket","other":1,"items":[{"sku":"a"},{"sku":"b"}]}`)
		has("after 91 days", "-w", `{"prize":"W-prize"}`)
		passes(201)
		has("after 201 days", "-w", "gone")
		if r, err := l.house.Retention(t.Context()); err != nil || r.Taken != 4 || r.Trimmed != 12 {
			t.Errorf("it tells of %+v, %v", r, err)
		}
		var told struct{ Terms []app.Term }
		l.get("/v1/retention", &told)
		var list []string
		for _, x := range told.Terms {
			list = append(list, fmt.Sprintf("%s %s %d", x.What, x.Name, x.Days))
		}
		if diff := cmp.Diff([]string{
			"mail  300", "mail marketing.newsletter 90", "mail profiling 200", "mail service 300",
			"property Bought: card 30", "property Looked: about 30", "property Looked: campaign 90", "property Looked: illness 60", "property Looked: items.engraving 30",
			"track Bought 60", "track Gained 200", "trait address.postalCode 60", "trait address.street 30", "trait city 30",
		}, list); diff != "" {
			t.Errorf("terms (-want +got):\n%s", diff)
		}
		l.erase("user_id:ann")
		l.told()
		l.end()
		where := data
		if database != "" {
			where = database
		}
		for text, want := range map[string]bool{"-about": false, "-card": false, "-illness": false, "-engraving": false, "-campaign": false, "ann-basket": false, "eve-basket": true} {
			tables, err := app.Holds(t.Context(), where, data, text)
			if err != nil || (len(tables) > 0) != want {
				t.Errorf("%s stands in %v, %v", text, tables, err)
			}
		}
	})
}

// TestAComputedTraitEndsWithItsPurposes: what a journey made of data for one purpose is
// kept no longer than such data are, also when the journey is gone.
func TestAComputedTraitEndsWithItsPurposes(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		files := map[string]string{
			"rapport.yaml": keptWorkspace, "plan/all.yaml": "traits:\n  taste: {type: string, purposes: [marketing.newsletter]}\n",
			"journeys/copy.yaml": "purpose: marketing.newsletter\ntrigger: {event: Copied}\nsteps:\n  - set: {likes: \"{{ person.taste }}\"}\n",
		}
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(at, 0)}, small(t, sink.Addr(), files))
		l.says(`{"type":"identify","messageId":"i","userId":"ann","traits":{"taste":"tea","name":"Ann"}}`)
		l.says(`{"type":"track","messageId":"t","userId":"ann","event":"Copied"}`)
		delete(files, "journeys/copy.yaml")
		if _, err := l.house.Apply(t.Context(), small(t, sink.Addr(), files).Files, 0); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			days int
			want string
		}{{89, `{"likes":"tea","name":"Ann","taste":"tea"}`}, {91, `{"name":"Ann"}`}} {
			days, want := c.days, c.want
			l.passes(at.Add(time.Duration(days) * 24 * time.Hour))
			if err := l.house.Retain(t.Context()); err != nil {
				t.Fatal(err)
			}
			var p struct{ Traits json.RawMessage }
			l.get("/v1/people/user_id:ann", &p)
			if string(p.Traits) != want {
				t.Errorf("after %d days: %s, want %s", days, p.Traits, want)
			}
			events := l.ask("GET", "/v1/people/user_id:ann/events?limit=50", "").Body.String()
			if strings.Contains(events, `"likes":"tea"`) != strings.Contains(want, "likes") {
				t.Errorf("after %d days the timeline has %s", days, events)
			}
		}
	})
}

// TestWhatWasInMailsEnds: after its term what was in a mail is gone, by the purpose of
// the mail, and so is its subject from the timeline; that there was one, what became
// of it and what permitted it stays.
func TestWhatWasInMailsEnds(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		clock := app.NewClock(at, 0)
		data := t.TempDir()
		l := live(t, app.Options{Data: data, Database: database, Clock: clock}, small(t, sink.Addr(), map[string]string{"rapport.yaml": keptWorkspace}))
		l.says(`{"type":"identify","messageId":"i","userId":"ann","traits":{"email":"ann@people.example"}}`)
		l.says(`{"type":"track","messageId":"t","userId":"ann","event":"Trigger","properties":{"ref":"of-news"}}`)
		if code, _ := l.receipt("ann", "of-receipt"); code > 299 {
			t.Fatal(code)
		}
		l.told()
		type story struct {
			State, Template, Subject string
			Story                    []struct {
				State  string
				Detail json.RawMessage
			}
			Parts *struct{ Text string }
		}
		mails := func() map[string]story {
			var list struct{ Messages []struct{ ID string } }
			l.get("/v1/messages?person=user_id:ann", &list)
			out := map[string]story{}
			for _, m := range list.Messages {
				var s story
				l.get("/v1/messages/"+m.ID, &s)
				out[s.Template] = s
			}
			return out
		}
		before := mails()
		for _, c := range []struct {
			days          int
			news, receipt bool
			counted       int64
		}{{89, true, true, 0}, {91, false, true, 1}, {299, false, true, 1}, {301, false, false, 2}, {302, false, false, 2}} {
			clock.Set(at.Add(time.Duration(c.days) * 24 * time.Hour))
			if err := l.house.Retain(t.Context()); err != nil {
				t.Fatal(err)
			}
			now := mails()
			for name, stays := range map[string]bool{"note": c.news, "receipt": c.receipt} {
				want := before[name]
				if !stays {
					want.Subject, want.Parts = "", nil
				}
				if diff := cmp.Diff(want, now[name]); diff != "" {
					t.Errorf("%s after %d days (-want +got):\n%s", name, c.days, diff)
				}
			}
			if r, err := l.house.Retention(t.Context()); err != nil || r.Mails != c.counted {
				t.Errorf("after %d days it tells of %+v, %v", c.days, r, err)
			}
		}
		if len(before["note"].Story) < 2 || before["note"].Parts == nil || before["receipt"].Subject == "" {
			t.Errorf("before there was %+v", before)
		}
		l.end()
		where := data
		if database != "" {
			where = database
		}
		for text, want := range map[string][]string{"News of-news": nil, "Receipt of-receipt": nil, "of-receipt\"": nil, "of-news": {"timeline"}, "ann@people.example": {"intent", "person", "timeline"}} {
			if tables, err := app.Holds(t.Context(), where, data, text); err != nil || !cmp.Equal(tables, want) {
				t.Errorf("%s stands in %v, %v, want %v", text, tables, err, want)
			}
		}
	})
}

// TestAMailOnItsWayKeepsWhatIsInIt: until a mail has ended what is in it is needed,
// however long ago it was decided; it is looked at again once it has.
func TestAMailOnItsWayKeepsWhatIsInIt(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		clock := app.NewClock(at, 0)
		config := small(t, sink.Addr(), map[string]string{"rapport.yaml": keptWorkspace})
		h, err := app.Open(t.Context(), app.Options{Data: t.TempDir(), Database: database, Clock: clock}, config)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}()
		in := owed.Intent{
			ID: id.NewMessage(at, "k"), Key: "k", Person: 1, To: "ann@people.example", Template: "receipt", Purpose: "service", Class: owed.Transactional,
			Decided: at, Due: at, Data: []byte(`{"a":1}`),
		}
		left := func(fn func(outbox.Store) error) string {
			t.Helper()
			var m outbox.Mail
			err := app.Mails(t.Context(), h, func(o outbox.Store) error {
				if fn != nil {
					if err := fn(o); err != nil {
						return err
					}
				}
				var err error
				m, _, err = o.Get(in.ID)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return m.To + string(m.Data)
		}
		left(func(o outbox.Store) error {
			_, _, err := o.Insert(in, at)
			return err
		})
		for i, want := range []string{`ann@people.example{"a":1}`, `ann@people.example{"a":1}`, "ann@people.example"} {
			clock.Set(at.Add(time.Duration(301+i) * 24 * time.Hour))
			if err := h.Retain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := left(nil); got != want {
				t.Errorf("the %d. time there is %s, want %s", i+1, got, want)
			}
			if i == 1 {
				left(func(o outbox.Store) error {
					m, _, err := o.Get(in.ID)
					if err != nil {
						return err
					}
					m.State = owed.Accepted
					return o.Move(&m, outbox.Step{State: m.State, At: clock.Now()})
				})
			}
		}
	})
}

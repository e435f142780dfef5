package consent_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

const (
	news  = purpose.Purpose("marketing.newsletter")
	offer = purpose.Purpose("partner.offers")
	ada   = "ada@mail.example"
)

func TestDefaultsFollowTheBasis(t *testing.T) {
	t.Parallel()
	h := setup(t)
	u := h.hash("user_id", "u1")
	h.want("service", h.may(purpose.Service, ada, u), consent.Allow, consent.ByBasis)
	h.want("profiling", h.may(purpose.Profiling, "", u), consent.Allow, consent.ByBasis)
	h.want("newsletter", h.may(news, ada, u), consent.Deny, consent.NoConsent)
	h.want("unknown purpose", h.may("marketing.sms", ada, u), consent.Deny, consent.UnknownPurpose)
	h.want("tracking is no mail", h.may(purpose.OpenTrack, ada, u), consent.Deny, consent.WrongScope)
}

func TestAnErrorDenies(t *testing.T) {
	t.Parallel()
	h := setup(t)
	q := consent.Question{Operation: consent.HandOver, Purpose: news, Channel: purpose.Email, Address: h.hash("email", ada), At: h.now}
	h.store.broke = errBroken
	h.want("store broken", h.a.Decide(context.Background(), q), consent.Deny, consent.Unreadable)
	h.want("in a transaction", h.a.DecideIn(h.store, q), consent.Deny, consent.Unreadable)
	if err := h.a.Narrow(context.Background(), []consent.Entry{{Record: "r", Subject: q.Address, Purpose: news, State: consent.Refused}}); err == nil {
		t.Error("Narrow said yes although nothing is durable")
	}
	if _, err := consent.New(context.Background(), consent.Config{Policy: h.a.Policy(), Keeper: h.store, Hasher: h.hasher, Now: time.Now}); err == nil {
		t.Error("New began without having read what is narrow")
	}
}

func TestDecideAllAnswersAsEachAlone(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.door(prefs("u1", ada, `{"marketing":true,"partners":false,"analytics":true}`), false)
	h.walk()
	var questions []consent.Question
	for _, p := range []purpose.Purpose{purpose.Service, news, offer, purpose.OpenTrack, purpose.ClickTrack, purpose.Profiling, "none"} {
		for _, op := range []consent.Operation{consent.HandOver, consent.Track, consent.Personalise, consent.Export} {
			questions = append(questions, consent.Question{
				Subjects: []id.Hash{h.hash("user_id", "u1"), h.hash("user_id", "silent")}, Address: h.hash("email", ada),
				Operation: op, Purpose: p, Channel: purpose.Email, At: h.now,
			})
		}
	}
	all := h.a.DecideAll(context.Background(), questions...)
	for i, q := range questions {
		if one := h.a.Decide(context.Background(), q); one != all[i] {
			t.Errorf("%s %s: alone %+v, together %+v", q.Operation, q.Purpose, one, all[i])
		}
		if !(all[i].Effect == consent.Allow) && (all[i].Effect == consent.Redact) != (q.Operation == consent.Track || q.Operation == consent.Personalise) {
			t.Errorf("%s is answered %s", q.Operation, all[i].Effect)
		}
	}
	h.store.broke = errBroken
	for i, d := range h.a.DecideAll(context.Background(), questions...) {
		if d.Effect == consent.Allow && d.Reason != consent.ByBasis {
			t.Errorf("%s %s: %+v although nothing can be read", questions[i].Operation, questions[i].Purpose, d)
		}
	}
}

func TestWideningHoldsOnceWalked(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.door(prefs("u1", ada, `{"marketing":true}`), false)
	h.want("before the walk", h.may(news, ada), consent.Deny, consent.NoConsent)
	h.walk()
	h.want("after the walk", h.may(news, ada), consent.Allow, consent.ByGrant)
	if d := h.may(news, ada); d.Record == "" || d.Version == 0 || d.Basis != purpose.Consent {
		t.Errorf("decision without evidence: %+v", d)
	}
}

func TestNarrowingHoldsAtTheDoorAndTheWalkChangesNothing(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.door(prefs("u1", ada, `{"marketing":true}`), false)
	h.walk()
	h.door(prefs("u1", "", `{"marketing":false}`), false)
	h.want("at the door", h.may(news, ada, h.hash("user_id", "u1")), consent.Deny, consent.IsWithdrawn)
	rows := len(h.store.ledger)
	h.walk()
	if len(h.store.ledger) != rows {
		t.Errorf("the walk wrote %d further rows", len(h.store.ledger)-rows)
	}
	h.want("the address alone was not spoken of", h.may(news, ada), consent.Allow, consent.ByGrant)
}

func TestArrivalOrders(t *testing.T) {
	t.Parallel()
	yes, no := `{"marketing":true}`, `{"marketing":false}`
	tests := []struct {
		name   string
		said   []string // in order of arrival
		same   bool     // all at one instant
		effect consent.Effect
		reason string
	}{
		{"yes then no", []string{yes, no}, false, consent.Deny, consent.IsRefused},
		{"no then yes", []string{no, yes}, false, consent.Allow, consent.ByGrant},
		{"no, yes, no: the last no changed nothing at the door", []string{no, yes, no}, false, consent.Deny, consent.IsRefused},
		{"a tie goes to the narrower", []string{no, yes}, true, consent.Deny, consent.IsRefused},
		{"a tie goes to the narrower, either way", []string{yes, no}, true, consent.Deny, consent.IsRefused},
		{"yes, no, yes", []string{yes, no, yes}, false, consent.Allow, consent.ByGrant},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := setup(t)
			at := h.tick()
			for _, s := range tt.said {
				ev := prefs("", ada, s)
				if tt.same {
					ev.Received = at
				}
				h.door(ev, false)
				if s == no && h.may(news, ada).Effect != consent.Deny {
					t.Error("a no did not hold at once")
				}
			}
			log := h.log
			for i := range log { // After each walked record, a no that was answered must hold.
				h.log = log[i : i+1]
				h.walk()
				if tt.effect == consent.Deny && h.may(news, ada).Effect != consent.Deny {
					t.Fatalf("permission stood open after record %d was walked", i)
				}
			}
			d := h.may(news, ada)
			if d.Effect != tt.effect || tt.effect == consent.Deny && d.Reason != consent.IsRefused && d.Reason != consent.IsWithdrawn {
				t.Errorf("got %v %s, want %v %s", d.Effect, d.Reason, tt.effect, tt.reason)
			}
			h.open() // A restart sees the same.
			if again := h.may(news, ada); again != d {
				t.Errorf("after a restart: %+v, before: %+v", again, d)
			}
		})
	}
}

// A "no" that changes nothing and a "yes" of one instant are walked, and the
// process ends between the two.
func TestATieGoesToTheNarrowerAcrossARestart(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.tick()
	h.door(prefs("", ada, `{"marketing":false}`), false)
	h.walk()
	at := h.tick()
	for _, s := range []string{`{"marketing":false}`, `{"marketing":true}`} {
		ev := prefs("", ada, s)
		ev.Received = at
		h.door(ev, false)
	}
	behind := h.log[1:]
	h.log = h.log[:1]
	h.walk()
	h.log = behind
	h.open()
	h.walk()
	h.want("after both", h.may(news, ada), consent.Deny, consent.IsRefused)
}

func TestReplayOfAnOldRecordChangesNothing(t *testing.T) {
	t.Parallel()
	h := setup(t)
	old := prefs("", ada, `{"marketing":true}`)
	h.door(old, false)
	h.walk()
	h.door(prefs("", ada, `{"marketing":false}`), false)
	h.walk()
	for range 3 {
		replay := *old
		replay.Received = time.Time{}
		h.door(&replay, false)
		h.walk()
	}
	h.want("after replays", h.may(news, ada), consent.Deny, consent.IsWithdrawn)
}

func TestClockGoingBackDoesNotUndoAWithdrawal(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.door(prefs("", ada, `{"marketing":true}`), false)
	h.walk()
	h.now = h.now.Add(-time.Hour)
	h.door(prefs("", ada, `{"marketing":false}`), false)
	h.want("at the door", h.may(news, ada), consent.Deny, consent.IsWithdrawn)
	h.walk()
	h.want("after the walk", h.may(news, ada), consent.Deny, consent.IsWithdrawn)
}

func TestSeveralCategoriesNeedAllTrue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		prefs string
		state consent.State // of partner.offers; 0: silence
	}{
		{`{"marketing":true,"partners":true}`, consent.Granted},
		{`{"marketing":true,"partners":false}`, consent.Objected},
		{`{"marketing":true}`, 0},
		{`{"partners":false}`, consent.Objected},
		{`{}`, 0},
		{`{"unknown":false}`, 0},
		{`{"marketing":"false","partners":null}`, 0},
		{`{"market\u0069ng":false}`, consent.Objected},
		{`{"marketing":true,"marketing":false}`, consent.Objected},
		{`{"marketing" : true , "partners" : true }`, consent.Granted},
	}
	for _, tt := range tests {
		t.Run(tt.prefs, func(t *testing.T) {
			t.Parallel()
			h := setup(t)
			h.door(prefs("", ada, tt.prefs), false)
			h.walk()
			if got := h.store.held[h.hash("email", ada)][offer].State; got != tt.state {
				t.Errorf("state %v, want %v", got, tt.state)
			}
		})
	}
}

func TestBrowserKeyNeverWidensForAnAddress(t *testing.T) {
	t.Parallel()
	h := setup(t)
	both := `{"marketing":true,"analytics":true}`
	ev := prefs("u1", ada, both)
	ev.Anonymous, ev.Flags = "dev-1", event.FromBrowser
	h.door(ev, false)
	h.walk()
	u, dev := h.hash("user_id", "u1"), h.hash("anonymous_id", "dev-1")
	h.want("the address", h.may(news, ada, u, dev), consent.Deny, consent.NoConsent)
	h.want("its own device", h.may(purpose.OpenTrack, "", dev), consent.Allow, consent.ByGrant)
	h.want("a user id it names", h.may(purpose.OpenTrack, "", u), consent.Deny, consent.NoConsent)
	if h.a.Counted(consent.GrantsRefused) == 0 {
		t.Error("refused grants are not counted")
	}
	signed := prefs("u1", ada, both)
	signed.Flags = event.FromBrowser | event.Verified
	h.door(signed, false)
	h.walk()
	h.want("with a signed user hash", h.may(news, ada), consent.Allow, consent.ByGrant)
	nope := prefs("u1", ada, `{"marketing":false}`)
	nope.Flags = event.FromBrowser
	h.door(nope, false)
	h.want("it may narrow", h.may(news, ada), consent.Deny, consent.IsWithdrawn)
}

func TestMergedPersonHoldsTheNarrowest(t *testing.T) {
	t.Parallel()
	h := setup(t)
	a, b, silent := h.hash("user_id", "a"), h.hash("user_id", "b"), h.hash("user_id", "c")
	h.door(prefs("a", "", `{"marketing":true,"partners":true}`), false)
	h.walk()
	h.want("silence never wins", h.may(offer, ada, a, silent), consent.Allow, consent.ByBasis)
	h.want("silence never wins over a grant", h.may(news, ada, silent, a), consent.Allow, consent.ByGrant)
	h.door(prefs("b", "", `{"marketing":false,"partners":true}`), false)
	h.walk()
	h.want("refusal over grant", h.may(news, ada, a, b), consent.Deny, consent.IsRefused)
	h.want("objection over grant", h.may(offer, ada, b, a), consent.Deny, consent.IsObjected)
	h.want("apart again", h.may(news, ada, a), consent.Allow, consent.ByGrant)
	dev := prefs("", "", `{"analytics":false}`)
	dev.Anonymous = "dev"
	h.door(dev, false)
	h.want("a device's no does not touch mail", h.may(news, ada, a, h.hash("anonymous_id", "dev")), consent.Allow, consent.ByGrant)
}

func TestGPCNarrowsWhatThePolicySays(t *testing.T) {
	t.Parallel()
	h := setup(t)
	ev := &event.Event{Type: event.Page, MessageID: "p1", Source: "site", Anonymous: "dev", UserID: "u"}
	h.door(ev, true)
	for _, s := range []id.Hash{h.hash("anonymous_id", "dev"), h.hash("user_id", "u")} {
		h.want("sale or share", h.may(purpose.SaleShare, "", s), consent.Deny, consent.IsObjected)
		h.want("profiling", h.may(purpose.Profiling, "", s), consent.Allow, consent.ByBasis)
	}
	rows := len(h.store.ledger)
	for i := range 3 {
		h.door(&event.Event{Type: event.Page, MessageID: fmt.Sprint("q", i), Source: "site", Anonymous: "dev", UserID: "u"}, true)
	}
	if len(h.store.ledger) != rows {
		t.Error("a signal that changes nothing was written down again")
	}
	shown, err := h.a.Show(context.Background(), []id.Hash{h.hash("anonymous_id", "dev")}, h.hash("email", ada))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shown {
		if s.Definition.Name == purpose.SaleShare && (s.Method != consent.ByGPC || s.Since.IsZero()) {
			t.Errorf("GPC is not shown as honoured: %+v", s)
		}
	}
}

func TestUnsubscribeHoldsForTheAddressAndItsPurpose(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.door(prefs("u1", ada, `{"marketing":true,"partners":true}`), false)
	h.walk()
	h.door(&event.Event{
		Type: event.Track, Name: consent.UnsubscribedEvent, MessageID: "un", Source: "esp", Email: ada,
		Properties: []byte(`{"list_id":"marketing.newsletter"}`),
	}, false)
	h.want("the list", h.may(news, ada), consent.Deny, "suppressed_unsubscribed")
	h.want("service", h.may(purpose.Service, ada), consent.Allow, consent.ByBasis)
	h.want("another purpose", h.may(offer, ada), consent.Allow, consent.ByBasis)
	h.want("another address", h.may(news, "other@mail.example", h.hash("user_id", "u1")), consent.Allow, consent.ByGrant)
	h.door(&event.Event{Type: event.Track, Name: consent.UnsubscribedEvent, MessageID: "un2", Source: "esp", Email: ada}, false)
	h.want("no list named: all mail", h.may(offer, ada), consent.Deny, "suppressed_unsubscribed")
	h.want("but never service", h.may(purpose.Service, ada), consent.Allow, consent.ByBasis)
	h.now = h.now.AddDate(20, 0, 0)
	h.open()
	h.want("after twenty years", h.may(news, ada), consent.Deny, "suppressed_unsubscribed")
}

func TestUnsubscribeLeavesThePersonsOtherAddressAlone(t *testing.T) {
	t.Parallel()
	h := setup(t)
	other := "ada@home.example"
	h.door(prefs("u1", ada, `{"marketing":true}`), false)
	h.door(prefs("u1", other, `{"marketing":true}`), false)
	h.walk()
	for _, name := range []string{consent.UnsubscribedEvent, consent.SpamEvent} {
		h.door(&event.Event{Type: event.Track, Name: name, MessageID: name, Source: "esp", Email: ada, UserID: "u1"}, false)
		h.want(name, h.may(news, other, h.hash("user_id", "u1")), consent.Allow, consent.ByGrant)
		if h.may(news, ada, h.hash("user_id", "u1")).Effect != consent.Deny {
			t.Errorf("%s: the address itself is still mailed", name)
		}
	}
}

func TestOneIdForAYesAndThenANo(t *testing.T) {
	t.Parallel()
	h := setup(t)
	yes := prefs("", ada, `{"marketing":true}`)
	h.door(yes, false)
	h.walk()
	no := prefs("", ada, `{"marketing":false}`)
	no.MessageID = yes.MessageID
	h.door(no, false)
	h.want("at the door", h.may(news, ada), consent.Deny, consent.IsWithdrawn)
	h.walk()
	h.want("after the walk", h.may(news, ada), consent.Deny, consent.IsWithdrawn)
}

func TestAFamilyIsOutdoneByALaterWordOnItsMember(t *testing.T) {
	t.Parallel()
	h := setup(t)
	say := func(record string, p purpose.Purpose, s consent.State) {
		t.Helper()
		h.tick()
		e := consent.Entry{Subject: h.hash("email", ada), Kind: "email", Purpose: p, State: s, Method: consent.ByAPI}
		if err := h.a.Submit(context.Background(), record, "api", []consent.Entry{e}); err != nil {
			t.Fatal(err)
		}
		h.walk()
	}
	say("1", news, consent.Granted)
	say("2", "marketing", consent.Objected)
	h.want("the family", h.may(news, ada), consent.Deny, consent.IsObjected)
	h.want("not another family", h.may(offer, ada), consent.Allow, consent.ByBasis)
	h.open()
	h.want("after a restart", h.may(news, ada), consent.Deny, consent.IsObjected)
	say("3", news, consent.Granted)
	h.want("a later word on the member", h.may(news, ada), consent.Allow, consent.ByGrant)
	h.open()
	h.want("after another restart", h.may(news, ada), consent.Allow, consent.ByGrant)
	if q := (consent.Question{Subjects: []id.Hash{h.hash("email", ada)}, Operation: consent.Compute, Purpose: news, Granted: true, At: h.now}); h.a.Narrows(q.Subjects[0], news) {
		t.Error("memory still shows the family's no")
	}
}

func TestWhoMayLiftAnUnsubscribe(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		flags event.Flag
		lifts bool
	}{{"server", 0, true}, {"browser", event.FromBrowser, false}, {"browser, verified", event.FromBrowser | event.Verified, true}, {"import", event.Bulk, false}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := setup(t)
			h.door(&event.Event{Type: event.Track, Name: consent.UnsubscribedEvent, MessageID: "un", Source: "esp", Email: ada}, false)
			h.walk()
			back := prefs("u", ada, `{"marketing":true,"partners":true}`)
			back.Flags = tt.flags
			h.door(back, false)
			h.want("before the walk", h.may(news, ada), consent.Deny, "suppressed_unsubscribed")
			h.walk()
			if got := h.may(news, ada).Effect == consent.Allow; got != tt.lifts {
				t.Errorf("lifted: %v, want %v", got, tt.lifts)
			}
			h.open()
			if got := h.may(news, ada).Effect == consent.Allow; got != tt.lifts {
				t.Errorf("after a restart lifted: %v, want %v", got, tt.lifts)
			}
		})
	}
}

func TestComplaintStopsAllMailButServiceForEver(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.door(&event.Event{Type: event.Track, Name: consent.SpamEvent, MessageID: "spam", Source: "esp", Email: ada}, false)
	h.want("newsletter", h.may(news, ada), consent.Deny, "suppressed_complaint")
	h.want("offers", h.may(offer, ada), consent.Deny, "suppressed_complaint")
	h.want("service", h.may(purpose.Service, ada), consent.Allow, consent.ByBasis)
	h.door(prefs("u", ada, `{"marketing":true,"partners":true}`), false)
	h.walk()
	h.want("a later yes does not lift it", h.may(news, ada), consent.Deny, "suppressed_complaint")
	if err := h.a.Lift(context.Background(), h.hash("email", ada), consent.Complaint); err != nil {
		t.Fatal(err)
	}
	h.want("an operator may", h.may(news, ada), consent.Allow, consent.ByGrant)
	page := &event.Event{Type: event.Page, Name: consent.SpamEvent, MessageID: "page", Source: "site", Email: ada}
	h.door(page, false)
	h.want("a page of that name is no complaint", h.may(offer, ada), consent.Allow, consent.ByBasis)
}

func TestHardBounceStopsEverything(t *testing.T) {
	t.Parallel()
	h := setup(t)
	s := consent.Suppression{Address: h.hash("email", ada), Purpose: "*", Reason: consent.HardBounce}
	if err := h.a.Suppress(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	h.want("service too", h.may(purpose.Service, ada), consent.Deny, "suppressed_hard_bounce")
	if err := h.a.Suppress(context.Background(), consent.Suppression{Address: s.Address, Reason: "whim"}); err == nil {
		t.Error("an unknown reason was taken")
	}
}

func TestGrantsExpire(t *testing.T) {
	t.Parallel()
	h := setup(t)
	p := policy(t, "purposes:\n  service: {basis: contract}\n  marketing.newsletter: {basis: consent, categories: [marketing], valid_for: 10d}\n")
	if err := h.a.SetPolicy(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	h.door(prefs("", ada, `{"marketing":true}`), false)
	h.walk()
	h.now = h.now.Add(10*24*time.Hour - time.Millisecond)
	h.want("the last instant", h.may(news, ada), consent.Allow, consent.ByGrant)
	h.now = h.now.Add(time.Millisecond)
	h.want("ten days", h.may(news, ada), consent.Deny, consent.Expired)
	h.door(prefs("", ada, `{"marketing":true}`), false)
	h.walk()
	h.want("said again", h.may(news, ada), consent.Allow, consent.ByGrant)
}

// TestImportedGrants says that a grant of a file counts from when it was said,
// and outdoes nobody's own no, however old or new either is.
func TestImportedGrants(t *testing.T) {
	t.Parallel()
	h := setup(t)
	p := policy(t, "purposes:\n  service: {basis: contract}\n  marketing.newsletter: {basis: consent, categories: [marketing], valid_for: 10d}\n")
	if err := h.a.SetPolicy(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	bring := func(record, who string, said time.Time) {
		t.Helper()
		h.tick()
		err := h.a.Submit(context.Background(), record, "crm", []consent.Entry{
			{Subject: h.hash("email", who), Kind: "email", Purpose: news, State: consent.Granted, Said: said, Method: consent.ByImport, Evidence: []byte(`{"form":"v1"}`)},
		})
		if err != nil {
			t.Fatal(err)
		}
		h.walk()
	}
	const old, bea = "old@mail.example", "bea@mail.example"
	began := h.now
	bring("r1", ada, began.Add(-9*24*time.Hour))
	bring("r2", old, began.Add(-10*24*time.Hour))
	h.want("nine days ago", h.may(news, ada), consent.Allow, consent.ByGrant)
	h.want("ten days ago", h.may(news, old), consent.Deny, consent.Expired)
	h.now = began.Add(24 * time.Hour)
	h.want("a day later", h.may(news, ada), consent.Deny, consent.Expired)
	bring("r3", ada, began.Add(-9*24*time.Hour))
	h.want("the same word in another file", h.may(news, ada), consent.Deny, consent.Expired)

	h.door(prefs("", bea, `{"marketing":false}`), false)
	h.walk()
	bring("r4", bea, h.now)
	h.want("a no is not undone", h.may(news, bea), consent.Deny, consent.IsRefused)
	h.tick()
	h.door(prefs("", bea, `{"marketing":true}`), false)
	h.walk()
	h.want("but by herself", h.may(news, bea), consent.Allow, consent.ByGrant)
	h.tick()
	h.door(prefs("", bea, `{"marketing":false}`), false)
	h.walk()
	h.want("and a no after it holds", h.may(news, bea), consent.Deny, consent.IsWithdrawn)
}

func TestSubmitIsInTheLedgerAndTheLog(t *testing.T) {
	t.Parallel()
	h := setup(t)
	subject := h.hash("email", ada)
	say := func(record string, s consent.State) error {
		return h.a.Submit(context.Background(), record, "preferences", []consent.Entry{
			{Subject: subject, Kind: "email", Purpose: news, State: s, Method: consent.ByPreferences, Evidence: []byte(`{"form":"v1"}`)},
		})
	}
	if err := say("r1", consent.Granted); err != nil {
		t.Fatal(err)
	}
	h.want("a yes waits for the walk", h.may(news, ada), consent.Deny, consent.NoConsent)
	h.walk()
	h.want("walked", h.may(news, ada), consent.Allow, consent.ByGrant)
	h.tick()
	if err := say("r2", consent.Withdrawn); err != nil {
		t.Fatal(err)
	}
	h.want("a no holds at once", h.may(news, ada), consent.Deny, "suppressed_unsubscribed")
	rows := len(h.store.ledger)
	h.walk()
	if len(h.store.ledger) != rows {
		t.Error("the walk wrote the same record again")
	}
}

// TestOrderAgainstAModel speaks at random and holds the authority to a
// model: per subject and purpose the last to arrive, ties to the narrower.
func TestOrderAgainstAModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		h := setup(t)
		r := rand.New(rand.NewPCG(seed, 7))
		var lastAt time.Time
		state := 0 // 0 silence, 1 yes, 2 no
		for range 40 {
			at := h.now
			if r.IntN(3) > 0 {
				at = h.tick()
			}
			yes := r.IntN(2) == 0
			ev := prefs("", ada, fmt.Sprintf(`{"marketing":%v}`, yes))
			ev.Received = at
			h.door(ev, false)
			switch {
			case !yes:
				state, lastAt = 2, at
			case at.After(lastAt) || state == 0:
				state, lastAt = 1, at
			}
			if !yes && h.may(news, ada).Effect == consent.Allow {
				t.Fatalf("seed %d: a no did not hold at once", seed)
			}
			if r.IntN(4) == 0 {
				h.walk()
				if got := h.may(news, ada).Effect == consent.Allow; got != (state == 1) {
					t.Fatalf("seed %d: allowed %v, model says %d", seed, got, state)
				}
			}
			if r.IntN(12) == 0 {
				h.open()
			}
		}
	}
}

func TestReadersSeeWhatWasNarrowedWhileThePictureGrows(t *testing.T) {
	t.Parallel()
	h := setup(t)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				e := consent.Entry{Record: "r", Subject: h.hash("user_id", fmt.Sprint(w, i)), Kind: "user_id", Purpose: purpose.Profiling, State: consent.Objected, At: h.now}
				if err := h.a.Narrow(context.Background(), []consent.Entry{e}); err != nil {
					t.Error(err)
					return
				}
				q := consent.Question{Subjects: []id.Hash{e.Subject}, Operation: consent.Compute, Purpose: purpose.Profiling, At: h.now}
				if d, _ := h.a.Quick(&q); d.Effect != consent.Deny {
					t.Errorf("worker %d: subject %d is still permitted", w, i)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkQuick(b *testing.B) {
	h := setup(b)
	for i := range 100_000 {
		h.store.Suppress(consent.Suppression{Address: h.hash("email", fmt.Sprint(i)), Reason: consent.Complaint})
		if i == 4095 {
			break
		}
	}
	h.open()
	q := consent.Question{Subjects: []id.Hash{h.hash("user_id", "a"), h.hash("email", ada), h.hash("anonymous_id", "x")}, Operation: consent.Collect, Purpose: purpose.Profiling}
	b.ReportAllocs()
	for b.Loop() {
		if d, _ := h.a.Quick(&q); d.Effect != consent.Allow {
			b.Fatal(d)
		}
	}
}

func BenchmarkFromEventSilent(b *testing.B) {
	h := setup(b)
	ev := &event.Event{Type: event.Track, Name: "Product Viewed", UserID: "u", Context: []byte(`{"page":{"url":"https://shop.example/p/1","title":"A thing"},"locale":"en-GB","userAgent":"Mozilla/5.0"}`)}
	b.ReportAllocs()
	for b.Loop() {
		h.a.FromEvent(ev, false)
	}
}

func BenchmarkFromEventUnchanged(b *testing.B) {
	h := setup(b)
	ev := prefs("u1", ada, `{"marketing":false,"analytics":false,"personalization":true}`)
	ev.Name, ev.Flags = "Product Viewed", event.FromBrowser
	h.door(ev, true)
	b.ReportAllocs()
	for b.Loop() {
		if narrow, _ := h.a.FromEvent(ev, true); len(narrow) != 0 {
			b.Fatal("something is written again")
		}
	}
}

func BenchmarkQuickAmongAMillion(b *testing.B) {
	h := setup(b)
	for i := range 1_000_000 {
		var x id.Hash
		for j := range 16 {
			x[j] = byte(rand.Uint32())
		}
		h.store.held[x] = map[purpose.Purpose]consent.Held{news: {Purpose: news, State: consent.Withdrawn, Seq: int64(i), At: h.now}}
	}
	h.open()
	subjects := make([]id.Hash, 4096)
	for i := range subjects {
		subjects[i] = h.hash("user_id", fmt.Sprint(i))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		q := consent.Question{Subjects: subjects[i&4095 : i&4095+1], Operation: consent.Collect, Purpose: purpose.Profiling}
		if d, _ := h.a.Quick(&q); d.Effect != consent.Allow {
			b.Fatal(d)
		}
	}
}

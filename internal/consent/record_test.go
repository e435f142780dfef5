package consent_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

const recorded = `purposes:
  service: {basis: contract}
  marketing.newsletter:
    title: {en: News, de: Neuigkeiten}
    basis: consent
    categories: [marketing]
    valid_for: 730d
    notice: newsletter
    data: [email, first_name]
    recipients: [Sample Mail Ltd]
    retention: until withdrawn
    tcf: [2]
    us_opt_out: [sale]
  profiling: {basis: legitimate_interest, scope: device, tcf: [2]}
`

func recordHouse(t *testing.T) *house {
	t.Helper()
	h := setup(t)
	p := policy(t, recorded)
	p.About = consent.About{Tenant: "shop", Controller: "Sample Shop", Jurisdiction: "DE"}
	n, problem := consent.ParseNotice("newsletter.en.md", []byte("---\nversion: 3\n---\n# News\nWe write to you.\n"))
	if problem != nil {
		t.Fatal(problem.Message)
	}
	p.SetNotices([]consent.Notice{n})
	if err := h.a.SetPolicy(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) records(value string) *consent.History {
	h.t.Helper()
	all, err := h.a.Records(context.Background(), h.hash("email", value))
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func TestRecordHasTheFieldsOfTheStandard(t *testing.T) {
	t.Parallel()
	h := recordHouse(t)
	ev := prefs("", ada, `{"marketing":true}`)
	ev.Context = []byte(`{"ip":"203.0.113.77","userAgent":"Browser 1","page":{"url":"https://shop.example/join?email=ada@mail.example#x"},
		"consent":{"categoryPreferences":{"marketing":true},"notice":{"id":"newsletter"},"form":"footer","jurisdiction":"AT","expiresAt":"2026-04-01T00:00:00Z"}}`)
	h.door(ev, false)
	h.walk()
	all := h.records(ada)
	if len(all.Records) != 1 {
		t.Fatalf("%d records", len(all.Records))
	}
	raw := all.Records[0].JSON()
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{
		"record_id", "schema_version", "tenant", "pii_principal_id", "privacy_notice", "purposes", "lawful_basis", "pii_information", "pii_controllers",
		"collection_method", "channel", "jurisdiction", "recipient_third_parties", "retention_period", "withdrawal_method", "event_time", "event_type",
		"event_state", "validity_duration_seconds", "entity_id", "evidence",
	} {
		if _, ok := got[field]; !ok {
			t.Errorf("the record lacks %s: %s", field, raw)
		}
	}
	r := all.Records[0]
	switch {
	case r.Notice == nil || r.Notice.Version != "3" || r.Notice.Language != "en" || len(r.Notice.Digest) != 64:
		t.Errorf("notice %+v", r.Notice)
	case r.Type != "given" || r.State != "granted" || r.Jurisdiction != "AT" || r.Basis != purpose.Consent || r.Controllers[0] != "Sample Shop":
		t.Errorf("record %s", raw)
	case r.Evidence.IP != "203.0.113.0/24" || r.Evidence.URL != "https://shop.example/join" || r.Evidence.Form != "footer" || r.Evidence.Method != "accept":
		t.Errorf("evidence %+v", r.Evidence)
	case !r.ValidUntil.Equal(time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)):
		t.Errorf("valid until %s", r.ValidUntil)
	}
	if s := string(raw); strings.Contains(s, "@") || strings.Contains(s, "203.0.113.77") {
		t.Errorf("the record names somebody: %s", s)
	}
	if again := h.records(ada).Records[0].JSON(); string(again) != string(raw) {
		t.Errorf("the same row gives another record:\n%s\n%s", raw, again)
	}
	h.want("while it is valid", h.may(news, ada), consent.Allow, consent.ByGrant)
	h.now = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	h.want("at the instant at which it ends", h.may(news, ada), consent.Deny, consent.Expired)
}

func TestAYesUnderAnotherNoticeIsARecordOfItsOwn(t *testing.T) {
	t.Parallel()
	h := recordHouse(t)
	say := func(notice string) {
		t.Helper()
		ev := prefs("", ada, `{"marketing":true}`)
		ev.Context = []byte(`{"consent":{"categoryPreferences":{"marketing":true},"notice":` + notice + `}}`)
		h.door(ev, false)
		h.walk()
	}
	for _, notice := range []string{`{"id":"newsletter","version":"2"}`, `{"id":"newsletter","version":"2"}`, `{"id":"newsletter","version":"3"}`, `{"id":"newsletter","version":"3"}`} {
		say(notice)
	}
	all := h.records(ada).Records
	if len(all) != 2 || all[0].Notice.Version != "2" || all[0].Notice.Digest != "" || all[1].Notice.Version != "3" || all[1].Notice.Digest == "" {
		t.Errorf("records: %d", len(all))
	}
}

func TestSensitiveDataNeedAYesWhateverTheBasis(t *testing.T) {
	t.Parallel()
	h := recordHouse(t)
	u := h.hash("user_id", "u1")
	ask := func(class consent.Class) consent.Decision {
		q := consent.Question{Subjects: []id.Hash{u}, Operation: consent.Compute, Purpose: purpose.Profiling, Class: class, At: h.now}
		d := h.a.Decide(context.Background(), q)
		if all := h.a.DecideAll(context.Background(), q); all[0] != d {
			t.Errorf("alone %+v, together %+v", d, all[0])
		}
		return d
	}
	h.want("ordinary", ask(""), consent.Allow, consent.ByBasis)
	h.want("sensitive, nobody said anything", ask(consent.Sensitive), consent.Deny, consent.NoConsent)
	if d := ask(consent.Sensitive); d.Basis != purpose.Consent {
		t.Errorf("the basis is %s", d.Basis)
	}
	if err := h.a.Submit(context.Background(), "1", "api", []consent.Entry{{Subject: u, Kind: "user_id", Purpose: purpose.Profiling, State: consent.Granted, Method: consent.ByAPI}}); err != nil {
		t.Fatal(err)
	}
	h.walk()
	h.want("sensitive, with a yes", ask(consent.Sensitive), consent.Allow, consent.ByGrant)
	q := consent.Question{Subjects: []id.Hash{u}, Operation: consent.Compute, Purpose: purpose.Service, Class: consent.Sensitive, At: h.now}
	h.want("sensitive, under a contract", h.a.Decide(context.Background(), q), consent.Deny, consent.NoConsent)
}

func TestStringsOfConsentPlatforms(t *testing.T) {
	t.Parallel()
	const yes = "COtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA" // consents to 2 and 10
	const no = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"
	tests := []struct {
		name, consent  string
		news, profiles consent.State
	}{
		{"a TC string with a yes", `{"tcf":"` + yes + `"}`, consent.Granted, 0},
		{"a TC string with a no", `{"tcf":"` + no + `"}`, consent.Refused, consent.Objected},
		{"a category says yes and the string no", `{"categoryPreferences":{"marketing":true},"tcf":"` + no + `"}`, consent.Refused, consent.Objected},
		{"a category says no and the string yes", `{"categoryPreferences":{"marketing":false},"tcf":"` + yes + `"}`, consent.Refused, 0},
		{"a GPP string with the TCF and a sale opted out of", `{"gpp":"DBACNYA~` + yes + `~1YYN"}`, consent.Refused, 0},
		{"a broken GPP string", `{"gpp":"DBACNYA~` + no + `"}`, 0, 0},
		{"no string", `{"tcf":7,"gpp":null}`, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := recordHouse(t)
			ev := &event.Event{Type: event.Track, Name: "Page Seen", MessageID: "m", Source: "site", Email: ada, Context: []byte(`{"consent":` + tt.consent + `}`)}
			got := map[purpose.Purpose]consent.State{}
			for _, e := range h.a.WalkedEvent(ev) {
				got[e.Purpose] = e.State
			}
			if got[news] != tt.news || got[purpose.Profiling] != tt.profiles {
				t.Errorf("news %s, profiling %s; want %s, %s", got[news], got[purpose.Profiling], tt.news, tt.profiles)
			}
		})
	}
}

func TestParseNotice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, file, body, lacks string }{
		{"no language", "news.md", "---\nversion: 1\n---\nx", "NAME.LANGUAGE.md"},
		{"no head", "news.en.md", "x", "head"},
		{"no version", "news.en.md", "---\nversion:\n---\nx", "version"},
		{"another key", "news.en.md", "---\nversoin: 1\n---\nx", "unknown key"},
		{"nothing in it", "news.en.md", "---\nversion: 1\n---\n \n", "says nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, p := consent.ParseNotice(tt.file, []byte(tt.body)); p == nil || !strings.Contains(p.Message+p.Hint, tt.lacks) {
				t.Errorf("problem %+v", p)
			}
		})
	}
	n, p := consent.ParseNotice("terms-of-news.pt-br.md", []byte("---\r\nversion: \"2026-03\"\r\n---\r\nOlá\r\n"))
	if p != nil || n.ID != "terms-of-news" || n.Language != "pt-br" || n.Version != "2026-03" || n.Body() != "Olá\n" {
		t.Errorf("%+v, %+v", n, p)
	}
}

// What people agreed to stays as it was: another text under the same version is
// refused, and nothing of the set is kept.
func TestANoticeIsNeverReplaced(t *testing.T) {
	t.Parallel()
	m := newMemory()
	keep := func(list ...consent.Notice) error {
		return m.Write(context.Background(), func(st consent.Store) error { return consent.KeepNotices(st, list, time.Unix(0, 0)) })
	}
	one := consent.Notice{ID: "news", Language: "en", Version: "1", Digest: "a"}
	if err := keep(one); err != nil {
		t.Fatal(err)
	}
	two, changed := one, one
	two.Version, two.Digest, changed.Digest = "2", "b", "c"
	err := keep(two, changed)
	if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "new version") {
		t.Errorf("error %v", err)
	}
	if len(m.notices) != 1 {
		t.Errorf("%d notices are kept", len(m.notices))
	}
	if err := keep(one, two); err != nil || len(m.notices) != 2 {
		t.Errorf("%v, %d notices", err, len(m.notices))
	}
}

func TestConfirmationLimits(t *testing.T) {
	t.Parallel()
	h := recordHouse(t)
	limits := consent.OptInLimits{PerAddress: 2, PerNetwork: 3, ValidFor: 7 * 24 * time.Hour}
	n := byte(0)
	ask := func(address, network string) error {
		n++
		o := consent.OptIn{ID: id.Message{n}, Address: h.hash("email", address), Network: network, At: h.tick(), Body: []byte(`{}`)}
		return h.a.AskOptIn(context.Background(), o, limits)
	}
	code := func(err error) string {
		var f *fault.Error
		if errors.As(err, &f) {
			return f.Code
		}
		return ""
	}
	for i, tt := range []struct{ address, network, code string }{
		{ada, "n1", ""}, {ada, "n2", ""}, {ada, "n3", consent.TooManyForAddress},
		{"bob@mail.example", "n1", ""}, {"cem@mail.example", "n1", ""}, {"dee@mail.example", "n1", consent.TooManyForNetwork}, {"dee@mail.example", "", ""},
	} {
		if got := code(ask(tt.address, tt.network)); got != tt.code {
			t.Errorf("%d: %q, want %q", i, got, tt.code)
		}
	}
	h.now = h.now.Add(time.Hour)
	if err := ask("dee@mail.example", "n1"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	h.now = h.now.Add(24 * time.Hour)
	if err := ask(ada, "n9"); err != nil {
		t.Errorf("a day later: %v", err)
	}
	if err := h.a.Suppress(context.Background(), consent.Suppression{Address: h.hash("email", "eve@mail.example"), Reason: consent.Complaint}); err != nil {
		t.Fatal(err)
	}
	if got := code(ask("eve@mail.example", "n9")); got != consent.Unwanted {
		t.Errorf("somebody who complained: %q", got)
	}
	h.want("unconfirmed", h.may(news, ada), consent.Deny, consent.NoConsent)
	all := h.records(ada)
	if len(all.Records) != 0 || len(all.Awaited) != 3 || all.Awaited[2].Type != "requested" {
		t.Errorf("records %d, awaited %d", len(all.Records), len(all.Awaited))
	}
	h.now = h.now.Add(8 * 24 * time.Hour)
	if got := h.records(ada).Awaited[2].Type; got != "expired" {
		t.Errorf("after a week it is %q", got)
	}
}

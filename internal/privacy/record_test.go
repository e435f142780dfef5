package privacy_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"rapport/internal/privacy"
	"rapport/internal/project"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestRecordOfTheShop names for each purpose what serves it, as the files of the
// example shop say it.
func TestRecordOfTheShop(t *testing.T) {
	t.Parallel()
	config, problems := project.Load(os.DirFS("../../examples/shop/config"))
	if config == nil {
		t.Fatal(problems)
	}
	r := privacy.RecordOf(config, now)
	if len(r.Activities) != len(config.Policy.Purposes()) {
		t.Errorf("%d activities for %d purposes", len(r.Activities), len(config.Policy.Purposes()))
	}
	used := map[string]bool{}
	for _, a := range r.Activities {
		for _, j := range a.Journeys {
			used["journey "+j] = true
		}
		for _, s := range a.Sources {
			used["source "+s] = true
		}
		if a.Purpose == "marketing.newsletter" &&
			(a.Basis != "consent" || !a.MaySayNo || !slices.Contains(a.Data, "first_name") || !slices.Contains(a.Segments, "lapsed") || !slices.Contains(a.Events, "Order Completed")) {
			t.Errorf("%+v", a)
		}
		if a.Purpose == "service" && (a.MaySayNo || !slices.Contains(a.Templates, "order-confirmation")) {
			t.Errorf("%+v", a)
		}
	}
	for _, j := range config.Journeys {
		if !used["journey "+j.Name()] {
			t.Errorf("the journey %s serves no purpose in the record", j.Name())
		}
	}
	for _, s := range config.Sources {
		if !used["source "+s.Name+" ("+s.Kind+")"] {
			t.Errorf("the source %s serves no purpose in the record", s.Name)
		}
	}
	var b strings.Builder
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"# Record of processing activities", "| legal basis | consent", "## Recipients", "| 3 days |", "## To be added by you"} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("the record lacks %q", text)
		}
	}
}

// TestRecordSaysWhatIsSetUp: terms, hosts and measures are those of the files.
func TestRecordSaysWhatIsSetUp(t *testing.T) {
	t.Parallel()
	files := project.Scaffold()
	files["rapport.yaml"] = []byte("workspace: w\ntitle: A | B\nbase_url: https://mail.shop.example\nsending:\n  from: W <w@shop.example>\n  postal_address: 1 Sample Street\n  provider: relay\nevents: {keep_log: 36h}\nlimits: {rejects_kept: 7}\ntrail: {every: 90s, file: /elsewhere/trail}\n")
	delete(files, "providers/inbox.yaml")
	files["providers/relay.yaml"] = []byte("kind: smtp\nhost: relay.shop.example\nport: 587\ntls: starttls\n")
	folder := fstest.MapFS{}
	for name, body := range files {
		folder[name] = &fstest.MapFile{Data: body, Mode: 0o600}
	}
	config, problems := project.Load(folder)
	if config == nil {
		t.Fatal(problems)
	}
	r := privacy.RecordOf(config, now)
	if strings.Contains(strings.Join(r.Measures, "\n"), "mailed to") {
		t.Errorf("nobody is mailed: %q", r.Measures)
	}
	if len(r.Recipients) != 1 || r.Recipients[0].Host != "relay.shop.example" || r.Recipients[0].TLS != "starttls" {
		t.Errorf("recipients: %+v", r.Recipients)
	}
	var b strings.Builder
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"| 36 hours |", "the newest 7", "every 90 seconds", "mails go to relay under TLS (starttls)", "readers reach the server under TLS"} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("the record lacks %q:\n%s", text, b.String())
		}
	}
}

// TestRecordNamesWhoIsTold: destinations are recipients, each with its purpose, what
// it is told and by what it knows people. Of its address the host alone is named, and
// where checkpoints go is no recipient.
func TestRecordNamesWhoIsTold(t *testing.T) {
	t.Parallel()
	config := loaded(t, map[string]string{
		"rapport.yaml": "workspace: w\ntitle: Acorn\nbase_url: https://mail.shop.example\nsending:\n  from: W <w@shop.example>\n  postal_address: 1 Sample Street\n" +
			"consent: {controller: Acorn Books Ltd}\ntrail: {webhook: \"https://witness.example/take\", mail: [auditor@shop.example], mail_every: 7d}\nalerts: {mail: [ops@shop.example, dpo@shop.example], backup_within: 2d}\n",
		"destinations/crm.yaml": "kind: webhook\nurl: https://crm.example/hooks/token-of-theirs\nsecrets: env:CRM_SECRET\npurpose: marketing.newsletter\nevents: [Order Completed, identify]\n" +
			"where: {currency: EUR}\nsegments: all\nmessages: [accepted, opened]\nconsent: [marketing.newsletter]\nalerts: true\nidentifiers: [user_id, email]\n",
	})
	r := privacy.RecordOf(config, now)
	if r.House != "Acorn Books Ltd" {
		t.Errorf("responsible is %q", r.House)
	}
	var crm *privacy.Processor
	for i := range r.Recipients {
		if r.Recipients[i].Name == "crm" {
			crm = &r.Recipients[i]
		}
	}
	want := privacy.Processor{
		Name: "crm", Kind: "webhook", Host: "crm.example", TLS: "https", Purpose: "marketing.newsletter",
		Gets: "the events Order Completed, identify that pass a filter on currency; who enters and leaves any segment; what becomes of mails: accepted, opened; " +
			"what people say of permission for marketing.newsletter; alerts about the server, which name nobody; that somebody was erased; who somebody is by user_id, email",
	}
	if crm == nil || *crm != want {
		t.Errorf("got %+v\nwant %+v", crm, want)
	}
	for _, a := range r.Activities {
		if told := slices.Contains(a.Told, "crm"); told != (a.Purpose == "marketing.newsletter") {
			t.Errorf("for %s are told %v", a.Purpose, a.Told)
		}
	}
	var b strings.Builder
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"| crm | webhook | crm.example | https | marketing.newsletter | the events Order Completed", "| destinations | crm |", "what crm is told is signed",
		"checkpoints of the trail are mailed to 1 address, every 7 days at most", "alerts are mailed to 2 addresses, among them: a backup older than 2 days", "transfers to third countries",
	} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("the record lacks %q:\n%s", text, b.String())
		}
	}
	for _, text := range []string{"token-of-theirs", "witness.example", "auditor@", "who is responsible"} {
		if strings.Contains(b.String(), text) {
			t.Errorf("the record says %q", text)
		}
	}
}

// TestRecordMissesWhatHasNoTerm: what the configuration keeps for ever is to be said by
// hand, and no longer once it has a term.
func TestRecordMissesWhatHasNoTerm(t *testing.T) {
	t.Parallel()
	const head = "workspace: w\nbase_url: https://mail.shop.example\nsending:\n  from: W <w@shop.example>\n  postal_address: 1 Sample Street\n"
	texts := func(files map[string]string) string {
		r := privacy.RecordOf(loaded(t, files), now)
		return strings.Join(r.Missing, "\n")
	}
	all := texts(map[string]string{"rapport.yaml": head})
	for _, want := range []string{"what no tracking plan names", "was in mails", "who is responsible", "until they are erased"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not missed in %s", want, all)
		}
	}
	if strings.Contains(all, "third countries") {
		t.Error("nothing leaves the machine")
	}
	const plan = "unplanned_events: refuse\nunplanned_fields: strip\nevents:\n  Paid: {retention: 90d}\n  Left: {class: internal}\ntraits:\n  note: {type: string, class: sensitive}\n  shoe: {type: number}\n"
	some := texts(map[string]string{"rapport.yaml": head + "retention: {mails: 400d, classes: {sensitive: 30d}}\n", "plan/all.yaml": plan})
	for _, want := range []string{"these events are kept (`retention` in the plan, or of their class): Left\n", "these traits are kept (`retention` in the plan, or of their class): shoe\n"} {
		if !strings.Contains(some, want) {
			t.Errorf("%q is not missed in %s", want, some)
		}
	}
	for _, text := range []string{"what no tracking plan names", "was in mails"} {
		if strings.Contains(some, text) {
			t.Errorf("%q has a term: %s", text, some)
		}
	}
	var terms []string
	for _, x := range privacy.RecordOf(loaded(t, map[string]string{"rapport.yaml": head + "retention: {mails: 400d, classes: {sensitive: 30d}}\n", "plan/all.yaml": plan}), now).Retention {
		terms = append(terms, x.What+" "+x.Term)
	}
	for _, want := range []string{"the event Paid 90 days", "the trait note 30 days", "what was in mails 400 days"} {
		if !slices.Contains(terms, want) {
			t.Errorf("%q is missing in %q", want, terms)
		}
	}
}

// loaded reads the scaffold with other files.
func loaded(t *testing.T, more map[string]string) *project.Config {
	t.Helper()
	folder := fstest.MapFS{}
	for name, body := range project.Scaffold() {
		folder[name] = &fstest.MapFile{Data: body, Mode: 0o600}
	}
	for name, text := range more {
		folder[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o600}
	}
	config, problems := project.Load(folder)
	if config == nil {
		t.Fatal(problems)
	}
	return config
}

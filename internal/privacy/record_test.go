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

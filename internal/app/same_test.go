package app_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/app"
	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/store/pgstore/pgtest"
)

// TestBothStoresHoldTheSame plays the same events into a house over files and
// into one over PostgreSQL, closes and opens both at the same places, and
// compares every table: row by row they are the same, but for what is drawn by
// chance when a house begins.
func TestBothStoresHoldTheSame(t *testing.T) {
	t.Parallel()
	keys, err := os.ReadFile(filepath.Join(earlierHouse(t), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	play := func(database string) map[string]string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "keys.json"), keys, 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		config := smallFolderAnd(t, "the same", mailing)
		for round := range 6 {
			house, stop := runningOn(t, dir, database, at, config)
			for n := range 40 {
				i := round*40 + n
				for _, e := range happening(i, at) {
					if err := app.Tell(t.Context(), house, &e); err != nil {
						t.Fatal(err)
					}
					// One event a transaction: how many share one is chance, and shapes the packs.
					proceed(t, house, at)
				}
				at = at.Add(17 * time.Minute)
				proceed(t, house, at)
			}
			stop()
			config = nil
		}
		where := dir
		if database != "" {
			where = database
		}
		counts := countsOf(t, where, dir)
		if counts["aside"] != 0 || counts["group_row"] != 3 || counts["ledger"] < 20 {
			t.Fatalf("not everything was walked: %v", counts)
		}
		for _, table := range []string{"mail", "intent", "mail_key", "step", "parts", "cap", "mail_shared"} {
			if counts[table] == 0 {
				t.Errorf("%s is empty, so nothing is shown of it", table)
			}
		}
		sums, err := app.DigestStore(t.Context(), where, dir, app.RootKey{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, s := range sums.Tables {
			switch s.Name {
			case "access_key": // keys are drawn
			case "counter": // one at zero has a row or none: whether a claim shared its transaction with the hand-over is chance
				counted, err := app.Counted(t.Context(), where, dir)
				if err != nil || len(counted) < 3 { // people, mails that were accepted, and skipped ones
					t.Fatalf("counted are %v, %v", counted, err)
				}
				out[s.Name] = fmt.Sprint(counted)
			case "mail": // how often it changed hands is chance, as above
				mails, err := app.MailRows(t.Context(), where, dir, "token")
				if err != nil {
					t.Fatal(err)
				}
				out[s.Name] = strings.Join(mails, "\n")
			case "meta": // the log's name is drawn
			case "trail": // details are salted
				out[s.Name] = fmt.Sprint(s.Rows, " rows")
			case "trail_hash", "checkpoint": // so their hashes differ, and the machine's clock tells when
			default:
				out[s.Name] = fmt.Sprint(s.Rows, " rows ", s.Digest)
			}
		}
		return out
	}
	if diff := cmp.Diff(play(""), play(pgtest.Database(t))); diff != "" {
		t.Errorf("files (-) and PostgreSQL (+) differ:\n%s", diff)
	}
}

// mailing are journeys with mails, of which some are too many and some have nowhere
// to go.
var mailing = map[string]string{
	"journeys/thanks.yaml":           "trigger: {event: Order Completed}\npurpose: service\nreentry: always\nsteps:\n  - send: thanks\n  - wait: 20h\n  - send: thanks\n",
	"journeys/hello.yaml":            "trigger: {event: Signed Up}\npurpose: marketing.offers\nreentry: always\nsteps:\n  - send: hello\n",
	"templates/thanks/template.yaml": "subject: \"Thank you for {{ trigger.total | default: '-' }}\"\npurpose: service\n",
	"templates/thanks/body.html":     body,
	"templates/hello/template.yaml":  "subject: Hello\npurpose: marketing.offers\n",
	"templates/hello/body.html":      body,
	"rapport.yaml": "workspace: same\nbase_url: http://mail.shop.example\nsending:\n  from: Shop <shop@shop.example>\n  postal_address: 1 Sample Street, Sampletown\n  provider: inbox\n" +
		"  caps: [{mails: 2, per: 24h}]\nconsent: {confirm_with: confirm}\nrights: {confirm_with: your-data}\n",
	"purposes.yaml": consent.Starter + "\n  marketing.offers: {title: Offers, description: Offers., basis: legitimate_interest}\n",
}

// happening is what the i-th moment brings: people who come, are joined, buy,
// begin the journey, say yes and no, and send things twice.
func happening(i int, at time.Time) []event.Event {
	who := fmt.Sprint("u", i%23)
	e := event.Event{Source: "server", MessageID: fmt.Sprint("m", i), UserID: who, Time: at, Received: at}
	if i == 200 { // The first of them is parted from their address.
		e.Type, e.Source, e.UserID, e.Person = event.Unmerge, "rapport", "", 1
		e.Properties = []byte(`{"identifiers":[{"kind":"email","value":"u0@shop.example"}]}`)
		return []event.Event{e}
	}
	switch i % 7 {
	case 0:
		e.Type, e.Traits, e.Email = event.Identify, fmt.Appendf(nil, `{"email":"%s@shop.example","visits":%d}`, who, i), who+"@shop.example"
	case 1:
		e.Type, e.Name, e.UserID, e.Anonymous = event.Track, "Product Viewed", "", fmt.Sprint("device-", i%11)
	case 2:
		e.Type, e.Anonymous = event.Identify, fmt.Sprint("device-", i%11)
	case 3:
		e.Type, e.Name = event.Track, "Began"
		said := consent.Entry{
			Subject: id.Hash{1, byte(i % 23)}, Kind: "user_id", Purpose: "marketing.newsletter", Said: at,
			State: []consent.State{consent.Granted, consent.Withdrawn}[i%2], Method: consent.ByAPI,
		}
		permission, err := consent.ChangeEvent(fmt.Sprint("consent/", i), "rapport", at, []consent.Entry{said})
		if err != nil {
			panic(err) // It can always be written.
		}
		return []event.Event{e, *permission}
	case 4:
		e.Type, e.Name, e.Properties = event.Track, "Order Completed", fmt.Appendf(nil, `{"total":%d.25}`, i)
		return []event.Event{e, e}
	case 5:
		e.Type, e.Previous, e.UserID = event.Alias, fmt.Sprint("device-", i%11), who
	default:
		if i%2 == 0 {
			e.Type, e.GroupID, e.Traits = event.Group, fmt.Sprint("firm-", i%3), fmt.Appendf(nil, `{"size":%d}`, i)
			break
		}
		e.Type, e.Name = event.Track, "Signed Up"
	}
	return []event.Event{e}
}

// proceed brings a house to an instant, one thing that is due after the other.
func proceed(t *testing.T, house *app.House, at time.Time) {
	t.Helper()
	for {
		reached, err := house.Proceed(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if !reached.Before(at) {
			return
		}
	}
}

// countsOf gives how many rows each table holds.
func countsOf(t *testing.T, where, dir string) map[string]int64 {
	t.Helper()
	sums, err := app.DigestStore(t.Context(), where, dir, app.RootKey{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, s := range sums.Tables {
		out[s.Name] = s.Rows
	}
	return out
}

package app_test

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"rapport/internal/alert"
	"rapport/internal/app"
	"rapport/internal/project"
)

// lines is a log that tests read.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.all.String(), text)
}

// A disk that is nearly full is told once to the log, another system and the
// operators, however often the house is opened, and once that it is over.
func TestAlertsAreToldOnce(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink, crm, log, dir := taking(t, func(string) bool { return false }), receiving(t, whsec("SECRET_ONE")), &lines{}, t.TempDir()
		config := small(t, sink.Addr(), map[string]string{
			"rapport.yaml": "workspace: faults\ntitle: Kestrel\nbase_url: http://mail.shop.example\nsending:\n  from: Shop <shop@shop.example>\n  provider: sink\n  postal_address: 1 Street\n" +
				"alerts: {mail: [one@operator.example, two@operator.example]}\n",
			"destinations/crm.yaml": hook(crm, "alerts: true\n"),
		})
		house := func(free int64) {
			t.Helper()
			l := live(t, app.Options{
				Data: dir, Database: database, Secrets: project.Secrets{Env: secrets}, Logger: slog.New(slog.NewTextHandler(log, nil)),
				Space: func() (int64, int64, error) { return free, 1 << 40, nil },
			}, config)
			defer l.end()
			for range 2 {
				open, err := l.house.Alert(t.Context())
				if err != nil || (len(open) == 1) != (free < 2<<30) {
					t.Fatalf("with %d MB free %v is open, %v", free>>20, open, err)
				}
			}
			var shown struct{ Alerts []alert.Alert }
			if l.get("/v1/alerts", &shown); (len(shown.Alerts) == 1) != (free < 2<<30) {
				t.Errorf("the door shows %v", shown.Alerts)
			}
			if free > 2<<30 {
				crm.types(2) // The last that is told: what was told before it has come before it.
			}
		}
		const low, plenty = 3 << 29, 1 << 35
		house(low)
		house(low)
		house(plenty)
		house(plenty)
		if got := crm.types(2); !slices.Equal(got, []string{"alert.began", "alert.ended"}) {
			t.Errorf("the other system was told %q", got)
		}
		first := crm.taken()[0].Data
		if first["name"] != "disk_nearly_full" || first["severity"] != "warning" || first["do"] == "" || first["since"] == "" {
			t.Errorf("it was told %v", first)
		}
		for _, to := range []string{"one@operator.example", "two@operator.example"} {
			if n := sink.To(to); n != 2 {
				t.Errorf("%s got %d mails", to, n)
			}
		}
		if began, over := log.count("an alert has begun"), log.count("an alert is over"); began != 1 || over != 1 {
			t.Errorf("the log says %d times that it began and %d times that it ended", began, over)
		}
	})
}

// A provider that takes no mail keeps nobody from hearing of it otherwise.
func TestMailIsNotTheOnlyWay(t *testing.T) {
	t.Parallel()
	crm := receiving(t, whsec("SECRET_ONE"))
	sink := taking(t, func(string) bool { return true })
	config := small(t, sink.Addr(), map[string]string{
		"rapport.yaml":          "workspace: faults\nbase_url: http://mail.shop.example\nsending:\n  from: Shop <shop@shop.example>\n  provider: sink\n  postal_address: 1 Street\nalerts: {mail: one@operator.example}\n",
		"destinations/crm.yaml": hook(crm, "alerts: true\n"),
	})
	l := live(t, app.Options{Data: t.TempDir(), Secrets: project.Secrets{Env: secrets}, Space: nearlyFull}, config)
	if open, err := l.house.Alert(t.Context()); err != nil || len(open) != 1 || open[0].Since.IsZero() {
		t.Errorf("open are %+v, %v", open, err)
	}
	if got := crm.types(1); !slices.Equal(got, []string{"alert.began"}) {
		t.Errorf("told was %q", got)
	}
	if n := sink.To("one@operator.example"); n != 0 {
		t.Errorf("%d mails came to whom none can", n)
	}
}

// nearlyFull is a disk that is told of.
func nearlyFull() (free, total int64, err error) { return 3 << 29, 1 << 40, nil }

// A provider that cannot be reached is told of once it has been so for a while,
// also between two attempts.
func TestAProviderThatIsDown(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	config := small(t, sink.Addr(), map[string]string{
		"rapport.yaml": "workspace: faults\nbase_url: http://mail.shop.example\nsending:\n  from: Shop <shop@shop.example>\n  provider: sink\n  postal_address: 1 Street\nalerts: {held_for: 1s}\n",
	})
	l := live(t, app.Options{Data: t.TempDir()}, config)
	sink.Close()
	for _, who := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if code, body := l.receipt(who, who); code != 202 {
			t.Fatalf("%d %s", code, body)
		}
	}
	var open []alert.Alert
	until(t, "the provider is told of", func() bool {
		var err error
		if open, err = l.house.Alert(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(open) == 1
	})
	if a := open[0]; a.Name != "provider_down" || a.About != "sink" || a.Severity != alert.Danger {
		t.Errorf("told is %+v", a)
	}
}

// The development inbox shows mails about alerts as it shows all others.
func TestAlertsInTheInbox(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	config := small(t, sink.Addr(), map[string]string{
		"rapport.yaml": "workspace: faults\ntitle: Kestrel\nbase_url: http://mail.shop.example\nsending:\n  from: Shop <shop@shop.example>\n  provider: sink\n  postal_address: 1 Street\n" +
			"alerts: {mail: one@operator.example, provider: inbox}\n",
		"providers/inbox.yaml": "kind: devinbox\n",
	})
	l := live(t, app.Options{Data: t.TempDir(), Space: nearlyFull}, config)
	if _, err := l.house.Alert(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, _ := l.house.Inbox().List("one@operator.example", 10)
	if len(list) != 1 {
		t.Fatalf("%d mails came", len(list))
	}
	if m := list[0]; m.Subject != "[Kestrel] disk nearly full" || !strings.Contains(string(m.Raw), "WARNING: disk nearly full\r\nThe disk of the data folder has 1536 MB free") {
		t.Errorf("%q\n%s", m.Subject, m.Raw)
	}
}

package app_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/alert"
	"rapport/internal/app"
	"rapport/internal/audit"
)

// Checkpoints are mailed now and then to whom the configuration names. A mail that
// cannot leave is told of, and leaves after a restart; the mail as it came is all
// that a check needs to see that something was changed.
func TestCheckpointsAreMailed(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		var refuses atomic.Bool
		refuses.Store(true)
		sink := taking(t, func(to string) bool { return refuses.Load() && strings.HasPrefix(to, "keeper@") })
		config := small(t, sink.Addr(), map[string]string{
			"rapport.yaml": "workspace: faults\ntitle: Kestrel\nbase_url: http://mail.shop.example\nsending:\n  from: Shop <shop@shop.example>\n  provider: sink\n  postal_address: 1 Street\n" +
				"alerts: {held_for: 1s}\ntrail: {every: 1s, mail: [keeper@operator.example, notary@elsewhere.example], mail_every: 1h}\n",
		})
		clock := app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)
		o := app.Options{Data: t.TempDir(), Database: database, Clock: clock}
		l := live(t, o, config)
		sign := func() {
			t.Helper()
			l.get("/v1/messages", &struct{}{}) // A row of its own.
			if w := l.ask(http.MethodPost, "/v1/audit/checkpoint", ""); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
		}
		sign()
		var open []alert.Alert
		until(t, "it is told of", func() bool {
			var err error
			if open, err = l.house.Alert(t.Context()); err != nil {
				t.Fatal(err)
			}
			return len(open) == 1
		})
		if a := open[0]; a.Name != "checkpoint_stays" || !strings.HasPrefix(a.About, "mail:operator.example/") || strings.Contains(a.Text+a.About, "keeper") {
			t.Errorf("told is %+v", a)
		}
		sign()
		if n, m := sink.To("keeper@operator.example"), sink.To("notary@elsewhere.example"); n != 0 || m != 1 {
			t.Errorf("%d mails came to whom none can, %d to the other within the hour", n, m)
		}
		l.end()
		l = live(t, o, config)
		if open, err := l.house.Alert(t.Context()); err != nil || len(open) != 1 {
			t.Errorf("after a restart %v is open, %v", open, err)
		}
		refuses.Store(false)
		until(t, "it has left", func() bool { return sink.To("keeper@operator.example") == 1 })
		until(t, "that is told", func() bool {
			open, err := l.house.Alert(t.Context())
			return err == nil && len(open) == 0
		})
		clock.Set(clock.Now().Add(time.Hour))
		sign()
		until(t, "the next has left", func() bool {
			return sink.To("keeper@operator.example") == 2 && sink.To("notary@elsewhere.example") == 2
		})
		var older []audit.Parcel
		for _, m := range sink.All() {
			raw := m.Raw
			list, err := audit.ReadParcels(raw)
			if err != nil || len(list) != 1 {
				t.Fatalf("%v in\n%s", err, raw)
			}
			if bytes.Contains(raw, []byte("text/html")) || !bytes.Contains(raw, []byte("[Kestrel] checkpoint of the trail")) {
				t.Errorf("the mail is\n%s", raw)
			}
			older = append(older, list...)
		}
		var key struct{ Key string }
		l.get("/v1/audit/key", &key)
		bundle := l.ask(http.MethodGet, "/v1/audit/bundle", "").Body.Bytes()
		r, err := audit.Verify(bytes.NewReader(bundle), key.Key, older)
		if err != nil || len(r.Problems) > 0 || r.Older != 4 {
			t.Errorf("%+v, %v", r, err)
		}
		changed := bytes.Replace(bundle, []byte(`"act":"messages.read"`), []byte(`"act":"messages.road"`), 1)
		r, err = audit.Verify(bytes.NewReader(changed), key.Key, older)
		if err != nil || !slices.ContainsFunc(r.Problems, func(p string) bool { return strings.HasPrefix(p, "the older checkpoint") }) {
			t.Errorf("after a change: %+v, %v", r, err)
		}
	})
}

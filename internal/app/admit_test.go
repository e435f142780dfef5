package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
)

// comesBack holds that events of somebody who was admitted are kept, about somebody new.
func (l *lived) comesBack(who, messageID string) {
	l.t.Helper()
	if w := l.ask("POST", "/v1/track", `{"messageId":"`+messageID+`","userId":"`+who+`","event":"Back"}`); w.Code != http.StatusOK {
		l.t.Fatal(w.Code, w.Body)
	}
	l.settle()
	if got := l.timeline(who); got[messageID] != 1 {
		l.t.Errorf("their story is %v, without %s", got, messageID)
	}
}

// TestACrashBehindAnAdmission: whoever is admitted stays so, however soon after the
// commit the process ends.
func TestACrashBehindAnAdmission(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		config := small(t, sink.Addr(), rightsConfig)
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		o := app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(at, 0)}
		var die func()
		l := live(t, o, config, func(h *app.House) { die = h.DieAfterErasing() })
		l.lives(marker)
		l.erase("user_id:" + marker)
		die()
		if w := l.ask("POST", "/v1/admit", `{"kind":"user_id","value":"ann-marker"}`); w.Code != http.StatusOK {
			t.Fatalf("admit: %d %s", w.Code, w.Body)
		}
		l.end()
		for i, messageID := range []string{"back", "again"} {
			o.Clock = app.NewClock(at.Add(time.Duration(i+1)*time.Hour), 0)
			l = live(t, o, config)
			l.settle()
			l.comesBack(marker, messageID)
			l.end()
		}
	})
}

// TestACrashBeforeAnAdmission: what the file says of an admission that never was
// committed counts for nothing; the record is walked again, and then it does.
func TestACrashBeforeAnAdmission(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		config := small(t, sink.Addr(), rightsConfig)
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		o := app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(at, 0)}
		var far <-chan struct{}
		l := live(t, o, config, func(h *app.House) { far = h.DieBeforeAdmitting() })
		l.lives(marker)
		l.erase("user_id:" + marker)
		if err := l.house.Admit(t.Context(), "admit-ann", "user_id", marker); err != nil {
			t.Fatal(err)
		}
		<-far
		if w := l.ask("POST", "/v1/track", `{"messageId":"early","userId":"ann-marker","event":"Back"}`); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		l.end()
		for i, messageID := range []string{"back", "again"} {
			o.Clock = app.NewClock(at.Add(time.Duration(i+1)*time.Hour), 0)
			l = live(t, o, config)
			l.settle()
			l.comesBack(marker, messageID)
			if got := l.timeline(marker); got["early"] != 0 {
				t.Error("an event of before is kept")
			}
			l.end()
		}
	})
}

// TestAnAdmissionDoesNotOutliveItsState: a state that is older than erasure and
// admission both holds the person as they were before, so it is erased again, and
// stays so when other records stand where the admission stood.
func TestAnAdmissionDoesNotOutliveItsState(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	config := small(t, sink.Addr(), rightsConfig)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	backup := t.TempDir()
	o := app.Options{Data: t.TempDir(), Root: app.RootKey{Off: true}, Clock: app.NewClock(at, 0)}
	l := live(t, o, config)
	l.lives(marker)
	l.end()
	copyFiles(t, o.Data, backup)
	l = live(t, o, config)
	l.erase("user_id:" + marker)
	for _, name := range []string{`"user_id","value":"ann-marker"`, `"email","value":"ann-marker@people.example"`, `"anonymous_id","value":"ann-marker-phone"`} {
		if w := l.ask("POST", "/v1/admit", `{"kind":`+name+`}`); w.Code != http.StatusOK {
			t.Fatalf("admit: %d %s", w.Code, w.Body)
		}
	}
	l.end()
	copyFiles(t, backup, o.Data)
	for i := range 2 {
		o.Clock = app.NewClock(at.Add(time.Duration(i+1)*time.Hour), 0)
		l = live(t, o, config)
		l.settle()
		if w := l.ask("GET", "/v1/people/user_id:"+marker, ""); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "person_erased") {
			t.Errorf("start %d after a restore: %d %s", i, w.Code, w.Body)
		}
		l.lives("eve-lives")
		l.end()
	}
	if got, err := app.Holds(t.Context(), o.Data, o.Data, marker); err != nil || got != nil {
		t.Errorf("these tables hold her again: %v, %v", got, err)
	}
}

package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/fault"
)

// While less is free than the floor, events and imports are told to come again
// and the house says that it is not ready; withdrawals, mails and reading go on.
func TestEventsStopBeforeTheDiskIsFull(t *testing.T) {
	t.Parallel()
	var free atomic.Int64
	free.Store(3 << 30)
	sink := taking(t, func(string) bool { return false })
	config := small(t, sink.Addr(), nil)
	l := live(t, app.Options{Data: t.TempDir(), Space: func() (int64, int64, error) { return free.Load(), 1 << 40, nil }}, config)
	if code := l.track("Page Seen", "ann", "m1"); code != 200 {
		t.Fatalf("with room: %d", code)
	}
	free.Store(1 << 29)
	until(t, "events are refused", func() bool { return l.track("Page Seen", "ann", "m1") != 200 })
	if code := l.track("Page Seen", "ann", "m2"); code != 503 {
		t.Errorf("without room: %d", code)
	}
	batch := `{"batch":[{"type":"track","userId":"bob","event":"Page Seen","messageId":"m3"}]}`
	for path, body := range map[string]string{"POST /v1/batch": batch, "POST /v1/import/shop": batch, "GET /readyz": ""} {
		method, path, _ := strings.Cut(path, " ")
		w := l.ask(method, path, body)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "disk_low") {
			t.Errorf("%s: %d, Retry-After %q, %s", path, w.Code, w.Header().Get("Retry-After"), w.Body)
		}
	}
	if w := l.ask("GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("the house is not well: %d", w.Code)
	}
	if code := l.object("ann"); code != 200 {
		t.Errorf("an objection is answered %d", code)
	}
	if code, _ := l.receipt("ann", "k1"); code != 202 {
		t.Errorf("a mail is answered %d", code)
	}
	l.settle()
	if n := sink.To("ann@people.example"); n != 1 {
		t.Errorf("%d mails arrived", n)
	}
	if got := l.timeline("ann"); got["m1"] != 1 || got["m2"] != 0 {
		t.Errorf("the timeline holds %v", got)
	}
	free.Store(2 << 30)
	until(t, "events are taken again", func() bool { return l.track("Page Seen", "ann", "m2") == 200 })
	if w := l.ask("GET", "/readyz", ""); w.Code != 200 {
		t.Errorf("with room again: %d %s", w.Code, w.Body)
	}
}

// The floor is what the configuration says, or a part of the disk; a disk that
// nobody can ask stops nothing. It is looked at once a second, whoever asks, and
// what changes is said once.
func TestTheFloorOfTheDisk(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name               string
		least, free, total int64
		err                error
		low                bool
	}{
		{name: "below a twentieth of a small disk", least: -1, free: 499 << 20, total: 10_000 << 20, low: true},
		{name: "a twentieth of a small disk", least: -1, free: 500 << 20, total: 10_000 << 20},
		{name: "1 GiB of a large disk", least: -1, free: 1 << 30, total: 1 << 44},
		{name: "less of a large disk", least: -1, free: 1<<30 - 1, total: 1 << 44, low: true},
		{name: "what is configured", least: 2 << 30, free: 1 << 30, total: 1 << 31, low: true},
		{name: "nothing is kept free", least: 0, free: 0, total: 1 << 31},
		{name: "nobody knows", least: 1 << 40, err: errors.New("no such call")},
	} {
		s := app.NewSpace(tt.least, func() (int64, int64, error) { return tt.free, tt.total, tt.err }, time.Now, slog.New(slog.DiscardHandler))
		if err := s.Room(); (err != nil) != tt.low || err != nil && fault.CodeOf(err) != "disk_low" {
			t.Errorf("%s: %v", tt.name, err)
		}
	}

	var looks, free atomic.Int64
	free.Store(10)
	now := time.Unix(1, 0)
	var said bytes.Buffer
	s := app.NewSpace(5, func() (int64, int64, error) { looks.Add(1); return free.Load(), 100, nil },
		func() time.Time { return now }, slog.New(slog.NewTextHandler(&said, nil)))
	free.Store(1)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if err := s.Room(); err != nil {
					t.Errorf("it was looked at too early: %v", err)
				}
			}
		})
	}
	group.Wait()
	for _, wait := range []time.Duration{time.Second, time.Second, time.Second} {
		now = now.Add(wait)
		if s.Room() == nil {
			t.Error("there is no room")
		}
	}
	free.Store(5)
	now = now.Add(time.Second)
	if err := s.Room(); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	if n := looks.Load(); n != 5 {
		t.Errorf("it was looked at %d times, want 5", n)
	}
	if got := fmt.Sprint(strings.Count(said.String(), "nearly full"), strings.Count(said.String(), "room on the disk again")); got != "1 1" {
		t.Errorf("said %s times: %s", got, said.String())
	}
}

// The system's own word is about the disk of the folder.
func TestTheSystemSaysWhatIsFree(t *testing.T) {
	t.Parallel()
	free, total, err := app.DiskSpace(t.TempDir())
	if err != nil || free <= 0 || free > total {
		t.Errorf("%d of %d bytes free, %v", free, total, err)
	}
	if _, _, err := app.DiskSpace("/no/such/folder"); err == nil {
		t.Error("a folder that is not there has a disk")
	}
}

package app_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/fault"
)

// The disk fills up under a running house and has room again, several times.
// While it is full callers are told to come again; nothing that was
// acknowledged is missing afterwards, nothing that was refused is there, and
// the house needs no help to go on.
func TestFullDiskIsToldAndRecoversByItself(t *testing.T) {
	t.Parallel()
	seeded(t, 6, func(t *testing.T, r *rand.Rand) {
		disk := newDisk(t)
		h := &heard{events: map[string]string{}, sends: map[string]string{}, objected: map[string]bool{}}
		sink := taking(t, func(string) bool { return false })
		dir := t.TempDir()
		l := live(t, app.Options{Data: dir, VFS: disk.Name()}, small(t, sink.Addr(), nil))
		refused := map[string]string{} // message id → person
		for phase := range 3 {
			for i := range 20 {
				full(t, l, h, refused, fmt.Sprintf("a%d-%d", phase, i), false)
			}
			disk.Fill(r.Int64N(60_000))
			until(t, "the log is full", func() bool {
				return full(t, l, h, refused, fmt.Sprintf("b%d-%d", phase, len(h.events)+len(refused)), true)
			})
			var group sync.WaitGroup
			for client := range 4 { // many at once find it full
				group.Go(func() {
					for i := range 5 {
						full(t, l, h, refused, fmt.Sprintf("c%d-%d-%d", phase, client, i), true)
					}
				})
			}
			group.Wait()
			disk.Free()
			until(t, "events are taken again", func() bool {
				return !full(t, l, h, refused, fmt.Sprintf("d%d-%d", phase, len(h.events)+len(refused)), true)
			})
		}
		l.settle()
		checkHeard(t, l, h)
		checkArrived(t, l, h, sink)
		for what, who := range refused {
			if w := l.ask(http.MethodGet, "/v1/people/user_id:"+who, ""); w.Code != 404 {
				t.Errorf("event %s was refused and its person is there: %d", what, w.Code)
			}
		}
		l.end()
		again := live(t, app.Options{Data: dir}, nil)
		again.settle()
		checkHeard(t, again, h)
		checkArrived(t, again, h, sink)
	})
}

// full sends one of each kind and tells whether the event was refused. Where
// that may be, it must be 503 with Retry-After and a word about the disk.
func full(t *testing.T, l *lived, h *heard, refused map[string]string, what string, may bool) bool {
	t.Helper()
	check := func(kind string, code int, header http.Header, answer string) {
		t.Helper()
		switch {
		case !may:
			t.Errorf("%s %s: %d %s", kind, what, code, answer)
		case code != 503 || header.Get("Retry-After") == "" || !strings.Contains(answer, "disk"):
			t.Errorf("%s %s: %d, Retry-After %q, %s; want 503 and what is the matter", kind, what, code, header.Get("Retry-After"), answer)
		}
	}
	who := "m" + what
	w := l.ask("POST", "/v1/track", fmt.Sprintf(
		`{"messageId":%q,"userId":%q,"event":"Trigger","context":{"traits":{"email":"%s@people.example"}},"properties":{"ref":%q}}`, what, who, who, what))
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.Code == 200 {
		h.events[what] = who
	} else {
		refused[what] = who
		check("event", w.Code, w.Header(), w.Body.String())
	}
	s := l.ask("POST", "/v1/send", fmt.Sprintf(`{"template":"receipt","to":"r%s@people.example","data":{"ref":%q}}`, what, what), "Idempotency-Key", what)
	if s.Code == 202 {
		h.sends[what] = idOf(t, s.Body.Bytes())
	} else {
		check("mail", s.Code, s.Header(), s.Body.String())
	}
	o := l.ask("POST", "/v1/consent", fmt.Sprintf(`{"subject":"user_id:o%s","purpose":"marketing.newsletter","state":"objected"}`, what))
	if o.Code == 200 {
		h.objected["o"+what] = true
	} else {
		check("objection", o.Code, o.Header(), o.Body.String())
	}
	return w.Code != 200
}

// until tries again and again, for a while.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// A disk that is full at the start is named, and the same folder serves once
// there is room, whether it was new or not.
func TestFullDiskAtTheStartIsToldAndMended(t *testing.T) {
	t.Parallel()
	seeded(t, 6, func(t *testing.T, r *rand.Rand) {
		disk, dir := newDisk(t), t.TempDir()
		config := small(t, "127.0.0.1:2525", nil)
		refused := 0
		for tries := 0; refused < 4 && tries < 20; tries++ {
			disk.Fill(r.Int64N(5000 << min(tries, 5)))
			house, err := app.Open(t.Context(), app.Options{Data: dir, VFS: disk.Name()}, config)
			if err == nil {
				_ = house.Close() // It had room this time.
				continue
			}
			refused++
			if code := fault.CodeOf(err); code != "disk_full" || !strings.Contains(err.Error(), "disk") {
				t.Errorf("got %q: %v; want disk_full", code, err)
			}
			if r.IntN(2) == 0 {
				disk.Free()
			}
		}
		if refused == 0 {
			t.Error("the disk never was full")
		}
		disk.Free()
		l := live(t, app.Options{Data: dir, VFS: disk.Name()}, config)
		if status := l.track("Page Seen", "somebody", "one"); status != 200 {
			t.Errorf("after there is room: %d", status)
		}
		l.settle()
		if n := l.timeline("somebody")["one"]; n != 1 {
			t.Errorf("the event is there %d times", n)
		}
	})
}

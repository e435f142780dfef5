// Package sim runs the whole house on a fake clock with faults: seeded shoppers
// who come late, twice and under several names, a wire that lies, power that
// fails at any instant, a clock that jumps, configurations that change. What
// comes in is a seed; what goes out is the first promise that did not hold. It
// never waits for real time and never runs in production.
package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"rapport/internal/app"
	"rapport/internal/project"
	"rapport/internal/store/sqlitestore/crashvfs"
)

// Config says what is simulated. Seed and Dir are required.
type Config struct {
	Seed     uint64
	Dir      string // an empty folder, for the data folders of each life
	Shoppers int    // 0: 12
	Acts     int    // 0: 120
	// Plain leaves out what makes a replay differ by nature: configurations that
	// change while people move, whose backfill runs beside the live lane.
	Plain bool
}

// Report says what happened.
type Report struct {
	Acts, Acked, Crashes, Restarts, Applied int
	Withdrawals, Refused                    int
	Mails, Marketing, Lost, Merges          int
	People                                  int
}

// Add sums reports.
func (r *Report) Add(o Report) {
	r.Acts += o.Acts
	r.Acked += o.Acked
	r.Crashes += o.Crashes
	r.Restarts += o.Restarts
	r.Applied += o.Applied
	r.Withdrawals += o.Withdrawals
	r.Refused += o.Refused
	r.Mails += o.Mails
	r.Marketing += o.Marketing
	r.Lost += o.Lost
	r.Merges += o.Merges
	r.People += o.People
}

// begin is business time at the start of every simulation.
var begin = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// world is one simulation.
type world struct {
	Config
	r       *rand.Rand
	clock   *app.Clock
	life    *life
	lives   int
	manage  string
	ingest  string
	version int // of folders, as the simulation counts

	gate      sync.Mutex // what the outside saw, against the instant of a crash
	acked     map[string]bool
	offered   map[string]bool // every message id ever sent
	bodies    []offer         // acknowledged, to be sent again
	serial    int
	shoppers  []*shopper
	byAddress map[string]*shopper
	taken     map[string]int // by mail: how often the wire took it
	subjects  map[string]int // marketing, by subject and address
	broken    []error        // promises that did not hold
	report    Report
}

// life is the house between two crashes.
type life struct {
	dir    string
	disk   *crashvfs.Disk
	house  *app.House
	cancel context.CancelFunc
	done   chan error
	dead   bool // guarded by world.gate
}

// offer is a body that may be sent again.
type offer struct {
	at   time.Time
	body string
}

// Run simulates once. The error names the promise that did not hold.
func Run(ctx context.Context, c Config) (Report, error) {
	if c.Shoppers == 0 {
		c.Shoppers = 12
	}
	if c.Acts == 0 {
		c.Acts = 120
	}
	w := &world{
		Config: c, r: rand.New(rand.NewPCG(c.Seed, 7)), clock: app.NewClock(begin, 0),
		acked: map[string]bool{}, offered: map[string]bool{}, taken: map[string]int{}, subjects: map[string]int{}, byAddress: map[string]*shopper{},
	}
	for i := range c.Shoppers {
		s := &shopper{user: fmt.Sprintf("u%d", i), address: fmt.Sprintf("u%d@shop.example", i)}
		for k := range 3 {
			s.devices = append(s.devices, fmt.Sprintf("a%d-%d", i, k))
		}
		w.shoppers = append(w.shoppers, s)
		w.byAddress[s.address] = s
	}
	err := w.run(ctx)
	if w.life != nil {
		err = errors.Join(err, w.stop())
	}
	return w.report, err
}

func (w *world) run(ctx context.Context) error {
	first, err := load(0)
	if err != nil {
		return err
	}
	dir := filepath.Join(w.Dir, "life-0")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := w.open(ctx, dir, first); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if w.ingest, err = w.life.house.SourceKey(ctx, "shop", "sim"); err != nil {
		return err
	}
	if w.manage, err = w.life.house.ManageKey(ctx); err != nil {
		return err
	}
	for w.report.Acts = range w.Acts {
		if err := w.act(ctx); err != nil {
			return fmt.Errorf("act %d: %w", w.report.Acts, err)
		}
		if err := w.kept(); err != nil {
			return fmt.Errorf("act %d: %w", w.report.Acts, err)
		}
	}
	return w.finish(ctx)
}

// kept gives the promises that the wire saw broken.
func (w *world) kept() error {
	w.gate.Lock()
	defer w.gate.Unlock()
	return errors.Join(w.broken...)
}

// open begins a life on a data folder.
func (w *world) open(ctx context.Context, dir string, first *project.Config) error {
	if w.lives > 0 { // A start takes time: two lives never share an instant.
		w.clock.Set(w.clock.Now().Add(time.Millisecond))
	}
	l := &life{dir: dir, disk: crashvfs.New(), done: make(chan error, 1)}
	var err error
	l.house, err = app.Open(ctx, app.Options{Data: dir, Clock: w.clock, VFS: l.disk.Name(), Wire: &wire{w, l}}, first)
	if err != nil {
		l.disk.Remove()
		return err
	}
	running, cancel := context.WithCancel(ctx)
	l.cancel = cancel
	go func() { l.done <- l.house.Run(running) }()
	w.life = l
	w.lives++
	return l.house.Begin(ctx, first)
}

// stop ends a life without haste.
func (w *world) stop() error {
	l := w.life
	w.life = nil
	l.cancel()
	err := errors.Join(<-l.done, l.house.Close())
	l.disk.Remove()
	return err
}

// crash takes the power away at this instant and begins a new life on what the
// disk held. meanwhile happens when nothing of the old life counts any more.
func (w *world) crash(ctx context.Context, meanwhile func()) error {
	l := w.life
	next := filepath.Join(w.Dir, fmt.Sprintf("life-%d", w.lives))
	if err := os.Mkdir(next, 0o700); err != nil {
		return err
	}
	torn := rand.New(rand.NewPCG(w.Seed, uint64(w.lives)))
	if w.r.IntN(2) == 0 {
		torn = nil
	}
	w.gate.Lock()
	l.dead = true
	err := l.disk.PowerLoss(next, torn)
	w.gate.Unlock()
	if meanwhile != nil {
		meanwhile()
	}
	w.report.Crashes++
	l.cancel()
	_ = errors.Join(<-l.done, l.house.Close()) // what a dead house says counts for nothing
	l.disk.Remove()
	w.life = nil
	if err != nil {
		return err
	}
	if err := others(l.dir, next); err != nil {
		return err
	}
	if err := os.RemoveAll(l.dir); err != nil {
		return err
	}
	if err := w.open(ctx, next, nil); err != nil {
		return fmt.Errorf("open after a crash: %w", err)
	}
	return w.told(ctx)
}

// others copies the small files that stand beside the databases.
func others(from, to string) error {
	list, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range list {
		if strings.Contains(e.Name(), ".db") || e.Name() == "lock" || !e.Type().IsRegular() {
			continue
		}
		body, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), body, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// patience is how long a house may take for anything, in machine time: what
// takes longer hangs.
const patience = 6 * time.Second

// told waits until everything is walked, sent and said.
func (w *world) told(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := w.life.house.Settle(ctx); err != nil {
		return fmt.Errorf("settle: %w", w.hanging(err))
	}
	if err := w.life.house.Told(ctx); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}

// hanging adds to an error what the house shows of itself.
func (w *world) hanging(err error) error {
	for _, path := range []string{"/v1/status", "/v1/messages?state=claimed", "/v1/messages?state=handing_over", "/v1/messages?state=unknown", "/v1/messages?state=pending", "/v1/messages?state=deferred"} {
		req := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "http://rapport.example"+path, nil)
		req.Header.Set("Authorization", "Bearer "+w.manage)
		rec := httptest.NewRecorder()
		w.life.house.Handler().ServeHTTP(rec, req)
		err = fmt.Errorf("%w\n%s: %s", err, path, rec.Body.String())
	}
	return err
}

// forward moves business time, with everything that is due on the way.
func (w *world) forward(ctx context.Context, d time.Duration) error {
	to := w.clock.Now().Add(d)
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for n := 0; ; n++ {
		at, err := w.life.house.Advance(limited, to)
		if err != nil {
			return fmt.Errorf("advance %d times, now %s of %s: %w", n, at.Format(time.RFC3339Nano), to.Format(time.RFC3339Nano), w.hanging(err))
		}
		if !at.Before(to) {
			return w.told(ctx)
		}
	}
}

// post knocks at the house's door.
func (w *world) post(ctx context.Context, path, key, body string, header map[string]string) (int, string) {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://rapport.example"+path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, "/v1/consent") {
		req.Header.Set("Authorization", "Bearer "+key)
	} else {
		req.SetBasicAuth(key, "")
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	rec := httptest.NewRecorder()
	w.life.house.Handler().ServeHTTP(rec, req)
	return rec.Code, rec.Body.String()
}

// collect sends events and remembers what was acknowledged before any crash.
func (w *world) collect(ctx context.Context, l *life, events []sent, header map[string]string) error {
	var bodies []string
	for _, e := range events {
		bodies = append(bodies, e.body)
	}
	w.gate.Lock()
	for _, e := range events {
		w.offered[e.id] = true
	}
	w.gate.Unlock()
	body := `{"batch":[` + strings.Join(bodies, ",") + `]}`
	code, answer := w.post(ctx, "/v1/batch", w.ingest, body, header)
	w.gate.Lock()
	defer w.gate.Unlock()
	if l.dead {
		return nil
	}
	if code != http.StatusOK {
		w.report.Refused++
		return fmt.Errorf("events refused: %d %s", code, answer)
	}
	for _, e := range events {
		w.acked[e.id] = true
		w.bodies = append(w.bodies, offer{w.clock.Now(), e.body})
	}
	return nil
}

// yield lets others run for a while that the seed decides.
func (w *world) yield() {
	for range w.r.IntN(400) {
		runtime.Gosched()
	}
}

package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rapport/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Store in memory whose appends can be held up, fail, or be damaged.
type memory struct {
	mu     sync.Mutex
	frames [laneCount][]Frame
	fail   error
	late   error         // what is told although the frames were written
	hold   chan struct{} // when set, Append waits for it
	began  chan struct{} // when set, told that an Append began
	calls  int
}

var _ Store = (*memory)(nil)

func (m *memory) ID() string    { return "memory" }
func (m *memory) Place() string { return "these slices" }

func (m *memory) Append(_ context.Context, frames []Frame) error {
	m.mu.Lock()
	hold, began := m.hold, m.began
	m.mu.Unlock()
	if began != nil {
		began <- struct{}{}
	}
	if hold != nil {
		<-hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.fail != nil {
		return m.fail
	}
	for _, f := range frames {
		f.Body = slices.Clone(f.Body)
		if n := len(m.frames[f.Lane]); n > 0 && f.First < m.frames[f.Lane][n-1].First+int64(m.frames[f.Lane][n-1].Count) {
			return fault.New(fault.Conflict, "already_there", "there is such a frame")
		}
		m.frames[f.Lane] = append(m.frames[f.Lane], f)
	}
	return m.late
}

func (m *memory) Read(_ context.Context, lane Lane, from int64, maxBytes int) ([]Frame, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Frame
	size := 0
	for _, f := range m.frames[lane] {
		if f.First+int64(f.Count) > from && (size < maxBytes || len(out) == 0) {
			out = append(out, f)
			size += len(f.Body)
		}
	}
	return out, nil
}

func (m *memory) Tail(_ context.Context, lane Lane) (int64, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.frames[lane]); n > 0 {
		f := m.frames[lane][n-1]
		return f.First + int64(f.Count) - 1, f.At, nil
	}
	return 0, time.Time{}, nil
}

func (m *memory) First(_ context.Context, lane Lane) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.frames[lane]) > 0 {
		return m.frames[lane][0].First, nil
	}
	return 0, nil
}

func (m *memory) Drop(_ context.Context, lane Lane, before int64, older time.Time) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, f := range m.frames[lane] {
		if f.First+int64(f.Count) > before || !f.At.Before(older) {
			break
		}
		n++
	}
	m.frames[lane] = m.frames[lane][n:]
	return n, nil
}

func (m *memory) Close() error { return nil }

// clock is a business clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// setup opens a running log over a store; it ends with the test.
func setup(t *testing.T, store *memory, c Config) (*Log, *clock) {
	t.Helper()
	k := &clock{now: noon}
	c.Store, c.Now = store, k.Now
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); group.Wait() })
	return l, k
}

func bodies(from, to int) [][]byte {
	var out [][]byte
	for i := from; i <= to; i++ {
		out = append(out, fmt.Appendf(nil, "record %d %s", i, strings.Repeat("x", i%50)))
	}
	return out
}

func wantRecords(t *testing.T, got []Record, lane Lane, from, to int) {
	t.Helper()
	want := bodies(from, to)
	if len(got) != len(want) {
		t.Fatalf("got %d records, want %d", len(got), len(want))
	}
	for i, r := range got {
		if r.Pos != int64(from+i) || r.Lane != lane || string(r.Body) != string(want[i]) {
			t.Fatalf("record %d: got %s %d %q, want %q", from+i, r.Lane, r.Pos, r.Body, want[i])
		}
	}
}

func TestAppendGivesDensePositionsAndReadGivesThemBack(t *testing.T) {
	t.Parallel()
	store := &memory{}
	l, _ := setup(t, store, Config{})
	ctx := t.Context()
	for i := 0; i < 20; i++ {
		first, at, err := l.Append(ctx, Live, bodies(i*10+1, i*10+10))
		if err != nil || first != int64(i*10+1) || !at.Equal(noon) {
			t.Fatalf("append %d: got %d %v %v", i, first, at, err)
		}
	}
	if first, _, err := l.Append(ctx, Bulk, bodies(1, 3)); err != nil || first != 1 {
		t.Fatalf("the bulk lane begins at %d, %v", first, err)
	}
	again, err := Open(Config{Store: store, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]*Log{"from memory": l, "from the store": again} {
		if tail, at := l.Tail(Live); tail != 200 || !at.Equal(noon) {
			t.Errorf("%s: tail %d %v", name, tail, at)
		}
		for _, from := range []int{0, 1, 2, 10, 11, 137, 200} {
			got, err := l.Read(ctx, Live, int64(from), 1<<30)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			wantRecords(t, got, Live, max(from, 1), 200)
		}
		if got, err := l.Read(ctx, Live, 201, 1<<20); err != nil || got != nil {
			t.Errorf("%s: past the end: %v %v", name, got, err)
		}
		if got, _ := l.Read(ctx, Live, 5, 1); len(got) != 6 {
			t.Errorf("%s: one byte gives %d records, want the rest of one frame", name, len(got))
		}
	}
}

func TestLargeAppendIsCutIntoFramesOfOneCommit(t *testing.T) {
	t.Parallel()
	store := &memory{}
	l, _ := setup(t, store, Config{})
	var in [][]byte
	for i := range 40 {
		in = append(in, []byte(strings.Repeat(string(rune('a'+i%26)), 50_000)))
	}
	if _, _, err := l.Append(t.Context(), Live, in); err != nil {
		t.Fatal(err)
	}
	if store.calls != 1 || len(store.frames[Live]) != 7 {
		t.Fatalf("%d commits, %d frames; want 1 and 7", store.calls, len(store.frames[Live]))
	}
	again, err := Open(Config{Store: store, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.Read(t.Context(), Live, 1, 1<<30)
	if err != nil || len(got) != len(in) {
		t.Fatalf("%d records, %v", len(got), err)
	}
	for i := range got {
		if string(got[i].Body) != string(in[i]) {
			t.Fatalf("record %d differs", i)
		}
	}
}

func TestInstantNeverGoesBack(t *testing.T) {
	t.Parallel()
	store := &memory{}
	l, k := setup(t, store, Config{})
	for _, c := range []struct{ now, want time.Duration }{
		{0, 0}, {time.Hour, time.Hour}, {time.Minute, time.Hour}, {-time.Hour, time.Hour},
		{2*time.Hour + 1500*time.Microsecond, 2*time.Hour + time.Millisecond},
	} {
		k.set(noon.Add(c.now))
		if _, at, err := l.Append(t.Context(), Live, bodies(1, 1)); err != nil || !at.Equal(noon.Add(c.want)) {
			t.Errorf("at %v the record bears %v, want %v (%v)", c.now, at.Sub(noon), c.want, err)
		}
	}
	again, _ := setup(t, store, Config{}) // Its clock stands at noon.
	if _, at, err := again.Append(t.Context(), Live, bodies(1, 1)); err != nil || !at.Equal(noon.Add(2*time.Hour+time.Millisecond)) {
		t.Errorf("after reopening the record bears %v (%v)", at.Sub(noon), err)
	}
}

func TestAppendsThatWaitShareACommit(t *testing.T) {
	t.Parallel()
	store := &memory{hold: make(chan struct{}), began: make(chan struct{}, 100)}
	l, _ := setup(t, store, Config{})
	var group sync.WaitGroup
	append1 := func() {
		group.Go(func() {
			if _, _, err := l.Append(context.Background(), Live, bodies(1, 1)); err != nil {
				t.Error(err)
			}
		})
	}
	append1()
	<-store.began // The first commit is under way and held.
	for range 50 {
		append1()
	}
	for waiting := 0; waiting < 50; { // All fifty are in the next group.
		l.mu.Lock()
		waiting = l.pending.parts[Live].count
		l.mu.Unlock()
	}
	close(store.hold)
	group.Wait()
	if store.calls != 2 {
		t.Errorf("%d commits, want 2", store.calls)
	}
	if tail, _ := l.Tail(Live); tail != 51 {
		t.Errorf("tail %d, want 51", tail)
	}
}

func TestAppendFailsWholeAndGoesOnAfterwards(t *testing.T) {
	t.Parallel()
	store := &memory{fail: fault.New(fault.Unavailable, "disk_full", "full")}
	l, _ := setup(t, store, Config{})
	if _, _, err := l.Append(t.Context(), Live, bodies(1, 5)); fault.KindOf(err) != fault.Unavailable || fault.CodeOf(err) != "disk_full" {
		t.Fatalf("got %v, want disk_full", err)
	}
	if tail, _ := l.Tail(Live); tail != 0 {
		t.Errorf("tail %d after a failure", tail)
	}
	store.mu.Lock()
	store.fail = nil
	store.mu.Unlock()
	if first, _, err := l.Append(t.Context(), Live, bodies(1, 5)); err != nil || first != 1 {
		t.Errorf("after recovery: %d, %v", first, err)
	}
}

// TestAppendWhoseAnswerIsLost: a store may have written what it says it could
// not. The next records come behind it, and readers see both.
func TestAppendWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	m := &memory{}
	l, _ := setup(t, m, Config{})
	append1 := func(text string) (int64, error) {
		pos, _, err := l.Append(t.Context(), Live, [][]byte{[]byte(text)})
		return pos, err
	}
	if pos, err := append1("one"); pos != 1 || err != nil {
		t.Fatal(pos, err)
	}
	m.mu.Lock()
	m.late = errors.New("the connection was cut")
	m.mu.Unlock()
	if _, err := append1("two"); err == nil {
		t.Fatal("an append without an answer is acknowledged")
	}
	m.mu.Lock()
	m.late = nil
	m.mu.Unlock()
	if pos, err := append1("three"); pos != 3 || err != nil {
		t.Fatalf("the next is at %d, %v", pos, err)
	}
	recs, err := l.Read(t.Context(), Live, 1, 1<<20)
	var got []string
	for next := int64(1); err == nil && len(recs) > 0; recs, err = l.Read(t.Context(), Live, next, 1<<20) {
		for _, r := range recs {
			got = append(got, string(r.Body))
			next = r.Pos + 1
		}
	}
	if err != nil || fmt.Sprint(got) != "[one two three]" {
		t.Errorf("%v, %v", got, err)
	}
	// So may somebody else have, of whom this process hears by the conflict.
	m.mu.Lock()
	m.frames[Live] = append(m.frames[Live], Frame{Lane: Live, First: 4, Count: 1, At: time.Now()})
	m.mu.Unlock()
	if _, err := append1("four"); fault.KindOf(err) != fault.Unavailable || !fault.Temporary(err) {
		t.Errorf("a frame that nobody knew of: %v", err)
	}
	if pos, err := append1("five"); pos != 5 || err != nil {
		t.Errorf("behind it: %d, %v", pos, err)
	}
}

func TestFullBufferIsUnavailableAndRecovers(t *testing.T) {
	t.Parallel()
	store := &memory{hold: make(chan struct{}), began: make(chan struct{}, 100)}
	l, _ := setup(t, store, Config{MaxPending: 1000})
	var group sync.WaitGroup
	big := [][]byte{make([]byte, 600)}
	for i := range 2 {
		group.Go(func() {
			if _, _, err := l.Append(context.Background(), Live, big); err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			<-store.began
		}
	}
	for waiting := 0; waiting < 1; {
		l.mu.Lock()
		waiting = l.pending.parts[Live].count
		l.mu.Unlock()
	}
	_, _, err := l.Append(t.Context(), Live, big)
	if fault.KindOf(err) != fault.Unavailable || fault.CodeOf(err) != "log_full" {
		t.Errorf("got %v, want log_full", err)
	}
	close(store.hold)
	group.Wait()
	if _, _, err := l.Append(t.Context(), Live, big); err != nil {
		t.Errorf("after recovery: %v", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	l, _ := setup(t, &memory{}, Config{})
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		ctx     context.Context
		lane    Lane
		records [][]byte
		kind    fault.Kind
	}{
		"no records":   {t.Context(), Live, nil, fault.Invalid},
		"unknown lane": {t.Context(), 9, bodies(1, 1), fault.Invalid},
		"too large":    {t.Context(), Live, [][]byte{make([]byte, MaxRecord+1)}, fault.Limited},
	} {
		if _, _, err := l.Append(c.ctx, c.lane, c.records); fault.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: got %v, want %v", name, err, c.kind)
		}
	}
	if _, _, err := l.Append(ended, Live, bodies(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: got %v", err)
	}
	if tail, _ := l.Tail(Live); tail != 0 {
		t.Errorf("tail %d, want 0", tail)
	}
}

func TestChangedWakesThoseWhoWait(t *testing.T) {
	t.Parallel()
	l, _ := setup(t, &memory{}, Config{})
	live, bulk := l.Changed(Live), l.Changed(Bulk)
	if _, _, err := l.Append(t.Context(), Live, bodies(1, 1)); err != nil {
		t.Fatal(err)
	}
	<-live
	select {
	case <-bulk:
		t.Error("the bulk lane changed too")
	case <-l.Changed(Live):
		t.Error("the new channel is closed already")
	default:
	}
}

func TestCloseWritesWhatWasAppended(t *testing.T) {
	t.Parallel()
	store := &memory{hold: make(chan struct{}), began: make(chan struct{}, 9)}
	l, _ := setup(t, store, Config{})
	errs := make(chan error, 2)
	send := func() {
		_, _, err := l.Append(context.Background(), Live, bodies(1, 1))
		errs <- err
	}
	go send()
	<-store.began
	go send()
	for waiting := 0; waiting < 1; {
		l.mu.Lock()
		waiting = l.pending.parts[Live].count
		l.mu.Unlock()
	}
	closed := make(chan struct{})
	go func() { _ = l.Close(); close(closed) }()
	close(store.hold)
	<-closed
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if _, _, err := l.Append(t.Context(), Live, bodies(1, 1)); fault.CodeOf(err) != "log_closed" {
		t.Errorf("after closing: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	idle, err := Open(Config{Store: &memory{}, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.Close(); err != nil { // Never run: it must not wait for ever.
		t.Error(err)
	}
}

func TestDamageIsNamed(t *testing.T) {
	t.Parallel()
	build := func(t *testing.T) *memory {
		store := &memory{}
		l, _ := setup(t, store, Config{})
		for i := range 3 {
			if _, _, err := l.Append(t.Context(), Live, bodies(i*10+1, i*10+10)); err != nil {
				t.Fatal(err)
			}
		}
		return store
	}
	for name, c := range map[string]struct {
		harm func(frames []Frame) []Frame
		good int
		want string
	}{
		"flipped bit in a body":   {func(f []Frame) []Frame { f[1].Body[20] ^= 4; return f }, 10, "records 11 to 20"},
		"flipped bit in checksum": {func(f []Frame) []Frame { f[1].Body[3] ^= 4; return f }, 10, "records 11 to 20"},
		"body cut short":          {func(f []Frame) []Frame { f[1].Body = f[1].Body[:4]; return f }, 10, "records 11 to 20"},
		"empty body":              {func(f []Frame) []Frame { f[1].Body = nil; return f }, 10, "records 11 to 20"},
		"wrong count":             {func(f []Frame) []Frame { f[1].Count--; return f }, 10, "records 11 to 19"},
		"wrong instant":           {func(f []Frame) []Frame { f[1].At = f[1].At.Add(time.Second); return f }, 10, "records 11 to 20"},
		"frame lost":              {func(f []Frame) []Frame { return slices.Delete(f, 1, 2) }, 10, "records 11 to 20"},
		"frame in another place":  {func(f []Frame) []Frame { f[1].Body, f[2].Body = f[2].Body, f[1].Body; return f }, 10, "records 11 to 20"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := build(t)
			store.frames[Live] = c.harm(store.frames[Live])
			l, err := Open(Config{Store: store, Now: func() time.Time { return noon }})
			if err != nil {
				t.Fatal(err)
			}
			got, err := l.Read(t.Context(), Live, 1, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			wantRecords(t, got, Live, 1, c.good)
			_, err = l.Read(t.Context(), Live, int64(c.good+1), 1<<20)
			if fault.CodeOf(err) != "log_damaged" || !strings.Contains(err.Error(), "lane live: "+c.want) || !strings.Contains(err.Error(), "keep a copy of these slices") || !strings.Contains(err.Error(), "backup") {
				t.Errorf("got %v, want log_damaged with %q and what to do", err, c.want)
			}
		})
	}
}

func TestLostEndIsNamed(t *testing.T) {
	t.Parallel()
	store := &memory{}
	l, _ := setup(t, store, Config{})
	for i := range 2 {
		if _, _, err := l.Append(t.Context(), Live, bodies(i*10+1, i*10+10)); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Open(Config{Store: store, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	store.frames[Live] = store.frames[Live][:1]
	if _, err := again.Read(t.Context(), Live, 11, 1<<20); fault.CodeOf(err) != "log_damaged" || !strings.Contains(err.Error(), "records 11 to 20") {
		t.Errorf("got %v", err)
	}
}

func TestExpireNeverPassesAnUnwalkedRecord(t *testing.T) {
	t.Parallel()
	store := &memory{}
	l, k := setup(t, store, Config{})
	for i := range 10 { // Frames of ten, an hour apart.
		k.set(noon.Add(time.Duration(i) * time.Hour))
		if _, _, err := l.Append(t.Context(), Live, bodies(i*10+1, i*10+10)); err != nil {
			t.Fatal(err)
		}
	}
	k.set(noon.Add(100 * time.Hour))
	for _, c := range []struct {
		name   string
		walked int64
		keep   time.Duration
		gone   int
		first  int64
	}{
		{"nothing is walked", 0, time.Hour, 0, 1},
		{"the first frame is not walked to its end", 9, time.Hour, 0, 1},
		{"two frames are walked", 25, time.Hour, 2, 21},
		{"all is walked, some is young", 100, 95*time.Hour + 30*time.Minute, 3, 51},
		{"all is walked and old: the last frame stays", 100, time.Hour, 4, 91},
	} {
		gone, err := l.Expire(t.Context(), func(lane Lane) int64 {
			if lane == Live {
				return c.walked
			}
			return 0
		}, c.keep)
		first, _ := store.First(t.Context(), Live)
		if err != nil || gone != c.gone || first != c.first {
			t.Errorf("%s: %d frames went, the first is %d (%v); want %d and %d", c.name, gone, first, err, c.gone, c.first)
		}
	}
	again, _ := setup(t, store, Config{})
	if _, err := again.Read(t.Context(), Live, 5, 1<<20); fault.CodeOf(err) != "log_expired" {
		t.Errorf("reading what retention took: %v, want log_expired", err)
	}
	if first, at, err := again.Append(t.Context(), Live, bodies(1, 1)); err != nil || first != 101 || at.Before(noon.Add(9*time.Hour)) {
		t.Errorf("goes on at %d %v %v", first, at, err)
	}
}

func FuzzOpenBody(f *testing.F) {
	frame := Frame{Lane: Live, First: 7, Count: 3, At: noon}
	raw := []byte{1, 'a', 0, 2, 'b', 'c'}
	f.Add(appendBody(nil, frame, raw))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, body []byte) {
		g := frame
		g.Body = body
		raw, err := openBody(g)
		if err != nil {
			return
		}
		_, _ = appendRecords(nil, g, raw, 0) // It must not panic, whatever it says.
	})
}

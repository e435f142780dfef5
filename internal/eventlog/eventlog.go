// Package eventlog is the append-only spine: lanes of records, grouped into
// frames, durable before anybody hears of it. What comes in are encoded events;
// what goes out are the same bytes with their position and the instant of their
// commit. It never interprets a record, never loses one it has acknowledged,
// and never serves one whose checksum does not hold.
package eventlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rapport/internal/fault"
)

// Limits of a log. Each is named by the error that it causes.
const (
	// MaxRecord is the most bytes that one record may have.
	MaxRecord = 1 << 20
	// defaultPending bounds what waits for the next commit, in bytes.
	defaultPending = 32 << 20
	// frameTarget closes a frame; a frame ends with the record that reaches it.
	frameTarget = 256 << 10
	// tailKeep is how much of each lane's end stays in memory for its readers.
	tailKeep = 2 << 20
)

// Config says what a Log is made of.
type Config struct {
	Store  Store            // required
	Now    func() time.Time // required; business time
	Logger *slog.Logger     // optional
	// MaxPending bounds the bytes that wait for a commit; beyond it Append
	// answers Unavailable. Zero means 32 MiB.
	MaxPending int
}

// Record is one record with where and when it came. Body may share memory with
// its neighbours: it is to be read, never written.
type Record struct {
	Lane Lane
	Pos  int64
	At   time.Time
	Body []byte
}

// Log is the append-only log of one node. It is safe for concurrent use.
type Log struct {
	store      Store
	now        func() time.Time
	logger     *slog.Logger
	maxPending int

	wake    chan struct{} // one token: there is something to write, or closing
	stopped chan struct{} // closed when the writer is gone for good

	mu      sync.Mutex
	pending *group
	closed  bool
	running bool
	failing bool // the last commit failed; logged once, and once more when it is over
	lanes   [laneCount]strand
}

// strand is what the log knows about one lane. Guarded by Log.mu.
type strand struct {
	tail    int64
	at      time.Time
	changed chan struct{} // closed with the next commit
	recent  []recent      // newest frames, uncompressed, in order
	size    int           // bytes in recent
	hint    int           // bytes of the last group, a guess at the next
}

// recent is one committed frame that is still in memory.
type recent struct {
	first int64
	count int
	at    time.Time
	raw   []byte // length-prefixed records
}

// group is what is committed together: the parts of one transaction. Results
// are written before done is closed and only read after it.
type group struct {
	parts [laneCount]part
	size  int
	done  chan struct{}
	err   error
}

// part is one lane's share of a group.
type part struct {
	raw   []byte // length-prefixed records of all frames
	count int
	cuts  []cut // where frames end, but for the last
	first int64
	at    time.Time
}

// cut ends a frame after so many records and bytes of a part.
type cut struct{ count, end int }

// Open reads where the lanes end. Nothing is written until Run is called.
func Open(c Config) (*Log, error) {
	if c.Store == nil || c.Now == nil {
		return nil, errors.New("open log: a store and a clock are required")
	}
	l := &Log{
		store: c.Store, now: c.Now, logger: c.Logger, maxPending: c.MaxPending,
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	if l.maxPending <= 0 {
		l.maxPending = defaultPending
	}
	for i := range l.lanes {
		pos, at, err := c.Store.Tail(context.Background(), Lane(i))
		if err != nil {
			return nil, fmt.Errorf("open log: find the end of lane %s: %w", Lane(i), err)
		}
		l.lanes[i] = strand{tail: pos, at: at, changed: make(chan struct{})}
	}
	l.pending = newGroup()
	return l, nil
}

func newGroup() *group { return &group{done: make(chan struct{})} }

// ID names the log for ever.
func (l *Log) ID() string { return l.store.ID() }

// Append adds records to a lane and returns once they are durable, with the
// position of the first and the instant that all of them bear. They are copied,
// stand behind each other, and are there all or not at all. An Unavailable
// fault (disk or buffer full, log closed) means that they are not in the log;
// trying again may help. When ctx ends first, whether they are is not known.
func (l *Log) Append(ctx context.Context, lane Lane, records [][]byte) (first int64, at time.Time, err error) {
	if int(lane) >= laneCount {
		return 0, time.Time{}, fault.New(fault.Invalid, "unknown_lane", "lane %d does not exist", lane)
	}
	if len(records) == 0 {
		return 0, time.Time{}, fault.New(fault.Invalid, "nothing_to_append", "an append needs at least one record")
	}
	size := 0
	for _, r := range records {
		if len(r) > MaxRecord {
			return 0, time.Time{}, fault.New(fault.Limited, "record_too_large",
				"a record has %d bytes; at most %d are taken", len(r), MaxRecord)
		}
		size += len(r) + 3
	}
	if err := ctx.Err(); err != nil {
		return 0, time.Time{}, err
	}

	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return 0, time.Time{}, fault.New(fault.Unavailable, "log_closed", "the log is being closed")
	}
	g := l.pending
	if g.size > 0 && g.size+size > l.maxPending {
		l.mu.Unlock()
		e := fault.New(fault.Unavailable, "log_full",
			"%d bytes wait to be written and at most %d may; the disk is slower than what comes in", g.size, l.maxPending)
		e.RetryAfter = time.Second
		return 0, time.Time{}, e
	}
	g.size += size
	p := &g.parts[lane]
	offset := p.count
	if p.raw == nil {
		p.raw = make([]byte, 0, max(size, min(l.lanes[lane].hint, frameTarget)))
	}
	p.add(records)
	l.mu.Unlock()
	l.signal()

	select {
	case <-g.done:
	case <-ctx.Done():
		return 0, time.Time{}, ctx.Err()
	case <-l.stopped:
		// The writer may have finished this very group before it went.
		select {
		case <-g.done:
		default:
			return 0, time.Time{}, fault.New(fault.Unavailable, "log_closed", "the log was closed before it wrote")
		}
	}
	if g.err != nil {
		return 0, time.Time{}, g.err
	}
	return p.first + int64(offset), p.at, nil
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (p *part) add(records [][]byte) {
	begin := 0
	if n := len(p.cuts); n > 0 {
		begin = p.cuts[n-1].end
	}
	for _, r := range records {
		if len(p.raw)-begin >= frameTarget {
			begin = len(p.raw)
			p.cuts = append(p.cuts, cut{count: p.count, end: begin})
		}
		p.raw = binary.AppendUvarint(p.raw, uint64(len(r)))
		p.raw = append(p.raw, r...)
		p.count++
	}
}

// Run writes what is appended until ctx ends, then writes what was appended
// before that and returns. It is called once.
func (l *Log) Run(ctx context.Context) error {
	l.mu.Lock()
	if l.running || l.closed {
		l.mu.Unlock()
		return errors.New("run log: it ran before")
	}
	l.running = true
	l.mu.Unlock()
	defer close(l.stopped)
	w := &writer{log: l}
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			l.mu.Lock()
			l.closed = true
			l.mu.Unlock()
		}
		g, last := l.take()
		if g != nil {
			w.commit(context.WithoutCancel(ctx), g)
		}
		if last {
			return nil
		}
	}
}

// take gives the group to write, if any, and whether it is the last.
func (l *Log) take() (*group, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending.size == 0 {
		return nil, l.closed
	}
	g := l.pending
	l.pending = newGroup()
	return g, l.closed
}

// Close refuses further appends and waits until what was appended is written.
// It does not close the store. Closing twice is harmless.
func (l *Log) Close() error {
	l.mu.Lock()
	if !l.closed && !l.running {
		close(l.stopped)
	}
	l.closed = true
	l.mu.Unlock()
	l.signal()
	<-l.stopped
	return nil
}

// Tail gives the last position of a lane and the instant it bears; zero when
// the lane is empty. What it names is durable and can be read.
func (l *Log) Tail(lane Lane) (int64, time.Time) {
	if int(lane) >= laneCount {
		return 0, time.Time{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lanes[lane].tail, l.lanes[lane].at
}

// Changed gives a channel that is closed with the next commit to the lane. Get
// it first, then read, then wait: so no commit is missed.
func (l *Log) Changed(lane Lane) <-chan struct{} {
	if int(lane) >= laneCount {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lanes[lane].changed
}

// Expire drops frames that are older than keep and whose every record is walked;
// walked tells how far each lane is. The last frame of a lane always stays: it
// knows the position and the instant to go on from. It returns how many frames went.
func (l *Log) Expire(ctx context.Context, walked func(Lane) int64, keep time.Duration) (int, error) {
	total := 0
	older := l.now().Add(-keep)
	for i := range l.lanes {
		lane := Lane(i)
		tail, _ := l.Tail(lane)
		before := min(walked(lane)+1, tail)
		if before <= 1 {
			continue
		}
		n, err := l.store.Drop(ctx, lane, before, older)
		total += n
		if err != nil {
			return total, fmt.Errorf("expire lane %s: %w", lane, err)
		}
	}
	return total, nil
}

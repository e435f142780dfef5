package delivery

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rapport/internal/id"
	"rapport/internal/store"
)

// groupMost bounds how many entries share one transaction.
const groupMost = 256

// leastTurn is for how long a group writes at the least before it ends for somebody
// who said no: however many say so, mails go on.
const leastTurn = 3 * time.Millisecond

// How long an entry that must be written waits before it is tried again.
const (
	insistFirst = 250 * time.Millisecond
	insistMost  = 15 * time.Second
)

// ledger writes for everybody in this room: whoever has something to write
// while a transaction is under way shares the next one. One fsync thus serves
// every mail that was ready for it.
type ledger struct {
	state   store.State
	gate    Gate
	mono    func() time.Time
	log     *slog.Logger
	skips   *Skips
	skipped map[string]int64 // by the transaction under way; whoever writes in it alone touches this

	people    []id.Person // of the transaction under way, too
	addresses []string

	mu      sync.Mutex
	wait    sync.Cond
	queue   []*entry
	waiting map[*entry]*time.Timer // entries that failed and are tried again later
	closing bool                   // nothing is tried again any more
	closed  bool
}

// entry is one piece of writing. write may be called more than once (a group
// that fails is written one by one) and must not build on an earlier call.
// committed runs after the commit, before done says so.
type entry struct {
	write     func(store.Tx) error
	committed func()
	durable   bool
	about     []*job // mails that the gate will be asked about
	insist    bool   // what it says has happened: try again until it is written
	tries     int
	done      chan error // capacity 1
}

func newLedger(s store.State, gate Gate, mono func() time.Time, log *slog.Logger, skips *Skips) *ledger {
	l := &ledger{state: s, gate: gate, mono: mono, log: log, skips: skips, skipped: map[string]int64{}, waiting: map[*entry]*time.Timer{}}
	l.wait.L = &l.mu
	return l
}

// submit queues an entry; its done channel tells when it is committed or given up.
func (l *ledger) submit(e *entry) *entry {
	if e.done == nil {
		e.done = make(chan error, 1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		e.done <- context.Canceled
		return e
	}
	delete(l.waiting, e)
	l.queue = append(l.queue, e)
	l.wait.Signal()
	return e
}

// write submits an entry and waits for its end.
func (l *ledger) write(e *entry) error { return <-l.submit(e).done }

// run writes until the ledger is closed and empty.
func (l *ledger) run() {
	var group []*entry
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.closed {
			l.wait.Wait()
		}
		if len(l.queue) == 0 {
			l.mu.Unlock()
			return
		}
		n := min(len(l.queue), groupMost)
		group = append(group[:0], l.queue[:n]...)
		rest := copy(l.queue, l.queue[n:])
		clear(l.queue[rest:])
		l.queue = l.queue[:rest]
		l.mu.Unlock()
		l.commit(group)
		clear(group)
	}
}

// commit writes a group in one transaction, or in several where somebody waits who
// said no. If that fails each entry is tried alone, so that one bad mail does not
// hold up the others.
func (l *ledger) commit(group []*entry) {
	for len(group) > 0 {
		n, err := l.transact(group)
		if err != nil && len(group) > 1 {
			l.log.Warn("a group of writes failed; writing one by one", "entries", len(group), "error", err)
			for i := range group {
				_, err := l.transact(group[i : i+1])
				l.finish(group[i], err)
			}
			return
		}
		for _, e := range group[:n] {
			l.finish(e, err)
		}
		group = group[n:]
	}
}

// transact writes in one transaction, and tells how many entries: all, or the first
// of them. No context ends it: a process that stops must still record what has
// happened.
func (l *ledger) transact(group []*entry) (n int, err error) {
	o := store.WriteOptions{Priority: store.Urgent}
	for _, e := range group {
		o.Durable = o.Durable || e.durable
	}
	err = l.state.Write(context.Background(), o, func(tx store.Tx) error {
		clear(l.skipped)
		if err := l.foresee(tx, group); err != nil {
			return err
		}
		began := l.mono()
		for n = 0; n < len(group) && (n == 0 || l.mono().Sub(began) < leastTurn || l.state.Waiting(store.Narrowing) == 0); n++ {
			if err := group[n].write(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return len(group), err
	}
	l.skips.add(l.skipped)
	return n, nil
}

// foreseeFrom is from how many mails on the gate is told of all: for fewer it asks no
// quicker so.
const foreseeFrom = 3

// foresee tells the gate which mails a group will ask it about.
func (l *ledger) foresee(tx store.Tx, group []*entry) error {
	l.people, l.addresses = l.people[:0], l.addresses[:0]
	for _, e := range group {
		for _, j := range e.about {
			l.people, l.addresses = append(l.people, j.mail.Person), append(l.addresses, j.rendered.To.Email)
		}
	}
	if len(l.people) < foreseeFrom {
		return nil
	}
	return l.gate.Foresee(tx, l.people, l.addresses)
}

// finish tells the end of an entry, or puts it off if it must be written.
func (l *ledger) finish(e *entry, err error) {
	if err == nil {
		if e.committed != nil {
			e.committed()
		}
		e.done <- nil
		return
	}
	l.mu.Lock()
	if !e.insist || l.closing {
		l.mu.Unlock()
		e.done <- err
		return
	}
	pause := min(insistFirst<<min(e.tries, 6), insistMost)
	e.tries++
	l.waiting[e] = time.AfterFunc(pause, func() { l.again(e) })
	l.mu.Unlock()
	l.log.Error("an outcome cannot be written; trying again", "tries", e.tries, "error", err)
}

// again queues an entry that waited, unless it was given up meanwhile.
func (l *ledger) again(e *entry) {
	l.mu.Lock()
	_, waits := l.waiting[e]
	l.mu.Unlock()
	if waits {
		l.submit(e)
	}
}

// yield ends the insisting: what cannot be written now is left, to be found
// unknown by the next process.
func (l *ledger) yield() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = true
	for e, t := range l.waiting {
		if t.Stop() {
			e.done <- context.Canceled
			delete(l.waiting, e)
		}
	}
}

// close lets run end after what is queued.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wait.Broadcast()
}

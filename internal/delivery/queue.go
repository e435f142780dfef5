package delivery

import (
	"sync"
	"time"

	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
)

// job is one claimed mail on its way through the room.
type job struct {
	mail     outbox.Mail
	rendered message.Rendered
	parts    []byte
	lane     *lane
	claimed  time.Time // business time of a claim that the outbox does not know of; zero: its row says Claimed
	lease    time.Time // machine time at which such a claim ends
	pinned   bool      // only this lane may send it: the provider knows its key
	wire     bool      // handed over; guarded by the registry's lock
}

// inMemory tells whether the claim is written with the hand-over only.
func (j *job) inMemory() bool { return !j.claimed.IsZero() }

// holds tells whether the claim still stands for the mail as it is now.
func (j *job) holds(m *outbox.Mail, mono time.Time) bool {
	switch {
	case m.Token != j.mail.Token:
		return false
	case j.inMemory():
		return (m.State == message.Pending || m.State == message.Deferred) && mono.Before(j.lease)
	default:
		return m.State == message.Claimed && mono.Before(m.LeaseEnds)
	}
}

// queue holds claimed mails of one provider: transactional before triggered
// before broadcast, first come first served within a class.
type queue struct {
	mu     sync.Mutex
	wait   sync.Cond
	fifo   [message.Broadcast + 1][]*job
	heads  [message.Broadcast + 1]int
	size   int
	closed bool
}

func (q *queue) init() { q.wait.L = &q.mu }

// push adds a job, or tells that the queue is closed.
func (q *queue) push(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	c := min(max(j.mail.Class, message.Transactional), message.Broadcast)
	q.fifo[c] = append(q.fifo[c], j)
	q.size++
	q.wait.Signal()
	return true
}

// pop waits for the next job; it gives nil once the queue is closed.
func (q *queue) pop() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.size == 0 && !q.closed {
		q.wait.Wait()
	}
	return q.take()
}

// tryPop gives the next job if there is one.
func (q *queue) tryPop() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.take()
}

func (q *queue) take() *job {
	if q.closed || q.size == 0 {
		return nil
	}
	for c := range q.fifo {
		if h := q.heads[c]; h < len(q.fifo[c]) {
			j := q.fifo[c][h]
			q.fifo[c][h] = nil
			q.heads[c]++
			if q.heads[c] == len(q.fifo[c]) {
				q.fifo[c], q.heads[c] = q.fifo[c][:0], 0
			}
			q.size--
			return j
		}
	}
	return nil
}

// close ends all waiting. Jobs still inside are found by rest.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wait.Broadcast()
}

// rest empties a closed queue.
func (q *queue) rest() []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []*job
	for c := range q.fifo {
		out = append(out, q.fifo[c][q.heads[c]:]...)
		q.fifo[c], q.heads[c] = nil, 0
	}
	q.size = 0
	return out
}

// registry knows every mail that this process has claimed, and which of them
// are on the wire.
type registry struct {
	mu    sync.Mutex
	jobs  map[id.Message]*job
	wire  int
	light int           // claims in memory that are not handed over yet
	empty chan struct{} // closed when the last job leaves
	freed chan struct{} // one signal: a job has left
}

func (r *registry) init() {
	r.jobs, r.empty, r.freed = map[id.Message]*job{}, make(chan struct{}), make(chan struct{}, 1)
}

// add registers a job unless the mail is already here.
func (r *registry) add(j *job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.jobs[j.mail.ID]; there {
		return false
	}
	r.jobs[j.mail.ID] = j
	if j.inMemory() {
		r.light++
	}
	return true
}

// has tells whether a mail is claimed by this process.
func (r *registry) has(m id.Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, there := r.jobs[m]
	return there
}

// handed marks a job as being on the wire.
func (r *registry) handed(j *job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !j.wire {
		j.wire = true
		r.wire++
		if j.inMemory() {
			r.light--
		}
	}
}

// drop forgets a job: its end is written, or it is given back.
func (r *registry) drop(j *job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.jobs[j.mail.ID] != j {
		return
	}
	delete(r.jobs, j.mail.ID)
	switch {
	case j.wire:
		r.wire--
	case j.inMemory():
		r.light--
	}
	if len(r.jobs) == 0 {
		close(r.empty)
		r.empty = make(chan struct{})
	}
	select {
	case r.freed <- struct{}{}:
	default:
	}
}

func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.jobs)
}

// unwritten is how many claims the outbox does not know of.
func (r *registry) unwritten() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.light
}

func (r *registry) onWire() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wire
}

// quiet is closed the next time that the last job leaves.
func (r *registry) quiet() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.empty
}

// intake remembers what Wake said until the claim loop asks.
type intake struct {
	mu     sync.Mutex
	hot    []id.Message
	scan   bool      // the outbox holds more than hot names
	next   time.Time // business time of the earliest mail that is not due yet; zero: none known
	active bool      // a round of claiming is under way
	signal chan struct{}
	calm   chan struct{} // closed at the end of the next round that leaves nothing to do
}

// hotMost bounds what is remembered by id; beyond it the outbox is read.
const hotMost = 8192

func (i *intake) init() {
	i.signal, i.calm = make(chan struct{}, 1), make(chan struct{})
}

func (i *intake) wake(ids []id.Message) {
	i.mu.Lock()
	switch {
	case len(ids) == 0 || len(i.hot)+len(ids) > hotMost:
		i.scan, i.hot = true, i.hot[:0]
	case !i.scan:
		i.hot = append(i.hot, ids...)
	}
	i.mu.Unlock()
	select {
	case i.signal <- struct{}{}:
	default:
	}
}

// due notes that a mail waits for an instant.
func (i *intake) due(at time.Time) {
	i.mu.Lock()
	earlier := i.next.IsZero() || at.Before(i.next)
	if earlier {
		i.next = at
	}
	i.mu.Unlock()
	if earlier {
		select {
		case i.signal <- struct{}{}:
		default:
		}
	}
}

// begin starts a round: it takes up to n hot ids, or tells that the outbox must
// be read. A mail whose time has come makes it so too.
func (i *intake) begin(n int, now time.Time, buf []id.Message) (ids []id.Message, scan bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.next.IsZero() && !i.next.After(now) {
		i.next, i.scan, i.hot = time.Time{}, true, i.hot[:0]
	}
	if n <= 0 {
		return nil, false
	}
	if i.scan {
		i.active = true
		return nil, true
	}
	n = min(n, len(i.hot))
	ids = append(buf[:0], i.hot[:n]...)
	i.hot = i.hot[:copy(i.hot, i.hot[n:])]
	i.active = n > 0
	return ids, false
}

// scanned says that reading the outbox has begun, so that what is said from now
// on is heard.
func (i *intake) scanned() {
	i.mu.Lock()
	i.scan = false
	i.mu.Unlock()
}

// end closes a round; more says that the outbox must be read again.
func (i *intake) end(more bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.active = false
	i.scan = i.scan || more
	if !i.scan && len(i.hot) == 0 {
		close(i.calm)
		i.calm = make(chan struct{})
	}
}

// stir wakes those who wait for the room to become calm, so that they look again.
func (i *intake) stir() {
	i.mu.Lock()
	defer i.mu.Unlock()
	close(i.calm)
	i.calm = make(chan struct{})
}

func (i *intake) busy() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.active || i.scan || len(i.hot) > 0
}

func (i *intake) calmed() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calm
}

// nextDue is the earliest instant that is waited for.
func (i *intake) nextDue() (time.Time, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.next, !i.next.IsZero()
}

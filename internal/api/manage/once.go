package manage

import (
	"crypto/sha256"
	"sync"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
)

// keptKeys is how many idempotency keys one generation remembers; there are two.
const keptKeys = 1 << 16

// digest names an idempotency key, or a request with its key.
type digest [16]byte

// once remembers the idempotency keys of late, so that two requests under one
// key are one mail also while the first is on its way to the log and the walk.
// What it forgets has been walked and stands in the outbox.
type once struct {
	size   int
	walked func() int64

	mu         sync.Mutex
	young, old *generation
}

// generation is a run of keys that are forgotten together.
type generation struct {
	asked map[digest]*asked
	last  int64 // the highest position of its records
	open  int   // how many are on their way to the log
}

// asked is one request for a mail. What it holds is guarded by once.mu until
// ended is set, and does not change afterwards.
type asked struct {
	request digest
	mail    id.Message
	ended   bool
	err     error
	wait    chan struct{} // made by the first who waits, closed with the end
	in      *generation
}

func newOnce(size int, walked func() int64) *once {
	return &once{size: size, walked: walked, young: newGeneration(), old: newGeneration()}
}

func newGeneration() *generation { return &generation{asked: map[digest]*asked{}} }

// begin gives the entry of a key. mine tells that nobody is known to have asked
// under it: the caller then decides and must call end.
func (o *once) begin(key, request digest) (a *asked, mine bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, g := range [...]*generation{o.young, o.old} {
		if a := g.asked[key]; a != nil {
			return a, false, nil
		}
	}
	if len(o.young.asked) >= o.size {
		if o.old.open > 0 || o.old.last > o.walked() {
			e := fault.New(fault.Unavailable, "walk_behind", "%d requests wait to be walked, and no more are remembered", len(o.young.asked)+len(o.old.asked))
			e.RetryAfter = time.Second
			return nil, false, e
		}
		o.old, o.young = o.young, newGeneration()
	}
	a = &asked{request: request, in: o.young}
	a.in.asked[key] = a
	a.in.open++
	return a, true, nil
}

// end says what became of a request: the record's position, or that there is
// none. An error lets the key be as if nobody had asked.
func (o *once) end(key digest, a *asked, mail id.Message, pos int64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a.mail, a.err, a.ended = mail, err, true
	a.in.open--
	if err != nil {
		delete(a.in.asked, key)
	} else {
		a.in.last = max(a.in.last, pos)
	}
	if a.wait != nil {
		close(a.wait)
	}
}

// done gives a channel that is closed with the end of a request, nil when it
// has ended.
func (o *once) done(a *asked) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a.ended {
		return nil
	}
	if a.wait == nil {
		a.wait = make(chan struct{})
	}
	return a.wait
}

// digestOf is a cut SHA-256.
func digestOf(b []byte) (d digest) {
	sum := sha256.Sum256(b)
	copy(d[:], sum[:])
	return d
}

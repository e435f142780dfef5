package destination

import (
	"cmp"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"
)

// job is one item on its way to one destination.
type job struct {
	seq    int64
	key    int64
	item   *entry // of what is held: nil until its turn
	held   *Held  // nil: it was never held
	slot   *slot  // its place in the window; nil: it was held when the clerk began, or is driven again
	at     time.Time
	queued bool // it is among those that may go now, or on the wire
	flying bool // it is on the wire
	ended  bool // it is done with: whoever still has it passes it over
}

// slot is a place in the window: the items between where a destination has come
// to durably and what was read last.
type slot struct {
	seq  int64
	done bool
}

// lineup is what one person's items wait for each other in. The first is the one
// that may go; all that are held stand before all that are not.
type lineup struct {
	jobs []*job // by seq
}

func (l *lineup) add(j *job) {
	at, _ := slices.BinarySearchFunc(l.jobs, j, func(a, b *job) int { return cmp.Compare(a.seq, b.seq) })
	l.jobs = slices.Insert(l.jobs, at, j)
}

func (l *lineup) remove(j *job) {
	if at := slices.Index(l.jobs, j); at >= 0 {
		l.jobs = slices.Delete(l.jobs, at, at+1)
	}
}

// keyOf tells whose items wait for each other: a person's, those that bear the same
// identifier of nobody known, or those of one alert, whose end must not be told before
// its beginning. What else concerns nobody waits for nobody.
func keyOf(it *Item) int64 {
	switch {
	case it.Person != 0:
		return int64(it.Person)
	case it.Subject != [16]byte{}:
		return int64(binary.BigEndian.Uint64(it.Subject[:]) | 1<<63) // below zero
	case it.Kind == Alert:
		var a struct{ Name, About string }
		if json.Unmarshal(it.Body, &a) == nil && a.Name != "" {
			h := sha256.Sum256([]byte(a.Name + "\n" + a.About))
			return int64(binary.BigEndian.Uint64(h[:]) | 1<<63)
		}
	}
	return -1<<62 ^ it.Seq
}

// alarm is when a held item is due.
type alarm struct {
	due time.Time
	job *job
}

// alarms is a heap of them, the earliest first. One whose item is due at another
// time by now is passed over when it rings.
type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// Push implements heap.Interface.
func (a *alarms) Push(x any) { *a = append(*a, x.(alarm)) }

// Pop implements heap.Interface.
func (a *alarms) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

func (a *alarms) set(due time.Time, j *job) { heap.Push(a, alarm{due, j}) }

// ring gives the next item that is due.
func (a *alarms) ring(now time.Time) (*job, bool) {
	for len(*a) > 0 && !(*a)[0].due.After(now) {
		x := heap.Pop(a).(alarm)
		if h := x.job.held; h != nil && h.Due.Equal(x.due) && !x.job.queued {
			return x.job, true
		}
	}
	return nil, false
}

// done takes an item out of its line and lets the next one go.
func (c *clerk) done(j *job) {
	if j.held != nil {
		c.held--
		c.o.ledger.change(c.def.Name, func(b *book) { b.held[j.seq] = nil })
	}
	c.leave(j)
}

func (c *clerk) leave(j *job) {
	delete(c.begun, j.seq)
	if j.slot != nil {
		j.slot.done = true
	}
	j.queued, j.ended = false, true
	l := c.lines[j.key]
	l.remove(j)
	if len(l.jobs) == 0 {
		delete(c.lines, j.key)
	} else {
		c.next(l)
	}
	c.advance()
}

// next lets the first of a line go, if it is not on its way.
func (c *clerk) next(l *lineup) {
	switch j := l.jobs[0]; {
	case j.queued:
	case j.held == nil:
		c.queue(j)
	default:
		c.alarms.set(j.held.Due, j)
	}
}

// forget passes over what somebody's line still holds: they were erased, and what
// was to be told of them is gone. What is on the wire comes back by itself.
func (c *clerk) forget(key int64) {
	l := c.lines[key]
	if l == nil {
		return
	}
	for _, j := range slices.Clone(l.jobs) {
		if !j.flying {
			c.done(j)
		}
	}
}

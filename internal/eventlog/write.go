package eventlog

import (
	"context"
	"fmt"
	"time"

	"rapport/internal/fault"
)

// writer turns groups into frames. It belongs to the one goroutine in Run and
// keeps its buffers from commit to commit.
type writer struct {
	log    *Log
	frames []Frame
	raws   [][]byte
	body   []byte
	unsure bool // the last append failed, and may have been carried out all the same
}

// commit writes one group durably, publishes it to readers, then wakes all who
// appended to it.
func (w *writer) commit(ctx context.Context, g *group) {
	err := w.catchUp(ctx)
	if err == nil {
		w.build(g)
		err = w.log.store.Append(ctx, w.frames)
		w.unsure = err != nil
	}
	w.log.publish(w.frames, w.raws, err)
	if err != nil {
		g.err = fmt.Errorf("append to the log: %w", mayPass(err))
	}
	close(g.done)
	clear(w.frames)
	clear(w.raws)
	if cap(w.body) > 4<<20 {
		w.body = nil // An exceptional burst must not be kept for ever.
	}
}

// catchUp asks the store where the lanes end after an append that failed: where
// its answer was lost on the way it was carried out all the same. What it wrote
// is in the log then, though nobody was told so, and the next records come
// behind it; whoever sends it again is known by its message id.
func (w *writer) catchUp(ctx context.Context) error {
	if !w.unsure {
		return nil
	}
	for i := range w.log.lanes {
		pos, at, err := w.log.store.Tail(ctx, Lane(i))
		if err != nil {
			return fmt.Errorf("find the end of lane %s: %w", Lane(i), err)
		}
		w.log.extend(Lane(i), pos, at)
	}
	w.unsure = false
	return nil
}

// extend moves the end of a lane to what the store holds.
func (l *Log) extend(lane Lane, pos int64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.lanes[lane]
	if pos <= s.tail {
		return
	}
	s.tail, s.at = pos, at
	s.recent, s.size = nil, 0 // What is between is in the store only.
	close(s.changed)
	s.changed = make(chan struct{})
}

// mayPass makes a conflict something to try again: the store holds frames at
// these positions that this process has not heard of, and the next append comes
// behind them.
func mayPass(err error) error {
	if fault.KindOf(err) != fault.Conflict {
		return err
	}
	e := fault.Wrap(err, fault.Unavailable, "log_moved", "the log ends elsewhere than was known; send it again")
	e.RetryAfter, e.Temp = time.Second, true
	return e
}

// build gives each record of the group its position and instant.
func (w *writer) build(g *group) {
	w.frames, w.raws, w.body = w.frames[:0], w.raws[:0], w.body[:0]
	now := w.log.now().Truncate(time.Millisecond).UTC()
	for i := range g.parts {
		p := &g.parts[i]
		if p.count == 0 {
			continue
		}
		tail, at := w.log.Tail(Lane(i))
		if now.After(at) {
			at = now
		}
		p.first, p.at = tail+1, at
		begin := cut{}
		for j := 0; j <= len(p.cuts); j++ {
			end := cut{count: p.count, end: len(p.raw)}
			if j < len(p.cuts) {
				end = p.cuts[j]
			}
			f := Frame{Lane: Lane(i), First: p.first + int64(begin.count), Count: end.count - begin.count, At: at}
			raw := p.raw[begin.end:end.end:end.end]
			head := len(w.body)
			w.body = appendBody(w.body, f, raw)
			f.Body = w.body[head:len(w.body):len(w.body)]
			w.frames, w.raws = append(w.frames, f), append(w.raws, raw)
			begin = end
		}
		p.raw = nil // Readers of the frames keep it alive as long as they need it.
	}
}

// publish moves the lanes' ends, or notes that the commit came to nothing.
func (l *Log) publish(frames []Frame, raws [][]byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if !l.failing {
			l.logger.Error("appends to the log fail", "error", err)
		}
		l.failing = true
		return
	}
	if l.failing {
		l.logger.Info("appends to the log work again")
		l.failing = false
	}
	var moved [laneCount]bool
	for i, f := range frames {
		s := &l.lanes[f.Lane]
		if !moved[f.Lane] {
			s.hint = 0
		}
		s.hint += len(raws[i])
		s.tail, s.at = f.First+int64(f.Count)-1, f.At
		s.remember(recent{first: f.First, count: f.Count, at: f.At, raw: raws[i]})
		moved[f.Lane] = true
	}
	for i := range moved {
		if moved[i] {
			close(l.lanes[i].changed)
			l.lanes[i].changed = make(chan struct{})
		}
	}
}

// remember keeps a frame in memory and lets go of the oldest beyond the limit.
// The bookkeeping of a frame counts, so that many small ones are bounded too.
func (s *strand) remember(r recent) {
	s.recent = append(s.recent, r)
	s.size += len(r.raw) + recentOverhead
	drop := 0
	for s.size > tailKeep && drop < len(s.recent)-1 {
		s.size -= len(s.recent[drop].raw) + recentOverhead
		s.recent[drop] = recent{}
		drop++
	}
	s.recent = s.recent[drop:]
}

// recentOverhead is about what a frame in memory costs beyond its bytes.
const recentOverhead = 128

package sealed

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/seal"
	"rapport/internal/store/move"
)

// Log is a log whose frames are sealed, those of one lane and day under one key:
// a frame holds what many people did.
type Log struct {
	move.Log
	Ring *seal.Ring

	mu      sync.Mutex
	retired map[eventlog.Lane]int64 // the keys of the days before are gone
}

var _ eventlog.Store = (*Log)(nil)

// dayOf counts days from 1970-01-01.
func dayOf(at time.Time) int64 { return at.Unix() / 86400 }

func frameLabel(f *eventlog.Frame) []byte {
	return binary.BigEndian.AppendUint64(append([]byte("frame/"), byte(f.Lane)), uint64(f.First))
}

// Append implements eventlog.Store.
func (l *Log) Append(ctx context.Context, frames []eventlog.Frame) error {
	own := make([]eventlog.Frame, len(frames))
	for i, f := range frames {
		k := seal.Day(uint8(f.Lane), dayOf(f.At))
		if err := l.Ring.Mint(k); err != nil {
			return err
		}
		body, err := l.Ring.Seal(make([]byte, 0, len(f.Body)+seal.Overhead), k, frameLabel(&f), f.Body)
		if err != nil {
			return err
		}
		f.Body = body
		own[i] = f
	}
	return l.Log.Append(ctx, own)
}

// Read implements eventlog.Store. What the store counts is longer than what it
// holds, so it is asked again where it has stopped too early.
func (l *Log) Read(ctx context.Context, lane eventlog.Lane, from int64, maxBytes int) (out []eventlog.Frame, err error) {
	for size := 0; size < maxBytes || len(out) == 0; {
		limit := maxBytes - size
		frames, err := l.Log.Read(ctx, lane, from, limit)
		if err != nil {
			return nil, err
		}
		long := 0
		for i := range frames {
			f := &frames[i]
			long += len(f.Body)
			if err := l.open(f); err != nil {
				return nil, err
			}
			size += len(f.Body)
			from = f.First + int64(f.Count)
		}
		out = append(out, frames...)
		if len(frames) == 0 || long < limit { // It has not stopped for their length.
			break
		}
	}
	return out, nil
}

func (l *Log) open(f *eventlog.Frame) (err error) {
	if !seal.Sealed(f.Body) {
		return nil
	}
	if f.Body, err = l.Ring.Open(nil, frameLabel(f), f.Body); err != nil {
		return fmt.Errorf("open the %s lane's frame at %d: %w", f.Lane, f.First, err)
	}
	return nil
}

// Drop implements eventlog.Store. The keys of days of which no frame is left are
// destroyed: what copies still hold of them is unreadable from then on.
func (l *Log) Drop(ctx context.Context, lane eventlog.Lane, before int64, older time.Time) (int, error) {
	n, err := l.Log.Drop(ctx, lane, before, older)
	if err != nil {
		return n, err
	}
	first, err := l.First(ctx, lane)
	if err != nil || first == 0 {
		return n, err
	}
	frames, err := l.Log.Read(ctx, lane, first, 1)
	if err != nil || len(frames) == 0 {
		return n, err
	}
	return n, l.retire(lane, dayOf(frames[0].At)) // Instants never go back within a lane.
}

func (l *Log) retire(lane eventlog.Lane, before int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired[lane] >= before {
		return nil
	}
	if _, err := l.Ring.DestroyDays(uint8(lane), before); err != nil {
		return err
	}
	if l.retired == nil {
		l.retired = map[eventlog.Lane]int64{}
	}
	l.retired[lane] = before
	return nil
}

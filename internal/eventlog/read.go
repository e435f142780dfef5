package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"rapport/internal/fault"
)

// Read gives records of a lane from a position on, in order and without a gap,
// whole frames until they hold about maxBytes; none when the lane ends before
// `from`. What was just appended comes from memory. A Record's body is valid as
// long as anybody holds it. A record that cannot be given as it was written is
// an Internal fault, "log_damaged", which names it.
func (l *Log) Read(ctx context.Context, lane Lane, from int64, maxBytes int) ([]Record, error) {
	if int(lane) >= laneCount {
		return nil, fault.New(fault.Invalid, "unknown_lane", "lane %d does not exist", lane)
	}
	from = max(from, 1)
	l.mu.Lock()
	s := &l.lanes[lane]
	tail := s.tail
	frames := s.from(from)
	l.mu.Unlock()
	if from > tail {
		return nil, nil
	}
	if frames != nil {
		return l.recordsOf(lane, frames, from, maxBytes)
	}
	return l.readStored(ctx, lane, from, tail, maxBytes)
}

// from gives the frames in memory that hold a position and what follows, nil
// when it is not in memory. Frames are never written again, so the slice may
// be read without the lock.
func (s *strand) from(pos int64) []recent {
	if len(s.recent) == 0 || pos < s.recent[0].first || pos > s.tail {
		return nil
	}
	i := sort.Search(len(s.recent), func(i int) bool { return s.recent[i].first > pos }) - 1
	return append([]recent(nil), s.recent[i:min(len(s.recent), i+64)]...)
}

func (l *Log) recordsOf(lane Lane, frames []recent, from int64, maxBytes int) ([]Record, error) {
	count, size, use := 0, 0, 0
	for use < len(frames) && (use == 0 || size < maxBytes) {
		count += frames[use].count
		size += len(frames[use].raw)
		use++
	}
	out := make([]Record, 0, count)
	var err error
	for _, r := range frames[:use] {
		f := Frame{Lane: lane, First: r.first, Count: r.count, At: r.at}
		if out, err = appendRecords(out, f, r.raw, from); err != nil {
			return nil, l.damaged(lane, f.First, f.First+int64(f.Count)-1, err)
		}
	}
	return out, nil
}

func (l *Log) readStored(ctx context.Context, lane Lane, from, tail int64, maxBytes int) ([]Record, error) {
	var out []Record
	size, next := 0, from
	for size < maxBytes || next == from {
		// Records compress to about a quarter; asking for less only means another turn.
		frames, err := l.store.Read(ctx, lane, next, max((maxBytes-size)/4, 4<<10))
		if err != nil {
			if errors.Is(err, ErrDamaged) {
				return out, unlessSome(out, l.damaged(lane, next, next, err))
			}
			return nil, fmt.Errorf("read lane %s from record %d: %w", lane, next, err)
		}
		if len(frames) == 0 {
			if next <= tail {
				return out, unlessSome(out, l.missing(ctx, lane, next, tail))
			}
			return out, nil
		}
		for _, f := range frames {
			if f.First > next || f.First+int64(f.Count) <= next {
				return out, unlessSome(out, l.missing(ctx, lane, next, f.First-1))
			}
			raw, err := openBody(f)
			if err == nil {
				out, err = appendRecords(out, f, raw, next)
			}
			last := f.First + int64(f.Count) - 1
			if err != nil {
				out = before(out, f.First)
				return out, unlessSome(out, l.damaged(lane, f.First, last, err))
			}
			size += len(raw)
			next = last + 1
			if size >= maxBytes {
				break
			}
		}
		if next > tail {
			break
		}
	}
	return out, nil
}

// unlessSome holds an error back while there are good records to give first:
// the next read meets it again at its beginning.
func unlessSome(out []Record, err error) error {
	if len(out) > 0 {
		return nil
	}
	return err
}

// before cuts off records from a position on.
func before(out []Record, pos int64) []Record {
	for len(out) > 0 && out[len(out)-1].Pos >= pos {
		out = out[:len(out)-1]
	}
	return out
}

// missing explains why records are not there: retention took them, or they are lost.
func (l *Log) missing(ctx context.Context, lane Lane, from, to int64) error {
	first, err := l.store.First(ctx, lane)
	if err != nil {
		return fmt.Errorf("find the beginning of lane %s: %w", lane, err)
	}
	if from < first {
		return fault.New(fault.NotFound, "log_expired",
			"lane %s: record %d is older than the log's retention; the first one kept is %d", lane, from, first)
	}
	return l.damaged(lane, from, max(from, to), errMissing)
}

// damaged says what cannot be read and what to do next.
func (l *Log) damaged(lane Lane, from, to int64, cause error) error {
	what := fmt.Sprintf("record %d", from)
	if to > from {
		what = fmt.Sprintf("records %d to %d", from, to)
	}
	return fault.Wrap(cause, fault.Internal, "log_damaged",
		"lane %s: %s cannot be read as written. Stop the server, keep a copy of %s, check the disk, "+
			"then restore a backup; nothing after this record has been applied", lane, what, l.store.Place())
}

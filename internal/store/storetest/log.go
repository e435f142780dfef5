package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"rapport/internal/eventlog"
)

// RunLog checks a store of frames. open gives a new, empty one and closes it
// with the test.
func RunLog(t *testing.T, open func(t *testing.T) eventlog.Store) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, s eventlog.Store){
		"Empty": testLogEmpty, "AppendRead": testLogAppendRead, "Whole": testLogWhole, "Drop": testLogDrop,
		"Concurrent": testLogConcurrent, "Close": testLogClose,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func frame(lane eventlog.Lane, first int64, count int, at time.Time) eventlog.Frame {
	return eventlog.Frame{Lane: lane, First: first, Count: count, At: at, Body: fmt.Appendf(nil, "%s %d", lane, first)}
}

func appendFrames(t *testing.T, s eventlog.Store, frames ...eventlog.Frame) {
	t.Helper()
	if err := s.Append(t.Context(), frames); err != nil {
		t.Fatalf("append: %v", err)
	}
}

func testLogEmpty(t *testing.T, s eventlog.Store) {
	ctx := t.Context()
	if s.ID() == "" {
		t.Error("the log has no name")
	}
	pos, at, err := s.Tail(ctx, eventlog.Live)
	if pos != 0 || !at.IsZero() || err != nil {
		t.Errorf("tail %d %v %v", pos, at, err)
	}
	if first, err := s.First(ctx, eventlog.Live); first != 0 || err != nil {
		t.Errorf("first %d %v", first, err)
	}
	if got, err := s.Read(ctx, eventlog.Live, 1, 1000); len(got) != 0 || err != nil {
		t.Errorf("read %v %v", got, err)
	}
}

func testLogAppendRead(t *testing.T, s eventlog.Store) {
	ctx := t.Context()
	live := []eventlog.Frame{
		frame(eventlog.Live, 1, 10, noon), frame(eventlog.Live, 11, 1, noon.Add(time.Millisecond)), frame(eventlog.Live, 12, 4, noon.Add(time.Second)),
	}
	bulk := frame(eventlog.Bulk, 1, 2, noon)
	appendFrames(t, s, live[0])
	appendFrames(t, s, live[1], bulk, live[2])
	for _, c := range []struct {
		lane     eventlog.Lane
		from     int64
		maxBytes int
		want     []eventlog.Frame
	}{
		{eventlog.Live, 1, 1000, live},
		{eventlog.Live, 10, 1000, live},
		{eventlog.Live, 11, 1000, live[1:]},
		{eventlog.Live, 15, 1000, live[2:]},
		{eventlog.Live, 16, 1000, nil},
		{eventlog.Live, 1, 1, live[:1]},
		{eventlog.Live, 5, 7, live[:2]},
		{eventlog.Bulk, 2, 1000, []eventlog.Frame{bulk}},
		{eventlog.Bulk, 3, 1000, nil},
	} {
		got, err := s.Read(ctx, c.lane, c.from, c.maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprintf("lane %s from %d, %d bytes", c.lane, c.from, c.maxBytes), got, c.want)
	}
	pos, at, err := s.Tail(ctx, eventlog.Live)
	if pos != 15 || !at.Equal(noon.Add(time.Second)) || err != nil {
		t.Errorf("tail %d %v %v", pos, at, err)
	}
}

// testLogWhole: frames of one append are there all or not at all.
func testLogWhole(t *testing.T, s eventlog.Store) {
	appendFrames(t, s, frame(eventlog.Live, 1, 10, noon))
	err := s.Append(t.Context(), []eventlog.Frame{frame(eventlog.Live, 11, 5, noon), frame(eventlog.Live, 1, 10, noon)})
	if err == nil {
		t.Fatal("a second frame in the same place was taken")
	}
	if pos, _, err := s.Tail(t.Context(), eventlog.Live); pos != 10 || err != nil {
		t.Errorf("tail %d %v: half an append is there", pos, err)
	}
	appendFrames(t, s, frame(eventlog.Live, 11, 5, noon), frame(eventlog.Live, 16, 1, noon))
}

func testLogDrop(t *testing.T, s eventlog.Store) {
	ctx := t.Context()
	for i := range int64(200) {
		appendFrames(t, s, frame(eventlog.Live, i*10+1, 10, noon.Add(time.Duration(i)*time.Second)))
	}
	appendFrames(t, s, frame(eventlog.Bulk, 1, 10, noon))
	for _, c := range []struct {
		name   string
		before int64
		older  time.Duration
		gone   int
		first  int64
	}{
		{"none is old enough", 2000, 0, 0, 1},
		{"a frame that holds the position stays", 25, time.Hour, 2, 21},
		{"by instant", 2000, 10 * time.Second, 8, 101},
		{"many", 1901, time.Hour, 180, 1901},
	} {
		gone, err := s.Drop(ctx, eventlog.Live, c.before, noon.Add(c.older))
		first, firstErr := s.First(ctx, eventlog.Live)
		if gone != c.gone || first != c.first || err != nil || firstErr != nil {
			t.Errorf("%s: %d went, first %d (%v, %v); want %d and %d", c.name, gone, first, err, firstErr, c.gone, c.first)
		}
	}
	if first, err := s.First(ctx, eventlog.Bulk); first != 1 || err != nil {
		t.Errorf("the other lane begins at %d %v", first, err)
	}
}

func testLogConcurrent(t *testing.T, s eventlog.Store) {
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			next := int64(1)
			for {
				all := false // Whether everything was appended before this read.
				select {
				case <-done:
					all = true
				default:
				}
				got, err := s.Read(context.Background(), eventlog.Live, next, 200)
				if err != nil {
					t.Error(err)
					return
				}
				for _, f := range got {
					if f.First != next {
						t.Errorf("frame %d follows %d", f.First, next)
						return
					}
					next = f.First + int64(f.Count)
				}
				if next > 300 {
					return
				}
				if all && len(got) == 0 {
					t.Errorf("nothing from %d on", next)
					return
				}
			}
		})
	}
	for i := range int64(100) {
		appendFrames(t, s, frame(eventlog.Live, i*3+1, 3, noon))
	}
	close(done)
	group.Wait()
}

func testLogClose(t *testing.T, s eventlog.Store) {
	appendFrames(t, s, frame(eventlog.Live, 1, 1, noon))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(t.Context(), []eventlog.Frame{frame(eventlog.Live, 2, 1, noon)}); err == nil {
		t.Error("a closed log can be written")
	}
	if _, err := s.Read(t.Context(), eventlog.Live, 1, 100); err == nil {
		t.Error("a closed log can be read")
	}
}

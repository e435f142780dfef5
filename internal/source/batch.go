package source

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Batch is some lines of a file, mapped and written for the wire.
type Batch struct {
	Rows     int64  // lines, good or bad
	Skipped  int64  // lines that make nothing, since no condition holds
	Last     int64  // number of the last line
	Events   []Item // in the order of the lines
	Consents []Item
	Bad      []Line
}

// Item is one thing that a line makes, as JSON.
type Item struct {
	Line int64
	Wire []byte
}

// Batching says how a file is mapped in batches.
type Batching struct {
	After   int64 // lines up to this number are passed over
	Rows    int   // lines of one batch; 1,000
	Workers int   // how many map at a time; 1
}

// work is a batch on its way: taken by a worker, awaited by the reader.
type work struct {
	records []record
	batch   *Batch
	done    chan struct{}
}

// Batches maps a file with several workers and gives fn one batch after the
// other, in the order of the file: what concerns one person keeps its order.
func (f *Format) Batches(ctx context.Context, name string, r io.Reader, o Batching, fn func(*Batch) error) error {
	if o.Rows <= 0 {
		o.Rows = 1000
	}
	o.Workers = max(o.Workers, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	jobs, queue := make(chan *work), make(chan *work, o.Workers)
	var group sync.WaitGroup
	for range o.Workers {
		group.Go(func() {
			for w := range jobs {
				w.batch = f.batch(ctx, w.records)
				close(w.done)
			}
		})
	}
	var failed error
	group.Go(func() {
		defer close(jobs)
		defer close(queue)
		failed = f.hand(ctx, name, r, o, jobs, queue)
	})
	var err error
	for w := range queue {
		<-w.done
		if err == nil {
			if err = fn(w.batch); err != nil {
				stop() // The others are still waited for.
			}
		}
	}
	group.Wait()
	if err != nil {
		return err
	}
	return failed
}

// hand reads the file and gives batches of its lines to the workers and, in
// order, to the queue.
func (f *Format) hand(ctx context.Context, name string, r io.Reader, o Batching, jobs, queue chan<- *work) error {
	var records []record
	flush := func() error {
		if len(records) == 0 {
			return nil
		}
		w := &work{records: records, done: make(chan struct{})}
		records = nil
		select {
		case jobs <- w:
		case <-ctx.Done():
			return ctx.Err()
		}
		queue <- w // Whoever reads it goes on until it is closed.
		return nil
	}
	err := f.records(ctx, name, r, func(rec record) error {
		if rec.number <= o.After {
			return nil
		}
		if records == nil {
			records = make([]record, 0, o.Rows)
		}
		if records = append(records, rec); len(records) < o.Rows {
			return nil
		}
		return flush()
	})
	return errors.Join(err, flush())
}

// batch maps some records.
func (f *Format) batch(ctx context.Context, records []record) *Batch {
	b := &Batch{Rows: int64(len(records)), Last: records[len(records)-1].number}
	var buf []byte
	item := func(line int64, from int) Item { return Item{line, buf[from:len(buf):len(buf)]} }
	for i := range records {
		l := f.line(ctx, &records[i])
		if l.Err != nil {
			b.Bad = append(b.Bad, l)
			continue
		}
		if len(l.Events)+len(l.Consents) == 0 {
			b.Skipped++
		}
		if cap(buf)-len(buf) < 4<<10 { // Items keep the old one.
			buf = make([]byte, 0, 64<<10)
		}
		for j := range l.Events {
			from := len(buf)
			buf = AppendWire(buf, &l.Events[j])
			b.Events = append(b.Events, item(l.Number, from))
		}
		for j := range l.Consents {
			from := len(buf)
			buf = l.Consents[j].AppendWire(buf)
			b.Consents = append(b.Consents, item(l.Number, from))
		}
	}
	return b
}

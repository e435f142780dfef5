package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// track floods /v1/track over 64 connections, then over one.
func track(ctx context.Context, b *run) ([]Result, error) {
	s, err := b.need(ctx)
	if err != nil {
		return nil, err
	}
	var out []Result
	var serial atomic.Int64
	serial.Store(1_000_000)
	for _, clients := range []int{64, 1} {
		profiled := b.profile(ctx, s, fmt.Sprintf("track-%d", clients), b.Duration)
		before := s.usage()
		l, err := s.flood(ctx, clients, "/v1/track", s.ingest, b.Duration, func(i int) func() ([]byte, int) {
			w := newWriter(uint64(i), b.People, &serial)
			return func() ([]byte, int) { w.buf = w.event(w.buf[:0], false, false); return w.buf, 1 }
		})
		if err != nil {
			return out, err
		}
		if err := profiled(); err != nil {
			return out, err
		}
		r := l.result(fmt.Sprintf("/v1/track, %d connections", clients))
		s.measure(&r, before, l.items)
		r.Note = "CPU includes the walk running meanwhile"
		out = append(out, r)
		if err := s.settle(ctx); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (l *load) result(name string) Result {
	r := Result{Name: name, Items: l.items, Rate: float64(l.items) / l.took.Seconds(), Failed: l.failed}
	r.P50, r.P99, r.Max = spread(l.samples)
	return r
}

// batch floods /v1/batch of 100 over 8 connections.
func batch(ctx context.Context, b *run) ([]Result, error) {
	s, err := b.need(ctx)
	if err != nil {
		return nil, err
	}
	before := s.usage()
	l, err := s.flood(ctx, 8, "/v1/batch", s.ingest, b.Duration, b.batches(false))
	if err != nil {
		return nil, err
	}
	r := l.result("/v1/batch of 100, 8 connections, events")
	s.measure(&r, before, l.items)
	return []Result{r}, s.settle(ctx)
}

// batches gives clients that send prepared batches, whose ids differ from round
// to round; making each anew would measure the client.
func (b *run) batches(sessions bool) func(int) func() ([]byte, int) {
	var serial atomic.Int64
	serial.Store(int64(b.serial)*1_000_000_000 + time.Now().UnixMilli()%1_000_000*1000)
	return func(i int) func() ([]byte, int) {
		w := newWriter(uint64(100+i), b.People, &serial)
		return func() ([]byte, int) { return w.batch(100, sessions), 100 }
	}
}

// maxLag is how far the walk may fall behind before the client waits.
const maxLag = 50_000

// walked sends as much as the walk takes, for a while, and counts what is walked.
func walked(ctx context.Context, b *run) ([]Result, error) {
	var out []Result
	for _, people := range []int{b.People, 10 * b.People} {
		s, err := b.need(ctx)
		if people != b.People {
			s, err = b.start(ctx, shape{people: people, seen: b.Seen})
		}
		if err != nil {
			return out, err
		}
		for _, sessions := range []bool{false, true} {
			r, err := b.sustain(ctx, s, people, sessions)
			if err != nil {
				return out, err
			}
			out = append(out, r)
		}
	}
	b.stop()
	return out, nil
}

func (b *run) sustain(ctx context.Context, s *server, people int, sessions bool) (Result, error) {
	kind := "uniform"
	if sessions {
		kind = "sessions"
	}
	r := Result{Name: fmt.Sprintf("walked, %s people, %s", number(float64(people)), kind)}
	inner, stop := context.WithCancel(ctx)
	defer stop()
	var open atomic.Bool
	open.Store(true)
	var worst atomic.Int64
	var group sync.WaitGroup
	group.Go(func() { // the client's own throttle: it asks how far behind the walk is
		for inner.Err() == nil {
			if st, err := s.status(inner); err == nil {
				lag := st.Lanes["live"].Appended - st.Lanes["live"].Walked
				worst.Store(max(worst.Load(), lag))
				open.Store(lag < maxLag)
			}
			select {
			case <-inner.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	first, err := s.status(ctx)
	if err != nil {
		return r, err
	}
	profiled := b.profile(ctx, s, "walked-"+kind, b.Sustained)
	before, began := s.usage(), time.Now()
	was := b.People
	b.People = people
	each := b.batches(sessions)
	b.People = was
	l, err := s.flood(inner, 4, "/v1/batch", s.ingest, b.Sustained, func(i int) func() ([]byte, int) {
		next := each(i)
		return func() ([]byte, int) {
			for !open.Load() && inner.Err() == nil {
				time.Sleep(5 * time.Millisecond) // a throttled client
			}
			return next()
		}
	})
	took := time.Since(began)
	if err != nil {
		return r, err
	}
	if err := profiled(); err != nil {
		return r, err
	}
	last, err := s.status(ctx)
	stop()
	group.Wait()
	if err != nil {
		return r, err
	}
	n := last.Lanes["live"].Walked - first.Lanes["live"].Walked
	r.Items, r.Rate = n, float64(n)/took.Seconds()
	r.P50, r.P99, r.Max = spread(l.samples)
	s.measure(&r, before, n)
	r.Note = fmt.Sprintf("lag ≤ %s, %.1f %% derived, %.2f %% mails; latency is the batch's answer", number(float64(worst.Load())),
		100*float64(last.Walk.Derived-first.Walk.Derived)/float64(n), 100*float64(last.Walk.Mails-first.Walk.Mails)/float64(n))
	return r, s.settle(ctx)
}

// emails sends triggers at a steady pace and measures until the sink has the mail.
func emails(ctx context.Context, b *run) ([]Result, error) {
	s, err := b.need(ctx)
	if err != nil {
		return nil, err
	}
	r, err := b.paced(ctx, s, "event → email, 500/s", 500, b.Duration, "/v1/track", s.ingest, triggerBody)
	if err != nil {
		return nil, err
	}
	out := []Result{r}
	during, err := b.duringImport(ctx, s)
	return append(out, during), err
}

func triggerBody(dst []byte, ref string, who int) []byte {
	return fmt.Appendf(dst, `{"messageId":"t-%s","userId":"user-%07d","event":"Trigger","properties":{"ref":"%s","name":"Board game","products":[{"name":"Board game","price":"18.99"},{"name":"Dice","price":"2.50"}]}}`, ref, who, ref)
}

// duringImport measures the same while rows are imported in the bulk lane.
func (b *run) duringImport(ctx context.Context, s *server) (Result, error) {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	var rows int64
	var group sync.WaitGroup
	var importErr error
	group.Go(func() {
		l, err := s.flood(inner, 2, "/v1/import/shop", s.manage, b.Duration+2*time.Second, b.batches(false))
		if err != nil && inner.Err() == nil {
			importErr = err
		}
		if l != nil {
			rows = l.items
		}
	})
	r, err := b.paced(ctx, s, "event → email, 500/s, during an import", 500, b.Duration, "/v1/track", s.ingest, triggerBody)
	stop()
	group.Wait()
	r.Note = fmt.Sprintf("%s rows imported meanwhile", number(float64(rows)))
	if err := errors.Join(err, importErr); err != nil {
		return r, err
	}
	return r, s.settle(ctx)
}

// sends measures POST /v1/send: at a steady pace, then as fast as it goes.
func sends(ctx context.Context, b *run) ([]Result, error) {
	s, err := b.need(ctx)
	if err != nil {
		return nil, err
	}
	r, err := b.paced(ctx, s, "POST /v1/send → email, 500/s", 500, b.Duration, "/v1/send", s.manage, sendBody)
	if err != nil {
		return nil, err
	}
	out := []Result{r}
	if err := s.calm(ctx); err != nil {
		return out, err
	}
	b.sink.reset()
	before, began := s.usage(), time.Now()
	profiled := b.profile(ctx, s, "send-flood", 3*b.Duration) // the mails take longer than the requests
	var serial atomic.Int64
	ctx2, stop := context.WithTimeout(ctx, b.Duration)
	defer stop()
	var group sync.WaitGroup
	var mu sync.Mutex
	var samples []time.Duration
	var failure error
	for range 32 {
		c, err := s.dial("/v1/send", s.manage)
		if err != nil {
			return out, err
		}
		group.Go(func() {
			defer func() { _ = c.c.Close() }()
			var own []time.Duration
			var buf []byte
			for ctx2.Err() == nil {
				n := serial.Add(1)
				ref := fmt.Sprintf("f%d-%d", b.serial, n)
				buf = sendBody(buf[:0], ref, int(n)%b.People)
				at := time.Now()
				if err := c.post(buf, "Idempotency-Key: "+ref); err != nil {
					mu.Lock()
					failure = err
					mu.Unlock()
					return
				}
				own = append(own, time.Since(at))
			}
			mu.Lock()
			samples = append(samples, own...)
			mu.Unlock()
		})
	}
	group.Wait()
	if failure != nil {
		return out, failure
	}
	count := b.sink.wait(int64(len(samples)), 2*time.Minute)
	if err := profiled(); err != nil {
		return out, err
	}
	f := Result{Name: "POST /v1/send → email, as fast as it goes", Items: count, Rate: float64(count) / time.Since(began).Seconds(), Failed: int64(len(samples)) - count}
	f.P50, f.P99, f.Max = spread(samples)
	f.Note = "rate until the last mail is in the sink; latency is the 202"
	s.measure(&f, before, count)
	return append(out, f), nil
}

func sendBody(dst []byte, ref string, who int) []byte {
	return fmt.Appendf(dst, `{"template":"receipt","person":{"user_id":"user-%07d"},"data":{"ref":"%s","name":"Board game","products":[]}}`, who, ref)
}

// paced sends requests at a steady pace and measures until each one's mail is
// in the sink.
func (b *run) paced(ctx context.Context, s *server, name string, perSecond int, d time.Duration, path, key string, body func([]byte, string, int) []byte) (Result, error) {
	if err := s.calm(ctx); err != nil {
		return Result{}, err
	}
	b.sink.reset()
	const clients = 16
	n := int(d.Seconds() * float64(perSecond))
	sent := make([]time.Time, n)
	profiled := b.profile(ctx, s, path[4:]+"-paced", d)
	before, began := s.usage(), time.Now()
	var group sync.WaitGroup
	var mu sync.Mutex
	var failure error
	b.serial++
	run := b.serial
	for i := range clients {
		c, err := s.dial(path, key)
		if err != nil {
			return Result{}, err
		}
		group.Go(func() {
			defer func() { _ = c.c.Close() }()
			var buf []byte
			for k := i; k < n && ctx.Err() == nil; k += clients {
				time.Sleep(time.Until(began.Add(time.Duration(k) * time.Second / time.Duration(perSecond))))
				ref := fmt.Sprintf("r%d-%d", run, k)
				buf = body(buf[:0], ref, (run*7919+k)%b.People)
				sent[k] = time.Now()
				if err := c.post(buf, "Idempotency-Key: "+ref); err != nil {
					mu.Lock()
					failure = err
					mu.Unlock()
					return
				}
			}
		})
	}
	group.Wait()
	if failure != nil {
		return Result{}, failure
	}
	took := time.Since(began)
	b.sink.wait(int64(n), 30*time.Second)
	if err := profiled(); err != nil {
		return Result{}, err
	}
	r := Result{Name: name, Rate: float64(n) / took.Seconds()}
	var samples []time.Duration
	for k, at := range sent {
		if got, ok := b.sink.arrived(fmt.Sprintf("r%d-%d", run, k)); ok {
			samples = append(samples, got.Sub(at))
		} else {
			r.Failed++
		}
	}
	r.Items = int64(len(samples))
	r.P50, r.P99, r.Max = spread(samples)
	s.measure(&r, before, int64(n))
	r.Note = "latency from before the request to the sink"
	return r, nil
}

// memory measures an idle server, a start with many people, and armed timers.
func memory(ctx context.Context, b *run) ([]Result, error) {
	s, err := b.start(ctx, shape{})
	if err != nil {
		return nil, err
	}
	idle := Result{Name: "idle, empty", Note: "start " + s.started.Round(time.Millisecond).String()}
	s.rest(ctx, &idle)
	out := []Result{idle}
	if s, err = b.start(ctx, shape{people: 10 * b.People}); err != nil {
		return out, err
	}
	if err := errors.Join(s.arm(ctx, 10*b.People), s.calm(ctx)); err != nil {
		return out, err
	}
	load := Result{Name: fmt.Sprintf("%s people, after making them", number(float64(10*b.People)))}
	s.measure(&load, usage{}, 0)
	out = append(out, load)
	s.halt()
	if err := s.launch(ctx, b.Program); err != nil {
		return out, err
	}
	armed := Result{Name: fmt.Sprintf("idle, %s people and armed timers", number(float64(10*b.People))), Note: "start " + s.started.Round(time.Millisecond).String()}
	s.rest(ctx, &armed)
	b.stop()
	return append(out, armed), nil
}

// arm gives everybody a window that will end one day.
func (s *server) arm(ctx context.Context, n int) error {
	var next atomic.Int64
	_, err := s.flood(ctx, 4, "/v1/batch", s.ingest, 24*time.Hour, func(int) func() ([]byte, int) {
		var buf []byte
		return func() ([]byte, int) {
			from := int(next.Add(100)) - 100
			if from >= n {
				return nil, 0
			}
			buf = append(buf[:0], `{"batch":[`...)
			for i := from; i < from+100; i++ {
				if i > from {
					buf = append(buf, ',')
				}
				buf = fmt.Appendf(buf, `{"type":"track","messageId":"arm-%d","userId":"user-%07d","event":"Order Completed"}`, i, i)
			}
			return append(buf, `]}`...), 100
		}
	})
	if err != nil {
		return err
	}
	return s.settle(ctx)
}

// rest leaves the server alone for a while and measures what it uses.
func (s *server) rest(ctx context.Context, r *Result) {
	const pause = 5 * time.Second
	wait := func() {
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	wait() // what a start leaves behind is collected
	before := s.usage()
	wait()
	after := s.usage()
	r.RSS = after.rss
	r.Note += fmt.Sprintf(", %.2f %% of one core", 100*(after.cpu-before.cpu).Seconds()/pause.Seconds())
}

// segments compares the walk's cost with 50 and with 1,000 segments.
func segments(ctx context.Context, b *run) ([]Result, error) {
	var out []Result
	for _, unrelated := range []int{0, 950} {
		s, err := b.start(ctx, shape{people: b.People, unrelated: unrelated})
		if err != nil {
			return out, err
		}
		was := b.Sustained
		b.Sustained = b.Duration
		r, err := b.sustain(ctx, s, b.People, false)
		b.Sustained = was
		if err != nil {
			return out, err
		}
		r.Name = fmt.Sprintf("walked, %d segments", 50+unrelated)
		out = append(out, r)
	}
	b.stop()
	if len(out) == 2 && out[0].CPU > 0 {
		out[1].Note = fmt.Sprintf("%.2f × the CPU per event; %s", out[1].CPU/out[0].CPU, out[1].Note)
	}
	return out, nil
}

// dkim measures event → email with a signature of each kind.
func dkim(ctx context.Context, b *run) ([]Result, error) {
	var out []Result
	for _, kind := range []string{"ed25519", "rsa"} {
		s, err := b.start(ctx, shape{people: b.People, dkim: kind})
		if err != nil {
			return out, err
		}
		r, err := b.paced(ctx, s, "event → email, 500/s, DKIM "+kind, 500, b.Duration, "/v1/track", s.ingest, triggerBody)
		if err != nil {
			return out, err
		}
		out = append(out, r)
	}
	b.stop()
	return out, nil
}

// scratch gives a file in the run's folder.
func (b *run) scratch(name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(b.Dir, name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// How many destinations there are, and how many events a second each wants.
const (
	hooks     = 20
	hookPace  = 500
	slowHook  = 200 * time.Millisecond
	hookEvent = "Told"
)

// hook is a receiver of webhooks that costs as little as can be: it shares the
// cores with what it measures, and checks no signature.
type hook struct {
	l     net.Listener
	wait  time.Duration // before each answer
	mute  bool          // it takes connections and never answers
	run   string
	at    []atomic.Int64 // when each event came first, nanoseconds since began; 0: never
	began time.Time
	twice atomic.Int64
	conns sync.Map
}

func newHook(n int, run string) (*hook, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &hook{l: l, run: run, at: make([]atomic.Int64, n)}, nil
}

func (h *hook) address() string { return "http://" + h.l.Addr().String() + "/in" }

func (h *hook) close() {
	_ = h.l.Close() // Nobody waits for it.
	h.conns.Range(func(c, _ any) bool {
		_ = c.(net.Conn).Close()
		return true
	})
}

// serve takes connections until the listener is closed.
func (h *hook) serve() {
	for {
		c, err := h.l.Accept()
		if err != nil {
			return
		}
		h.conns.Store(c, nil)
		go h.talk(c)
	}
}

func (h *hook) talk(c net.Conn) {
	defer func() { _ = c.Close() }() // The other side has closed it, or we do.
	r := bufio.NewReaderSize(c, 8<<10)
	var body []byte
	for {
		length := 0
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
			if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
				if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
					return
				}
			}
		}
		if cap(body) < length {
			body = make([]byte, length)
		}
		body = body[:length]
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		if h.mute {
			continue
		}
		h.note(body)
		if h.wait > 0 {
			time.Sleep(h.wait)
		}
		if _, err := c.Write(hookAnswer); err != nil {
			return
		}
	}
}

var hookAnswer = []byte("HTTP/1.1 204 No Content\r\n\r\n")

// note finds which event has come.
func (h *hook) note(body []byte) {
	const mark = `"ref":"`
	at := bytes.Index(body, []byte(mark))
	if at < 0 {
		return
	}
	ref := body[at+len(mark):]
	end := bytes.IndexByte(ref, '"')
	if end < 0 || !bytes.HasPrefix(ref, []byte(h.run)) {
		return
	}
	k, err := strconv.Atoi(string(ref[len(h.run):end]))
	if err != nil || k < 0 || k >= len(h.at) {
		return
	}
	if !h.at[k].CompareAndSwap(0, int64(time.Since(h.began))) {
		h.twice.Add(1)
	}
}

func (h *hook) came() (n int) {
	for i := range h.at {
		if h.at[i].Load() != 0 {
			n++
		}
	}
	return n
}

// webhooks tells twenty destinations of 500 events a second each, of which one is
// dead and one is slow, and measures how long after the request each of the others
// has an event.
func webhooks(ctx context.Context, b *run) ([]Result, error) {
	n := int(b.Duration.Seconds()) * hookPace
	run := fmt.Sprintf("w%d-", time.Now().UnixNano()%1e9)
	var list []*hook
	defer func() {
		for _, h := range list {
			h.close()
		}
	}()
	var addresses []string
	for range hooks {
		h, err := newHook(n, run)
		if err != nil {
			return nil, err
		}
		list, addresses = append(list, h), append(addresses, h.address())
	}
	dead, slow, others := list[0], list[1], list[2:]
	dead.mute, slow.wait = true, slowHook
	s, err := b.start(ctx, shape{people: b.People, hooks: addresses})
	if err != nil {
		return nil, err
	}
	if err := s.calm(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	for _, h := range list {
		h.began = began
		go h.serve()
	}
	profiled := b.profile(ctx, s, "webhooks", b.Duration)
	before := s.usage()
	sent, err := s.tell(ctx, run, n, b.People, began)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	after := s.usage()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		all := true
		for _, h := range others {
			all = all && h.came() == n
		}
		if all {
			break
		}
	}
	if err := profiled(); err != nil {
		return nil, err
	}
	r := Result{Name: fmt.Sprintf("webhooks, %d destinations at %d/s each, one dead, one slow", hooks, hookPace), Rate: float64(n) / took.Seconds() * float64(len(others))}
	var samples []time.Duration
	var twice int64
	for _, h := range others {
		twice += h.twice.Load()
		for k := range sent {
			if at := h.at[k].Load(); at != 0 {
				samples = append(samples, time.Duration(at)-sent[k])
			} else {
				r.Failed++
			}
		}
	}
	r.Items = int64(len(samples))
	r.P50, r.P99, r.Max = spread(samples)
	r.CPU = (after.cpu - before.cpu).Seconds() * 1e6 / float64(max(r.Items, 1))
	r.RSS = after.rss
	r.Note = fmt.Sprintf("lag of the %d others, from before the request to the receiver; %d missing, %d twice, the slow one had %d", len(others), r.Failed, twice, slow.came())
	b.stop()
	return []Result{r}, nil
}

// tell sends events at a steady pace and gives when each was sent.
func (s *server) tell(ctx context.Context, run string, n, people int, began time.Time) ([]time.Duration, error) {
	const clients = 8
	sent := make([]time.Duration, n)
	var group sync.WaitGroup
	var mu sync.Mutex
	var failure error
	for i := range clients {
		c, err := s.dial("/v1/track", s.ingest)
		if err != nil {
			return nil, err
		}
		group.Go(func() {
			defer func() { _ = c.c.Close() }() // It was only written to.
			var buf []byte
			for k := i; k < n && ctx.Err() == nil; k += clients {
				time.Sleep(time.Until(began.Add(time.Duration(k) * time.Second / hookPace)))
				buf = fmt.Appendf(buf[:0], `{"messageId":"%s%d","userId":"user-%07d","event":"%s","properties":{"ref":"%s%d","total":39.5,"currency":"EUR"}}`, run, k, (k*7919)%people, hookEvent, run, k)
				sent[k] = time.Since(began)
				if err := c.post(buf); err != nil {
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
		return nil, failure
	}
	return sent, ctx.Err()
}

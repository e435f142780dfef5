package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one keep-alive HTTP connection that costs as little as can be: the
// load client shares the cores with what it measures.
type conn struct {
	c    net.Conn
	r    *bufio.Reader
	head []byte // of every request, up to the length
	buf  []byte
}

func (s *server) dial(path, key string, headers ...string) (*conn, error) {
	host := strings.TrimPrefix(s.address, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	auth := "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":"))
	if strings.HasPrefix(key, "rpm_") {
		auth = "Bearer " + key
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: application/json\r\n", path, host, auth)
	for _, h := range headers {
		head += h + "\r\n"
	}
	return &conn{c: c, r: bufio.NewReaderSize(c, 4<<10), head: []byte(head)}, nil
}

// post sends one request and reads its answer; any status but 2xx is an error.
func (c *conn) post(body []byte, extra ...string) error {
	c.buf = append(c.buf[:0], c.head...)
	for _, h := range extra {
		c.buf = append(append(c.buf, h...), "\r\n"...)
	}
	c.buf = append(c.buf, "Content-Length: "...)
	c.buf = strconv.AppendInt(c.buf, int64(len(body)), 10)
	c.buf = append(append(c.buf, "\r\n\r\n"...), body...)
	if _, err := c.c.Write(c.buf); err != nil {
		return err
	}
	return c.answer()
}

func (c *conn) answer() error {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 {
		return fmt.Errorf("no HTTP: %q", line)
	}
	ok := line[9] == '2'
	status := string(line[9:12])
	length := 0
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if ok {
		_, err = c.r.Discard(length)
		return err
	}
	body := make([]byte, length)
	_, _ = c.r.Read(body) // For the message only.
	return fmt.Errorf("status %s: %s", status, body)
}

// load is what clients do together.
type load struct {
	samples []time.Duration
	items   int64
	failed  int64
	took    time.Duration
}

// flood lets clients send as fast as they are answered, for a time. each gives
// the body of the next request and how many items it holds.
func (s *server) flood(ctx context.Context, clients int, path, key string, d time.Duration, each func(client int) (next func() ([]byte, int))) (*load, error) {
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	var mu sync.Mutex
	out := &load{}
	var group sync.WaitGroup
	var first error
	began := time.Now()
	for i := range clients {
		c, err := s.dial(path, key)
		if err != nil {
			return nil, err
		}
		group.Go(func() {
			defer func() { _ = c.c.Close() }()
			next := each(i)
			samples := make([]time.Duration, 0, 1<<16)
			var items, failed int64
			for ctx.Err() == nil {
				body, n := next()
				if body == nil {
					break
				}
				at := time.Now()
				if err := c.post(body); err != nil {
					failed++
					mu.Lock()
					first = err
					mu.Unlock()
					break
				}
				samples = append(samples, time.Since(at))
				items += int64(n)
			}
			mu.Lock()
			defer mu.Unlock()
			out.samples = append(out.samples, samples...)
			out.items += items
			out.failed += failed
		})
	}
	group.Wait()
	out.took = time.Since(began)
	return out, first
}

// writer makes events as the SDKs send them, about 600 bytes each.
type writer struct {
	r      *rand.Rand
	people int
	serial *atomic.Int64
	buf    []byte
	last   int // of a session: who is browsing now
	left   int
}

func newWriter(seed uint64, people int, serial *atomic.Int64) *writer {
	return &writer{r: rand.New(rand.NewPCG(7, seed)), people: people, serial: serial}
}

// who picks a person: any, or whoever is in the middle of a session.
func (w *writer) who(sessions bool) int {
	if !sessions {
		return w.r.IntN(w.people)
	}
	if w.left == 0 {
		w.last, w.left = w.r.IntN(w.people), 3+w.r.IntN(17)
	}
	w.left--
	return w.last
}

const (
	viewProps   = `"properties":{"product_id":"507f1f77bcf86cd799439011","sku":"G-32","category":"Games","name":"Board game, third edition","brand":"Sample","variant":"200 pieces","price":18.99,"quantity":1,"currency":"EUR","position":3,"value":18.99,"url":"https://shop.example/product/path"}`
	viewContext = `"context":{"library":{"name":"analytics.js","version":"2.11.1"},"page":{"path":"/games/","title":"Games","url":"https://shop.example/games/"},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}`
)

// event appends one event: 89 % views, 10 % identifies, 1 % orders; 70 % carry
// both ids; 1 % repeat a message id.
func (w *writer) event(dst []byte, sessions, typed bool) []byte {
	who := w.who(sessions)
	n := w.serial.Add(1)
	if w.r.IntN(100) == 0 && n > 1000 {
		n -= int64(w.r.IntN(900))
	}
	dst = fmt.Appendf(dst, `{"messageId":"bench-%010d","userId":"user-%07d",`, n, who)
	if w.r.IntN(10) < 7 {
		dst = fmt.Appendf(dst, `"anonymousId":"anon-%07d",`, who)
	}
	k := w.r.IntN(100)
	if k < 10 && typed {
		return fmt.Appendf(dst, `"type":"identify","traits":{"email":"user-%07d@shop.example","score":%d,"tier":"t%d","country":"FR","first_name":"Ada"},%s}`, who, (who+w.r.IntN(30)/29)%100, who%4, viewContext)
	}
	name := "Product Viewed"
	if k == 10 {
		name = "Order Completed"
	}
	if typed {
		dst = append(dst, `"type":"track",`...)
	}
	return fmt.Appendf(dst, `"event":"%s",%s,%s}`, name, viewProps, viewContext)
}

// batch makes the body of one /v1/batch.
func (w *writer) batch(n int, sessions bool) []byte {
	w.buf = append(w.buf[:0], `{"batch":[`...)
	for i := range n {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = w.event(w.buf, sessions, true)
	}
	w.buf = append(w.buf, `],"sentAt":"`...)
	w.buf = time.Now().UTC().AppendFormat(w.buf, time.RFC3339Nano)
	w.buf = append(w.buf, `"}`...)
	return w.buf
}

// people makes everybody known, a hundred in a request.
func (s *server) people(ctx context.Context, n int) error {
	var next atomic.Int64
	_, err := s.flood(ctx, 4, "/v1/batch", s.ingest, 24*time.Hour, func(int) func() ([]byte, int) {
		var buf []byte
		return func() ([]byte, int) {
			from := int(next.Add(100)) - 100
			buf = append(buf[:0], `{"batch":[`...)
			for i := from; i < min(from+100, n); i++ {
				if i > from {
					buf = append(buf, ',')
				}
				buf = fmt.Appendf(buf, `{"type":"identify","messageId":"known-%d","userId":"user-%07d","anonymousId":"anon-%07d","traits":{"email":"user-%07d@shop.example","score":%d,"tier":"t%d","country":"FR","first_name":"Ada","last_name":"Example","plan":"free","language":"en","city":"Lyon","created_at":"2026-01-01T00:00:00Z","company":"Sample"}}`, i, i, i, i, i%100, i%4)
			}
			if from >= n {
				return nil, 0
			}
			buf = append(buf, `]}`...)
			return buf, 100
		}
	})
	if err != nil {
		return err
	}
	return s.settle(ctx)
}

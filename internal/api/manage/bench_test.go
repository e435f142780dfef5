package manage_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/api/manage"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/ratelimit"
	"rapport/internal/store"
)

const benchBody = `{"template":"receipt","person":{"user_id":"42"},"data":{"order":{"id":"A-1001","total":49.90,"lines":[{"sku":"x1","title":"Espresso","quantity":2}]}},"valid_for":"24h"}`

// paper is a log that costs nothing and is walked at once.
type paper struct {
	manage.Log
	manage.Walk
	pos atomic.Int64
}

func (p *paper) Append(context.Context, eventlog.Lane, [][]byte) (int64, time.Time, error) {
	return p.pos.Add(1), start, nil
}
func (p *paper) Tail(eventlog.Lane) (int64, time.Time)            { return p.pos.Load(), start }
func (p *paper) Walked(eventlog.Lane) int64                       { return p.pos.Load() }
func (p *paper) Wait(context.Context, eventlog.Lane, int64) error { return nil }

// empty is an outbox in which there is nothing.
type empty struct{ manage.Reader }

func (empty) States(context.Context) (map[string]int64, error) { return nil, nil }

func (empty) Keys(context.Context, id.Hash, int) ([]id.Hash, error) { return nil, nil }

func (empty) ByKey(context.Context, string) (explain.Owed, bool, error) {
	return explain.Owed{}, false, nil
}

// nowhere is an answer that nobody reads.
type nowhere struct {
	head   http.Header
	status int
}

func (n *nowhere) Header() http.Header         { return n.head }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(status int)      { n.status = status }

func sendBench(b *testing.B, h *house) {
	limits, err := ratelimit.NewKeyed(ratelimit.Config{PerSecond: 1e9, Burst: 1e9, Now: h.clock.Now})
	h.must(err)
	h.config.Limits = limits
	h.knock()
	b.ReportAllocs()
	b.ResetTimer()
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		w := &nowhere{head: http.Header{}}
		r := httptest.NewRequestWithContext(b.Context(), "POST", "/v1/send", nil)
		r.Header.Set("Authorization", "Bearer "+h.secret)
		key := []string{""}
		r.Header["Idempotency-Key"] = key
		body := strings.NewReader("")
		for pb.Next() {
			key[0] = "order-" + strconv.FormatInt(n.Add(1), 10)
			body.Reset(benchBody)
			r.Body, r.ContentLength = readCloser{body}, int64(len(benchBody))
			h.door.ServeHTTP(w, r)
			if w.status != http.StatusAccepted {
				b.Fatal(w.status)
			}
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// BenchmarkSend is the door alone: a log that costs nothing, an empty outbox.
func BenchmarkSend(b *testing.B) {
	h := setup(b)
	p := &paper{Log: h.log, Walk: h.walker}
	h.config.Log, h.config.Walk, h.config.Reader = p, p, empty{h.reader}
	sendBench(b, h)
}

// BenchmarkSendAmongMails adds the question to an outbox of 100,000 mails.
func BenchmarkSendAmongMails(b *testing.B) {
	h := setup(b)
	for first := 0; first < 100_000; first += 10_000 {
		h.must(h.state.Write(b.Context(), store.WriteOptions{}, func(tx store.Tx) error {
			for i := first; i < first+10_000; i++ {
				key := fmt.Sprintf("api/old-%d", i)
				in := message.Intent{ID: id.NewMessage(start, key), Key: key, Person: 1, Template: "receipt", Purpose: "service", Class: message.Transactional, Decided: start}
				if _, _, err := tx.Outbox().Insert(in, start); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	p := &paper{Log: h.log, Walk: h.walker}
	h.config.Log, h.config.Walk = p, p
	sendBench(b, h)
}

// BenchmarkSendDurable is the door over the real log and walk.
func BenchmarkSendDurable(b *testing.B) {
	h := setup(b)
	h.ann()
	b.SetParallelism(32)
	sendBench(b, h)
	b.StopTimer()
	h.walked()
	if n := len(h.records(event.Send)); n < b.N {
		b.Fatalf("%d records for %d requests", n, b.N)
	}
}

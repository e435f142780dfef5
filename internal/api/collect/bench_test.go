package collect_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"rapport/internal/api/collect"
	"rapport/internal/eventlog"
	"rapport/internal/ingest"
)

// track is an event of common size as a server SDK sends it.
func track(i int) string {
	return fmt.Sprintf(`{"type":"track","event":"Product Added","messageId":"ajs-next-1764083%09d-8f2c1d","anonymousId":"5f3c2b1a-7d6e-4f8a-9b0c-%012d","userId":"user-%06d","timestamp":"2026-11-23T15:00:00.123Z","properties":{"cart_id":"c-9912","product_id":"507f1f77bcf86cd799439011","sku":"G-32","category":"Games","name":"Monopoly: 3rd Edition","brand":"Hasbro","variant":"200 pieces","price":18.99,"quantity":1,"coupon":"MAYDEALS","position":3},"context":{"library":{"name":"analytics-node","version":"3.1.0"},"page":{"path":"/games/monopoly","url":"https://shop.example/games/monopoly"},"locale":"en-GB"}}`, i, i, i%1000)
}

func batchOf(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"batch":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(track(i))
	}
	b.WriteString(`],"sentAt":"2026-11-23T15:00:01.000Z"}`)
	return b.Bytes()
}

type nowhere struct{}

func (nowhere) Append(context.Context, eventlog.Lane, [][]byte) (int64, time.Time, error) {
	return 1, time.Time{}, nil
}

// sink is the cheapest ResponseWriter there is.
type sink struct {
	head   http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.head }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// again is a body that can be read again.
type again struct{ *bytes.Reader }

func (again) Close() error { return nil }

func BenchmarkHandler(b *testing.B) {
	bundle := setup(b, func(c *collect.Config) {
		in, err := ingest.New(ingest.Config{Log: nowhere{}, Permit: &doorman{}, Keeper: &rejects{}, Now: time.Now, Machine: time.Now})
		if err != nil {
			b.Fatal(err)
		}
		c.Ingest = in
		c.Sources = func(name string) (ingest.Source, bool) { return ingest.Source{Name: name, PerSecond: 1e9}, true }
	})
	for _, tt := range []struct {
		path string
		n    int
		body []byte
	}{{"/v1/track", 1, []byte(track(1))}, {"/v1/batch", 100, batchOf(100)}} {
		b.Run(tt.path, func(b *testing.B) {
			body := bytes.NewReader(tt.body)
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://a.example"+tt.path, http.NoBody)
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(serverKey+":")))
			req.Body, req.ContentLength, req.RemoteAddr = again{body}, int64(len(tt.body)), "192.0.2.1:4711"
			w := &sink{head: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = body.Seek(0, io.SeekStart)
				clear(w.head)
				w.status = 200
				bundle.handler.ServeHTTP(w, req)
				if w.status != 200 {
					b.Fatal(w.status)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(tt.n), "ns/event")
		})
	}
}

package collect_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rapport/internal/api/collect"
	"rapport/internal/eventlog"
	"rapport/internal/ingest"
	"rapport/internal/store/sqlitestore"
)

// caller keeps one connection and sends prepared requests over it: the cheapest
// client that still speaks HTTP, so that on shared cores the door is measured.
type caller struct {
	conn net.Conn
	in   *bufio.Reader
}

// roundTrip sends one request and reads an answer of 200 to its end.
func (c *caller) roundTrip(request []byte) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	length := 0
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && string(line[9:12]) != "200" {
			return fmt.Errorf("status %s", line[9:12])
		}
		if len(line) == 2 {
			break
		}
		if string(line[:16]) == "Content-Length: " {
			length = 0
			for _, d := range line[16 : len(line)-2] {
				length = length*10 + int(d-'0')
			}
		}
	}
	_, err := c.in.Discard(length)
	return err
}

func request(path string, body []byte) []byte {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a.example\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		path, base64.StdEncoding.EncodeToString([]byte(serverKey+":")), len(body))
	return append([]byte(head), body...)
}

// BenchmarkDurable measures the whole front: HTTP over loopback, ingest, group
// commit and fsync, with the client on the same cores. b.N counts events.
func BenchmarkDurable(b *testing.B) {
	for _, tt := range []struct {
		path        string
		n, callers  int
		description string
	}{
		{"/v1/track", 1, 64, "track, 64 connections"},
		{"/v1/track", 1, 1, "track, 1 connection"},
		{"/v1/batch", 100, 8, "batch of 100, 8 connections"},
	} {
		b.Run(tt.description, func(b *testing.B) {
			store, err := sqlitestore.OpenLog(sqlitestore.LogConfig{Path: filepath.Join(b.TempDir(), "log.db")})
			if err != nil {
				b.Fatal(err)
			}
			log, err := eventlog.Open(eventlog.Config{Store: store, Now: time.Now})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			stopped := make(chan error, 1)
			go func() { stopped <- log.Run(ctx) }()
			defer func() {
				cancel()
				<-stopped
				_ = store.Close()
			}()
			bundle := setup(b, func(c *collect.Config) {
				in, err := ingest.New(ingest.Config{Log: log, Permit: &doorman{}, Keeper: &rejects{}, Now: time.Now, Machine: time.Now})
				if err != nil {
					b.Fatal(err)
				}
				c.Ingest = in
				c.Sources = func(name string) (ingest.Source, bool) { return ingest.Source{Name: name, PerSecond: 1e9}, true }
			})
			body := []byte(track(1))
			if tt.n > 1 {
				body = batchOf(tt.n)
			}
			load(b, server(b, bundle.handler, 0), request(tt.path, body), tt.callers, tt.n)
		})
	}
}

// load sends b.N events and reports the rate and the time of a request.
func load(b *testing.B, addr string, request []byte, callers, each int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	times := make([][]time.Duration, callers)
	conns := make([]*caller, callers)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		conns[i] = &caller{conn: c, in: bufio.NewReader(c)}
	}
	var wg sync.WaitGroup
	spent := cpu(b)
	b.ResetTimer()
	for i, c := range conns {
		wg.Go(func() {
			for left.Add(-int64(each)) > -int64(each) {
				began := time.Now()
				if err := c.roundTrip(request); err != nil {
					if err != io.EOF {
						b.Error(err)
					}
					return
				}
				times[i] = append(times[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	spent = cpu(b) - spent
	all := slices.Concat(times...)
	slices.Sort(all)
	if len(all) == 0 {
		return
	}
	b.ReportMetric(float64(len(all)*each)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(spent.Nanoseconds())/1000/float64(len(all)*each), "cpu-us/event")
	b.ReportMetric(0, "ns/op")
}

// cpu gives the processor time this process has used, the client's included.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

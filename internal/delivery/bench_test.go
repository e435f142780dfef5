package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/delivery/deliverytest"
	smtprelay "rapport/internal/delivery/smtp"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
	"rapport/internal/store/sqlitestore"
)

// house is the whole of sending on real files and real TCP.
type house struct {
	state *sqlitestore.State
	sink  *deliverytest.Sink
	d     *delivery.Dispatcher
	close func()
	seq   int
}

// build opens a house whose mails weigh about 8 KB.
func build(tb testing.TB, judge func(from, to string) deliverytest.Fault) *house {
	tb.Helper()
	state, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(tb.TempDir(), "state.db")})
	if err != nil {
		tb.Fatal(err)
	}
	sink, err := deliverytest.NewSink(deliverytest.SinkConfig{Slim: true, Judge: judge})
	if err != nil {
		tb.Fatal(err)
	}
	relay, err := smtprelay.New(smtprelay.Config{Addr: sink.Addr(), TLS: smtprelay.None, Now: time.Now, Mono: time.Now, PerConn: 1 << 30})
	if err != nil {
		tb.Fatal(err)
	}
	html := bytes.Repeat([]byte("<p style=\"margin:0\">Hello, here are the things you looked at.</p>\n"), 100)
	text := bytes.Repeat([]byte("Hello, here are the things you looked at.\n"), 25)
	draw := &renderer{fn: func(_ context.Context, in message.Intent, _ time.Time) (message.Rendered, []byte, error) {
		r := plain(in)
		r.HTML, r.Text = html, text
		return r, []byte(`{"subject":"Hello"}`), nil
	}}
	d, err := delivery.New(delivery.Config{
		State: state, Renderer: draw, Gate: &gate{}, Providers: map[string]delivery.Provider{"main": relay},
		Now: time.Now, Mono: time.Now, Logger: slog.New(slog.DiscardHandler),
		Rules: outbox.Rules{Caps: []outbox.Cap{{Most: 10, Window: time.Hour}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	h := &house{state: state, sink: sink, d: d}
	h.close = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			tb.Errorf("Run: %v", err)
		}
		_ = relay.Close()
		sink.Close()
		if err := state.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	tb.Cleanup(h.close)
	return h
}

// owe inserts mails as the walk does, in one transaction.
func (h *house) owe(tb testing.TB, n int) []id.Message {
	tb.Helper()
	ids := make([]id.Message, 0, n)
	now := time.Now()
	err := h.state.Write(context.Background(), store.WriteOptions{Priority: store.Normal}, func(tx store.Tx) error {
		for range n {
			h.seq++
			in := message.Intent{
				Key: fmt.Sprintf("journey/bench/%d", h.seq), Person: id.Person(h.seq), Template: "hello", Purpose: "marketing.newsletter",
				Class: message.Triggered, Decided: now, Due: now, Journey: "bench", Step: "mail",
			}
			in.ID = id.NewMessage(now, in.Key)
			if _, _, err := tx.Outbox().Insert(in, now); err != nil {
				return err
			}
			ids = append(ids, in.ID)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return ids
}

// cpu gives the processor time that this process has used: sender, store and
// sink together.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRate sends as fast as the house can: claim, hand over and outcome in
// SQLite with fsync, SMTP over TCP to a sink in the same process.
func BenchmarkRate(b *testing.B) {
	h := build(b, nil)
	b.ReportAllocs()
	begun := cpu(b)
	b.ResetTimer()
	for sent := 0; sent < b.N; {
		n := min(200, b.N-sent)
		ids := h.owe(b, n)
		sent += n
		h.d.Wake(ids...)
		if sent > 2000 {
			<-h.sink.Reached(sent - 2000)
		}
	}
	<-h.sink.Reached(b.N)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
	b.ReportMetric(float64((cpu(b)-begun).Microseconds())/float64(b.N), "cpu-µs/mail")
}

// BenchmarkLatency sends 500 mails a second and measures from the commit of the
// intent to the final dot at the sink.
func BenchmarkLatency(b *testing.B) {
	var mu sync.Mutex
	woken := map[string]time.Time{}
	var took []time.Duration
	h := build(b, func(_, to string) deliverytest.Fault {
		if to == "" {
			return deliverytest.Fault{}
		}
		mu.Lock()
		took = append(took, time.Since(woken[to]))
		mu.Unlock()
		return deliverytest.Fault{}
	})
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	b.ResetTimer()
	for range b.N {
		<-tick.C
		ids := h.owe(b, 1)
		mu.Lock()
		woken[fmt.Sprintf("p%d@mail.example", h.seq)] = time.Now()
		mu.Unlock()
		h.d.Wake(ids...)
	}
	<-h.sink.Reached(b.N)
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

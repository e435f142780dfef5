package sqlitestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"rapport/internal/eventlog"
)

// record makes a record of about 615 bytes that compresses as events do.
func record(r *rand.Rand, dst []byte) []byte {
	return fmt.Appendf(dst[:0], `{"type":"track","event":"Product Added","userId":"user-%08d","anonymousId":"%016x-%016x","messageId":"%016x%016x",`+
		`"timestamp":"2026-11-23T12:%02d:%02d.%03dZ","properties":{"product_id":"sku-%05d","price":%d.99,"currency":"EUR","quantity":%d,"category":"Shoes","brand":"Nordlicht","variant":"blue","position":%d,"url":"https://shop.example/p/%05d"},`+
		`"context":{"ip":"192.0.2.%d","userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0","locale":"en-GB","page":{"path":"/p/%05d","referrer":"https://search.example/","title":"Running shoes"},"library":{"name":"analytics.js","version":"4.1.0"}}}`,
		r.IntN(1e8), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.IntN(60), r.IntN(60), r.IntN(1000), r.IntN(99999),
		r.IntN(300), r.IntN(5), r.IntN(20), r.IntN(99999), r.IntN(255), r.IntN(99999))
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ clients, batch int }{{8, 100}, {64, 1}, {1, 1}, {1, 100}} {
		b.Run(fmt.Sprintf("%dx%d", c.clients, c.batch), func(b *testing.B) {
			store, err := OpenLog(LogConfig{Path: filepath.Join(b.TempDir(), "log.db")})
			if err != nil {
				b.Fatal(err)
			}
			log, err := eventlog.Open(eventlog.Config{Store: store, Now: time.Now})
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			var group sync.WaitGroup
			group.Go(func() { _ = log.Run(ctx) })
			benchAppend(b, log, c.clients, c.batch)
			stop()
			group.Wait()
			if err := store.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func benchAppend(b *testing.B, log *eventlog.Log, clients, batch int) {
	took := make([][]time.Duration, clients)
	todo := make(chan struct{}, 4096)
	var group sync.WaitGroup
	for i := range clients {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		pool := make([][]byte, 2000)
		for j := range pool {
			pool[j] = record(r, nil)
		}
		group.Go(func() {
			for range todo {
				at := r.IntN(len(pool) - batch)
				begin := time.Now()
				if _, _, err := log.Append(context.Background(), eventlog.Live, pool[at:at+batch]); err != nil {
					b.Error(err)
				}
				took[i] = append(took[i], time.Since(begin))
			}
		})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		todo <- struct{}{}
	}
	close(todo)
	group.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, "max-ms")
}

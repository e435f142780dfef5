package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/ingest"
)

// track is an event of common size, 745 bytes, as a browser SDK sends it.
func track(i int) string {
	return fmt.Sprintf(`{"type":"track","event":"Product Added","messageId":"ajs-next-1764083%09d-8f2c1d","anonymousId":"5f3c2b1a-7d6e-4f8a-9b0c-%012d","userId":"user-%06d","timestamp":"2026-11-23T15:00:00.123Z","sentAt":"2026-11-23T15:00:00.323Z","properties":{"cart_id":"c-9912","product_id":"507f1f77bcf86cd799439011","sku":"G-32","category":"Games","name":"Monopoly: 3rd Edition","brand":"Hasbro","variant":"200 pieces","price":18.99,"quantity":1,"coupon":"MAYDEALS","position":3},"context":{"library":{"name":"analytics.js","version":"npm:next-1.70.0"},"page":{"path":"/games/monopoly","referrer":"","search":"","title":"Monopoly","url":"https://shop.example/games/monopoly"},"locale":"en-GB","timezone":"Europe/Berlin"}}`, i, i, i%1000)
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
	b.WriteString(`],"sentAt":"2026-11-23T15:00:01.000Z","writeKey":"rpk_x"}`)
	return b.Bytes()
}

type nowhere struct{}

func (nowhere) Append(context.Context, eventlog.Lane, [][]byte) (int64, time.Time, error) {
	return 1, time.Time{}, nil
}

type openDoor struct{}

func (openDoor) Narrow(context.Context, []ingest.Statement) error { return nil }
func (openDoor) Admit(*ingest.Source, ingest.Statement) ingest.Verdict {
	return ingest.Verdict{Allow: true}
}

func BenchmarkTake(b *testing.B) {
	in, err := ingest.New(ingest.Config{Log: nowhere{}, Permit: openDoor{}, Keeper: newKeeper(), Now: time.Now, Machine: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 100} {
		call := ingest.Call{Source: ingest.Source{Name: "web"}, Body: batchOf(n)}
		if n == 1 {
			call.Body, call.Type = []byte(track(0)), event.Track
		}
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(call.Body)))
			for b.Loop() {
				if r, err := in.Take(b.Context(), call); err != nil || r.Accepted != n {
					b.Fatal(r, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
		})
	}
}

// BenchmarkPlanned is BenchmarkTake with a hundred events under a plan.
func BenchmarkPlanned(b *testing.B) {
	in, err := ingest.New(ingest.Config{Log: nowhere{}, Permit: openDoor{}, Keeper: newKeeper(), Now: time.Now, Machine: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	const fields = "events: {Product Added: {properties: {cart_id: string, product_id: {type: string, required: true}, sku: string, category: string, name: string, brand: string, variant: string, price: {type: number, minimum: 0}, quantity: integer, coupon: string, position: integer}}}\n"
	const n = 100
	for _, row := range []struct{ name, text string }{
		{"none", ""}, {"fields", fields}, {"strip", "unplanned_fields: strip\n" + fields},
		{"personal", "personal_data: {default: mask, client_ip: truncate, user_agent: reduce}\n"},
		{"both", fields + "personal_data: {default: mask, client_ip: truncate, user_agent: reduce}\n"},
	} {
		call := ingest.Call{Source: ingest.Source{Name: "web"}, Body: batchOf(n)}
		if row.text != "" {
			call.Source.Plan = follows(b, row.text)
		}
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r, err := in.Take(b.Context(), call); err != nil || r.Accepted != n {
					b.Fatal(r, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
		})
	}
}

package processor_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
)

// benchConfig is 50 segments, 20 of them with windows, and 5 journeys; ten of
// the segments concern every Product Viewed, three of those with windows.
func benchConfig(unrelated int) string {
	var b strings.Builder
	b.WriteString("segments:\n")
	windows := []string{"30d", "14d", "7d"}
	for i := range 3 {
		fmt.Fprintf(&b, "  viewed-w%d: {rule: {did: Product Viewed, count: %d, within: %s}}\n", i, 2+i, windows[i])
	}
	for i := range 7 {
		fmt.Fprintf(&b, "  viewed-n%d: {rule: {all: [{did: Product Viewed, count: %d}, {trait: tier, is: t%d}]}}\n", i, 5+7*i, i%4)
	}
	for i := range 17 {
		fmt.Fprintf(&b, "  ordered-w%d: {rule: {all: [{did: Order Completed, within: %dd}, {trait: country, in: [DE, FR]}]}}\n", i, i+1)
	}
	for i := range 23 {
		fmt.Fprintf(&b, "  trait-%d: {rule: {trait: score, gte: %d}}\n", i, i*4)
	}
	for i := range unrelated {
		fmt.Fprintf(&b, "  other-%d: {rule: {did: Never Happens %d, count: 2, within: 7d}}\n", i, i)
	}
	b.WriteString("journeys:\n")
	for i, trigger := range []string{"{event: Order Completed}", "{enters: ordered-w0}", "{enters: viewed-w2}", "{event: Signed Up}", "{leaves: ordered-w0}"} {
		fmt.Fprintf(&b, "  j%d: {purpose: marketing.newsletter, trigger: %s, reentry: always, steps: [{send: t%d}]}\n", i, trigger, i)
	}
	return b.String()
}

func benchEvent(n, people int, r *rand.Rand, now time.Time) event.Event {
	who := r.IntN(people)
	e := event.Event{
		Type: event.Track, Source: "shop", MessageID: fmt.Sprintf("bench-%09d", n), UserID: fmt.Sprintf("user-%07d", who),
		Received: now, Time: now, Original: now,
		Properties: []byte(`{"product_id":"507f1f77bcf86cd799439011","sku":"G-32","category":"Games","name":"Monopoly: 3rd Edition","brand":"Hasbro","variant":"200 pieces","price":18.99,"quantity":1,"currency":"usd","position":3,"value":18.99,"url":"https://shop.example/product/path"}`),
		Context:    []byte(`{"library":{"name":"analytics.js","version":"2.11.1"},"page":{"path":"/academy/","referrer":"","search":"","title":"Analytics Academy","url":"https://shop.example/academy/"},"userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_5)","ip":"108.0.78.21"}`),
	}
	if r.IntN(10) < 7 {
		e.Anonymous = fmt.Sprintf("anon-%07d", who)
	}
	switch k := r.IntN(1000); {
	case k < 100:
		e.Type = event.Identify
		e.Traits = fmt.Appendf(nil, `{"email":"user-%07d@shop.example","score":%d,"tier":"t%d","country":"FR","first_name":"Ada","plan":"pro"}`, who, (who+r.IntN(100)/99)%100, who%4)
		e.Email = fmt.Sprintf("user-%07d@shop.example", who)
		e.Properties = nil
	case k < 110:
		e.Name = "Order Completed"
	default:
		e.Name = "Product Viewed"
	}
	return e
}

func BenchmarkWalk(b *testing.B) {
	for _, c := range []struct{ people, unrelated int }{{100_000, 0}, {100_000, 950}} {
		b.Run(fmt.Sprintf("people=%d/segments=%d", c.people, 50+c.unrelated), func(b *testing.B) { benchWalk(b, c.people, c.unrelated) })
	}
}

func benchWalk(b *testing.B, people, unrelated int) {
	benchWalkIn(b, setup(b, benchConfig(unrelated)), people)
}

func benchWalkIn(b *testing.B, h *house, people int) {
	r := rand.New(rand.NewPCG(1, 2))
	ctx := context.Background()
	n := 0
	write := func(count int, each func(i int) event.Event) {
		const frame = 100
		for i := 0; i < count; i += frame {
			bodies := make([][]byte, 0, frame)
			for j := range min(frame, count-i) {
				e := each(i + j)
				bodies = append(bodies, e.Append(nil))
			}
			if _, _, err := h.log.Append(ctx, eventlog.Live, bodies); err != nil {
				b.Fatal(err)
			}
		}
	}
	write(people, func(i int) event.Event {
		return event.Event{
			Type: event.Identify, Source: "shop", MessageID: fmt.Sprint("known-", i), UserID: fmt.Sprintf("user-%07d", i), Anonymous: fmt.Sprintf("anon-%07d", i),
			Email: fmt.Sprintf("user-%07d@shop.example", i), Received: start, Time: start,
			Traits: fmt.Appendf(nil, `{"email":"user-%07d@shop.example","score":%d,"tier":"t%d","country":"FR","first_name":"Ada","last_name":"Example","plan":"free","language":"en","city":"Lyon","created_at":"2026-01-01T00:00:00Z"}`, i, i%100, i%4),
		}
	})
	h.walk()
	events := max(b.N, 1)
	write(events, func(int) event.Event { n++; return benchEvent(n, people, r, h.clock.Now()) })
	before := h.walker.Stats()
	b.ReportAllocs()
	b.ResetTimer()
	h.walk()
	b.StopTimer()
	after := h.walker.Stats()
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(after.Derived-before.Derived)/float64(events), "derived/event")
	b.ReportMetric(float64(after.Mails-before.Mails)/float64(events), "mails/event")
}

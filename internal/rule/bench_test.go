package rule

import (
	"fmt"
	"strings"
	"testing"
)

// typical is a person with fifty traits and an order as the triggering event.
func typical(r *Rule) *world {
	var b strings.Builder
	b.WriteString(`{"address": {"street": "Hauptstraße 5", "city": "Köln", "country": "FR"}`)
	for i := range 48 {
		fmt.Fprintf(&b, `, "trait_%d": "value %d"`, i, i)
	}
	b.WriteString(`, "visits": 17}`)
	w := &world{segments: map[string]bool{"buyers": true}}
	w.traits.Reset([]byte(b.String()))
	w.props.Reset([]byte(`{"order_id": "50314b8e", "total": 27.5, "currency": "EUR", "products": [{"sku": "G-32", "price": 19}, {"sku": "F-9"}]}`))
	var history []happening
	for i := range 20 {
		history = append(history, happening{at: start + int64(i)*1000, name: "Order Completed", props: string(w.props.Raw())})
	}
	w.tallies = count(r.Tallies(), history)
	return w
}

func BenchmarkEval(b *testing.B) {
	for name, text := range map[string]string{
		"did":        `{did: Order Completed, within: 24h}`,
		"did count":  `{did: Order Completed, within: 24h, count: {exactly: 3}, where: {total: {gt: 5}}}`,
		"trait":      `{trait: visits, gte: 10}`,
		"trait in":   `{trait: address.country, in: [DE, AT, CH, FR, IT, ES, NL, BE]}`,
		"trait date": `{trait: trait_20, lt: 2026-01-01}`,
		"property":   `{property: products.1.sku, starts_with: F}`,
		"in_segment": `{in_segment: buyers}`,
		"cart": `{all: [{did: Order Completed, within: 24h}, {not: {did: Refunded, within: 24h}},
			{trait: address.country, in: [DE, FR]}]}`,
		"ten": `{all: [{did: Order Completed, within: 24h}, {not: {did: Refunded, within: 24h}}, {trait: address.country, in: [DE, FR]},
			{trait: visits, gte: 10}, {in_segment: buyers}, {any: [{trait: trait_3, is: x}, {trait: trait_4, contains: lu}]},
			{did: Order Completed, count: 3, within: 7d}, {property: total, gt: 20}, {did: Order Completed, before: 1s}]}`,
	} {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			r := must(b, text)
			w := typical(r)
			at := At{Now: start + 20_000, Since: start}
			b.ReportAllocs()
			for b.Loop() {
				r.Eval(w, at)
			}
		})
	}
}

// BenchmarkObject takes an object of fifty members apart anew each time.
func BenchmarkObject(b *testing.B) {
	raw := typical(must(b, "{in_segment: buyers}")).traits.Raw()
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	var o Object
	for b.Loop() {
		o.Reset(raw)
		if _, ok := o.Get("visits"); !ok {
			b.Fatal("missing")
		}
	}
}

func BenchmarkWhere(b *testing.B) {
	where := must(b, `{did: A, where: {total: {gt: 20, lt: 50}, currency: EUR, products.1.sku: {in: [F-9, F-10]}}}`).Tallies()[0].Where
	raw := typical(must(b, "{in_segment: buyers}")).props.Raw()
	b.ReportAllocs()
	var o Object
	for b.Loop() {
		o.Reset(raw)
		if !where.Match(&o) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkTallyAdd(b *testing.B) {
	of := Tally{Keep: 5}
	var s TallyState
	b.ReportAllocs()
	for i := int64(0); b.Loop(); i++ {
		s.Add(i, &of)
	}
}

// TestEvalAllocatesNothing holds every kind of condition to it, escapes included.
// It is not parallel, as the allocations of others would count.
func TestEvalAllocatesNothing(t *testing.T) {
	r := must(t, `{any: [{all: [{did: Order Completed, within: 24h}, {did: Order Completed, before: 1s, count: 3}]},
		{trait: address.city, contains: Kö}, {trait: visits, gt: 1.5}, {trait: trait_1, in: [a, b, c]}, {not: {in_segment: buyers}},
		{property: products.1.sku, ends_with: x}, {trait: address.street, lt: 2026-01-01}, {trait: trait_2, not_in: [1, 2, 3]}]}`)
	w := typical(r)
	w.traits.Reset([]byte(`{"address": {"city": "K\u006fln", "street": "2026\u002d05-05"}, "visits": 1.49, "tr\u0061it_1": "\u0064", "trait_2": 3}`))
	where := must(t, `{did: A, where: {"a\\.b": "K\u006fln", n: {gte: 5}}}`).Tallies()[0].Where
	var o Object
	raw := []byte(`{"\u0061.b": "K\u006fln", "n": 5.00}`)
	state, of := TallyState{}, Tally{Keep: 3, Oldest: 3}
	for i := range int64(5) {
		state.Add(i, &of)
	}
	n := testing.AllocsPerRun(1000, func() {
		r.Eval(w, At{Now: start + 20_000})
		o.Reset(raw)
		if !where.Match(&o) {
			t.Error("no match")
		}
		state.Add(7, &of)
	})
	// Eval and Match unescape seven texts. Their scratch memory comes from a pool,
	// which a garbage collection empties now and then.
	most := 1.0
	if raceDetector {
		most = 2*7 + 1 // it makes pools forget at random; a text costs two allocations anew
	}
	if n >= most {
		t.Errorf("%v allocations", n)
	}
}

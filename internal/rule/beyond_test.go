package rule

import (
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBeyond asks what the generator does not draw.
func TestBeyond(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule, value string
		want        bool
	}{
		{`matches: '^A-[0-9]{3}$'`, `"A-123"`, true},
		{`matches: '^A-[0-9]{3}$'`, `"a-123"`, false},
		{`matches: '^A-[0-9]{3}$', ignore_case: true`, `"a-123"`, true},
		{`matches: a|b, ignore_case: true`, `"xB"`, true},
		{`matches: 'ö.*\\'`, `"K\u00f6ln \\ x"`, true},
		{`matches: a`, `5`, false},
		{`matches: a`, fmt.Sprintf(`"%0*d"`, MaxMatched-1, 0) + "x", false},
		{`is: KÖLN, ignore_case: true`, `"k\u00f6ln"`, true},
		{`is: k, ignore_case: true`, `"\u212a"`, true}, // the sign of kelvin
		{`is: Kelvin\"x, ignore_case: true`, `"kelvin\\\"X"`, true},
		{`not_in: [A, b], ignore_case: true`, `"B"`, false},
		{`any_of: [Sale, 7], ignore_case: true`, `["new", "SALE"]`, true},
		{`all_of: [SALE, 7], ignore_case: true`, `["sale", 7.0]`, true},
		{`is_email: true`, `"ada@shop.example"`, true},
		{`is_email: true`, `"a.b+c@mail.shop.example"`, true},
		{`is_email: true`, `"ada@shop"`, false},
		{`is_email: true`, `"@shop.example"`, false},
		{`is_email: true`, `"a..b@shop.example"`, false},
		{`is_email: true`, `"a b@shop.example"`, false},
		{`is_email: true`, `"ada@-shop.example"`, false},
		{`is_email: true`, `"ada@shop-.example"`, false},
		{`is_email: false`, `null`, true},
		{`is_email: false`, `5`, true},
		{`domain: Shop.example`, `"Ada@SHOP.example"`, true},
		{`domain: shop.example`, `"shop.example"`, true},
		{`domain: shop.example`, `"ada@mail.shop.example"`, false},
		{`domain: shop.example`, `"ada@shop.example.test"`, false},
		{`domain_in: [shop.test, shop.example]`, `"ada@shop.test"`, true},
		{`any_item: {sku: A-1, price: {gt: 5}}`, `[{"sku": "A-1", "price": 5}, {"sku": "A-1", "price": 6}]`, true},
		{`any_item: {sku: A-1, price: {gt: 5}}`, `[{"sku": "A-1", "price": 5}, {"sku": "B", "price": 6}]`, false},
		{`any_item: {sku: A-1}`, `{"sku": "A-1"}`, false},
		{`all_items: {price: {gt: 5}}`, `[{"price": 6}, {"price": 7}]`, true},
		{`all_items: {price: {gt: 5}}`, `[{"price": 6}, 7]`, false},
		{`all_items: {price: {gt: 5}}`, `[]`, false},
		{`no_item: {price: {gt: 5}}`, `[]`, true},
		{`no_item: {price: {gt: 5}}`, `null`, true},
		{`no_item: {price: {gt: 5}}`, `[{"price": 6}]`, false},
		{`any_item: {parts: {any_item: {id: 3}}}`, `[{"parts": [{"id": 1}]}, {"parts": [{"id": 3}]}]`, true},
		{`any_item: {parts: {any_item: {id: 3}}}`, `[{"parts": [{"id": 1}], "id": 3}]`, false},
		{`is_empty: true`, `" "`, false},
		{`is_empty: true`, `[ ]`, true},
		{`is_empty: false`, `0`, true},
	} {
		r := must(t, "{trait: a, "+test.rule+"}")
		again := must(t, r.String())
		w := &world{}
		w.traits.Reset([]byte(`{"a": ` + test.value + `}`))
		for _, r := range []*Rule{r, again} {
			if got, until := r.Eval(w, At{}); got != test.want || until != Never {
				t.Errorf("%s of %s: got %t until %d, want %t", r, test.value, got, until, test.want)
			}
		}
	}
}

// TestDatesTurnExactly holds dates that are compared with now to the naive
// reading and to the millisecond.
func TestDatesTurnExactly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var words string
		var asked []string
		lengths := map[string]int64{}
		for _, op := range []string{"older_than", "newer_than", "in_last", "in_next"} {
			if rapid.Bool().Draw(rt, op) || op == "in_next" && asked == nil {
				lengths[op] = rapid.Int64Range(1, 5).Draw(rt, "duration") * 1000
				words += fmt.Sprintf(", %s: %ds", op, lengths[op]/1000)
				asked = append(asked, op)
			}
		}
		nanos := rapid.SampledFrom([]int64{0, 0, 1, 999_999, 1_000_000, 500_000_001}).Draw(rt, "nanos")
		at := time.UnixMilli(start + rapid.Int64Range(-3, 3).Draw(rt, "at")*1000).Add(time.Duration(nanos))
		r := must(t, "{trait: a"+words+"}")
		w := &world{}
		w.traits.Reset(fmt.Appendf(nil, `{"a": %q}`, at.UTC().Format(time.RFC3339Nano)))
		date := big.NewRat(at.UnixNano(), 1_000_000)
		holds := func(now int64) bool {
			gap := new(big.Rat).Sub(date, new(big.Rat).SetInt64(now)) // how far ahead the date is
			return !slices.ContainsFunc(asked, func(op string) bool {
				d := new(big.Rat).SetInt64(lengths[op])
				past := new(big.Rat).Neg(gap)
				return !map[string]bool{
					"older_than": past.Cmp(d) >= 0, "newer_than": past.Cmp(d) < 0,
					"in_last": past.Sign() >= 0 && past.Cmp(d) < 0, "in_next": gap.Sign() > 0 && gap.Cmp(d) <= 0,
				}[op]
			})
		}
		var turns []int64
		for _, d := range append([]int64{0}, lengths["older_than"], lengths["newer_than"], lengths["in_last"], -lengths["in_next"]) {
			for off := int64(-2); off <= 2; off++ {
				turns = append(turns, at.UnixMilli()+d+off)
			}
		}
		turns = sortUnique(turns)
		for i, now := range turns {
			truth, until := r.Eval(w, At{Now: now})
			if truth != holds(now) || until <= now {
				rt.Fatalf("%s at %d: got %t until %d", r, now-start, truth, until-start)
			}
			for _, later := range turns[i:] {
				if later < until && holds(later) != truth {
					rt.Fatalf("%s at %d: %t until %d, but not at %d", r, now-start, truth, until-start, later-start)
				}
			}
			if len(asked) == 1 && until != Never && holds(until) == truth {
				rt.Fatalf("%s at %d: %t until %d, but nothing changes then", r, now-start, truth, until-start)
			}
		}
	})
}

// TestRelativeNeedsADate compares with now what is no date.
func TestRelativeNeedsADate(t *testing.T) {
	t.Parallel()
	w := &world{}
	w.traits.Reset([]byte(`{"text": "soon", "yes": true, "none": null, "far": 1e300, "long_ago": -1e300}`))
	for path, older := range map[string]bool{"text": false, "yes": false, "none": false, "missing": false, "far": false, "long_ago": true} {
		r := must(t, "{trait: "+path+", older_than: 1d}")
		if got, until := r.Eval(w, At{Now: start}); got != older || until != Never {
			t.Errorf("%s: got %t until %d", path, got, until)
		}
	}
}

// TestOperatorsAreDescribed wants every word in the reference, once.
func TestOperatorsAreDescribed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, o := range Operators() {
		if o.Name == "" || o.Group == "" || o.Value == "" || o.Note == "" || seen[o.Group+o.Name] {
			t.Errorf("%+v", o)
		}
		seen[o.Group+o.Name] = true
	}
	if len(seen) < 40 {
		t.Errorf("there are only %d", len(seen))
	}
}

package spec_test

import (
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/scan"
	"rapport/internal/spec"
)

func TestKnown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		want  string
		match spec.Match
	}{
		"Order Completed":                {"Order Completed", spec.Exact},
		"Completed Order":                {"Order Completed", spec.Older},
		"Viewed Product Category":        {"Product List Viewed", spec.Older},
		"order completed":                {"Order Completed", spec.Near},
		"ORDER_COMPLETED":                {"Order Completed", spec.Near},
		"OrderCompleted":                 {"Order Completed", spec.Near},
		" Order  Completed ":             {"Order Completed", spec.Near},
		"email-marked-as-spam":           {"Email Marked as Spam", spec.Near},
		"Wishlist Product Added to Cart": {"Wishlist Product Added to Cart", spec.Exact},
		"unsubscribed":                   {"Unsubscribed", spec.Near},
		"Order Complete":                 {"", spec.None},
		"completed order":                {"", spec.None},
		"Signed Up":                      {"", spec.None},
		"":                               {"", spec.None},
		"Órder Completed":                {"", spec.None},
		strings.Repeat("Order ", 50):     {"", spec.None},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, match := spec.Known(name)
			got := ""
			if e != nil {
				got = e.Name
			}
			if got != tt.want || match != tt.match {
				t.Errorf("Known(%q) = %q, %v; want %q, %v", name, got, match, tt.want, tt.match)
			}
		})
	}
}

// TestEveryEvent holds what the code relies on: names stand alone, needs name
// properties, and an event whose property names another has that one alone.
func TestEveryEvent(t *testing.T) {
	t.Parallel()
	if n := len(spec.All()); n != 40 {
		t.Errorf("%d events", n)
	}
	for _, e := range spec.All() {
		if got, match := spec.Known(e.Name); got != e || match != spec.Exact || e.Says == "" || e.Part == "" {
			t.Errorf("%q is known as %v, %v", e.Name, got, match)
		}
		if e.Older != "" {
			if got, match := spec.Known(e.Older); got != e || match != spec.Older {
				t.Errorf("%q is known as %v, %v", e.Older, got, match)
			}
		}
		seen := map[string]bool{}
		for _, p := range e.Properties {
			if seen[p.Name] {
				t.Errorf("%s: %s stands there twice", e.Name, p.Name)
			}
			seen[p.Name] = true
		}
		for _, name := range slices.Concat(e.Needs...) {
			if !seen[name] {
				t.Errorf("%s needs %s and does not know it", e.Name, name)
			}
		}
		if e.Names != "" && (len(e.Properties) != 1 || e.Properties[0].Name != e.Names) {
			t.Errorf("%s has more than the name of a property", e.Name)
		}
		if len(e.Properties) > 60 {
			t.Errorf("%s has %d properties; one bit each must do", e.Name, len(e.Properties))
		}
	}
}

// told writes findings as one line each.
func told(found []spec.Finding) []string {
	out := []string{}
	for i := range found {
		f := &found[i]
		out = append(out, strings.TrimRight(string(f.Code)+" "+f.Path()+" "+f.Pointer(), " "))
	}
	return out
}

func TestProperties(t *testing.T) {
	t.Parallel()
	const order = `"order_id":"1"`
	for name, tt := range map[string]struct {
		event, in, out string
		found          []string
	}{
		"as the spec has it": {"Order Completed", `{"order_id":"1","total":27.50,"products":[{"product_id":"a","price":3,"position":1}],"mine":{}}`, ``, nil},
		"no reserved name":   {"Lesson Finished", `{"total":"1"}`, ``, nil},
		"number in text":     {"Order Completed", `{` + order + `,"total":"12.50"}`, `{` + order + `,"total":12.50}`, []string{"property_converted total /total"}},
		"digits are kept":    {"Order Completed", `{` + order + `,"total":"12345678901234567890.10"}`, `{` + order + `,"total":12345678901234567890.10}`, []string{"property_converted total /total"}},
		"exponent in text":   {"Order Completed", `{` + order + `,"tax":"-1.5E+3"}`, `{` + order + `,"tax":-1.5E+3}`, []string{"property_converted tax /tax"}},
		"spaces around":      {"Order Completed", `{` + order + `,"tax":" 5 "}`, `{` + order + `,"tax":5}`, []string{"property_converted tax /tax"}},
		"comma":              {"Order Completed", `{` + order + `,"tax":"12,50"}`, ``, []string{"property_wrong_type tax /tax"}},
		"currency sign":      {"Order Completed", `{` + order + `,"tax":"$12"}`, ``, []string{"property_wrong_type tax /tax"}},
		"leading zero":       {"Order Completed", `{` + order + `,"tax":"012"}`, ``, []string{"property_wrong_type tax /tax"}},
		"plus":               {"Order Completed", `{` + order + `,"tax":"+1"}`, ``, []string{"property_wrong_type tax /tax"}},
		"not a number":       {"Order Completed", `{` + order + `,"tax":"NaN"}`, ``, []string{"property_wrong_type tax /tax"}},
		"beyond":             {"Order Completed", `{` + order + `,"tax":"1e400"}`, ``, []string{"property_wrong_type tax /tax"}},
		"beyond by digits":   {"Order Completed", `{` + order + `,"tax":"` + strings.Repeat("9", 400) + `"}`, ``, []string{"property_wrong_type tax /tax"}},
		"empty text":         {"Order Completed", `{` + order + `,"tax":""}`, ``, []string{"property_wrong_type tax /tax"}},
		"escaped digits":     {"Order Completed", `{` + order + `,"tax":"\u0031"}`, ``, []string{"property_wrong_type tax /tax"}},
		"truth for a number": {"Order Completed", `{` + order + `,"tax":true}`, ``, []string{"property_wrong_type tax /tax"}},
		"null":               {"Order Completed", `{` + order + `,"tax":null,"products":null}`, ``, nil},
		"number for a text":  {"Order Completed", `{"order_id":50314}`, `{"order_id":"50314"}`, []string{"property_converted order_id /order_id"}},
		"decimal for a text": {"Order Completed", `{"order_id":-1.50}`, `{"order_id":"-1.50"}`, []string{"property_converted order_id /order_id"}},
		"exponent for text":  {"Order Completed", `{"order_id":1e3}`, ``, []string{"property_wrong_type order_id /order_id"}},
		"object for a text":  {"Order Completed", `{"order_id":{}}`, ``, []string{"property_wrong_type order_id /order_id"}},
		"missing":            {"Order Completed", `{"total":1}`, ``, []string{"property_missing order_id"}},
		"missing, null":      {"Order Completed", `{"order_id":null}`, ``, []string{"property_missing order_id"}},
		"no properties":      {"Order Completed", ``, ``, []string{"property_missing order_id"}},
		"either will do":     {"Product Added", `{"sku":"a"}`, ``, nil},
		"neither is there":   {"Product Added", `{"price":1}`, ``, []string{"property_missing product_id or sku"}},
		"whole by its value": {"Product Added", `{"sku":"a","position":3.0}`, ``, nil},
		"whole by exponent":  {"Product Added", `{"sku":"a","position":1.50e1}`, ``, nil},
		"a fraction":         {"Product Added", `{"sku":"a","position":3.5}`, ``, []string{"property_wrong_type position /position"}},
		"a fraction in text": {"Product Added", `{"sku":"a","position":"3.5"}`, ``, []string{"property_wrong_type position /position"}},
		"whole in text":      {"Product Added", `{"sku":"a","position":"3"}`, `{"sku":"a","position":3}`, []string{"property_converted position /position"}},
		"in products": {
			"Order Completed", `{` + order + `, "products" : [ {"price":"1.10","name":7}, {"price":"2"}, 5, {"price":"x"} ] , "tax" : "3" }`,
			`{` + order + `, "products" : [ {"price":1.10,"name":"7"}, {"price":2}, 5, {"price":"x"} ] , "tax" : 3 }`,
			[]string{
				"property_converted products.price /products/0/price", "property_converted products.name /products/0/name",
				"property_wrong_type products /products/2", "property_wrong_type products.price /products/3/price", "property_converted tax /tax",
			},
		},
		"products in an object": {"Cart Viewed", `{"products":{"sku":"a"}}`, ``, []string{"property_wrong_type products /products"}},
		"filters":               {"Product List Filtered", `{"filters":[{"type":"price","value":5}]}`, `{"filters":[{"type":"price","value":"5"}]}`, []string{"property_converted filters.value /filters/0/value"}},
		"an escaped key":        {"Order Completed", `{"\u006frder_id":7}`, `{"\u006frder_id":"7"}`, []string{"property_converted order_id /order_id"}},
		"the older name":        {"Completed Order", `{"orderId":"1","total":"5"}`, `{"orderId":"1","total":5}`, []string{"event_older_name", "property_converted total /total"}},
		"a name nearby":         {"order_completed", `{"total":"5"}`, ``, []string{"event_near_name"}},
		"an audience":           {"Audience Entered", `{"audience_key":"vip","vip":true}`, ``, nil},
		"an audience in text":   {"Audience Exited", `{"vip":"False","audience_key":"vip"}`, `{"vip":false,"audience_key":"vip"}`, []string{"property_converted audience_key /audience_key"}},
		"an audience of 1":      {"Audience Entered", `{"audience_key":"vip","vip":1}`, ``, []string{"property_wrong_type audience_key /audience_key"}},
		"an audience of itself": {"Audience Entered", `{"audience_key":"audience_key"}`, ``, nil},
		"a trait":               {"Trait Computed", `{"trait_key":"ltv","ltv":450.00}`, ``, nil},
		"a rating":              {"Product Reviewed", `{"product_id":"a","rating":5}`, ``, nil},
		"a link's number":       {"Email Link Clicked", `{"link_id":101}`, `{"link_id":"101"}`, []string{"property_converted link_id /link_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c spec.Check
			want := tt.out
			if want == "" {
				want = tt.in
			}
			if got := c.Properties(tt.event, []byte(tt.in)); string(got) != want {
				t.Errorf("properties are %s, want %s", got, want)
			}
			if tt.found == nil {
				tt.found = []string{}
			}
			if diff := cmp.Diff(tt.found, told(c.Found)); diff != "" {
				t.Errorf("findings differ (-want +got):\n%s", diff)
			}
			for i := range c.Found {
				if d := c.Found[i].Detail(); d == "" || strings.Contains(d, "vip") {
					t.Errorf("detail %q", d)
				}
			}
		})
	}
}

// TestAlikeIsToldOnce bounds what one event can make of findings.
func TestAlikeIsToldOnce(t *testing.T) {
	t.Parallel()
	var c spec.Check
	c.Properties("Cart Viewed", []byte(`{"products":[`+strings.Repeat(`{"price":"x"},`, 500)+`{"price":{}}]}`))
	if diff := cmp.Diff([]string{"property_wrong_type products.price /products/0/price"}, told(c.Found)); diff != "" {
		t.Errorf("findings differ (-want +got):\n%s", diff)
	}
	c.Reset()
	var b strings.Builder
	for _, p := range spec.All()[7].Properties {
		b.WriteString(`,"` + p.Name + `":{}`)
	}
	c.Properties("Order Completed", []byte(`{"order_id":{},"affiliation":{},"coupon":{},"currency":{},"total":{},"revenue":{},"shipping":{},"tax":{},"discount":{},`+
		`"checkout_id":{},"subtotal":{},"products":[{"name":{}`+b.String()+`}]}`))
	if len(c.Found) != spec.MaxFindings {
		t.Errorf("%d findings", len(c.Found))
	}
}

// TestMemoryIsUsedAgain holds that what one event gave does not change with the next.
func TestMemoryIsUsedAgain(t *testing.T) {
	t.Parallel()
	var c spec.Check
	first := c.Properties("Cart Viewed", []byte(`{"cart_id":1}`))
	for range 1000 {
		c.Properties("Cart Viewed", []byte(`{"cart_id":222222222}`))
	}
	if string(first) != `{"cart_id":"1"}` {
		t.Errorf("the first is %s by now", first)
	}
}

// FuzzProperties holds that looking through sound properties keeps them sound,
// loses nothing, changes nothing the second time, and sees the same by keys.
func FuzzProperties(f *testing.F) {
	for _, s := range []string{
		`{"order_id":7,"total":"12.50","products":[{"price":"1"},{"price":[]},7,null],"tax":null}`, `{"products":[{"a":[{"price":"1"}]}]}`,
		`{"audience_key":"vip","vip":"true"}`, `{"filters":[{"value":1}],"sorts":"x"}`, `{ "position" : "3" , "step":1.5e1}`, `{}`, `{"\u0074ax":"1"}`,
	} {
		for i := range spec.All() {
			f.Add(uint8(i), []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		name := spec.All()[int(which)%len(spec.All())].Name
		var before map[string]any
		if !sound(raw, &before) {
			return
		}
		var c spec.Check
		out := c.Properties(name, raw)
		var after map[string]any
		if !sound(out, &after) {
			t.Fatalf("%s made of %s is not sound", out, raw)
		}
		if a, b := meaning(before), meaning(after); !cmp.Equal(a, b) {
			t.Fatalf("%s made of %s says something else:\n%s", out, raw, cmp.Diff(a, b))
		}
		found := told(c.Found)
		var again spec.Check
		if twice := again.Properties(name, out); string(twice) != string(out) {
			t.Fatalf("%s became %s and then %s", raw, out, twice)
		}
		for i := range again.Found {
			if again.Found[i].Code == spec.Converted {
				t.Fatalf("%s was converted twice", out)
			}
		}
		var keyed spec.Check
		if keys, ok := keysOf(raw); ok {
			if other := keyed.Keyed(name, raw, keys, 0); string(other) != string(out) || !cmp.Equal(found, told(keyed.Found)) {
				t.Fatalf("by keys %s became %s with %v, else %s with %v", raw, other, told(keyed.Found), out, found)
			}
		}
	})
}

func sound(raw []byte, into *map[string]any) bool {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if len(raw) == 0 || raw[0] != '{' || !json.Valid(raw) || d.Decode(into) != nil {
		return false
	}
	n := 0
	for m := scan.MembersOf(raw); ; n++ {
		if _, _, ok := m.Next(); !ok {
			break
		}
	}
	return n == len(*into) // A key twice has not come through the door.
}

// meaning writes numbers, truths and texts that say the same in the same way.
func meaning(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = meaning(x)
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			out = append(out, meaning(x))
		}
		return out
	case json.Number:
		return value(v.String())
	case bool:
		return map[bool]string{true: "true", false: "false"}[v]
	case string:
		return value(strings.Trim(v, " "))
	}
	return v
}

func value(s string) string {
	if l := strings.ToLower(s); l == "true" || l == "false" {
		return l
	}
	if len(s) < 40 && !strings.ContainsAny(s, "_/xXoObBpP") && (len(s) < 5 || !strings.ContainsAny(s, "eE")) {
		if r, ok := new(big.Rat).SetString(s); ok {
			return r.String()
		}
	}
	return s
}

// keysOf notes where the keys stand, as the door does of what has no escaped keys.
func keysOf(raw []byte) (out []scan.Span, ok bool) {
	for m := scan.MembersOf(raw); ; {
		key, value, more := m.Next()
		if !more {
			return out, true
		}
		to := strings.LastIndex(string(raw[:m.At()-len(value)]), `"`)
		if to < len(key) || string(raw[to-len(key):to]) != string(key) {
			return nil, false
		}
		out = append(out, scan.Span{From: uint32(to - len(key)), To: uint32(to)})
	}
}

func BenchmarkProperties(b *testing.B) {
	for name, raw := range map[string]string{
		"Product Added":   `{"cart_id":"c-9912","product_id":"507f1f77bcf86cd799439011","sku":"G-32","category":"Games","name":"Monopoly: 3rd Edition","brand":"Hasbro","variant":"200 pieces","price":18.99,"quantity":1,"coupon":"MAYDEALS","position":3}`,
		"Lesson Finished": `{"course":"liquid","lesson":3}`,
		"Order Completed": `{"order_id":"50314b8e","total":"27.50","revenue":25.00,"currency":"USD","products":[{"product_id":"507f","price":19,"quantity":1},{"product_id":"505b","price":"3","quantity":2}]}`,
	} {
		b.Run(strings.ReplaceAll(name, " ", ""), func(b *testing.B) {
			var c spec.Check
			b.ReportAllocs()
			keys, _ := keysOf([]byte(raw))
			for b.Loop() {
				c.Reset()
				c.Keyed(name, []byte(raw), keys, 0)
			}
		})
	}
}

package plan_test

import (
	"testing"

	"rapport/internal/event"
)

// BenchmarkJudge is one event of common size, as planned: with eleven properties
// and a context.
func BenchmarkJudge(b *testing.B) {
	const properties = `{"cart_id":"c-9912","product_id":"507f1f77bcf86cd799439011","sku":"G-32","category":"Games","name":"Monopoly: 3rd Edition","brand":"Hasbro","variant":"200 pieces","price":18.99,"quantity":1,"coupon":"MAYDEALS","position":3}`
	const context = `{"library":{"name":"analytics.js","version":"npm:next-1.70.0"},"page":{"path":"/games/monopoly","referrer":"","search":"","title":"Monopoly","url":"https://shop.example/games/monopoly"},"locale":"en-GB","timezone":"Europe/Berlin"}`
	const fields = `
events:
  Product Added:
    properties: {cart_id: string, product_id: {type: string, required: true}, sku: string, category: string, name: string, brand: string, variant: string, price: {type: number, minimum: 0}, quantity: integer, coupon: string, position: integer}
`
	for name, text := range map[string]string{
		"fields": fields, "strip": "unplanned_fields: strip" + fields, "personal": "personal_data: {default: mask}\n", "both": fields + "personal_data: {default: mask, client_ip: truncate, user_agent: reduce}\n",
	} {
		b.Run(name, func(b *testing.B) {
			p := compiled(b, text).For("web")
			b.ReportAllocs()
			for b.Loop() {
				e := event.Event{Type: event.Track, Name: "Product Added", UserID: "user-1", Properties: []byte(properties), Context: []byte(context)}
				if v := p.Judge(&e, digest); len(v.Violations) > 0 {
					b.Fatal(v)
				}
			}
		})
	}
}

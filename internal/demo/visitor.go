package demo

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// visitor is somebody who comes to the shop.
type visitor struct {
	n         int
	device    string // anonymous id
	user      string // once they have an account
	email     string
	first     string
	agent     string
	gpc       bool
	choice    map[string]bool // what they said of their device; nil: nothing yet
	agrees    bool            // to mails, when asked
	marketing bool            // they have said yes, and not no since
	left      map[string]bool // purposes they left by a link
	basket    []Product
	checkouts int
	orders    int
	last      time.Time // when they ordered last
	started   time.Time // the checkout they have not ended, zero if none
	got       map[string]int
	plan      func(context.Context) error // what they do at the end of the visit
}

// firsts are what visitors call themselves.
var firsts = []string{"Ada", "Ben", "Chloe", "Dilan", "Edith", "Finn", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Lena", "Milo", "Nora", "Otis", "Paula", "Quentin", "Rosa", "Sami", "Tilda", "Umut", "Vera", "Willem", "Yara", "Zoë"}

// arrive decides who comes, when, and what for.
func (d *Demo) arrive(n int) {
	first := firsts[d.dice.below(len(firsts))]
	v := &visitor{
		n: n, device: d.dice.name(), first: first, agent: agents[d.dice.below(len(agents))], gpc: d.dice.percent(4), agrees: d.dice.percent(78),
		email: fmt.Sprintf("%s.%03d@visitor.example", plain(first), n+1), left: map[string]bool{}, got: map[string]int{},
	}
	if d.dice.percent(80) {
		yes := d.dice.percent(65)
		v.choice = map[string]bool{"analytics": yes, "personalization": yes}
	}
	day := d.dice.below(d.Days)
	if d.dice.percent(15) { // The shop is busier of late.
		day = d.Days - 1 - d.dice.below(min(d.Days, 2))
	}
	at := d.Start.AddDate(0, 0, day).Add(d.dice.between(7*time.Hour, 22*time.Hour))
	switch p := d.dice.below(100); {
	case p < 32: // only looks
	case p < 52:
		v.plan = func(ctx context.Context) error { return d.join(ctx, v) }
	case p < 70:
		v.plan = func(ctx context.Context) error { return d.joinAnd(ctx, v, d.order) }
	case p < 88:
		v.plan = func(ctx context.Context) error { return d.joinAnd(ctx, v, d.abandon) }
	default: // becomes a regular
		v.plan = func(ctx context.Context) error { return d.joinAnd(ctx, v, d.often) }
	}
	d.when(at, func(ctx context.Context) error {
		d.tally.Visitors++
		return d.visit(ctx, v, 1+d.dice.below(5), v.plan)
	})
}

// plain is a name in letters that every address takes.
func plain(name string) string {
	out := []rune(strings.ToLower(name))
	for i, r := range out {
		if r == 'ë' {
			out[i] = 'e'
		}
	}
	return string(out)
}

// page sends an event from the visitor's browser.
func (d *Demo) page(ctx context.Context, v *visitor, c call) error {
	c.MessageID, c.Anonymous, c.User = d.dice.name(), v.device, v.user
	c.choice(v.choice)
	d.tally.Requests++
	return d.site.say(ctx, d.Browser, c, v.header)
}

// shop sends an event from the shop's own server.
func (d *Demo) shop(ctx context.Context, v *visitor, c call, said map[string]bool) error {
	c.MessageID, c.Anonymous, c.User = d.dice.name(), v.device, v.user
	c.choice(said)
	d.tally.Requests++
	return d.site.say(ctx, d.Server, c, nil)
}

func (d *Demo) track(ctx context.Context, v *visitor, event string, properties map[string]any) error {
	return d.page(ctx, v, call{Type: "track", Event: event, Properties: properties})
}

// visit opens the shop, looks at some coffees, and goes on with what follows.
func (d *Demo) visit(ctx context.Context, v *visitor, looks int, then func(context.Context) error) error {
	if err := d.page(ctx, v, call{Type: "page", Name: "Shop", Properties: map[string]any{"path": "/shop"}}); err != nil {
		return err
	}
	after := time.Duration(0)
	for range looks {
		p := d.products[d.dice.below(len(d.products))]
		after += d.dice.between(15*time.Second, 2*time.Minute)
		d.in(after, func(ctx context.Context) error { return d.track(ctx, v, "Product Viewed", properties(p)) })
	}
	if then != nil {
		d.in(after+d.dice.between(20*time.Second, 3*time.Minute), then)
	}
	return nil
}

func properties(p Product) map[string]any {
	return map[string]any{"product_id": p.ID, "name": p.Name, "variant": p.Variant, "price": p.Price, "quantity": p.Quantity, "url": p.URL, "image_url": p.Image}
}

// join makes an account: the shop's server knows the address and what its owner
// agreed to, and the page goes on under the new name.
func (d *Demo) join(ctx context.Context, v *visitor) error {
	if v.user != "" {
		return nil
	}
	v.user = fmt.Sprintf("k-%04d", 1000+v.n)
	d.people[v.email] = v
	d.tally.Accounts++
	said := map[string]bool{"marketing": v.agrees}
	for k, yes := range v.choice {
		said[k] = yes
	}
	v.marketing = v.agrees
	if !v.agrees {
		d.tally.Declined++
	}
	if err := d.shop(ctx, v, call{Type: "identify", Traits: map[string]any{"email": v.email, "first_name": v.first}}, said); err != nil {
		return err
	}
	if err := d.shop(ctx, v, call{Type: "track", Event: "Signed Up", Properties: map[string]any{"from": "shop"}}, nil); err != nil {
		return err
	}
	return d.page(ctx, v, call{Type: "identify", Traits: map[string]any{"locale": "en-GB"}})
}

func (d *Demo) joinAnd(ctx context.Context, v *visitor, then func(context.Context, *visitor) error) error {
	if err := d.join(ctx, v); err != nil {
		return err
	}
	d.in(d.dice.between(time.Minute, 20*time.Minute), func(ctx context.Context) error { return then(ctx, v) })
	return nil
}

// fill puts one to three coffees into the basket and begins the checkout.
func (d *Demo) fill(ctx context.Context, v *visitor) error {
	for len(v.basket) == 0 || len(v.basket) < 3 && d.dice.percent(35) {
		p := d.products[d.dice.below(len(d.products))]
		if slices.ContainsFunc(v.basket, func(o Product) bool { return o.ID == p.ID }) {
			break
		}
		p.Quantity = 1 + d.dice.below(5)/3
		v.basket = append(v.basket, p)
		if err := d.track(ctx, v, "Product Added", properties(p)); err != nil {
			return err
		}
	}
	v.checkouts++
	v.started = d.now
	return d.track(ctx, v, "Checkout Started", map[string]any{
		"value": total(v.basket), "currency": "EUR", "cart_url": d.Base + "/shop#basket", "products": v.basket,
	})
}

func total(basket []Product) float64 {
	sum := 0.0
	for _, p := range basket {
		sum += p.Price * float64(p.Quantity)
	}
	return math.Round(sum*100) / 100
}

// order fills the basket and pays a few minutes later.
func (d *Demo) order(ctx context.Context, v *visitor) error {
	if err := d.fill(ctx, v); err != nil {
		return err
	}
	d.in(d.dice.between(2*time.Minute, 40*time.Minute), func(ctx context.Context) error { return d.pay(ctx, v) })
	return nil
}

// pay is told by the shop's server, which had the money.
func (d *Demo) pay(ctx context.Context, v *visitor) error {
	if len(v.basket) == 0 {
		return nil
	}
	d.orders++
	d.tally.Orders++
	v.orders++
	sum, shipping := total(v.basket), 3.9
	if sum >= 40 {
		shipping = 0
	}
	bought := map[string]any{
		"order_id": fmt.Sprintf("K-%05d", 20000+d.orders), "currency": "EUR", "products": v.basket, "total": math.Round((sum+shipping)*100) / 100,
	}
	if shipping > 0 {
		bought["shipping"] = shipping
	}
	v.basket, v.started, v.last = nil, time.Time{}, d.now
	return d.shop(ctx, v, call{Type: "track", Event: "Order Completed", Properties: bought}, nil)
}

// abandon fills the basket and goes away.
func (d *Demo) abandon(ctx context.Context, v *visitor) error {
	d.tally.Abandoned++
	return d.fill(ctx, v)
}

// often orders, and comes back for more every two weeks or so.
func (d *Demo) often(ctx context.Context, v *visitor) error {
	if err := d.order(ctx, v); err != nil {
		return err
	}
	if v.orders < 5 {
		d.in(d.dice.between(9*24*time.Hour, 19*24*time.Hour), func(ctx context.Context) error {
			return d.visit(ctx, v, 1+d.dice.below(2), func(ctx context.Context) error { return d.often(ctx, v) })
		})
	}
	if d.dice.percent(8) {
		d.in(d.dice.between(24*time.Hour, 8*24*time.Hour), func(ctx context.Context) error { return d.withdraw(ctx, v) })
	}
	return nil
}

// withdraw says no to marketing, on the page.
func (d *Demo) withdraw(ctx context.Context, v *visitor) error {
	if v.marketing {
		d.tally.Withdrawn++
	}
	v.marketing = false
	choice := map[string]bool{"marketing": false}
	for k, yes := range v.choice {
		choice[k] = yes
	}
	v.choice = choice
	return d.track(ctx, v, "Segment Consent Preference Updated", nil)
}

// Package demo lets visitors into the example shop. What comes in are a number
// of visitors, a seed and a running server; what goes out are their requests,
// over the public HTTP API as a real site sends them, and a tally of what they
// did and were sent. It also serves the shop's pages to people. It decides
// everything by its seed, moves business time from one visitor's step to the
// next, and never looks into the server's data.
package demo

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"rapport/internal/delivery/devinbox"
)

// Stage is the server whose business time is moved by hand.
type Stage interface {
	// Advance moves business time to an instant, or to the next one before it at
	// which something is due, and returns where it stands once that is done.
	Advance(ctx context.Context, at time.Time) (time.Time, error)
	// Settle waits until what has arrived is walked and what is due is sent.
	Settle(ctx context.Context) error
}

// Inbox is where the mails arrive.
type Inbox interface {
	List(to string, limit int) ([]*devinbox.Mail, int64)
}

var _ Inbox = (*devinbox.Inbox)(nil)

// Config is what a Demo is made of. All of it is required but what says so.
type Config struct {
	Base     string // address of the server, and of the inbox below /inbox/
	Browser  string // key of the shop's pages
	Server   string // key of the shop's server
	Pages    fs.FS  // what the shop serves, with products.json
	Purposes map[string]string
	Stage    Stage
	Inbox    Inbox
	Start    time.Time // business time at which the first visitor may come
	Days     int       // how many days they come for
	Visitors int
	Seed     uint64
	// Took is how long the whole takes on the wall; 0: as long as it needs.
	Took time.Duration
	// Machine is the time on the wall.
	Machine func() time.Time
	// Progress is told where the story stands; may be nil.
	Progress func(now time.Time, share float64, t Tally)
}

// Product is one coffee.
type Product struct {
	ID       string  `json:"product_id"`
	Name     string  `json:"name"`
	Variant  string  `json:"variant"`
	Price    float64 `json:"price"`
	Quantity int     `json:"quantity"`
	URL      string  `json:"url"`
	Image    string  `json:"image_url"`
}

// Demo is one run. It is used once, by one goroutine.
type Demo struct {
	Config
	site     *site
	products []Product
	dice     dice
	queue    queue
	began    time.Time // on the wall
	now      time.Time
	people   map[string]*visitor // by address
	mails    int64               // how many have been seen
	orders   int
	seq      int
	tally    Tally
}

// Tally counts what happened.
type Tally struct {
	Visitors     int `json:"visitors"`
	Requests     int `json:"requests"` // events that the shop sent
	Accounts     int `json:"accounts"`
	Declined     int `json:"accounts_without_marketing"`
	Orders       int `json:"orders"`
	Abandoned    int `json:"checkouts_abandoned"`
	Mails        int `json:"mails"`
	Opened       int `json:"opened"`
	Clicked      int `json:"clicked"`
	Unsubscribed int `json:"unsubscribed"`
	Withdrawn    int `json:"withdrawn"` // said no in the shop
	// What must not happen: marketing that reached somebody who had not agreed,
	// and mails for which there was no second reason.
	WithoutConsent int `json:"without_consent"`
	Duplicates     int `json:"duplicates"`
}

// New checks the configuration and reads the products.
func New(c Config) (*Demo, error) {
	if c.Base == "" || c.Browser == "" || c.Server == "" || c.Pages == nil || c.Stage == nil || c.Inbox == nil || c.Machine == nil {
		return nil, errors.New("demo: Base, Browser, Server, Pages, Stage, Inbox and Machine are required")
	}
	if c.Visitors < 1 || c.Days < 1 || c.Start.IsZero() {
		return nil, errors.New("demo: Visitors, Days and Start are required")
	}
	raw, err := fs.ReadFile(c.Pages, "products.json")
	if err != nil {
		return nil, fmt.Errorf("read the products: %w", err)
	}
	d := &Demo{
		Config: c, site: newSite(c.Base, c.Browser, c.Server), dice: dice(c.Seed), people: map[string]*visitor{}, now: c.Start,
	}
	if err := json.Unmarshal(raw, &d.products); err != nil || len(d.products) == 0 {
		return nil, fmt.Errorf("read the products: %w", errors.Join(err, errors.New("there must be some")))
	}
	for i := range d.products {
		p := &d.products[i]
		p.Quantity, p.URL, p.Image = 1, c.Base+"/shop#"+p.ID, c.Base+"/shop/img/"+p.ID+".png"
	}
	return d, nil
}

// Run lets all visitors in, one step after the other, until their days are over.
func (d *Demo) Run(ctx context.Context) (*Tally, error) {
	defer d.site.close()
	d.began = d.Machine()
	end := d.Start.AddDate(0, 0, d.Days)
	for n := range d.Visitors {
		d.arrive(n)
	}
	for {
		at, any := end, len(d.queue) > 0 && d.queue[0].at.Before(end)
		if any {
			at = d.queue[0].at
		}
		if d.now.Before(at) { // A mail on the way there may set somebody off before.
			if err := d.reach(ctx, at, end); err != nil {
				return nil, err
			}
			continue
		}
		if !any {
			return &d.tally, nil
		}
		s := heap.Pop(&d.queue).(step) //nolint:forcetypeassert // The queue holds nothing else.
		if err := s.do(ctx); err != nil {
			return nil, err
		}
		if err := d.Stage.Settle(ctx); err != nil {
			return nil, err
		}
		d.post()
	}
}

// reach moves business time towards an instant, as far as the next thing that
// is due, at the pace of the wall, and hands out the mails that arrived.
func (d *Demo) reach(ctx context.Context, at, end time.Time) error {
	if err := d.pace(ctx, at, end); err != nil {
		return err
	}
	now, err := d.Stage.Advance(ctx, at)
	if err != nil {
		return err
	}
	d.now = now
	d.post()
	if d.Progress != nil {
		d.Progress(d.now, 1-float64(end.Sub(d.now))/float64(end.Sub(d.Start)), d.tally)
	}
	return nil
}

// pace waits until the wall has come as far as the story.
func (d *Demo) pace(ctx context.Context, at, end time.Time) error {
	share := float64(at.Sub(d.Start)) / float64(end.Sub(d.Start))
	wait := time.Duration(share*float64(d.Took)) - d.Machine().Sub(d.began)
	if d.Took <= 0 || wait < 2*time.Millisecond {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// in lets something happen after a while.
func (d *Demo) in(after time.Duration, do func(context.Context) error) {
	d.when(d.now.Add(after), do)
}

func (d *Demo) when(at time.Time, do func(context.Context) error) {
	d.seq++
	heap.Push(&d.queue, step{at.Truncate(time.Millisecond), d.seq, do})
}

// step is something that somebody does.
type step struct {
	at  time.Time
	seq int // of two at one instant the earlier decided goes first
	do  func(context.Context) error
}

type queue []step

// Len implements heap.Interface.
func (q queue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q queue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}

// Swap implements heap.Interface.
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(step)) } //nolint:forcetypeassert // Only when pushes.

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = step{}
	*q = old[:len(old)-1]
	return last
}

// dice are chance that a seed decides (splitmix64).
type dice uint64

func (r *dice) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below gives a number from 0 up to n.
func (r *dice) below(n int) int { return int(r.next() % uint64(n)) }

// one in so many hundred is yes.
func (r *dice) percent(n int) bool { return r.below(100) < n }

// between gives a span between two others.
func (r *dice) between(a, b time.Duration) time.Duration {
	return a + time.Duration(r.next()%uint64(b-a))
}

// name gives something that looks like what browsers make up.
func (r *dice) name() string {
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", r.next()>>32, r.next()>>48, r.next()>>52, 0x8000|r.next()>>50, r.next()>>16)
}

// agents are browsers that visitors use.
var agents = []string{
	"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36",
}

// header sets what every browser says of itself.
func (v *visitor) header(h http.Header) {
	h.Set("User-Agent", v.agent)
	if v.gpc {
		h.Set("Sec-GPC", "1")
	}
}

// Notable are visitors whose story is worth asking for, by their addresses; ""
// where nobody is.
type Notable struct {
	Reminded string `json:"reminded,omitempty"` // left a basket and was reminded
	Silent   string `json:"silent,omitempty"`   // left a basket and had not agreed to mails
	Lapsed   string `json:"lapsed,omitempty"`   // ordered, and not for forty-five days
	WonBack  string `json:"won_back,omitempty"` // got the mail that asks how they are
	Left     string `json:"left,omitempty"`     // unsubscribed by a link
	Regular  string `json:"regular,omitempty"`  // orders again and again
}

// Notable looks for some among the visitors; the earliest of each kind.
func (d *Demo) Notable() Notable {
	var out Notable
	lowest := map[*string]int{}
	pick := func(where *string, v *visitor, yes bool) {
		if n, taken := lowest[where]; yes && (!taken || v.n < n) {
			*where, lowest[where] = v.email, v.n
		}
	}
	for _, v := range d.people {
		pick(&out.Reminded, v, v.got["basket"] > 0 && v.orders > 0)
		pick(&out.Silent, v, v.checkouts > 0 && v.orders == 0 && !v.agrees)
		pick(&out.Lapsed, v, v.orders > 0 && v.last.AddDate(0, 0, 45).Before(d.now))
		pick(&out.WonBack, v, v.got["win-back"] > 0)
		pick(&out.Left, v, len(v.left) > 0)
		pick(&out.Regular, v, v.orders > 2)
	}
	return out
}

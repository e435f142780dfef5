package delivery_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/delivery/deliverytest"
	"rapport/internal/message"
)

// phone is a provider whose connections stand only when it is told so.
type phone struct {
	*deliverytest.Provider
	mu     sync.Mutex
	fails  []message.Outcome // one for each attempt to connect
	lost   int               // connections that turn out closed under their first mail
	asked  func()
	opened int
	closed int
	beside int // mails that came without a connection
}

func (p *phone) Send(context.Context, []message.Rendered) []message.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beside++
	return nil
}

func (p *phone) Connect(context.Context, []message.Rendered) (delivery.Line, message.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked != nil {
		p.asked()
	}
	if len(p.fails) > 0 {
		o := p.fails[0]
		p.fails = p.fails[1:]
		return nil, o
	}
	p.opened++
	return call{p}, message.Outcome{}
}

type call struct{ p *phone }

func (c call) Send(ctx context.Context, mails []message.Rendered) []message.Outcome {
	c.p.mu.Lock()
	lost := c.p.lost > 0
	c.p.lost--
	c.p.mu.Unlock()
	if lost {
		return []message.Outcome{{Verdict: message.NotSent, Reason: "connection_closed", Again: true}}
	}
	return c.p.Provider.Send(ctx, mails)
}

func (c call) Close() {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.closed++
}

// A mail is not handed over before a connection stands ready for it.
func TestNothingIsHandedOverWithoutAConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		p := &phone{Provider: b.sink, fails: []message.Outcome{
			{Verdict: message.NotSent, Reason: "provider_unreachable"},
			{Verdict: message.MaybeSent, Reason: "nonsense"}, // nothing can have left: it counts as not sent
		}}
		p.asked = func() {
			if n := b.counts()[message.HandingOver]; n != 0 {
				t.Errorf("%d mails are handed over while the connection is dialled", n)
			}
		}
		b.cfg.Providers["main"] = p
		b.open()
		m := b.owe(nil)
		b.wake(m)
		for b.mail(m).State != message.Accepted {
			time.Sleep(time.Second) // the bubble's clock
			b.settle()
		}
		want := []string{
			"pending", "claimed", "deferred:provider_unreachable", "claimed", "deferred:provider_unreachable",
			"claimed", "handing_over", "accepted",
		}
		if got := b.story(m); !slices.Equal(got, want) {
			t.Errorf("story %v, want %v", got, want)
		}
		b.close()
		if p.opened != 1 || p.closed != 1 || p.beside != 0 || b.sink.To("p1@mail.example") != 1 {
			t.Errorf("%d connections, %d given back, %d mails beside them, %d arrived", p.opened, p.closed, p.beside, b.sink.To("p1@mail.example"))
		}
	})
}

// A process that is killed while it dials leaves no mail of unknown end.
func TestAKillWhileDiallingLeavesNothingUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		dialling := make(chan struct{})
		p := &phone{Provider: b.sink, fails: []message.Outcome{{Verdict: message.NotSent, Reason: "provider_unreachable"}}}
		p.asked = sync.OnceFunc(func() {
			b.life.dead.Store(true)
			close(dialling)
		})
		b.cfg.Providers["main"] = p
		b.open()
		m := b.owe(nil)
		b.wake(m)
		<-dialling
		b.kill()
		b.open()
		b.settle()
		b.close()
		if got := b.counts(); got[message.Uncertain] != 0 || got[message.Accepted] != 1 || b.sink.To("p1@mail.example") != 1 {
			t.Errorf("states %v, arrived %d times: %v", got, b.sink.To("p1@mail.example"), b.story(m))
		}
	})
}

// A connection that was kept and turns out closed costs a mail neither time nor
// an attempt, and the provider no trust.
func TestAMailOverAClosedConnectionGoesAgainAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const lost = 100 // the breaker opens long before
		b := setup(t)
		p := &phone{Provider: b.sink, lost: lost}
		b.cfg.Providers["main"] = p
		b.open()
		m, began := b.owe(nil), time.Now()
		b.wake(m)
		b.settle()
		b.close()
		if got := b.mail(m); got.State != message.Accepted || got.Attempts != 0 || time.Since(began) > time.Second {
			t.Errorf("%s after %d attempts and %s", got.State, got.Attempts, time.Since(began))
		}
		want := []string{"pending", "claimed", "handing_over", "deferred:connection_closed", "claimed", "handing_over"}
		if got := b.story(m); !slices.Equal(got[:len(want)], want) || got[len(got)-1] != "accepted" {
			t.Errorf("story %v, want it to begin with %v", got, want)
		}
		if p.opened != lost+1 || p.closed != lost+1 {
			t.Errorf("%d connections, %d given back", p.opened, p.closed)
		}
	})
}

// Another connection is dialled only once the mail is no longer handed over: a
// process that is killed meanwhile leaves nothing of unknown end.
func TestAKillWhileReplacingAClosedConnectionLeavesNothingUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		p := &phone{Provider: b.sink, lost: 1}
		replacing := make(chan struct{})
		p.asked = func() {
			if p.opened == 1 && !b.life.dead.Swap(true) {
				close(replacing)
			}
		}
		b.cfg.Providers["main"] = p
		b.open()
		m := b.owe(nil)
		b.wake(m)
		<-replacing
		b.kill()
		p.asked = nil
		b.open()
		b.settle()
		b.close()
		if got := b.counts(); got[message.Uncertain] != 0 || got[message.Accepted] != 1 || b.sink.To("p1@mail.example") != 1 {
			t.Errorf("states %v, arrived %d times: %v", got, b.sink.To("p1@mail.example"), b.story(m))
		}
	})
}

package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/id"
	"rapport/internal/message"
)

// While a mail is being rendered its row is still pending and its time past: it
// must not stand before the due times of others.
func TestADueTimeIsNotForgottenWhileAMailIsRendered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		slow := map[id.Person]time.Duration{3: 2 * time.Second}
		b.draw.fn = func(_ context.Context, in message.Intent, _ time.Time) (message.Rendered, []byte, error) {
			time.Sleep(slow[in.Person])
			return plain(in), nil, nil
		}
		b.open()
		defer b.close()
		start := time.Now()
		one := b.owe(func(in *message.Intent) { in.Due = start.Add(10 * time.Second) })
		two := b.owe(func(in *message.Intent) { in.Due = start.Add(20 * time.Second) })
		b.wake(one, two)
		time.Sleep(9500 * time.Millisecond)
		b.wake(b.owe(nil)) // The third is rendered from 9.5 to 11.5 s.
		time.Sleep(12 * time.Second)
		if got := b.mail(two).State; got != message.Accepted {
			t.Errorf("1.5 s after it was due the second mail is %v: %v", got, b.story(two))
		}
	})
}

// Two mails are greylisted, and others come all the time.
func TestAGreylistedMailLeavesAtItsTimeUnderTraffic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		wait := map[string]time.Duration{"p1@mail.example": 10 * time.Minute, "p2@mail.example": 20 * time.Minute}
		b.sink.Answer = func(_ context.Context, m *message.Rendered) message.Outcome {
			if w := wait[m.To.Email]; w > 0 {
				delete(wait, m.To.Email)
				return message.Outcome{Verdict: message.TryLater, Reason: "greylisted", RetryAfter: w}
			}
			return message.Outcome{Verdict: message.SentOK}
		}
		b.sink.Can.Concurrency = 1
		b.draw.fn = func(_ context.Context, in message.Intent, _ time.Time) (message.Rendered, []byte, error) {
			time.Sleep(50 * time.Millisecond)
			return plain(in), nil, nil
		}
		b.open()
		defer b.close()
		b.wake(b.owe(nil))
		two := b.owe(nil)
		b.wake(two)
		time.Sleep(5 * time.Second)
		due := b.mail(two).NotBefore
		for time.Since(due) < time.Minute {
			b.wake(b.owe(nil), b.owe(nil))
			time.Sleep(100 * time.Millisecond)
		}
		if got := b.mail(two).State; got != message.Accepted {
			t.Errorf("a minute after its time the mail is %v: %v", got, b.story(two))
		}
	})
}

// hung takes mails and answers none of them.
type hung struct{}

func (hung) Capabilities() delivery.Capabilities { return delivery.Capabilities{Concurrency: 128} }

func (hung) Send(ctx context.Context, m []message.Rendered) []message.Outcome {
	<-ctx.Done()
	out := make([]message.Outcome, len(m))
	for i := range out {
		out[i] = message.Outcome{Verdict: message.NotSent, Reason: "provider_unreachable"}
	}
	return out
}

// A provider hangs with its large window full; a small one beside it is well.
func TestAProviderThatHangsDoesNotHoldUpItsNeighbour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.cfg.Providers["small"] = b.sink
		b.cfg.Providers["main"] = hung{}
		b.cfg.Limits = map[string]delivery.Limits{"small": {Concurrency: 1}}
		b.cfg.Default = "main"
		b.open()
		defer b.kill()
		for range 1000 {
			b.wake(b.owe(nil))
		}
		time.Sleep(2 * time.Second)
		m := b.owe(func(in *message.Intent) { in.Provider, in.Class = "small", message.Transactional })
		b.wake(m)
		time.Sleep(10 * time.Second)
		if got := b.mail(m).State; got != message.Accepted {
			t.Errorf("after ten seconds the mail of the healthy provider is %v: %v", got, b.story(m))
		}
	})
}

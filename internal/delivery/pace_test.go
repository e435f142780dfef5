package delivery_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/delivery/deliverytest"
	"rapport/internal/id"
	"rapport/internal/message"
)

func to(address string) func(*message.Intent) {
	return func(in *message.Intent) { in.To = address }
}

// Fault 8: a storm of temporary refusals from one domain slows that domain only,
// and burns no attempts.
func TestAStormFromOneDomainSlowsThatDomainOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.sink.Can.Concurrency = 8
		storm, tries := true, 0
		var mu sync.Mutex
		b.sink.Answer = func(_ context.Context, m *message.Rendered) message.Outcome {
			time.Sleep(5 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			if strings.HasSuffix(m.To.Email, "@storm.example") {
				tries++
				if storm {
					return message.Outcome{Verdict: message.TryLater, Code: 451, Enhanced: "4.7.1", Reason: "throttled"}
				}
			}
			return message.Outcome{Verdict: message.SentOK}
		}
		b.open()
		defer b.close()
		begun := time.Now()
		var stormy, calm []id.Message
		for i := range 300 {
			stormy = append(stormy, b.owe(to(fmt.Sprintf("p%d@storm.example", i))))
			calm = append(calm, b.owe(to(fmt.Sprintf("p%d@calm.example", i))))
		}
		b.wake(stormy...)
		b.wake(calm...)
		for _, m := range calm {
			for b.mail(m).State != message.Accepted {
				time.Sleep(5 * time.Millisecond)
			}
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("the calm domain took %s", took)
		}
		time.Sleep(time.Hour)
		mu.Lock()
		if tries > 200 {
			t.Errorf("%d tries in an hour of storm, want about one a minute", tries)
		}
		storm = false
		mu.Unlock()
		for _, m := range stormy {
			if s := b.mail(m).State; s.Final() {
				t.Fatalf("a mail ended in the storm: %v", b.story(m))
			}
		}
		time.Sleep(12 * time.Hour)
		for _, m := range stormy {
			if got := b.mail(m); got.State != message.Accepted || b.sink.To(got.To) != 1 {
				t.Fatalf("after the storm: %v", b.story(m))
			}
		}
	})
}

// Fault 9: 550 5.7.515 and other 5.7.x blame us: nobody is suppressed, the
// stream stands still, and somebody hears of it.
func TestARefusalForOurFaultPausesTheStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		tries, broken := 0, true
		var mu sync.Mutex
		b.sink.Answer = func(_ context.Context, m *message.Rendered) message.Outcome {
			mu.Lock()
			defer mu.Unlock()
			if strings.HasSuffix(m.To.Email, "@strict.example") {
				tries++
				if broken {
					return message.Outcome{Verdict: message.ProviderFault, Code: 550, Enhanced: "5.7.515", Reason: "policy"}
				}
			}
			return message.Outcome{Verdict: message.SentOK}
		}
		b.sink.Can.Concurrency = 4
		b.open()
		defer b.close()
		var strict, other []id.Message
		for i := range 100 {
			strict = append(strict, b.owe(to(fmt.Sprintf("p%d@strict.example", i))))
			other = append(other, b.owe(to(fmt.Sprintf("p%d@other.example", i))))
		}
		b.wake(strict...)
		b.wake(other...)
		time.Sleep(10 * time.Minute)
		mu.Lock()
		if tries > 4 {
			t.Errorf("%d tries against a wall, want as many as were on the wire", tries)
		}
		broken = false
		mu.Unlock()
		for _, m := range other {
			if b.mail(m).State != message.Accepted {
				t.Fatalf("another domain was held: %v", b.story(m))
			}
		}
		if got := b.events(); got["Email Bounced"] != 0 {
			t.Errorf("events = %v", got)
		}
		if log := b.log.String(); !strings.Contains(log, "alert=provider_paused") || !strings.Contains(log, "domain=strict.example") || strings.Contains(log, "@") {
			t.Errorf("log = %s", log)
		}
		time.Sleep(6 * time.Hour)
		for _, m := range strict {
			if b.mail(m).State != message.Accepted {
				t.Fatalf("after it was mended: %v", b.story(m))
			}
		}
	})
}

func TestAProviderThatRefusesUsIsPausedAsAWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.sink.Can.Concurrency = 2
		tries := 0
		var mu sync.Mutex
		b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
			mu.Lock()
			defer mu.Unlock()
			tries++
			return message.Outcome{Verdict: message.ProviderFault, Code: 535, Enhanced: "5.7.8", Reason: "provider_authentication"}
		}
		b.open()
		defer b.close()
		var ids []id.Message
		for i := range 100 {
			ids = append(ids, b.owe(to(fmt.Sprintf("p%d@d%d.example", i, i))))
		}
		b.wake(ids...)
		time.Sleep(14 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if tries > 2 {
			t.Errorf("%d tries, want 2", tries)
		}
		for _, m := range ids {
			if b.mail(m).State.Final() {
				t.Fatalf("a mail ended: %v", b.story(m))
			}
		}
	})
}

func TestTheBreakerOpensProbesAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.sink.Can.Concurrency = 4
		down, tries := true, 0
		var mu sync.Mutex
		b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
			mu.Lock()
			defer mu.Unlock()
			if tries++; down {
				return message.Outcome{Verdict: message.NotSent, Reason: "provider_unreachable"}
			}
			return message.Outcome{Verdict: message.SentOK}
		}
		b.open()
		defer b.close()
		for i := range 500 {
			b.owe(to(fmt.Sprintf("p%d@d%d.example", i, i%7)))
		}
		b.wake()
		time.Sleep(time.Hour)
		mu.Lock()
		if tries > 60 {
			t.Errorf("%d tries in an hour of outage", tries)
		}
		log := b.log.String()
		warned, paused := strings.Index(log, "reason=provider_unreachable"), strings.Index(log, "alert=provider_paused")
		// Two workers may say their lines in either order.
		if warned < 0 || paused < 0 || strings.Count(log, "trying again") != 1 || strings.Contains(log, "@") {
			t.Errorf("log = %s", log)
		}
		down = false
		mu.Unlock()
		time.Sleep(6 * time.Hour)
		if got := b.counts(); got[message.Accepted] != 500 || b.sink.Most() != 1 {
			t.Errorf("states %v", got)
		}
	})
}

// Fault 13: a provider that says nothing for ten minutes holds up its own places
// only, and no longer than its deadline.
func TestAHangingProviderHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		stuck := &deliverytest.Provider{Can: delivery.Capabilities{Concurrency: 4}}
		stuck.Answer = func(ctx context.Context, _ *message.Rendered) message.Outcome {
			<-ctx.Done()
			return message.Outcome{Verdict: message.NotSent, Reason: "provider_unreachable"}
		}
		b.cfg.Providers = map[string]delivery.Provider{"main": b.sink, "stuck": stuck}
		b.cfg.Default = "main"
		b.open()
		defer b.close()
		var last []id.Message
		for range 1000 {
			b.owe(func(in *message.Intent) { in.Provider, in.Class = "stuck", message.Transactional })
		}
		for range 300 {
			last = append(last, b.owe(nil))
		}
		b.wake()
		time.Sleep(5 * time.Second)
		if b.sink.Total() != 300 {
			t.Errorf("the other provider sent %d, want 300", b.sink.Total())
		}
		for _, m := range last {
			if b.mail(m).State != message.Accepted {
				t.Fatalf("story %v", b.story(m))
			}
		}
		time.Sleep(12 * time.Minute)
		if n := b.counts()[message.HandingOver]; n > 4 {
			t.Errorf("%d mails are being handed over to a provider with 4 places", n)
		}
	})
}

func TestFailOver(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		outcome message.Outcome
		want    int // mails that the second provider got
	}{
		{"after definite refusals", message.Outcome{Verdict: message.NotSent, Reason: "provider_unreachable"}, 50},
		{"never from unknown, for marketing", message.Outcome{Verdict: message.MaybeSent, Reason: "cut"}, 0},
	}
	for _, tt := range tests {
		run(t, tt.name, func(t *testing.T, b *bundle) {
			second := &deliverytest.Provider{}
			b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome { return tt.outcome }
			b.cfg.Providers = map[string]delivery.Provider{"main": b.sink, "second": second}
			b.cfg.Default = "main"
			b.cfg.Limits = map[string]delivery.Limits{"main": {Fallback: "second"}}
			b.open()
			defer b.close()
			for range 50 {
				b.owe(nil)
			}
			b.wake()
			time.Sleep(6 * time.Hour)
			if second.Total() != tt.want || second.Most() > 1 {
				t.Errorf("the second provider got %d, want %d; states %v", second.Total(), tt.want, b.counts())
			}
		})
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits delivery.Limits
		least  time.Duration
		most   time.Duration
	}{
		{"none", delivery.Limits{}, 0, time.Second},
		{"a provider at 10 a second", delivery.Limits{Rate: 10}, 29 * time.Second, 36 * time.Second},
		{"a domain at 10 a second", delivery.Limits{DomainRate: 10}, 9 * time.Second, 12 * time.Second},
	}
	for _, tt := range tests {
		run(t, tt.name, func(t *testing.T, b *bundle) {
			b.cfg.Limits = map[string]delivery.Limits{"main": tt.limits}
			b.open()
			defer b.close()
			begun := time.Now()
			for i := range 300 {
				b.owe(to(fmt.Sprintf("p%d@d%d.example", i, i%3)))
			}
			b.wake()
			<-b.sink.Reached(300)
			if took := time.Since(begun); took < tt.least || took > tt.most {
				t.Errorf("took %s, want %s to %s", took, tt.least, tt.most)
			}
		})
	}
}

func TestGivingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		tries := 0
		b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
			tries++
			return message.Outcome{Verdict: message.TryLater, Code: 450, Reason: "greylisted"}
		}
		b.open()
		defer b.close()
		m := b.owe(class(message.Transactional))
		b.wake(m)
		time.Sleep(72 * time.Hour)
		if got := b.mail(m); got.State != message.Failed {
			t.Errorf("story %v", b.story(m))
		}
		if got := b.events(); got["Email Bounced"] != 1 {
			t.Errorf("events %v", got)
		}
		if tries < 15 || tries > 40 {
			t.Errorf("%d tries in two days", tries)
		}
	})
}

func TestWritesShareTransactions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.mem.BeforeCommit(func(storeOptions) error {
			time.Sleep(2 * time.Millisecond) // an fsync
			return nil
		})
		for range 640 {
			b.owe(nil)
		}
		before, _ := b.mem.Commits()
		begun := time.Now()
		b.open()
		defer b.close()
		<-b.sink.Reached(640)
		b.settle()
		after, _ := b.mem.Commits()
		if n := after - before; n > 100 {
			t.Errorf("%d commits for 640 mails at 32 places, want about 45", n)
		}
		if took := time.Since(begun); took > 250*time.Millisecond {
			t.Errorf("took %s", took)
		}
	})
}

func TestAnOperatorSeesAndEndsAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		broken := true
		b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
			if broken {
				return message.Outcome{Verdict: message.ProviderFault, Reason: "provider_authentication"}
			}
			return message.Outcome{Verdict: message.SentOK}
		}
		b.open()
		defer b.close()
		b.wake(b.owe(nil))
		b.settle()
		lanes := b.d.Lanes()
		if len(lanes) != 1 || lanes[0].Paused != "provider_authentication" || lanes[0].For < 15*time.Minute || lanes[0].Claimed != 0 {
			t.Errorf("lanes %+v", lanes)
		}
		broken = false
		if err := b.d.Resume("main"); err != nil {
			t.Fatal(err)
		}
		b.wake(b.owe(nil))
		b.settle()
		if lanes := b.d.Lanes(); lanes[0].Paused != "" || b.sink.Total() != 1 {
			t.Errorf("lanes %+v, sent %d", lanes, b.sink.Total())
		}
		if err := b.d.Resume("none"); err == nil {
			t.Error("an unknown provider was resumed")
		}
	})
}

func TestALostConnectionIsTriedAgainSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		lost := false
		b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
			if lost = !lost; lost {
				return message.Outcome{Verdict: message.NotSent, Reason: "provider_connection_lost"}
			}
			return message.Outcome{Verdict: message.SentOK}
		}
		b.open()
		defer b.close()
		begun := time.Now()
		m := b.owe(nil)
		b.wake(m)
		<-b.sink.Reached(1)
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("the next try came after %s", took)
		}
		b.settle()
		b.wantStory(m, "pending claimed handing_over deferred:provider_connection_lost claimed handing_over accepted")
	})
}

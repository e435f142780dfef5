package delivery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

func class(c message.Class) func(*message.Intent) {
	return func(in *message.Intent) { in.Class = c }
}

// Fault 1: the process is killed between claim and network.
func TestKilledBetweenClaimAndNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		claimed, release := make(chan struct{}), make(chan struct{})
		b.draw.fn = func(_ context.Context, in message.Intent, _ time.Time) (message.Rendered, []byte, error) {
			close(claimed)
			<-release
			return plain(in), nil, nil
		}
		b.open()
		m := b.owe(nil)
		b.wake(m)
		<-claimed
		b.life.dead.Store(true)
		close(release)
		b.kill()
		b.draw.fn = nil
		b.open()
		defer b.close()
		b.settle()
		b.wantStory(m, "pending claimed pending:lease_ended claimed handing_over accepted")
		if b.sink.Total() != 1 {
			t.Errorf("sent %d, want 1", b.sink.Total())
		}
	})
}

// Faults 2 and 3: the mail arrived and nobody wrote it down, because the process
// was killed or the connection was cut behind the final dot.
func TestUnknownEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		class  message.Class
		killed bool
		can    delivery.Capabilities
		sent   int
		story  string
	}{
		{name: "marketing, killed", class: message.Triggered, killed: true, sent: 1,
			story: "pending claimed handing_over unknown:no_outcome resolved:not_repeated"},
		{name: "broadcast, killed", class: message.Broadcast, killed: true, sent: 1,
			story: "pending claimed handing_over unknown:no_outcome resolved:not_repeated"},
		{name: "transactional, killed", class: message.Transactional, killed: true, sent: 2,
			story: "pending claimed handing_over unknown:no_outcome pending:send_again claimed handing_over accepted"},
		{name: "marketing, cut after the dot", class: message.Triggered, sent: 1,
			story: "pending claimed handing_over unknown:cut resolved:not_repeated"},
		{name: "transactional, cut after the dot", class: message.Transactional, sent: 2,
			story: "pending claimed handing_over unknown:cut pending:send_again claimed handing_over accepted"},
		{name: "a provider that knows keys, marketing", class: message.Triggered, killed: true, sent: 2,
			can:   delivery.Capabilities{Idempotency: 24 * time.Hour},
			story: "pending claimed handing_over unknown:no_outcome claimed:repeat_same_key handing_over accepted"},
		{name: "a provider that knows keys, cut", class: message.Transactional, sent: 2,
			can:   delivery.Capabilities{Idempotency: 24 * time.Hour},
			story: "pending claimed handing_over unknown:cut claimed:repeat_same_key handing_over accepted"},
		{name: "a provider that reports is waited for", class: message.Transactional, sent: 2,
			can:   delivery.Capabilities{Reports: 15 * time.Minute},
			story: "pending claimed handing_over unknown:cut pending:send_again claimed handing_over accepted"},
	}
	for _, tt := range tests {
		run(t, tt.name, func(t *testing.T, b *bundle) {
			b.sink.Can = tt.can
			first := true
			b.sink.Arrived = func(*message.Rendered) bool { return true }
			b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
				if !first {
					return message.Outcome{Verdict: message.SentOK}
				}
				first = false
				if tt.killed {
					b.life.dead.Store(true)
					return message.Outcome{Verdict: message.SentOK}
				}
				return message.Outcome{Verdict: message.MaybeSent, Reason: "cut"}
			}
			b.open()
			m := b.owe(class(tt.class))
			b.wake(m)
			<-b.sink.Reached(1)
			if tt.killed {
				b.kill()
				b.open()
			}
			defer b.close()
			if tt.can.Reports > 0 {
				time.Sleep(tt.can.Reports - time.Minute)
				b.wantStory(m, "pending claimed handing_over unknown:cut")
			}
			time.Sleep(30 * time.Minute)
			b.settle()
			b.wantStory(m, tt.story)
			if b.sink.Total() != tt.sent {
				t.Errorf("arrived %d times, want %d", b.sink.Total(), tt.sent)
			}
			again := tt.sent == 2 && tt.can.Idempotency == 0
			if got := b.mail(m).Duplicate; got != again {
				t.Errorf("duplicate_possible = %v, want %v", got, again)
			}
			ids := map[string]bool{}
			keys := map[id.Message]bool{}
			for _, g := range b.sink.All() {
				ids[g.MessageID], keys[g.Mail.ID] = true, true
			}
			if len(ids) != 1 || len(keys) != 1 {
				t.Errorf("Message-IDs %v, keys %v, want one each", ids, keys)
			}
			if got := b.events(); got["Email Sent"] != 1 || len(got) != 1 {
				t.Errorf("events = %v, want one", got)
			}
		})
	}
}

func TestTransactionalIsNotRepeatedForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.sink.Arrived = func(*message.Rendered) bool { return true }
		b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
			return message.Outcome{Verdict: message.MaybeSent, Reason: "cut"}
		}
		b.open()
		defer b.close()
		m := b.owe(class(message.Transactional))
		b.wake(m)
		time.Sleep(48 * time.Hour)
		b.settle()
		if got := b.mail(m); got.State != message.Resolved || b.sink.Total() != 3 {
			t.Errorf("state %s after %d copies, want resolved after 3", got.State, b.sink.Total())
		}
	})
}

func TestAReportResolvesAnUnknownEnd(t *testing.T) {
	t.Parallel()
	for verdict, want := range map[message.Verdict]string{message.SentOK: "Email Sent", message.Refused: "Email Bounced"} {
		run(t, want, func(t *testing.T, b *bundle) {
			b.sink.Can.Reports = time.Hour
			b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
				return message.Outcome{Verdict: message.MaybeSent, Reason: "cut"}
			}
			b.open()
			defer b.close()
			m := b.owe(nil)
			b.wake(m)
			b.settle()
			for _, first := range []bool{true, false} {
				done, err := b.d.Resolve(t.Context(), m, message.Outcome{Verdict: verdict, Reason: "reported"})
				if err != nil || done != first {
					t.Errorf("Resolve = %v, %v, want %v", done, err, first)
				}
			}
			time.Sleep(48 * time.Hour)
			b.wantStory(m, "pending claimed handing_over unknown:cut resolved:reported")
			if got := b.events(); got[want] != 1 || len(got) != 1 {
				t.Errorf("events = %v, want %s", got, want)
			}
			if _, err := b.d.Resolve(t.Context(), m, message.Outcome{Verdict: message.TryLater}); err == nil {
				t.Error("a wait is taken for an end")
			}
		})
	}
}

// Fault 41: two workers claim one mail; a lease ends during a slow send; a result
// comes under an old token.
func TestTwoDispatchersSendOnce(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, b *bundle) {
		b.open()
		defer b.close()
		other := b.cfg
		d2, err := delivery.New(other)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d2.Run(ctx) }()
		synctest.Wait()
		var ids []id.Message
		for range 500 {
			ids = append(ids, b.owe(nil))
		}
		b.wake(ids...)
		d2.Wake(ids...)
		b.settle()
		if err := d2.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if b.sink.Total() != 500 || b.sink.Most() != 1 || b.counts()[message.Accepted] != 500 {
			t.Errorf("arrived %d, at most %d each, states %v", b.sink.Total(), b.sink.Most(), b.counts())
		}
	})
}

func TestALateResultIsRecordedNotApplied(t *testing.T) {
	t.Parallel()
	for _, c := range []message.Class{message.Triggered, message.Transactional} {
		lateResult(t, c)
	}
}

func lateResult(t *testing.T, c message.Class) {
	t.Helper()
	t.Run(c.String(), func(t *testing.T) {
		t.Parallel()
		overStores(t, func(t *testing.T, b *bundle) {
			slow := make(chan struct{})
			first := true
			b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
				if first {
					first = false
					<-slow // deaf to its context, and longer than the lease
				}
				return message.Outcome{Verdict: message.SentOK}
			}
			b.cfg.UnknownGrace = 100 * time.Hour
			b.open()
			m := b.owe(class(c))
			b.wake(m)
			time.Sleep(30 * time.Minute) // the lease of 15 minutes has ended
			close(slow)
			b.settle()
			time.Sleep(time.Minute)
			b.settle()
			late := 0
			for _, s := range b.story(m) {
				if s == "accepted:late_result" {
					late++
				}
			}
			want, copies := message.Uncertain, 1
			if c == message.Transactional {
				want, copies = message.Accepted, 2
			}
			if got := b.mail(m).State; got != want || late != 1 || b.sink.Total() != copies {
				t.Errorf("state %s, story %v, %d copies; want %s with one late result, %d copies", got, b.story(m), b.sink.Total(), want, copies)
			}
			b.close()
		})
	})
}

func TestARenderThatOutlivesItsLease(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, b *bundle) {
		stuck := make(chan struct{})
		first := true
		b.draw.fn = func(_ context.Context, in message.Intent, _ time.Time) (message.Rendered, []byte, error) {
			if first {
				first = false
				<-stuck
			}
			return plain(in), nil, nil
		}
		b.open()
		defer b.close()
		m := b.owe(func(in *message.Intent) { in.ValidUntil = in.Decided.Add(100 * time.Hour) })
		b.wake(m)
		time.Sleep(20 * time.Minute)
		b.wantStory(m, "pending claimed pending:lease_ended")
		close(stuck)
		b.settle()
		b.wantStory(m, "pending claimed pending:lease_ended claimed handing_over accepted")
		if b.sink.Total() != 1 {
			t.Errorf("arrived %d times", b.sink.Total())
		}
	})
}

func TestAGracefulStop(t *testing.T) {
	t.Parallel()
	run(t, "finishes what is on the wire and gives back the rest", func(t *testing.T, b *bundle) {
		b.sink.Can.Concurrency = 4
		b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
			time.Sleep(10 * time.Second)
			return message.Outcome{Verdict: message.SentOK}
		}
		b.open()
		var ids []id.Message
		for range 20 {
			ids = append(ids, b.owe(nil))
		}
		b.wake(ids...)
		time.Sleep(time.Second)
		b.close()
		if got := b.counts(); got[message.Accepted] != 4 || got[message.Pending] != 16 || b.sink.Total() != 4 {
			t.Errorf("states %v, arrived %d; want 4 accepted and 16 pending", got, b.sink.Total())
		}
		if strings.Contains(b.log.String(), "on the wire") {
			t.Errorf("log %s", b.log.String())
		}
	})
	run(t, "leaves what does not end in 30 s and says how many", func(t *testing.T, b *bundle) {
		b.sink.Answer = func(ctx context.Context, _ *message.Rendered) message.Outcome {
			<-ctx.Done()
			return message.Outcome{Verdict: message.MaybeSent, Reason: "cut"}
		}
		b.open()
		b.wake(b.owe(nil), b.owe(nil), b.owe(nil))
		time.Sleep(time.Second)
		begun := time.Now()
		b.close()
		if took := time.Since(begun); took != 30*time.Second {
			t.Errorf("stopping took %s, want 30s", took)
		}
		if !strings.Contains(b.log.String(), "mails=3") || b.counts()[message.Uncertain] != 3 {
			t.Errorf("states %v, log %s", b.counts(), b.log.String())
		}
	})
	run(t, "Drain tells what is left", func(t *testing.T, b *bundle) {
		b.sink.Answer = func(ctx context.Context, _ *message.Rendered) message.Outcome {
			<-ctx.Done()
			return message.Outcome{Verdict: message.MaybeSent, Reason: "cut"}
		}
		b.open()
		b.wake(b.owe(nil), b.owe(nil))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if n := b.d.Drain(ctx); n != 2 {
			t.Errorf("Drain = %d, want 2", n)
		}
		b.close()
	})
}

func TestOutcomesAreWrittenWhenTheDiskIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		full := fmt.Errorf("disk full")
		var mu sync.Mutex
		var err error
		set := func(e error) {
			mu.Lock()
			defer mu.Unlock()
			err = e
		}
		b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
			set(full)
			return message.Outcome{Verdict: message.SentOK}
		}
		b.open()
		defer b.close()
		b.mem.BeforeCommit(func(storeOptions) error {
			mu.Lock()
			defer mu.Unlock()
			return err
		})
		m := b.owe(nil)
		b.wake(m)
		time.Sleep(5 * time.Minute)
		if got := b.mail(m).State; got != message.HandingOver {
			t.Errorf("state %s with a full disk", got)
		}
		set(nil)
		time.Sleep(time.Minute)
		b.wantStory(m, "pending claimed handing_over accepted")
		if b.sink.Total() != 1 {
			t.Errorf("arrived %d times", b.sink.Total())
		}
	})
}

// A seeded life: the process is killed again and again at random instants while
// the provider fails in every way. Nobody gets marketing twice, every mail comes
// to an end, and never more ends are unknown than mails were on the wire.
func TestManyKills(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		run(t, fmt.Sprintf("seed %d", seed), func(t *testing.T, b *bundle) { manyKills(t, b, seed) })
	}
}

func manyKills(t *testing.T, b *bundle, seed uint64) {
	const rounds, each, wire = 6, 40, 8
	rnd := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	chance := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rnd.IntN(n)
	}
	b.sink = &deliverytest.Provider{Can: delivery.Capabilities{Concurrency: wire}}
	b.cfg.Providers = map[string]delivery.Provider{"main": b.sink}
	b.sink.Arrived = func(*message.Rendered) bool { return chance(2) == 0 }
	b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
		time.Sleep(time.Duration(chance(20)) * time.Millisecond)
		switch chance(20) {
		case 0:
			return message.Outcome{Verdict: message.MaybeSent, Reason: "cut"}
		case 1:
			return message.Outcome{Verdict: message.NotSent, Reason: "reset"}
		case 2:
			return message.Outcome{Verdict: message.TryLater, Reason: "try_later"}
		case 3:
			return message.Outcome{Verdict: message.Refused, Reason: "mailbox_unknown"}
		}
		return message.Outcome{Verdict: message.SentOK}
	}
	for range rounds {
		b.open()
		for range each {
			m := b.owe(class(message.Class(1 + chance(3))))
			if chance(3) > 0 {
				b.wake(m)
			} else {
				b.wake()
			}
		}
		time.Sleep(time.Duration(chance(60_000)) * time.Microsecond)
		b.kill()
		if n := b.counts()[message.HandingOver]; n > wire {
			t.Errorf("%d mails without outcome after a kill, the wire holds %d", n, wire)
		}
	}
	b.open()
	time.Sleep(72 * time.Hour)
	b.settle()
	b.close()
	total := int64(0)
	for s, n := range b.counts() {
		if !s.Final() {
			t.Errorf("%d mails ended as %s", n, s)
		}
		total += n
	}
	if total != rounds*each {
		t.Errorf("%d mails, want %d", total, rounds*each)
	}
	for i := 1; i <= rounds*each; i++ {
		b.checkEnd(id.Person(i))
	}
}

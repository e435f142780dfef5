package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rapport/internal/delivery"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/spec"
	"rapport/internal/store"
)

func (b *bundle) wantStory(m id.Message, want string) {
	b.t.Helper()
	if got := fmt.Sprint(b.story(m)); got != "["+want+"]" {
		b.t.Errorf("story = %v, want [%s]", got, want)
	}
}

func TestHandOverIsDurableBeforeAByteLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.sink.Answer = func(_ context.Context, m *message.Rendered) message.Outcome {
			_, durable := b.mem.Commits()
			if got := b.mail(m.ID); got.State != message.HandingOver || durable == 0 || got.MessageID != m.MessageID {
				t.Errorf("while sending the mail is %s, %d durable commits, Message-ID %q", got.State, durable, got.MessageID)
			}
			return message.Outcome{Verdict: message.SentOK}
		}
		b.open()
		defer b.close()
		b.wake(b.owe(nil))
		b.settle()
		if b.sink.Total() != 1 {
			t.Errorf("sent %d", b.sink.Total())
		}
	})
}

func TestHandOverReadsEverythingAgain(t *testing.T) {
	t.Parallel()
	noon := func(h int) outbox.Quiet { return outbox.Quiet{From: 0, Until: time.Duration(h) * time.Hour} } // synctest begins at midnight
	tests := []struct {
		name  string
		bend  func(b *bundle)
		mail  func(*message.Intent)
		story string
		sent  int
		event string
	}{
		{name: "all holds", story: "pending claimed handing_over accepted", sent: 1, event: "Email Sent"},
		{name: "permission withdrawn between claim and hand-over", bend: func(b *bundle) {
			b.draw.fn = func(_ context.Context, in message.Intent, _ time.Time) (message.Rendered, []byte, error) {
				b.gate.set(func(*outbox.Mail) (bool, string, []byte, error) {
					return false, "consent_withdrawn", []byte(`{"purpose":"x"}`), nil
				})
				return plain(in), nil, nil
			}
		}, story: "pending claimed skipped:consent_withdrawn", event: "Email Skipped"},
		{name: "the gate is given the address about to be mailed", bend: func(b *bundle) {
			b.gate.set(func(m *outbox.Mail) (bool, string, []byte, error) {
				return m.To != "p1@mail.example", "suppressed", nil, nil
			})
		}, story: "pending claimed skipped:suppressed", event: "Email Skipped"},
		{name: "expired in the queue", mail: func(in *message.Intent) { in.ValidUntil = in.Decided.Add(-time.Second) },
			story: "pending skipped:expired", event: "Email Skipped"},
		{name: "expired while rendering", bend: func(b *bundle) {
			b.draw.fn = func(_ context.Context, in message.Intent, _ time.Time) (message.Rendered, []byte, error) {
				time.Sleep(2 * time.Second)
				return plain(in), nil, nil
			}
		}, mail: func(in *message.Intent) { in.ValidUntil = in.Decided.Add(time.Second) },
			story: "pending claimed skipped:expired", event: "Email Skipped"},
		{name: "marketing is valid for a day", bend: func(b *bundle) {
			b.gate.set(func(*outbox.Mail) (bool, string, []byte, error) { return false, "", nil, errors.New("down") })
		}, mail: func(in *message.Intent) {
			in.Decided = in.Decided.Add(-24*time.Hour - time.Second)
			in.Due = in.Decided
		},
			story: "pending skipped:expired", event: "Email Skipped"},
		{name: "quiet hours end in time", bend: func(b *bundle) { b.cfg.Rules.Quiet = noon(7) },
			story: "pending claimed deferred:quiet_hours"},
		{name: "quiet hours end too late", bend: func(b *bundle) { b.cfg.Rules.Quiet = noon(7) },
			mail:  func(in *message.Intent) { in.ValidUntil = in.Decided.Add(time.Hour) },
			story: "pending claimed skipped:quiet_hours", event: "Email Skipped"},
		{name: "transactional knows no quiet hours", bend: func(b *bundle) { b.cfg.Rules.Quiet = noon(7) },
			mail:  func(in *message.Intent) { in.Class = message.Transactional },
			story: "pending claimed handing_over accepted", sent: 1, event: "Email Sent"},
		{name: "a missing provider is waited for", mail: func(in *message.Intent) { in.Provider = "gone" },
			story: "pending deferred:provider_missing"},
		{name: "a template that fails", bend: func(b *bundle) {
			b.draw.fn = func(context.Context, message.Intent, time.Time) (message.Rendered, []byte, error) {
				return message.Rendered{}, nil, fault.New(fault.Invalid, "template", "no such template")
			}
		}, story: "pending claimed failed:template", event: "Email Skipped"},
		{name: "a person without address", bend: func(b *bundle) {
			b.draw.fn = func(context.Context, message.Intent, time.Time) (message.Rendered, []byte, error) {
				return message.Rendered{}, nil, fault.New(fault.NotFound, "no_address", "nobody to write to")
			}
		}, story: "pending claimed skipped:no_address", event: "Email Skipped"},
		{name: "a feed that is away for now", bend: func(b *bundle) {
			b.draw.fn = func(context.Context, message.Intent, time.Time) (message.Rendered, []byte, error) {
				return message.Rendered{}, nil, fault.New(fault.Unavailable, "feed", "later")
			}
		}, story: "pending claimed deferred:feed"},
		{name: "a renderer that panics", bend: func(b *bundle) {
			b.draw.fn = func(context.Context, message.Intent, time.Time) (message.Rendered, []byte, error) { panic("boom") }
		}, story: "pending claimed failed:render_panic", event: "Email Skipped"},
	}
	for _, tt := range tests {
		run(t, tt.name, func(t *testing.T, b *bundle) {
			if tt.bend != nil {
				tt.bend(b)
			}
			b.cfg.Skips = &delivery.Skips{}
			b.open()
			defer b.close()
			m := b.owe(tt.mail)
			b.wake(m)
			b.settle()
			b.wantStory(m, tt.story)
			counted := map[string]int64(nil)
			if _, reason, ok := strings.Cut(tt.story, "skipped:"); ok {
				counted = map[string]int64{reason: 1}
			}
			if diff := cmp.Diff(counted, b.cfg.Skips.Counts(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("skips by reason (-want +got):\n%s", diff)
			}
			if b.sink.Total() != tt.sent {
				t.Errorf("sent %d, want %d", b.sink.Total(), tt.sent)
			}
			want := map[string]int{}
			if tt.event != "" {
				want[tt.event] = 1
			}
			if got := b.events(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("events = %v, want %v", got, want)
			}
		})
	}
}

func TestAGateThatCannotAnswerLetsNothingPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.gate.set(func(*outbox.Mail) (bool, string, []byte, error) {
			return true, "", nil, errors.New("consent store is away")
		})
		b.open()
		defer b.close()
		m := b.owe(nil)
		b.wake(m)
		b.settle()
		b.wantStory(m, "pending claimed deferred:gate_unavailable")
		b.gate.set(nil)
		time.Sleep(2 * time.Minute)
		b.settle()
		if b.sink.Total() != 1 {
			t.Errorf("sent %d after the gate came back, want 1", b.sink.Total())
		}
	})
}

func TestMailsWaitForTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.cfg.Rules.Quiet = outbox.Quiet{From: 0, Until: 7 * time.Hour}
		b.open()
		defer b.close()
		start := time.Now()
		var when []time.Duration
		b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
			when = append(when, time.Since(start).Round(time.Second))
			return message.Outcome{Verdict: message.SentOK}
		}
		later := b.owe(func(in *message.Intent) { in.Due = in.Decided.Add(9 * time.Hour) })
		quiet := b.owe(nil)
		b.wake(later, quiet)
		time.Sleep(10 * time.Hour)
		b.settle()
		if got, want := fmt.Sprint(when), "[7h0m0s 9h0m0s]"; got != want {
			t.Errorf("sent at %v, want %v", got, want)
		}
	})
}

func TestCaps(t *testing.T) {
	t.Parallel()
	one := func(class message.Class) func(*message.Intent) {
		return func(in *message.Intent) { in.Person, in.Class = 1, class }
	}
	run(t, "the third of two is skipped, transactional does not count", func(t *testing.T, b *bundle) {
		b.cfg.Rules.Caps = []outbox.Cap{{Most: 2, Window: 24 * time.Hour}}
		b.open()
		defer b.close()
		var ids []id.Message
		for _, c := range []message.Class{message.Triggered, message.Transactional, message.Triggered, message.Triggered, message.Transactional} {
			m := b.owe(one(c))
			ids = append(ids, m)
			b.wake(m)
			b.settle()
		}
		b.wantStory(ids[3], "pending claimed skipped:frequency_cap")
		if b.sink.Total() != 4 {
			t.Errorf("sent %d, want 4", b.sink.Total())
		}
		time.Sleep(24*time.Hour + time.Second)
		b.wake(b.owe(one(message.Triggered)))
		b.settle()
		if b.sink.Total() != 5 {
			t.Errorf("sent %d after the window, want 5", b.sink.Total())
		}
	})
	run(t, "many at once do not slip through together", func(t *testing.T, b *bundle) {
		b.cfg.Rules.Caps = []outbox.Cap{{Most: 2, Window: 24 * time.Hour}}
		b.open()
		defer b.close()
		var ids []id.Message
		for range 30 {
			ids = append(ids, b.owe(one(message.Triggered)))
		}
		b.wake(ids...)
		b.settle()
		if b.sink.Total() != 2 {
			t.Errorf("sent %d, want 2", b.sink.Total())
		}
	})
	for _, tt := range []struct {
		verdict message.Verdict
		next    int // whether the next mail may use the place
	}{{message.Refused, 1}, {message.MaybeSent, 0}, {message.SentOK, 0}, {message.TryLater, 0}} {
		run(t, fmt.Sprintf("after verdict %d", tt.verdict), func(t *testing.T, b *bundle) {
			b.cfg.Rules.Caps = []outbox.Cap{{Most: 1, Window: 24 * time.Hour}}
			verdict := tt.verdict
			b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome { return message.Outcome{Verdict: verdict} }
			b.open()
			defer b.close()
			b.wake(b.owe(one(message.Triggered)))
			b.settle()
			before := b.sink.Total()
			verdict = message.SentOK
			b.wake(b.owe(one(message.Triggered)))
			b.settle()
			if got := b.sink.Total() - before; got != tt.next {
				t.Errorf("the next mail was sent %d times, want %d", got, tt.next)
			}
		})
	}
	run(t, "a mail that comes back does not stand in its own way", func(t *testing.T, b *bundle) {
		b.cfg.Rules.Caps = []outbox.Cap{{Most: 1, Window: 24 * time.Hour}}
		refusals := 2
		b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
			if refusals--; refusals >= 0 {
				return message.Outcome{Verdict: message.TryLater, Reason: "try_later"}
			}
			return message.Outcome{Verdict: message.SentOK}
		}
		b.open()
		defer b.close()
		m := b.owe(one(message.Triggered))
		b.wake(m)
		time.Sleep(30 * time.Minute)
		b.settle()
		if b.mail(m).State != message.Accepted {
			t.Errorf("story %v", b.story(m))
		}
	})
}

func TestAMergedPersonIsRenderedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		merged := false
		b.draw.fn = func(_ context.Context, in message.Intent, _ time.Time) (message.Rendered, []byte, error) {
			if !merged {
				merged = true
				err := b.mem.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error { return tx.Outbox().Reassign(in.Person, 77) })
				if err != nil {
					t.Errorf("Reassign: %v", err)
				}
			}
			return plain(in), nil, nil
		}
		b.open()
		defer b.close()
		m := b.owe(nil)
		b.wake(m)
		b.settle()
		b.wantStory(m, "pending claimed pending:person_merged claimed handing_over accepted")
		if b.sink.To("p77@mail.example") != 1 || b.sink.Total() != 1 {
			t.Errorf("sent %v", b.sink.All())
		}
	})
}

func TestOrderOfSending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.sink.Can.Concurrency = 1
		var order strings.Builder
		b.sink.Answer = func(_ context.Context, m *message.Rendered) message.Outcome {
			time.Sleep(time.Millisecond)
			fmt.Fprint(&order, b.mail(m.ID).Class)
			return message.Outcome{Verdict: message.SentOK}
		}
		for i := range 60 {
			b.owe(func(in *message.Intent) { in.Class = message.Class(3 - i%3) })
		}
		b.open()
		defer b.close()
		b.settle()
		want := strings.Repeat("transactional", 20) + strings.Repeat("triggered", 20) + strings.Repeat("broadcast", 20)
		if got := order.String(); got != want {
			t.Errorf("order = %s", got)
		}
	})
}

func TestEventsTellTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.sink.Answer = func(context.Context, *message.Rendered) message.Outcome {
			return message.Outcome{Verdict: message.Refused, Code: 550, Enhanced: "5.1.1", Reason: "mailbox_unknown", Reply: "no <address>", Suppress: true}
		}
		b.open()
		defer b.close()
		m := b.owe(nil)
		b.wake(m)
		b.settle()
		list, err := b.mem.Events()
		if err != nil || len(list) != 1 {
			t.Fatalf("events %v, %v", list, err)
		}
		e := list[0]
		if e.Name != "Email Bounced" || e.MessageID != m.String()+"/failed" || e.Person != 1 || !e.Time.Equal(time.Now()) {
			t.Errorf("event %+v", e)
		}
		want := `{"message_id":"` + m.String() + `","email_id":"` + m.String() + `","email_subject":"Hello","campaign_id":"test","campaign_name":"test","template":"hello","purpose":"marketing.newsletter","class":"triggered","journey":"test","step":"mail","reason":"mailbox_unknown","provider":"main","code":550,"enhanced":"5.1.1","reply":"no \u003caddress\u003e","bounce":"hard"}`
		if got := string(e.Properties); got != want {
			t.Errorf("properties\n%s, want\n%s", got, want)
		}
		var c spec.Check
		if c.Properties(e.Name, e.Properties); len(c.Found) != 0 {
			t.Errorf("it is not as the spec has it: %+v", c.Found)
		}
	})
}

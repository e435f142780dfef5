package smtprelay_test

import (
	"testing"
	"time"

	"rapport/internal/delivery/deliverytest"
	smtprelay "rapport/internal/delivery/smtp"
	"rapport/internal/message"
)

// Fault 13: a server that drips its replies byte by byte keeps to no deadline by
// doing so: each bounds the whole reply, not the wait for its next byte.
func TestDrippingServersAreBounded(t *testing.T) {
	t.Parallel()
	const drip, short, long = 4 * time.Millisecond, 40 * time.Millisecond, 20 * time.Second
	tests := []struct {
		name     string
		timeouts smtprelay.Timeouts
		want     message.Verdict
	}{
		{"at the greeting", smtprelay.Timeouts{Greeting: short, Command: long, Data: long, Dot: long}, message.NotSent},
		{"at a command", smtprelay.Timeouts{Greeting: long, Command: short, Data: long, Dot: long}, message.NotSent},
		{"at the final dot", smtprelay.Timeouts{Greeting: long, Command: long, Data: long, Dot: short}, message.MaybeSent},
		{"nowhere too slow", smtprelay.Timeouts{Greeting: long, Command: long, Data: long, Dot: long}, message.SentOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sink(t, deliverytest.SinkConfig{Slow: drip})
			r := relay(t, s.Addr(), func(c *smtprelay.Config) { c.Timeouts = tt.timeouts })
			began := time.Now()
			if got := one(t, r, mailTo("a@b.example")); got.Verdict != tt.want {
				t.Errorf("verdict %d (%s), want %d", got.Verdict, got.Reason, tt.want)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

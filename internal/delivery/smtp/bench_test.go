package smtprelay_test

import (
	"bytes"
	"testing"
	"time"

	"rapport/internal/delivery/deliverytest"
	smtprelay "rapport/internal/delivery/smtp"
	"rapport/internal/message"
)

// BenchmarkSend sends mails of about 8 KB over one kept connection to a sink in
// the same process.
func BenchmarkSend(b *testing.B) {
	s, err := deliverytest.NewSink(deliverytest.SinkConfig{Slim: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r, err := smtprelay.New(smtprelay.Config{Addr: s.Addr(), TLS: smtprelay.None, Now: time.Now, Mono: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	m := mailTo("a@b.example")
	m.HTML = bytes.Repeat([]byte("<p style=\"margin:0\">Hello, here are the things you looked at.</p>\n"), 100)
	mails := []message.Rendered{m}
	b.ReportAllocs()
	for b.Loop() {
		if out := r.Send(b.Context(), mails); out[0].Verdict != message.SentOK {
			b.Fatalf("verdict %d (%s)", out[0].Verdict, out[0].Reason)
		}
	}
}

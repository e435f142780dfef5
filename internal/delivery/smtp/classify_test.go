package smtprelay_test

import (
	"strings"
	"testing"

	smtprelay "rapport/internal/delivery/smtp"
	"rapport/internal/message"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	const hard, counts, ignored = "hard", "counts", "ignored"
	tests := []struct {
		code     int
		enhanced string
		text     string
		verdict  message.Verdict
		reason   string
		bearing  string
	}{
		{550, "5.1.1", "no such user", message.Refused, "mailbox_unknown", hard},
		{550, "5.1.10", "null MX", message.Refused, "domain_unknown", hard},
		{553, "5.1.3", "bad syntax", message.Refused, "mailbox_unknown", hard},
		{551, "5.1.6", "moved", message.Refused, "mailbox_moved", hard},
		{550, "5.2.1", "disabled", message.Refused, "mailbox_inactive", hard},
		{552, "5.2.2", "mailbox full", message.Refused, "mailbox_full", counts},
		{552, "5.2.3", "too long", message.Refused, "too_large", ignored},
		{552, "5.3.4", "too big", message.Refused, "too_large", ignored},
		{552, "", "message exceeds the maximum size", message.Refused, "too_large", ignored},
		{552, "", "sorry", message.Refused, "too_large", ignored},
		{552, "", "over quota", message.Refused, "mailbox_full", counts},
		{554, "5.6.0", "content", message.Refused, "content_refused", ignored},
		{550, "5.7.515", "Access denied, sending domain does not meet the required authentication level", message.ProviderFault, "policy", ignored},
		{550, "5.7.1", "blocked", message.ProviderFault, "policy", ignored},
		{550, "5.7.1", "no such user here", message.ProviderFault, "policy", ignored},
		{554, "5.7.1", "Relay access denied", message.ProviderFault, "provider_relaying_denied", ignored},
		{550, "5.7.26", "unauthenticated mail", message.ProviderFault, "policy", ignored},
		{550, "5.7.0", "", message.ProviderFault, "policy", ignored},
		{550, "5.1.8", "bad sender", message.ProviderFault, "sender_refused", ignored},
		{500, "5.5.2", "syntax", message.Refused, "protocol", ignored},
		{550, "5.4.7", "expired", message.Refused, "delivery_expired", hard},
		{550, "5.4.6", "loop", message.Refused, "mail_loop", ignored},
		{550, "", "User unknown", message.Refused, "mailbox_unknown", hard},
		{550, "5.0.0", "The email account that you tried to reach does not exist", message.Refused, "mailbox_unknown", hard},
		{550, "", "blocked by our blacklist", message.ProviderFault, "policy", ignored},
		{554, "", "message looks like spam", message.Refused, "content_refused", ignored},
		{556, "", "no", message.Refused, "domain_unknown", hard},
		{550, "", "no", message.Refused, "refused", counts},
		{599, "5.9.9", "what", message.Refused, "refused", counts},
		{450, "4.2.0", "Greylisted, come back", message.TryLater, "greylisted", ignored},
		{451, "4.7.1", "later", message.TryLater, "throttled", ignored},
		{421, "4.7.0", "our system has detected an unusual rate", message.TryLater, "throttled", ignored},
		{452, "4.2.2", "full", message.TryLater, "mailbox_full", ignored},
		{451, "", "local error", message.TryLater, "try_later", ignored},
		{450, "4.4.7", "expired", message.Refused, "delivery_expired", hard},
	}
	for _, tt := range tests {
		o := smtprelay.Classify(tt.code, tt.enhanced, tt.text)
		bearing := ignored
		switch {
		case o.Suppress:
			bearing = hard
		case o.Counts:
			bearing = counts
		}
		if o.Verdict != tt.verdict || o.Reason != tt.reason || bearing != tt.bearing {
			t.Errorf("%d %s %q: verdict %d %s %s, want %d %s %s", tt.code, tt.enhanced, tt.text,
				o.Verdict, o.Reason, bearing, tt.verdict, tt.reason, tt.bearing)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(550, "5.7.1", "no <a@b.example>")
	f.Add(451, "", "x\r\ny\x00")
	f.Fuzz(func(t *testing.T, code int, enhanced, text string) {
		o := smtprelay.Classify(code, enhanced, text)
		if o.Verdict == message.SentOK || o.Verdict == message.MaybeSent || o.Verdict == 0 {
			t.Errorf("a refusal became verdict %d", o.Verdict)
		}
		if o.Suppress && strings.HasPrefix(enhanced, "5.7.") && enhanced != "5.7.17" && enhanced != "5.7.18" {
			t.Errorf("%s %q blames the address", enhanced, text)
		}
		if len(o.Reply) > 200 || strings.ContainsAny(o.Reply, "@\r\n\x00") {
			t.Errorf("reply %q", o.Reply)
		}
	})
}

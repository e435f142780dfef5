package smtprelay

import (
	"regexp"
	"strings"

	"rapport/internal/message"
)

// phase is the step of the conversation to which a reply belongs.
type phase uint8

// The phases of one mail.
const (
	atReset phase = iota
	atMail
	atRcpt
	atData
	atDot
)

// wants tells whether a reply lets the mail go on.
func (p phase) wants(code int) bool {
	if p == atData {
		return code == 354
	}
	return code/100 == 2
}

// judge gives the outcome of a refusal. Up to MAIL nothing about the recipient
// has been said, so a refusal concerns us and the provider as a whole; from RCPT
// on it concerns the recipient or the domain behind it.
func judge(at phase, p reply) message.Outcome {
	if at <= atMail {
		o := message.Outcome{Verdict: message.ProviderFault, Code: p.code, Enhanced: p.enhanced, Reason: "provider_sender_refused", Reply: words(p.text)}
		switch {
		case p.code/100 == 4:
			o.Verdict, o.Reason = message.TryLater, "provider_busy"
		case p.code == 530 || p.code == 535 || p.code == 538:
			o.Reason = "provider_authentication"
		case p.code == 552 || p.enhanced == "5.3.4":
			o.Verdict, o.Reason = message.Refused, "too_large"
		case p.code/100 != 5:
			o.Verdict, o.Reason = message.NotSent, "provider_out_of_step"
		}
		return o
	}
	return Classify(p.code, p.enhanced, p.text)
}

// class is what a kind of refusal means.
type class struct {
	verdict  message.Verdict
	reason   string
	suppress bool
	counts   bool
}

// The kinds. A permanent refusal is hard (the address is dead), counts (several
// in a row make it dead) or is ignored (it says nothing about the address).
var (
	noMailbox  = class{message.Refused, "mailbox_unknown", true, false}
	noDomain   = class{message.Refused, "domain_unknown", true, false}
	inactive   = class{message.Refused, "mailbox_inactive", true, false}
	moved      = class{message.Refused, "mailbox_moved", true, false}
	expired    = class{message.Refused, "delivery_expired", true, false}
	full       = class{message.Refused, "mailbox_full", false, true}
	tooLarge   = class{message.Refused, "too_large", false, false}
	content    = class{message.Refused, "content_refused", false, false}
	protocol   = class{message.Refused, "protocol", false, false}
	unrouted   = class{message.Refused, "unroutable", false, true}
	loop       = class{message.Refused, "mail_loop", false, false}
	unclear    = class{message.Refused, "refused", false, true}
	policy     = class{message.ProviderFault, "policy", false, false}
	sender     = class{message.ProviderFault, "sender_refused", false, false}
	relaying   = class{message.ProviderFault, "provider_relaying_denied", false, false}
	greylisted = class{message.TryLater, "greylisted", false, false}
	throttled  = class{message.TryLater, "throttled", false, false}
	fullNow    = class{message.TryLater, "mailbox_full", false, false}
	later      = class{message.TryLater, "try_later", false, false}
)

// byEnhanced reads RFC 3463 codes without their first digit, the longest match
// first: "1.1" before "1".
var byEnhanced = map[string]class{
	"1.1": noMailbox, "1.2": noDomain, "1.3": noMailbox, "1.4": noMailbox, "1.6": moved, "1.10": noDomain,
	"1.7": sender, "1.8": sender, "1": unclear,
	"2.1": inactive, "2.2": full, "2.3": tooLarge, "2": unclear,
	"3.4": tooLarge, "3": unclear,
	"4.4": unrouted, "4.6": loop, "4.7": expired, "4": unrouted,
	"5":    protocol,
	"6":    content,
	"7.17": moved, "7.18": moved, "7": policy,
}

// byText is the second resort, for servers that give no such code, or 5.0.0.
var byText = []struct {
	match *regexp.Regexp
	is    class
}{
	{regexp.MustCompile(`relay(ing)? (access )?(is )?(denied|not permitted|not allowed|prohibited)|not permitted to relay|unable to relay`), relaying},
	{regexp.MustCompile(`too (large|big)|exceeds? .*size|size .*exceed`), tooLarge},
	{regexp.MustCompile(`quota|mailbox (is )?full|over ?quota|insufficient .*storage`), full},
	{regexp.MustCompile(`(user|mailbox|recipient|address|account)[^.]{0,40}(unknown|not found|does ?n.t exist|does not exist|not exist|invalid|not available|no longer)|(unknown|no such|invalid|nonexistent) (user|mailbox|recipient|address|local)|no mailbox|not a valid (mailbox|recipient)`), noMailbox},
	{regexp.MustCompile(`(mailbox|account|user)[^.]{0,30}(disabled|inactive|suspended|deactivated)`), inactive},
	{regexp.MustCompile(`(domain|host)[^.]{0,30}(not found|unknown|does not exist|nonexistent)`), noDomain},
	{regexp.MustCompile(`spf|dkim|dmarc|blacklist|blocklist|block list|black list|blocked|spamhaus|reputation|unauthenticated|not authenticated|authentication|policy|denied|banned|rbl`), policy},
	{regexp.MustCompile(`spam|virus|malware|content|url|phish`), content},
}

// Classify judges a refusal from RCPT on: the enhanced code first, then the
// words, then the code alone. It never blames the address for a 5.7.x, which
// blames us, nor for what only concerns the mail in hand.
func Classify(code int, enhanced, text string) message.Outcome {
	var c class
	if code/100 == 4 {
		c = temporary(enhanced, text)
	} else {
		c = permanent(code, enhanced, text)
	}
	return message.Outcome{
		Verdict: c.verdict, Code: code, Enhanced: enhanced, Reason: c.reason, Reply: words(text),
		Suppress: c.suppress, Counts: c.counts,
	}
}

func temporary(enhanced, text string) class {
	lower := strings.ToLower(text)
	switch {
	case strings.Contains(lower, "greylist") || strings.Contains(lower, "graylist"):
		return greylisted
	case strings.HasPrefix(enhanced, "4.7.") || strings.Contains(lower, "rate") || strings.Contains(lower, "too many"):
		return throttled
	case enhanced == "4.2.2":
		return fullNow
	case enhanced == "4.4.7":
		return expired
	}
	return later
}

func permanent(code int, enhanced, text string) class {
	lower := strings.ToLower(text)
	if kind, detail, ok := strings.Cut(strings.TrimPrefix(enhanced, "5."), "."); ok && strings.HasPrefix(enhanced, "5.") && kind != "0" {
		if kind == "7" && byText[0].match.MatchString(lower) {
			return relaying
		}
		if c, ok := byEnhanced[kind+"."+detail]; ok {
			return c
		}
		if c, ok := byEnhanced[kind]; ok && detail != "0" {
			return c
		}
		if c := byEnhanced[kind]; c.verdict == message.ProviderFault {
			return c
		}
	}
	for _, t := range byText {
		if t.match.MatchString(lower) {
			return t.is
		}
	}
	switch code {
	case 521, 556: // the host, the domain takes no mail (RFC 7504)
		return noDomain
	case 552:
		return tooLarge
	case 500, 501, 502, 503, 504, 555:
		return protocol
	case 530, 535:
		return policy
	}
	return unclear
}

// cutEnhanced takes an RFC 3463 code off the front of a reply; its class must be
// that of the reply's code.
func cutEnhanced(text string, code int) (enhanced, rest string, ok bool) {
	word, rest, _ := strings.Cut(text, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(word) > 9 || parts[0] != string(rune('0'+code/100)) {
		return "", text, false
	}
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return "", text, false
		}
	}
	return word, rest, true
}

var addressLike = regexp.MustCompile(`\S*@\S*`)

// words gives a server's words for the story: one line, cut, without addresses.
func words(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == 0xfffd {
			return ' '
		}
		return r
	}, text)
	text = addressLike.ReplaceAllString(text, "<address>")
	if text = strings.Join(strings.Fields(text), " "); len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "")
	}
	return text
}

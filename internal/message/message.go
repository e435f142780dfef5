// Package message is the second item that walks through the house: a mail that
// is owed, what it became, and what happened to it. Types only.
package message

import (
	"strings"
	"time"

	"rapport/internal/id"
	"rapport/internal/purpose"
)

// Class orders sending and decides what happens when nobody knows whether a
// mail left: marketing is never sent twice, transactional is sent again.
type Class uint8

// The classes, most urgent first.
const (
	Transactional Class = 1
	Triggered     Class = 2 // marketing that a person's own act set off
	Broadcast     Class = 3
)

var classNames = map[Class]string{Transactional: "transactional", Triggered: "triggered", Broadcast: "broadcast"}

// String gives the stable name.
func (c Class) String() string { return classNames[c] }

// Marketing tells whether the class must never reach anybody twice.
func (c Class) Marketing() bool { return c != Transactional }

// State is where a mail stands. Numbers are kept for ever: the ledger holds them.
type State uint8

// The states of one mail:
// pending → claimed → handing over → accepted | deferred | failed | skipped | unknown → resolved.
const (
	Pending     State = 1
	Claimed     State = 2
	HandingOver State = 3
	Accepted    State = 4
	Deferred    State = 5
	Failed      State = 6
	Skipped     State = 7
	Uncertain   State = 8 // "unknown": it may or may not have left
	Resolved    State = 9 // was unknown; its end is known or given up
)

var stateNames = map[State]string{
	Pending: "pending", Claimed: "claimed", HandingOver: "handing_over", Accepted: "accepted",
	Deferred: "deferred", Failed: "failed", Skipped: "skipped", Uncertain: "unknown", Resolved: "resolved",
}

// String gives the stable name.
func (s State) String() string { return stateNames[s] }

// Unsent tells whether a mail in this state can still be kept from leaving.
func (s State) Unsent() bool { return s == Pending || s == Deferred || s == Claimed }

// Final tells whether nothing more will happen to the mail by our doing.
func (s State) Final() bool {
	return s == Accepted || s == Failed || s == Skipped || s == Resolved
}

// Intent is a mail that is owed. Key makes it once: "journey/<name>/<person>/<step>/<occurrence>",
// "api/<idempotency key>". Data is what the template sees as `trigger` (a JSON object) or nil.
type Intent struct {
	ID         id.Message
	Key        string
	Person     id.Person
	To         string // an address given with the request (API); "" means the person's email at the time of rendering
	Template   string
	Purpose    purpose.Purpose
	Class      Class
	Provider   string // "" means the default provider
	Journey    string // the journey that decided, or ""
	Step       string // the step in it
	Place      string // the place in the journey that must still live, or ""
	Version    int    // configuration version that decided
	Cause      string // the message id of the event that caused it
	Data       []byte
	Decided    time.Time // business time
	Due        time.Time // not before
	ValidUntil time.Time // not after; zero means no end
}

// ClaimKey begins the keys of mails by which somebody proves that it is they who ask
// for a right. No key that comes from outside begins so.
const ClaimKey = "claim/"

// Claims tells whether the mail is such a one: whoever has restricted all use of their
// data has asked for it nevertheless.
func (in *Intent) Claims() bool { return strings.HasPrefix(in.Key, ClaimKey) }

// Rendered is a whole mail, ready for a provider. Header values hold no CR or LF.
type Rendered struct {
	ID           id.Message
	MessageID    string // RFC 5322 Message-ID with angle brackets, made once and kept
	From         Address
	ReplyTo      string
	To           Address
	EnvelopeFrom string
	Subject      string
	Preheader    string
	HTML         []byte
	Text         []byte
	Headers      [][2]string // further headers, in order: List-Unsubscribe, Feedback-ID …
	Fallbacks    int         // values that were missing and fell back
}

// Address is a mailbox.
type Address struct {
	Name  string
	Email string
}

// Verdict is what a provider said, or did not say, about one hand-over.
type Verdict uint8

// The verdicts. Only NotSent and Deferred promise that nothing left.
const (
	SentOK        Verdict = 1 // the provider took responsibility
	Refused       Verdict = 2 // a permanent refusal of this mail or recipient
	TryLater      Verdict = 3 // a definite temporary refusal: a wait, not an attempt burned
	NotSent       Verdict = 4 // the connection broke before the mail could have been complete
	MaybeSent     Verdict = 5 // nobody knows
	ProviderFault Verdict = 6 // refused for our own fault (authentication, policy): pause, do not suppress
)

// Outcome is a verdict with its evidence.
type Outcome struct {
	Verdict    Verdict
	Code       int    // SMTP reply code, or 0
	Enhanced   string // RFC 3463 code "5.1.1", or ""
	Reason     string // stable snake_case: "mailbox_unknown", "policy" …
	Reply      string // the provider's words, cut, without addresses
	ProviderID string // the provider's id of the mail
	RetryAfter time.Duration
	Suppress   bool // the address is dead: never again
	Counts     bool // a soft failure of the address: several in a row make it dead
	Again      bool // with NotSent: not a word was said about the mail, which goes again at once
}

package delivery

import (
	"context"
	"time"

	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
)

// Provider takes mails from us. It is safe for concurrent use.
//
// Send hands over mails, each to one recipient, and gives one outcome for each,
// in order. It returns when the context ends at the latest, and it is exact
// about the one thing that matters: NotSent and TryLater promise that nothing
// was accepted; whatever is not known is MaybeSent. A reason that begins with
// "provider_" concerns the provider as a whole; every other reason concerns the
// recipient or the domain that receives for it.
type Provider interface {
	Send(ctx context.Context, mails []message.Rendered) []message.Outcome
	Capabilities() Capabilities
}

// Connector is a Provider that talks over connections. Where a provider is one,
// a mail is handed over only when a connection stands ready for it, so that a
// process that is killed while it dials leaves no mail of unknown end.
type Connector interface {
	Provider
	// Connect gives a connection that is ready for these mails, of which Send will
	// get all or some, unchanged. What takes time and needs no wire, such as a
	// signature, is done here: a mail that waits for it is not handed over yet.
	// Without a connection the outcome tells why; it is of the same kind as those
	// of Send and never MaybeSent.
	Connect(ctx context.Context, mails []message.Rendered) (Line, message.Outcome)
}

// Line is one connection that stands ready. Send is as in Provider; Close must
// be called when the line is not needed any more, whether or not it was used.
type Line interface {
	Send(ctx context.Context, mails []message.Rendered) []message.Outcome
	Close()
}

// Capabilities say what a provider can do; zero values are the least.
type Capabilities struct {
	Batch       int           // most mails of one Send; 0 means 1
	Concurrency int           // most Sends at a time; 0 means DefaultConcurrency
	Rate        float64       // most mails a second; 0 means no limit
	Idempotency time.Duration // how long a repetition with the same message.Rendered.ID is recognised and not sent again
	Reports     time.Duration // how long its own word (a webhook) on an unknown end is worth waiting for
	Deadline    time.Duration // longest that one Send may take; 0 means DefaultDeadline
}

// The capabilities of a provider that says nothing.
const (
	DefaultConcurrency = 32
	// DefaultDeadline leaves room for the ten minutes that RFC 5321 gives the
	// reply to the final dot, and for what goes before it.
	DefaultDeadline = 12 * time.Minute
)

// Renderer makes a whole mail of an intent, with the profile as it is now, and
// the parts to keep for the story. An error of kind fault.Denied or
// fault.NotFound skips the mail, a temporary one (fault.Temporary) makes it
// wait, any other fails it; the error's code is the reason. A MessageID left
// empty is made from the mail's id. It is safe for concurrent use.
type Renderer interface {
	Render(ctx context.Context, in message.Intent, now time.Time) (r message.Rendered, parts []byte, err error)
}

// Gate asks again, inside the transaction that hands a mail over, whether it may
// go: permission for the person, each identifier and the address about to be
// mailed (m.To), suppression, and whether the place in the journey still lives.
// Reason is stable and snake_case; detail is a JSON object without addresses. An
// error holds the mail back and asks again later: it never lets it pass.
type Gate interface {
	// Foresee says of which people, and of which addresses, Pass is about to be asked
	// in this transaction, so that a store behind a wire may read it in one go. It
	// changes no answer.
	Foresee(tx store.Tx, people []id.Person, addresses []string) error
	Pass(tx store.Tx, m *outbox.Mail, now time.Time) (ok bool, reason string, detail []byte, err error)
}

// Suppressor takes an address off every list because it is dead, inside the
// transaction that records why. What it returns is called after the commit.
type Suppressor interface {
	Bounced(tx store.Tx, address string, o message.Outcome, now time.Time) (committed func(), err error)
}

// Limits narrow what a provider's capabilities allow. Zero values leave them.
type Limits struct {
	Concurrency int
	Rate        float64 // mails a second to the provider
	DomainRate  float64 // mails a second to one receiving domain
	Fallback    string  // the provider that takes over while this one is held back
}

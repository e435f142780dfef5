// Package rights keeps what people have asked of their data (GDPR, Art. 15 to 21;
// CCPA): each request with the clock that runs for its answer, and of whom was
// erased a keyed hash of every identifier, so that nothing of them is kept again.
// What comes in are requests as the walk carries them out; what goes out are lists,
// and whether an identifier belongs to nobody any more. It holds no personal data
// and touches none.
package rights

import (
	"encoding/json"
	"slices"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
)

// Kind says what somebody asked for.
type Kind string

// The kinds of requests.
const (
	Export   Kind = "export"   // a copy of what is held (GDPR, Art. 15 and 20)
	Correct  Kind = "correct"  // that something is put right (Art. 16)
	Restrict Kind = "restrict" // that data are kept and not used (Art. 18)
	Lift     Kind = "lift"     // that a restriction ends
	Object   Kind = "object"   // that data are not used for a purpose (Art. 21)
	Erase    Kind = "erase"    // that nothing is held (Art. 17)
)

// Kinds lists them in the order of the law's articles.
var Kinds = []Kind{Export, Correct, Erase, Restrict, Lift, Object}

// Valid tells whether there is such a kind.
func (k Kind) Valid() bool {
	return slices.Contains(Kinds, k)
}

// Law says whose clock runs.
type Law string

// The laws.
const (
	GDPR Law = "gdpr"
	CCPA Law = "ccpa"
)

// Valid tells whether the law's clock is known.
func (l Law) Valid() bool { return l == GDPR || l == CCPA }

// Due tells until when a request must be answered: under the GDPR one month after
// it came (Art. 12(3)), counted as Regulation 1182/71 counts, so that a month
// without that day ends with its last; under the CCPA 45 days (Cal. Civ. Code
// 1798.130(a)(2)).
func (l Law) Due(received time.Time) time.Time {
	if l == CCPA {
		return received.AddDate(0, 0, 45)
	}
	due := received.AddDate(0, 1, 0)
	if due.Day() != received.Day() { // AddDate has run over into the month behind.
		due = due.AddDate(0, 0, -due.Day())
	}
	return due
}

// Request is one thing that somebody asked for.
type Request struct {
	ID       string // names it, and the record of the log that carried it out
	Kind     Kind
	Law      Law
	Person   id.Person // zero: nobody was known
	Subject  id.Hash   // keyed hash of the person's number, as in the trail
	Received time.Time // when they first asked
	Due      time.Time // until when it is to be answered; of one that is not proven, until when it can be
	Closed   time.Time // zero while it is open or not proven
	Outcome  string    // how it ended; Unproven before it began, "" while it is open
	Told     int64     // of an erasure: the number under which destinations are told; zero: there are none
	Body     json.RawMessage
}

// How a request ends, and what stands there before it has begun.
const (
	Done    = "done"
	Refused = "refused"
	// Unproven is one of which nobody has proven that it is theirs: nobody is to answer it.
	Unproven = "unproven"
	// Lapsed is one of which nobody proved it in time.
	Lapsed = "lapsed"
	// Erased is one that needs no answer any more, for whoever asked was erased.
	Erased = "erased"
)

// Open tells whether it still waits for its answer.
func (r *Request) Open() bool { return r.Closed.IsZero() && r.Outcome != Unproven }

// Awaited tells whether it waits for whoever asked to prove that it is theirs.
func (r *Request) Awaited() bool { return r.Closed.IsZero() && r.Outcome == Unproven }

// Answer tells until when it is to be answered by the law, also where it is not proven:
// the clock runs from the instant at which they first asked.
func (r *Request) Answer() time.Time {
	if r.Outcome == Unproven || r.Outcome == Lapsed {
		return r.Law.Due(r.Received)
	}
	return r.Due
}

// End says how it ended.
func (r *Request) End(at time.Time, outcome string) {
	r.Closed, r.Outcome = at.UTC().Truncate(time.Millisecond), outcome
}

// Limits of what is kept of a request.
const (
	MaxNote = 500 // bytes of a note or a reason
	maxID   = 100
)

// Check holds a request against what may be kept.
func (r *Request) Check() error {
	switch {
	case r.ID == "" || len(r.ID) > maxID:
		return fault.New(fault.Invalid, "bad_request_id", "a request has an id of 1 to %d bytes", maxID)
	case !r.Kind.Valid():
		return fault.New(fault.Invalid, "bad_request_kind", "a request is one of export, correct, erase, restrict, lift and object")
	case !r.Law.Valid():
		return fault.New(fault.Invalid, "bad_request_law", "the clock of a request is gdpr (one month) or ccpa (45 days)")
	case r.Received.IsZero() || r.Due.IsZero():
		return fault.New(fault.Invalid, "bad_request_time", "a request has an instant at which it came and one until which it is due")
	}
	return nil
}

// Query selects requests: open ones and those that are not proven by when they are
// due, others newest first.
type Query struct {
	Open    bool
	Awaited bool    // those that are not proven
	Kind    Kind    // "": any
	Subject id.Hash // zero: anybody's
	Limit   int
	After   Mark // those behind it; zero: from the beginning
}

// Mark is a place in a list of requests.
type Mark struct {
	At time.Time // when the request is due, or was received, by what the list goes
	ID string
}

// Mark gives the place of a request in the list.
func (q *Query) Mark(r *Request) Mark {
	if q.Open || q.Awaited {
		return Mark{r.Due, r.ID}
	}
	return Mark{r.Received, r.ID}
}

// Each calls fn for all that a query selects, page by page, until it says that it has
// seen enough.
func Each(q Query, list func(Query) ([]Request, error), fn func(r *Request) (more bool, err error)) error {
	for q.Limit = MaxListed; ; {
		page, err := list(q)
		if err != nil {
			return err
		}
		for i := range page {
			if more, err := fn(&page[i]); err != nil || !more {
				return err
			}
			q.After = q.Mark(&page[i])
		}
		if len(page) < q.Limit {
			return nil
		}
	}
}

// Store keeps requests and whom nothing is kept of any more. It is one accessor of
// a transaction and is used by one goroutine at a time.
type Store interface {
	// Put writes a request, new or again.
	Put(r Request) error
	// Request finds one.
	Request(name string) (r Request, found bool, err error)
	// Requests lists some.
	Requests(q Query) ([]Request, error)
	// Forget blanks what was noted of the requests of some people, and ends those that
	// have not ended as Erased. Of an erasure that was carried out stays what it came
	// to: there is a certificate of it.
	Forget(people []id.Person, at time.Time) error
	// Bar has nothing be kept under identifiers any more; Unbar ends it for one and
	// tells whether it was so. EachBarred calls fn for every one.
	Bar(request string, hashes []id.Hash) error
	Unbar(h id.Hash) (bool, error)
	EachBarred(fn func(h id.Hash, request string) error) error
}

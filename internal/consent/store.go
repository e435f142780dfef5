package consent

import (
	"iter"
	"time"

	"rapport/internal/id"
	"rapport/internal/purpose"
)

// State is what somebody last said about a purpose.
type State uint8

// The states, ordered by how much they narrow: on a merge the higher wins, and
// silence (no state) never does.
const (
	Granted   State = 1
	Refused   State = 2
	Withdrawn State = 3
	Objected  State = 4
)

// Entry is one row of the ledger: append-only, in order of arrival at our door.
type Entry struct {
	Seq      int64   // given by the store; orders permission
	Record   string  // the id of the record that said it; the same record twice changes nothing
	Subject  id.Hash // the identifier or address it came with
	Kind     string  // kind of that identifier: "user_id", "anonymous_id", "email", or an external type
	Purpose  purpose.Purpose
	State    State
	Said     time.Time // when the person said it, by their clock
	At       time.Time // when it arrived, business time
	Method   string    // "event", "api", "link", "preferences", "gpc", "import", "complaint"
	Source   string
	Evidence []byte    // JSON object, or nil; no addresses
	Facts    []byte    // Facts as JSON: what the statement rests on; nil for rows of before there were any
	Expires  time.Time // when a yes ends by its own words; zero: only as the purpose's valid_for says
	Shown    string    // the notice, for a store that is not to read Facts: see Entry.Notice
}

// Reason says why an address is suppressed.
type Reason string

// The reasons. Complaint and Unsubscribed never expire.
const (
	HardBounce   Reason = "hard_bounce"
	Complaint    Reason = "complaint"
	Unsubscribed Reason = "unsubscribed"
	Manual       Reason = "manual"
)

// Suppression says that an address must not be mailed for a purpose ("" for
// all but service, "*" for all).
type Suppression struct {
	Address id.Hash
	Purpose purpose.Purpose
	Reason  Reason
	At      time.Time
	Source  string
}

// Held is the standing state of one subject for one purpose.
type Held struct {
	Purpose purpose.Purpose
	State   State
	Seq     int64
	Record  string
	At      time.Time
	Expires time.Time // of a yes that ends by its own words
	Notice  string    // the notice that it was given under, as NoticeRef.Name has it
}

// OptIn is a yes that an address must confirm. It is no permission.
type OptIn struct {
	ID        id.Message // names it, and the link in the mail
	Address   id.Hash
	Network   string // that asked for it, "203.0.113.0/24"; "" where that is not known
	At        time.Time
	Expires   time.Time
	Confirmed time.Time // zero while it is awaited
	Body      []byte    // Asked as JSON
}

// Store keeps the ledger and the suppression list. It is one accessor of a
// transaction and is used by one goroutine at a time.
type Store interface {
	// Foresee says of which subjects Standing is about to be asked, of which of
	// them Suppressions too, and Version, so that a store behind a wire may read it
	// in one go; one that is at hand never looks at them. It changes no answer.
	Foresee(subjects iter.Seq2[id.Hash, bool]) error
	// Append adds a row to the ledger and moves the standing state; a row whose
	// record, subject and purpose are already there changes nothing and gives
	// its old number and false.
	Append(e Entry) (seq int64, added bool, err error)
	// Standing reads what a subject holds, for all purposes.
	Standing(subject id.Hash) ([]Held, error)
	// Ledger lists a subject's rows, oldest first.
	Ledger(subject id.Hash) ([]Entry, error)
	// Version is the number of the newest row of the ledger, zero for none.
	Version() (int64, error)
	// EachNarrowing calls fn for every standing state above Granted.
	EachNarrowing(fn func(subject id.Hash, h Held) error) error
	// Suppress adds to the suppression list; the same again changes nothing.
	Suppress(s Suppression) error
	// Unsuppress removes what was put there for this reason.
	Unsuppress(address id.Hash, reason Reason) error
	// Suppressions lists what stands against an address.
	Suppressions(address id.Hash) ([]Suppression, error)
	// EachSuppression calls fn for every row.
	EachSuppression(fn func(Suppression) error) error

	// PutNotice keeps the text of a notice for ever. The same version again changes
	// nothing and gives false.
	PutNotice(n Notice) (added bool, err error)
	// Notices lists every notice that was ever in effect, by id, language and age.
	Notices() ([]Notice, error)
	// PutOptIn keeps a yes that is to be confirmed.
	PutOptIn(o OptIn) error
	// OptIn finds one.
	OptIn(m id.Message) (o OptIn, found bool, err error)
	// OptIns lists those of an address, oldest first.
	OptIns(address id.Hash) ([]OptIn, error)
	// CountOptIns counts those since an instant: of an address, and of a network.
	CountOptIns(address id.Hash, network string, since time.Time) (byAddress, byNetwork int, err error)
	// Forget takes away what a subject has permitted, what any of their statements
	// rests on, and what they were to confirm. A no stays, by its keyed hash.
	Forget(subject id.Hash) error
	// ConfirmOptIn marks one as confirmed, once: a second time gives false.
	ConfirmOptIn(m id.Message, at time.Time) (bool, error)
}

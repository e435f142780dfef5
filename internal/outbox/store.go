package outbox

import (
	"time"

	"rapport/internal/id"
	"rapport/internal/message"
)

// Mail is one owed mail with where it stands.
type Mail struct {
	message.Intent
	State     message.State
	Attempts  int       // hand-overs that ended in a definite temporary refusal or never reached the wire
	Token     int64     // fencing token: grows with each Move, so whoever held the mail before holds an old one
	LeaseEnds time.Time // machine time; zero when nobody holds it
	NotBefore time.Time // business time of the next attempt
	MessageID string    // RFC 5322 Message-ID, made with the first rendering
	Duplicate bool      // sent again after an unknown end: the reader may have two
}

// Step is one row of a mail's story: append-only.
type Step struct {
	Seq    int
	State  message.State
	At     time.Time // business time
	Reason string    // stable snake_case, or ""
	Detail []byte    // JSON object, or nil: reply code, provider's id, gate values; no addresses
}

// Store keeps what is owed and its story. It is one accessor of a transaction
// and is used by one goroutine at a time.
type Store interface {
	// Insert adds a mail that is owed, with its first Step, and tells whether
	// its key was new; an old key changes nothing and gives the old id.
	Insert(in message.Intent, at time.Time) (id.Message, bool, error)
	// ByKey finds the mail of a key.
	ByKey(key string) (id.Message, bool, error)
	// Keys gives up to limit hashes of keys (KeyHash), in order, after the given one.
	Keys(after id.Hash, limit int) ([]id.Hash, error)
	// Get reads one mail; false when there is none.
	Get(m id.Message) (Mail, bool, error)
	// Named reads those of these mails that are there, in their order.
	Named(ids []id.Message) ([]Mail, error)
	// Owed gives up to limit unfinished mails of a state (Pending and Deferred
	// together) whose NotBefore is not after `until`, by class, then time.
	Owed(until time.Time, limit int) ([]Mail, error)
	// NextOwed gives the earliest NotBefore later than `after` of all that is
	// Pending or Deferred.
	NextOwed(after time.Time) (time.Time, bool, error)
	// InState gives up to limit mails in a state (Claimed, HandingOver, Uncertain), by id, after the given one.
	InState(s message.State, after id.Message, limit int) ([]Mail, error)
	// Move writes the mail's new standing and appends the steps that led to it,
	// oldest first; Step.Seq is given by the store. It fails with ErrStale, and changes nothing, when the stored
	// token is not m.Token, so that a late result is never applied. Otherwise it
	// stores m.Token+1 and sets m.Token to it: every move is a compare-and-set,
	// and taking a mail away from its holder makes the holder's token old.
	Move(m *Mail, steps ...Step) error
	// Note appends a Step without moving the mail (a late result, an open).
	Note(m id.Message, s Step) error
	// Story lists the steps, oldest first.
	Story(m id.Message) ([]Step, error)
	// OfPerson lists a person's mails and those that are shared with them, newest first.
	OfPerson(who id.Person, limit int) ([]Mail, error)
	// OfPersonBefore lists those of them that are older than a mail, all with the zero id.
	OfPersonBefore(who id.Person, before id.Message, limit int) ([]Mail, error)
	// Newest lists mails below an id (zero: from the newest) in a state (zero:
	// in any), newest first.
	Newest(state message.State, before id.Message, limit int) ([]Mail, error)
	// Reassign gives all mails of one person to another, after a merge.
	Reassign(from, to id.Person) error
	// Give hands one mail over, or what somebody shares in it; its use of caps goes along.
	Give(m id.Message, from, to id.Person) error
	// Share puts a mail into the story of another person too, and its use of caps to theirs.
	Share(m id.Message, with id.Person) error
	// Forget takes somebody out of a mail's story: it goes to whom it is shared with,
	// or to nobody. With content nothing is left of what it was and to whom, and what
	// was answered about it; that there was one stays, so that it is not sent again.
	Forget(m id.Message, who id.Person, content bool) error
	// Older lists mails that were decided before an instant, by id, after the given one.
	Older(after id.Message, before time.Time, limit int) ([]Mail, error)
	// Rewrite writes anew to whom a mail goes and what is in it, and its rendered
	// parts; nil takes them away. Where it stands and its story stay.
	Rewrite(m id.Message, to string, data, parts []byte) error
	// Entrust has what is in a mail kept under another person's key, with which it
	// goes, if it is under that of one of these, nil for anybody. A store that seals
	// nothing has nothing to do.
	Entrust(m id.Message, from []id.Person, to id.Person) error
	// Counts gives the number of mails in each state.
	Counts() (map[message.State]int64, error)
	// Duplicates gives the number of mails that were sent again after an unknown end.
	Duplicates() (int64, error)
	// SaveParts keeps the rendered parts of a mail that was handed over; Parts reads them.
	SaveParts(m id.Message, parts []byte) error
	Parts(m id.Message) ([]byte, error)
	// Reserve notes one use of a frequency cap at an instant, and moves the
	// instant if the mail already has its use; Release takes a mail's use back
	// and does not mind if there is none; Used counts a person's uses after an instant,
	// and those of mails that are shared with them.
	Reserve(who id.Person, m id.Message, at time.Time) error
	Release(m id.Message) error
	Used(who id.Person, after time.Time) (int, error)
	// DropUses forgets up to limit uses before an instant, of mails that were
	// decided before it too, and tells how many.
	DropUses(before time.Time, limit int) (int, error)
}

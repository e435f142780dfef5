package identity

import (
	"time"

	"rapport/internal/id"
)

// Store keeps who answers to which identifier. It is one accessor of a
// transaction and is used by one goroutine at a time.
type Store interface {
	// Lookup fills out[i] with the person bound to hashes[i], or zero. Both
	// slices have the same length; hashes are sorted, for the sake of pages.
	Lookup(hashes []id.Hash, out []id.Person) error
	// Bind makes an identifier answer to a person, whoever held it before.
	Bind(h id.Hash, who id.Person) error
	// Unbind forgets an identifier.
	Unbind(h id.Hash) error
	// LastPerson gives the highest person number ever given, zero when none was.
	LastPerson() (id.Person, error)
	// AppendMerge adds a row to the merge log.
	AppendMerge(m Merge) error
	// Remake writes a row of the merge log anew, to take out of it what names somebody
	// who was erased: the identifiers that moved, and the message that moved them.
	Remake(old, now Merge) error
	// Merges lists the merges that a person took part in, oldest first.
	Merges(who id.Person) ([]Merge, error)
}

// RuleUnmerge marks the row of a parting: From is who left.
const RuleUnmerge = "unmerge"

// Merge is one row of the merge log.
type Merge struct {
	Into, From id.Person
	At         time.Time // business time of the walk
	Cause      string    // message id of the event that joined them
	Rule       string    // "alias", "anonymous", "email", "external"; RuleUnmerge: From was parted from Into
	Moved      []byte    // the identifiers that moved, encoded by this room
}

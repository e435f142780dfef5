package destination

import (
	"time"

	"rapport/internal/id"
)

// Standing is how far a destination has come.
type Standing struct {
	Name     string
	Seq      int64     // up to here all is told, passed over, or held
	Disabled string    // why it is not told any more, "" while it is
	Since    time.Time // since when
}

// Held is an item that a destination was not told when it was its turn: it waits
// to be tried again, or is a dead letter.
type Held struct {
	Seq      int64
	Attempts int
	Due      time.Time // of the next attempt, of whichever of a person's is first; of a dead letter: when it was given up
	Dead     bool
	Reason   string // of the last attempt, stable snake_case, "" where there was none
	Status   int    // that was answered, or 0
}

// Store keeps what is to be told, how far each destination has come, and what of
// it is held. It is one accessor of a transaction and is used by one goroutine at
// a time.
type Store interface {
	// Tell adds an item and gives its number, which grows with every commit.
	Tell(it Item) (int64, error)
	// Told gives up to limit items after a number, oldest first; Items those of
	// some numbers, as far as they are there.
	Told(after int64, limit int) ([]Item, error)
	Items(seqs []int64) ([]Item, error)
	// Last is the highest number that was ever given.
	Last() (int64, error)
	// ForgetPeople deletes what is to be told of somebody, with who waits for it; an
	// erasure stays to be told.
	ForgetPeople(people []id.Person, subjects []id.Hash) error
	// Trim deletes up to limit items up to a number that nobody holds. It tells how
	// many there were, and gives the bodies of the erasures among them as they were kept.
	Trim(upTo int64, limit int) (n int, erasures [][]byte, err error)
	// Erasures gives the bodies of all erasures that are there, as they are kept.
	Erasures() ([][]byte, error)

	// Standings lists every destination that was ever begun and not forgotten.
	Standings() ([]Standing, error)
	// Begin has a destination be told what comes after a number.
	Begin(name string, after int64) error
	// Move notes how far it has come. told, where it is not zero, is how many
	// items it was told since that was last said.
	Move(name string, seq int64, told int64) error
	// Disable ends the telling and says why, Enable lets it go on.
	Disable(name, why string, at time.Time) error
	Enable(name string) error
	// Forget deletes a destination with what is held for it.
	Forget(name string) error

	// Hold writes what is held, new or again; Release deletes it.
	Hold(name string, h Held) error
	Release(name string, seq int64) error
	// Held lists what waits, or dead letters, after a number, oldest first.
	Held(name string, dead bool, after int64, limit int) ([]Held, error)
	CountHeld(name string) (waiting, dead int64, err error)
	// Redrive has dead letters wait again, due at once and as if never tried:
	// those of some numbers, or with nil all. It tells how many.
	Redrive(name string, seqs []int64, due time.Time) (int64, error)
	// DropDead deletes dead letters that were given up before an instant, at
	// most limit, and tells how many.
	DropDead(before time.Time, limit int) (int, error)
}

// Package person is the row that the state store keeps for one person: a few
// sections of bytes, each written and read by the room whose name it bears,
// behind a header that says how the row is sealed. One row a person keeps a
// walked event to one random page. It knows nothing of what the sections hold.
package person

import (
	"encoding/binary"
	"fmt"

	"rapport/internal/id"
	"rapport/internal/wire"
)

// Format is the version of the row's layout, its first byte. A row of format
// ErasedFormat says only when somebody was erased; it is never sealed.
const (
	Format       = 1
	ErasedFormat = 2
)

// Unreadable stands in Row.Erased for when somebody was erased where that is not
// known: a row of before has come back, and its key has not.
const Unreadable = 1

// Row is one person, taken apart. A section that is nil was never written.
type Row struct {
	ID       id.Person
	Alarm    int64 // the instant for which its alarm is armed, Unix milliseconds; 0: none
	Identity []byte
	Profile  []byte
	Segment  []byte
	Journey  []byte
	Erased   int64 // when the person was erased, Unix milliseconds; 0: they were not, else there is nothing but this
}

// Append writes the row's body behind dst: format, key id (0: not sealed),
// alarm, then each section with its length.
func (r *Row) Append(dst []byte) []byte {
	if r.Erased != 0 {
		return binary.AppendVarint(append(dst, ErasedFormat, 0), r.Erased)
	}
	dst = append(dst, Format)
	dst = binary.AppendUvarint(dst, 0)
	dst = binary.AppendVarint(dst, r.Alarm)
	for _, s := range [...][]byte{r.Identity, r.Profile, r.Segment, r.Journey} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

// Decode takes a body apart. The sections point into body.
func Decode(who id.Person, body []byte) (Row, error) {
	r := Row{ID: who}
	if len(body) > 1 && body[0] == ErasedFormat && body[1] == 0 {
		f := wire.Reader{Rest: body[2:]}
		if r.Erased = f.Varint(); !f.Done() || r.Erased == 0 {
			return r, fmt.Errorf("row of %s: malformed", who)
		}
		return r, nil
	}
	if len(body) < 2 || body[0] != Format {
		return r, fmt.Errorf("row of %s: unknown format", who)
	}
	f := wire.Reader{Rest: body[1:]}
	if f.Uvarint() != 0 {
		return r, fmt.Errorf("row of %s: sealed under an unknown key", who)
	}
	r.Alarm = f.Varint()
	for _, s := range [...]*[]byte{&r.Identity, &r.Profile, &r.Segment, &r.Journey} {
		*s = f.Bytes()
	}
	if !f.Done() {
		return r, fmt.Errorf("row of %s: malformed", who)
	}
	return r, nil
}

// Store keeps rows. It is one accessor of a transaction and is used by one
// goroutine at a time.
type Store interface {
	// Load calls fn for each of these persons that exists, in order of id. The
	// body is valid only during the call. ids must be sorted.
	Load(ids []id.Person, fn func(who id.Person, body []byte) error) error
	// Foresee says whom Load is about to be asked for, one by one, so that a store
	// behind a wire may read them in one go. It changes no answer.
	Foresee(ids []id.Person) error
	// Insert writes a new row; Update replaces an existing one and fails when there is none.
	Insert(who id.Person, body []byte) error
	Update(who id.Person, body []byte) error
	// After gives up to limit ids greater than who, in order.
	After(who id.Person, limit int) ([]id.Person, error)
	// Count gives the number of rows.
	Count() (int64, error)
}

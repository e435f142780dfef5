package identity

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"rapport/internal/id"
	"rapport/internal/wire"
)

// Record is the identity section of a person's row.
type Record struct {
	Identifiers []Identifier
	Created     int64     // Unix milliseconds
	MergedInto  id.Person // who this person became, zero while they are themselves
	// Apart are people whom an operator has parted from this one: no event joins
	// them again.
	Apart []id.Person
}

// Known tells whether the person is more than a device: somebody with a user
// id, an address or an id of another system.
func (r *Record) Known() bool {
	return slices.ContainsFunc(r.Identifiers, func(x Identifier) bool { return x.Kind != Anonymous })
}

// Holds tells whether an identifier is the person's.
func (r *Record) Holds(h id.Hash) bool {
	return slices.ContainsFunc(r.Identifiers, func(x Identifier) bool { return x.Hash == h })
}

// First gives the value of a kind that was bound first.
func (r *Record) First(kind string) (Identifier, bool) {
	for _, x := range r.Identifiers {
		if x.Kind == kind {
			return x, true
		}
	}
	return Identifier{}, false
}

// Address gives the address at which a person may be mailed: the one they say
// is theirs if it is bound to them, else the one that was bound first, "" for
// none. An address that is bound to somebody else reaches that person only.
func (r *Record) Address(said string) string {
	if said != "" && slices.ContainsFunc(r.Identifiers, func(x Identifier) bool { return x.Kind == Email && x.Value == said }) {
		return said
	}
	x, _ := r.First(Email)
	return x.Value
}

// Subjects gives what a person's permission is kept under: every identifier. The
// address at which they may be mailed is one of them.
func (r *Record) Subjects() []id.Hash {
	out := make([]id.Hash, len(r.Identifiers))
	for i := range r.Identifiers {
		out[i] = r.Identifiers[i].Hash
	}
	return out
}

func (r *Record) count(kind string) int {
	n := 0
	for i := range r.Identifiers {
		if r.Identifiers[i].Kind == kind {
			n++
		}
	}
	return n
}

func (r *Record) kinds() []string {
	var out []string
	for _, x := range r.Identifiers {
		if !slices.Contains(out, x.Kind) {
			out = append(out, x.Kind)
		}
	}
	return out
}

// add binds a new identifier; its strings are cloned, for they point into a
// frame of the log.
func (r *Record) add(x Identifier, at int64) {
	x.Kind, x.Value, x.First = kindName(x.Kind), strings.Clone(x.Value), at
	r.insert(x)
}

// insert keeps identifiers in order of when they were bound.
func (r *Record) insert(x Identifier) {
	i := len(r.Identifiers)
	for i > 0 && r.Identifiers[i-1].First > x.First {
		i--
	}
	r.Identifiers = slices.Insert(r.Identifiers, i, x)
}

// kindName saves an allocation for the kinds that nearly everybody has.
func kindName(kind string) string {
	switch kind {
	case UserID:
		return UserID
	case Email:
		return Email
	case Anonymous:
		return Anonymous
	}
	return strings.Clone(kind)
}

// The formats of the section. The second has those who are kept apart at its
// end; who has none is written in the first.
const (
	recordFormat = 1
	apartFormat  = 2
)

var errRecord = errors.New("identity section: malformed")

// Append writes the section: format, created, merged into, then each identifier.
func (r *Record) Append(dst []byte) []byte {
	format := byte(recordFormat)
	if len(r.Apart) > 0 {
		format = apartFormat
	}
	dst = append(dst, format)
	dst = binary.AppendVarint(dst, r.Created)
	dst = binary.AppendUvarint(dst, uint64(r.MergedInto))
	dst = binary.AppendUvarint(dst, uint64(len(r.Identifiers)))
	for _, x := range r.Identifiers {
		dst = append(dst, kindCode(x.Kind))
		if kindCode(x.Kind) == 0 {
			dst = wire.AppendString(dst, x.Kind)
		}
		dst = wire.AppendString(dst, x.Value)
		dst = append(dst, x.Hash[:]...)
		dst = binary.AppendVarint(dst, x.First-r.Created)
	}
	if format == apartFormat {
		dst = binary.AppendUvarint(dst, uint64(len(r.Apart)))
		for _, who := range r.Apart {
			dst = binary.AppendUvarint(dst, uint64(who))
		}
	}
	return dst
}

var codedKinds = [...]string{1: UserID, 2: Email, 3: Anonymous}

func kindCode(kind string) byte {
	for i, k := range codedKinds {
		if k == kind && i > 0 {
			return byte(i)
		}
	}
	return 0
}

// Decode reads what Append wrote, reusing the capacity of r. Strings point into
// b, which must not change while r is in use.
func (r *Record) Decode(b []byte) error {
	*r = Record{Identifiers: r.Identifiers[:0], Apart: r.Apart[:0]}
	if len(b) == 0 {
		return nil
	}
	if b[0] != recordFormat && b[0] != apartFormat {
		return errRecord
	}
	d := wire.Reader{Rest: b[1:]}
	r.Created = d.Varint()
	r.MergedInto = id.Person(d.Uvarint())
	for n := d.Count(); n > 0 && !d.Bad; n-- {
		var x Identifier
		if code := d.Byte(); code == 0 {
			x.Kind = d.Alias()
		} else if int(code) < len(codedKinds) {
			x.Kind = codedKinds[code]
		} else {
			return errRecord
		}
		x.Value = d.Alias()
		copy(x.Hash[:], d.Take(len(x.Hash)))
		x.First = r.Created + d.Varint()
		r.Identifiers = append(r.Identifiers, x)
	}
	if b[0] == apartFormat {
		for n := d.Count(); n > 0 && !d.Bad; n-- {
			r.Apart = append(r.Apart, id.Person(d.Uvarint()))
		}
	}
	if !d.Done() {
		return errRecord
	}
	return nil
}

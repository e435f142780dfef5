// Package seal keeps what is stored from being read or changed without the
// workspace's keys. What comes in are bodies and whose they are; what goes out are
// sealed bodies (AES-256-GCM) that name their key. Each person has a data key of
// their own, so that destroying it makes all that is theirs unreadable, in every
// copy; other bodies have keys of the house, of a day, or of their own. Data keys are wrapped by
// a wrapping key, and that by the root: a keyset file or a key management service.
// It never decides who may read.
package seal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/wire"
)

// kind tells what a data key is for. The numbers are written into sealed bodies.
type kind byte

const (
	house  kind = 1 // bodies of the house that belong to nobody
	person kind = 2
	name   kind = 3 // what was said under an identifier, before it is known whose it is
	day    kind = 4 // frames of a lane of the log that were written on one day
	record kind = 5 // one record of which it is not known whose it is
)

// ID names a data key.
type ID struct {
	kind kind
	n    uint64
	hash id.Hash
}

// House is the key of what belongs to the house itself.
func House() ID { return ID{kind: house} }

// Person is the key of what belongs to somebody.
func Person(who id.Person) ID { return ID{kind: person, n: uint64(who)} }

// Name is the key of what was said under an identifier.
func Name(h id.Hash) ID { return ID{kind: name, hash: h} }

// Day is the key of the frames that a lane of the log got on one day, counted
// from 1970-01-01.
func Day(lane uint8, number int64) ID {
	return ID{kind: day, n: uint64(lane)<<48 | uint64(number)&(1<<48-1)}
}

// RecordOf gives the key of a sealed body that has one of its own. Whoever takes the
// body away destroys it.
func RecordOf(body []byte) (ID, bool) {
	k, _, err := readHeader(body)
	return k, err == nil && k.kind == record
}

// named tells whether the key is known by a hash, others by a number.
func (k ID) named() bool { return k.kind == name || k.kind == record }

// Key gives the form in which a Store keeps an ID: of one kind they are in order
// of their numbers.
func (k ID) Key() []byte {
	if k.named() {
		return append([]byte{byte(k.kind)}, k.hash[:]...)
	}
	return binary.BigEndian.AppendUint64([]byte{byte(k.kind)}, k.n)
}

// String names a key in errors. It tells nothing of anybody but their number.
func (k ID) String() string {
	switch k.kind {
	case house:
		return "the house's key"
	case person:
		return "the key of " + id.Person(k.n).String()
	case day:
		return fmt.Sprintf("the key of lane %d on day %d", k.n>>48, k.n&(1<<48-1))
	case record:
		return "the key of a record"
	default:
		return "the key of an identifier"
	}
}

// The first byte of every sealed body. No room begins a body with it.
const marker = 0xE5

const (
	nonceSize = 12
	tagSize   = 16
)

// Overhead is the most by which a sealed body is longer than what it holds.
const Overhead = 1 + 1 + 16 + nonceSize + tagSize

// Sealed tells whether a body is sealed. One that is not was written before
// sealing began.
func Sealed(body []byte) bool { return len(body) > 0 && body[0] == marker }

// KeyOf gives the key that a sealed body names, false where it is not sealed.
func KeyOf(body []byte) (ID, bool) {
	k, _, err := readHeader(body)
	return k, err == nil
}

func (k ID) appendHeader(dst []byte) []byte {
	dst = append(dst, marker, byte(k.kind))
	if k.named() {
		return append(dst, k.hash[:]...)
	}
	return binary.AppendUvarint(dst, k.n)
}

// readHeader gives the key that a sealed body names and what is behind it.
func readHeader(body []byte) (k ID, rest []byte, err error) {
	r := wire.Reader{Rest: body}
	if r.Byte() != marker {
		return k, nil, errShape
	}
	switch k.kind = kind(r.Byte()); k.kind {
	case house, person, day:
		k.n = r.Uvarint()
	case name, record:
		copy(k.hash[:], r.Take(len(k.hash)))
	default:
		r.Bad = true
	}
	if r.Bad || len(r.Rest) < nonceSize+tagSize {
		return k, nil, errShape
	}
	return k, r.Rest, nil
}

var errShape = errors.New("a sealed body is cut short or of an unknown kind")

// CodeDestroyed is the code of the error about a key that is not there: whose it
// was has been erased, or the keys are older than what they should open. Of people
// CodeOlder tells the latter apart.
const (
	CodeDestroyed = "key_destroyed"
	CodeOlder     = "keys_older"
)

func destroyed(k ID) error {
	return fault.New(fault.NotFound, CodeDestroyed, "%s is not there: it was destroyed, or keys.db is older than the data", k)
}

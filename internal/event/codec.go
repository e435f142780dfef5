package event

import (
	"encoding/binary"
	"errors"
	"time"
	"unsafe"
)

// Format is the version of the canonical binary form, its first byte.
// docs/format/event.md draws it.
const Format = 1

// Presence bits of the optional fields, in the order in which they are written.
const (
	_ = 1 << iota // bits 0 to 7: message id, source, name, user id, anonymous id, previous id, group id, email
	_
	_
	_
	_
	_
	_
	_
	hasExternal
	hasPerson
	hasOriginal
	hasDue
	hasProperties
	hasTraits
	hasContext
	knownBits = 1<<iota - 1
)

var errShort = errors.New("event: cut short or malformed")

// Append writes the canonical form of e behind dst. Times are kept to the
// millisecond.
func (e *Event) Append(dst []byte) []byte {
	received := e.Received.UnixMilli()
	dst = append(dst, Format, byte(e.Type), byte(e.Flags))
	dst = binary.AppendUvarint(dst, e.present())
	dst = binary.AppendVarint(dst, received)
	dst = binary.AppendVarint(dst, received-e.Time.UnixMilli())
	for _, s := range [...]string{e.MessageID, e.Source, e.Name, e.UserID, e.Anonymous, e.Previous, e.GroupID, e.Email} {
		if s != "" {
			dst = appendString(dst, s)
		}
	}
	if len(e.External) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(e.External)))
		for _, x := range e.External {
			dst = appendString(appendString(dst, x.Type), x.Value)
		}
	}
	if e.Person != 0 {
		dst = binary.AppendVarint(dst, e.Person)
	}
	if !e.Original.IsZero() {
		dst = binary.AppendVarint(dst, e.Original.UnixMilli())
	}
	if !e.Due.IsZero() {
		dst = binary.AppendVarint(dst, e.Due.UnixMilli())
	}
	for _, b := range [...][]byte{e.Properties, e.Traits, e.Context} {
		if len(b) > 0 {
			dst = binary.AppendUvarint(dst, uint64(len(b)))
			dst = append(dst, b...)
		}
	}
	return dst
}

func (e *Event) present() uint64 {
	var bits uint64
	for i, s := range [...]string{e.MessageID, e.Source, e.Name, e.UserID, e.Anonymous, e.Previous, e.GroupID, e.Email} {
		if s != "" {
			bits |= 1 << i
		}
	}
	if len(e.External) > 0 {
		bits |= hasExternal
	}
	if e.Person != 0 {
		bits |= hasPerson
	}
	if !e.Original.IsZero() {
		bits |= hasOriginal
	}
	if !e.Due.IsZero() {
		bits |= hasDue
	}
	if len(e.Properties) > 0 {
		bits |= hasProperties
	}
	if len(e.Traits) > 0 {
		bits |= hasTraits
	}
	if len(e.Context) > 0 {
		bits |= hasContext
	}
	return bits
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// Decode reads the canonical form into e, overwriting it but for the capacity
// of External. Strings and raw fields point into b, which must not change while
// e or anything copied from it is in use; clone what outlives it.
func (e *Event) Decode(b []byte) error {
	if len(b) < 4 || b[0] != Format {
		return errors.New("event: unknown format")
	}
	*e = Event{Type: Type(b[1]), Flags: Flag(b[2]), External: e.External[:0]}
	r := reader{rest: b[3:]}
	bits := r.uvarint()
	if bits&^uint64(knownBits) != 0 {
		return errors.New("event: written by a newer version")
	}
	received := r.varint()
	e.Received = time.UnixMilli(received).UTC()
	e.Time = time.UnixMilli(received - r.varint()).UTC()
	for i, s := range [...]*string{&e.MessageID, &e.Source, &e.Name, &e.UserID, &e.Anonymous, &e.Previous, &e.GroupID, &e.Email} {
		if bits&(1<<i) != 0 {
			*s = r.string()
		}
	}
	if bits&hasExternal != 0 {
		for n := r.uvarint(); n > 0 && !r.bad; n-- {
			e.External = append(e.External, ExternalID{Type: r.string(), Value: r.string()})
		}
	}
	if bits&hasPerson != 0 {
		e.Person = r.varint()
	}
	if bits&hasOriginal != 0 {
		e.Original = time.UnixMilli(r.varint()).UTC()
	}
	if bits&hasDue != 0 {
		e.Due = time.UnixMilli(r.varint()).UTC()
	}
	for i, p := range [...]*[]byte{&e.Properties, &e.Traits, &e.Context} {
		if bits&(hasProperties<<i) != 0 {
			*p = r.bytes()
		}
	}
	if r.bad || len(r.rest) != 0 {
		return errShort
	}
	return nil
}

// reader takes fields off the front of a slice and remembers the first failure.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) string() string {
	b := r.bytes()
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b)) // The walk reads every string once; copying each would double its allocations.
}

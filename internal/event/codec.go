package event

import (
	"encoding/binary"
	"errors"
	"time"

	"rapport/internal/wire"
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
	hasIntegrations
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
			dst = wire.AppendString(dst, s)
		}
	}
	if len(e.External) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(e.External)))
		for _, x := range e.External {
			dst = wire.AppendString(wire.AppendString(dst, x.Type), x.Value)
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
	for _, b := range [...][]byte{e.Properties, e.Traits, e.Context, e.Integrations} {
		if len(b) > 0 {
			dst = wire.AppendBytes(dst, b)
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
	if len(e.Integrations) > 0 {
		bits |= hasIntegrations
	}
	return bits
}

// Decode reads the canonical form into e, overwriting it but for the capacity
// of External. Strings and raw fields point into b, which must not change while
// e or anything copied from it is in use; clone what outlives it.
func (e *Event) Decode(b []byte) error {
	if len(b) < 4 || b[0] != Format {
		return errors.New("event: unknown format")
	}
	*e = Event{Type: Type(b[1]), Flags: Flag(b[2]), External: e.External[:0]}
	r := wire.Reader{Rest: b[3:]}
	bits := r.Uvarint()
	if bits&^uint64(knownBits) != 0 {
		return errors.New("event: written by a newer version")
	}
	received := r.Varint()
	e.Received = time.UnixMilli(received).UTC()
	e.Time = time.UnixMilli(received - r.Varint()).UTC()
	for i, s := range [...]*string{&e.MessageID, &e.Source, &e.Name, &e.UserID, &e.Anonymous, &e.Previous, &e.GroupID, &e.Email} {
		if bits&(1<<i) != 0 {
			*s = r.Alias()
		}
	}
	if bits&hasExternal != 0 {
		for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
			e.External = append(e.External, ExternalID{Type: r.Alias(), Value: r.Alias()})
		}
	}
	if bits&hasPerson != 0 {
		e.Person = r.Varint()
	}
	if bits&hasOriginal != 0 {
		e.Original = time.UnixMilli(r.Varint()).UTC()
	}
	if bits&hasDue != 0 {
		e.Due = time.UnixMilli(r.Varint()).UTC()
	}
	for i, p := range [...]*[]byte{&e.Properties, &e.Traits, &e.Context, (*[]byte)(&e.Integrations)} {
		if bits&(hasProperties<<i) != 0 {
			*p = r.Bytes()
		}
	}
	if !r.Done() {
		return errShort
	}
	return nil
}

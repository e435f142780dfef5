// Package wire reads and writes the small fields of which our binary forms are
// made: varints, strings, byte slices. What comes in are bytes of any quality;
// what goes out are fields, or the knowledge that they were malformed. It
// never panics and never interprets.
package wire

import (
	"encoding/binary"
	"unsafe"
)

// AppendString writes a length and the bytes of s.
func AppendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// AppendBytes writes a length and b.
func AppendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// Reader takes fields off the front of a slice. After the first failure every
// field is zero and Bad stays true, so that callers check once, at the end.
type Reader struct {
	Rest []byte
	Bad  bool
}

func (r *Reader) fail() { r.Bad, r.Rest = true, nil }

// Uvarint reads an unsigned number.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.Rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.Rest = r.Rest[n:]
	return v
}

// Varint reads a signed number.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.Rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.Rest = r.Rest[n:]
	return v
}

// Count reads a number of things that take at least one byte each, so that a
// damaged length never makes anybody allocate for what is not there.
func (r *Reader) Count() int {
	n := r.Uvarint()
	if n > uint64(len(r.Rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

// Take reads n bytes; they point into the slice.
func (r *Reader) Take(n int) []byte {
	if n < 0 || n > len(r.Rest) {
		r.fail()
		return nil
	}
	b := r.Rest[:n:n]
	r.Rest = r.Rest[n:]
	return b
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if b := r.Take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// Bytes reads a length and that many bytes; they point into the slice.
func (r *Reader) Bytes() []byte { return r.Take(r.Count()) }

// String reads a length and a copy of that many bytes.
func (r *Reader) String() string { return string(r.Bytes()) }

// Alias reads a length and a string that points into the slice, which must not
// change while the string is in use.
func (r *Reader) Alias() string {
	b := r.Bytes()
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b)) //nolint:gosec // Reading whole people copies nothing; the comment above is the promise.
}

// Done tells whether everything was read and nothing was malformed.
func (r *Reader) Done() bool { return !r.Bad && len(r.Rest) == 0 }

package profile

import "rapport/internal/id"

// Store keeps history in packs: a row of a few kilobytes with entries of many
// people, written once. It is one accessor of a transaction and is used by one
// goroutine at a time.
type Store interface {
	// LastPack gives the highest pack number, zero when there is none.
	LastPack() (int64, error)
	// AppendPack writes a new pack under a number above all others.
	AppendPack(pack int64, body []byte) error
	// Pack reads one pack. The bytes are the caller's. A pack that retention
	// took gives nil and no error.
	Pack(pack int64) ([]byte, error)
	// RewritePack writes one anew, to take entries out of it.
	RewritePack(pack int64, body []byte) error
}

// Sealer is what a Store may be too: it seals each entry under the key of whose
// it is, and opens it again. What was written unsealed is opened as it is.
type Sealer interface {
	SealEntry(dst []byte, who id.Person, at Pointer, plain []byte) ([]byte, error)
	OpenEntry(at Pointer, body []byte) ([]byte, error)
	// ResealEntry seals what stands in an entry's place from now on under the key that
	// the old body was under. Where that was not sealed, neither is this.
	ResealEntry(at Pointer, old, plain []byte) ([]byte, error)
}

// Package id holds the typed identifiers of the house: persons, mails, keyed
// hashes of what people call themselves. What comes in are times, parts and
// keys; what goes out are values that sort by time where that helps and that
// are derived, never drawn, where a replay must give the same answer. It never
// reads a clock or a random source by itself.
package id

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Person numbers one person of the state store, in order of creation. Zero is
// nobody.
type Person int64

// String gives the form people read and type: "per_" and the number.
func (p Person) String() string { return "per_" + strconv.FormatInt(int64(p), 10) }

// ParsePerson reads what String wrote.
func ParsePerson(s string) (Person, error) {
	digits, ok := strings.CutPrefix(s, "per_")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n <= 0 {
		return 0, fmt.Errorf("person id %q: want per_ and a positive number", s)
	}
	return Person(n), nil
}

// Message names one mail that is or was owed. It begins with the millisecond
// of its decision, so that ids sort by time; the rest is a hash of its key, so
// that deciding the same mail again gives the same id.
type Message [16]byte

// alphabet is Crockford's base 32 in lower case: it keeps the order of bytes.
var alphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewMessage derives the id of the mail with this key, decided at this time.
func NewMessage(decided time.Time, key string) Message {
	m := FirstMessage(decided)
	sum := sha256.Sum256([]byte(key))
	copy(m[6:], sum[:10])
	return m
}

// FirstMessage gives the least id that a mail decided at this time, or later, can have.
func FirstMessage(decided time.Time) (m Message) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(decided.UnixMilli(), 0)))
	copy(m[:6], ms[2:])
	return m
}

// IsZero tells whether the id names nothing.
func (m Message) IsZero() bool { return m == Message{} }

// String gives "msg_" and 26 characters.
func (m Message) String() string { return "msg_" + alphabet.EncodeToString(m[:]) }

// MarshalText writes what String gives, for JSON.
func (m Message) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what String gave.
func (m *Message) UnmarshalText(b []byte) error {
	parsed, err := ParseMessage(string(b))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// ParseMessage reads what String wrote.
func ParseMessage(s string) (Message, error) {
	var m Message
	body, ok := strings.CutPrefix(s, "msg_")
	if !ok {
		return m, fmt.Errorf("message id %q: want msg_ and 26 characters", s)
	}
	raw, err := alphabet.DecodeString(body)
	if err != nil || len(raw) != len(m) {
		return m, fmt.Errorf("message id %q: want msg_ and 26 characters", s)
	}
	copy(m[:], raw)
	return m, nil
}

// Hash is the first half of an HMAC-SHA256 under the workspace's key: the form
// in which identifiers, addresses and message ids are looked up, so that no
// index holds what it indexes.
type Hash [16]byte

// String gives 32 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads what String gives, and tells whether it is such.
func ParseHash(s string) (h Hash, ok bool) {
	if len(s) != hex.EncodedLen(len(h)) {
		return h, false
	}
	_, err := hex.Decode(h[:], []byte(s))
	return h, err == nil
}

// Hasher makes keyed hashes. It is safe for concurrent use.
type Hasher struct {
	pool sync.Pool
}

// NewHasher takes the workspace's hashing key, at least 32 bytes.
func NewHasher(key []byte) (*Hasher, error) {
	if len(key) < 32 {
		return nil, fmt.Errorf("hashing key: %d bytes, want at least 32", len(key))
	}
	own := append([]byte(nil), key...)
	h := &Hasher{}
	h.pool.New = func() any { return &hashState{mac: hmac.New(sha256.New, own)} }
	return h, nil
}

type hashState struct {
	mac hash.Hash
	buf []byte
	sum [sha256.Size]byte
}

// Sum hashes a value of a kind ("user_id", "email", "message"); the kind keeps
// equal values of different kinds apart.
func (h *Hasher) Sum(kind, value string) Hash { return sum(h, kind, value) }

// SumBytes is Sum for a value that is in a buffer.
func (h *Hasher) SumBytes(kind string, value []byte) Hash { return sum(h, kind, value) }

func sum[T string | []byte](h *Hasher, kind string, value T) Hash {
	s := h.pool.Get().(*hashState)
	s.mac.Reset()
	s.buf = append(append(append(s.buf[:0], kind...), 0), value...)
	_, _ = s.mac.Write(s.buf) // A hash never fails to be written to.
	var out Hash
	copy(out[:], s.mac.Sum(s.sum[:0]))
	h.pool.Put(s)
	return out
}

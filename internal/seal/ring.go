package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
)

// Root wraps the wrapping keys. A key management service is asked once at a start
// and once at a rotation. Tink's AEAD is one.
type Root interface {
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// Row is a key as a Store keeps it.
type Row struct {
	Key  []byte // of ID.Key, or the number of a wrapping key
	Body []byte
}

// Store keeps wrapped keys in a place of its own, apart from what they open, so
// that its copies may live shorter. What it writes is durable when it returns. It
// is safe for concurrent use.
type Store interface {
	// Get reads some, in any order, and calls fn for each that is there. Body is
	// valid only during the call.
	Get(keys [][]byte, fn func(i int, body []byte) error) error
	// Add writes those that are not there yet.
	Add(rows []Row) error
	// Replace writes rows that are there anew; one that is gone stays gone.
	Replace(rows []Row) error
	// Drop deletes some, and overwrites where they were. End does the same, and lets
	// none of that name be added again: it is for people, who never come back under
	// their number.
	Drop(keys [][]byte) error
	End(keys [][]byte) error
	// Ended tells whether that was done to one.
	Ended(key []byte) (bool, error)
	// Last gives the last key between two, also where it was ended; nil where there is
	// none.
	Last(behind, before []byte) ([]byte, error)
	// After lists keys behind one, in order.
	After(key []byte, limit int) ([]Row, error)
	// Wrapping lists the wrapping keys; AddWrapping and DropWrapping change them.
	Wrapping() ([]Wrapping, error)
	AddWrapping(w Wrapping) error
	ReplaceWrapping(w Wrapping) error
	DropWrapping(number int) error
}

// Wrapping is a wrapping key as a Store keeps it, under the root.
type Wrapping struct {
	Number int
	Made   time.Time
	Body   []byte
}

// Config is what a Ring is made of. All of it but Fresh is required.
type Config struct {
	Store Store
	Root  Root
	Rand  io.Reader // of cryptographic quality
	Now   func() time.Time
	Fresh bool // nothing was sealed yet: a store without keys gets its first
}

// mintAhead is how many keys of people are made at once: the numbers of people
// follow each other, and one fsync then serves many.
const mintAhead = 256

// openKeys and rawKeys bound how many keys stay in memory: ready for use, about a
// kilobyte each, and as they are, of which there is room for more.
const (
	openKeys = 8192
	rawKeys  = 1 << 17
)

// Ring holds the keys that are in use. It is safe for concurrent use.
type Ring struct {
	c Config

	// minting is held by whoever makes keys, alone by whoever changes under
	// what they are wrapped: no key is written under a wrapping key that retires.
	minting  sync.RWMutex
	rotating sync.Mutex // held by a rotation

	mu        sync.Mutex
	nonces    []byte
	open      map[ID]cipher.AEAD
	raw       map[ID][32]byte
	drafted   map[ID]cipher.AEAD // of transactions that have not committed
	destroyed uint64             // how often keys were
	last      id.Person          // see LastPerson
	wrapping  map[int]cipher.AEAD
	current   int
}

// Open reads the wrapping keys, and makes the first where nothing was sealed yet.
func Open(c Config) (*Ring, error) {
	if c.Store == nil || c.Root == nil || c.Rand == nil || c.Now == nil {
		return nil, errors.New("seal: Config needs Store, Root, Rand and Now")
	}
	r := &Ring{c: c, open: map[ID]cipher.AEAD{}, raw: map[ID][32]byte{}, wrapping: map[int]cipher.AEAD{}}
	list, err := c.Store.Wrapping()
	if err != nil {
		return nil, fmt.Errorf("read the wrapping keys: %w", err)
	}
	for _, w := range list {
		raw, err := c.Root.Decrypt(w.Body, wrappingLabel(w.Number))
		if err != nil {
			return nil, rootFails(err)
		}
		if r.wrapping[w.Number], err = newAEAD(raw); err != nil {
			return nil, err
		}
		r.current = max(r.current, w.Number)
	}
	if r.last, err = lastPerson(c.Store); err != nil {
		return nil, err
	}
	if len(list) > 0 {
		return r, nil
	}
	if rows, err := c.Store.After(nil, 1); err != nil || len(rows) > 0 || !c.Fresh {
		return nil, errors.Join(err, fault.New(fault.Conflict, "wrapping_key_missing", "keys.db holds no wrapping key, and what is stored is sealed: restore keys.db from its backup"))
	}
	return r, r.newWrapping()
}

// rootFails says what to do where a root key does not unwrap. A key management
// service says itself why it does not.
func rootFails(err error) error {
	if k := fault.KindOf(err); k == fault.Unavailable || k == fault.Denied || k == fault.Invalid {
		return fmt.Errorf("ask the root key: %w", err)
	}
	return fault.Wrap(err, fault.Conflict, "root_key_wrong",
		"the root key does not open the keys of this data folder: give the root key under which it was made, or restore keyset.json from its backup")
}

func wrappingLabel(number int) []byte { return fmt.Appendf(nil, "rapport wrapping key %d", number) }

func newAEAD(raw []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return cipher.NewGCM(block)
}

// newWrapping makes a wrapping key, under which keys are wrapped from now on.
func (r *Ring) newWrapping() error {
	raw := make([]byte, 32)
	if _, err := io.ReadFull(r.c.Rand, raw); err != nil {
		return fmt.Errorf("make a wrapping key: %w", err)
	}
	number := r.current + 1
	body, err := r.c.Root.Encrypt(raw, wrappingLabel(number))
	if err != nil {
		return fmt.Errorf("wrap under the root key: %w", err)
	}
	if err := r.c.Store.AddWrapping(Wrapping{Number: number, Made: r.c.Now().UTC(), Body: body}); err != nil {
		return fmt.Errorf("write a wrapping key: %w", err)
	}
	a, err := newAEAD(raw)
	if err != nil {
		return err
	}
	r.minting.Lock() // Whoever is making keys ends first: those are under the former.
	defer r.minting.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrapping[number], r.current = a, number
	return nil
}

// nonce fills 12 bytes that were never used before.
func (r *Ring) nonce(dst []byte) ([]byte, error) {
	if len(r.nonces) < nonceSize {
		r.nonces = make([]byte, 1024*nonceSize) // One call for many: a call for 12 bytes costs as much as sealing them.
		if _, err := io.ReadFull(r.c.Rand, r.nonces); err != nil {
			r.nonces = nil
			return dst, fmt.Errorf("seal: %w", err)
		}
	}
	dst = append(dst, r.nonces[:nonceSize]...)
	r.nonces = r.nonces[nonceSize:]
	return dst, nil
}

// Seal appends a sealed body to dst. label says where the body stands: it opens
// nowhere else.
func (r *Ring) Seal(dst []byte, k ID, label, plain []byte) ([]byte, error) {
	a, err := r.key(k)
	if err != nil {
		return dst, err
	}
	dst = k.appendHeader(dst)
	r.mu.Lock()
	dst, err = r.nonce(dst)
	r.mu.Unlock()
	if err != nil {
		return dst, err
	}
	nonce := dst[len(dst)-nonceSize:]
	return a.Seal(dst, nonce, plain, label), nil
}

// Open appends to dst what a sealed body holds.
func (r *Ring) Open(dst, label, body []byte) ([]byte, error) {
	k, rest, err := readHeader(body)
	if err != nil {
		return dst, damaged(err)
	}
	a, err := r.key(k)
	if err != nil {
		return dst, err
	}
	out, err := a.Open(dst, rest[:nonceSize], rest[nonceSize:], label)
	if err != nil {
		return dst, damaged(fmt.Errorf("%s does not open it: %w", k, err))
	}
	return out, nil
}

func damaged(err error) error {
	return fault.Wrap(err, fault.Internal, "seal_broken", "what is stored was changed or damaged; restore it from a backup")
}

// key gives an opened key.
func (r *Ring) key(k ID) (cipher.AEAD, error) {
	r.mu.Lock()
	a, err := r.remembered(k)
	r.mu.Unlock()
	if err != nil || a != nil {
		return a, err
	}
	found, err := r.find([]ID{k})
	if err == nil && found[0] == nil {
		err = r.gone(k)
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// gone says why a key is not there. Of people it is known who was erased: another's key
// is only not in this copy of the keys, and who takes that for an erasure would drop
// what the living do.
func (r *Ring) gone(k ID) error {
	if k.kind != person {
		return destroyed(k)
	}
	ended, err := r.c.Store.Ended(k.Key())
	switch {
	case err != nil:
		return fmt.Errorf("read keys: %w", err)
	case ended:
		return destroyed(k)
	default:
		return fault.New(fault.Unavailable, CodeOlder, "%s is not in keys.db and was not destroyed: keys.db is older than the data; stop the server and restore the newest copy of it", k)
	}
}

// Load brings keys into memory at one go. Those that are not there stay away.
func (r *Ring) Load(list ...ID) error {
	_, err := r.find(list)
	return err
}

// find gives keys, from memory or from the store, nil for one that is not there.
// What others do in memory meanwhile takes none away.
func (r *Ring) find(list []ID) ([]cipher.AEAD, error) {
	for {
		found := make([]cipher.AEAD, len(list))
		rest, since, err := r.recall(list, found)
		if err != nil || len(rest) == 0 {
			return found, err
		}
		keys := make([][]byte, len(rest))
		for n, i := range rest {
			keys[n] = list[i].Key()
		}
		whole := true
		err = r.c.Store.Get(keys, func(n int, body []byte) error {
			raw, _, err := r.unwrap(keys[n], body)
			if err != nil {
				return err
			}
			a, err := newAEAD(raw)
			if err != nil {
				return err
			}
			found[rest[n]] = a
			whole = r.remember(list[rest[n]], a, raw, since) && whole
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		if whole {
			return found, nil
		}
	}
}

// recall fills in what is in memory and gives the places of the rest, and how
// often keys were destroyed by then.
func (r *Ring) recall(list []ID, found []cipher.AEAD) (rest []int, since uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, k := range list {
		if found[i], err = r.remembered(k); err != nil {
			return nil, 0, err
		}
		if found[i] == nil {
			rest = append(rest, i)
		}
	}
	return rest, r.destroyed, nil
}

// remembered gives a key that is in memory, nil where it is not. The caller holds
// the ring.
func (r *Ring) remembered(k ID) (cipher.AEAD, error) {
	if a := r.open[k]; a != nil {
		return a, nil
	}
	if a := r.drafted[k]; a != nil {
		return a, nil
	}
	raw, ok := r.raw[k]
	if !ok {
		return nil, nil
	}
	a, err := newAEAD(raw[:])
	if err != nil {
		return nil, err
	}
	thin(r.open, openKeys)
	r.open[k] = a
	return a, nil
}

// remember keeps a key in memory, unless one was destroyed since it was looked
// for: what was read before that must not come into memory after it.
func (r *Ring) remember(k ID, a cipher.AEAD, raw []byte, since uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.destroyed != since {
		return false
	}
	thin(r.open, openKeys)
	thin(r.raw, rawKeys)
	r.open[k], r.raw[k] = a, [32]byte(raw)
	return true
}

// thin makes room where a map is full. Any will do: whoever comes again is read
// again.
func thin[V any](m map[ID]V, most int) {
	if len(m) < most {
		return
	}
	n := 0
	for k := range m {
		delete(m, k)
		if n++; n == most/8 {
			return
		}
	}
}

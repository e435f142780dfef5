package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rapport/internal/fault"
)

// prefixes begin the secrets of each kind, so that one sees what a key is and
// scanners find those that were published by mistake.
var prefixes = map[Kind]string{Ingest: "rpk_", Browser: "rpb_", Manage: "rpm_"}

var digits = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// maxSecret bounds what is hashed for a caller; our own secrets have 56 bytes,
// declared ones may be longer.
const maxSecret = 512

// Keeper runs functions over the keys in the state store; a write is durable
// before it returns. The roof joins it to the store.
type Keeper interface {
	Write(ctx context.Context, fn func(Store) error) error
	Read(ctx context.Context, fn func(Store) error) error
}

// Config is what Keys needs.
type Config struct {
	Keeper Keeper
	Now    func() time.Time // machine time, UTC: keys live in the real world
	Rand   io.Reader        // crypto/rand when nil
}

// Keys knows all keys. It is safe for concurrent use; looking up takes no lock.
type Keys struct {
	keeper Keeper
	now    func() time.Time
	rand   io.Reader

	mu       sync.Mutex // guards changing what follows
	stored   []Key
	declared []Key
	byHash   atomic.Pointer[map[[32]byte]Key]
}

// New reads the keys that are kept.
func New(ctx context.Context, c Config) (*Keys, error) {
	if c.Keeper == nil || c.Now == nil {
		return nil, errors.New("access: Config.Keeper and Now are required")
	}
	k := &Keys{keeper: c.Keeper, now: c.Now, rand: c.Rand}
	if k.rand == nil {
		k.rand = rand.Reader
	}
	if err := k.Reload(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the keys that are kept again. What this process changed is known
// without it.
func (k *Keys) Reload(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.keeper.Read(ctx, func(st Store) (err error) {
		k.stored, err = st.Keys()
		return err
	})
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	k.publish()
	return nil
}

// Declare says which keys the configuration holds, in place of those it held
// before. It holds from the next lookup on.
func (k *Keys) Declare(declared []Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.declared = slices.Clone(declared)
	k.publish()
}

// Declared makes a key out of the hash of its secret, as the configuration
// names it. Its id is derived from the hash.
func Declared(kind Kind, source string, hash [32]byte) Key {
	return Key{ID: "cfg_" + hex.EncodeToString(hash[:4]), Kind: kind, Source: source, Name: "configuration", Hash: hash}
}

// HashOf gives the form in which a secret is kept.
func HashOf(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

// publish makes the lookup table anew. The caller holds mu. What was revoked
// stays revoked also when the configuration declares it again.
func (k *Keys) publish() {
	table := make(map[[32]byte]Key, len(k.stored)+len(k.declared))
	for _, key := range k.declared {
		table[key.Hash] = key
	}
	for _, key := range k.stored {
		table[key.Hash] = key
	}
	k.byHash.Store(&table)
}

// Find gives the key of a secret, unless it is unknown, revoked or expired. The
// table is looked up by hash, so that its timing tells nothing of a secret.
func (k *Keys) Find(secret string) (Key, bool) {
	if secret == "" || len(secret) > maxSecret {
		return Key{}, false
	}
	hash := HashOf(secret)
	key, ok := (*k.byHash.Load())[hash]
	if !ok || subtle.ConstantTimeCompare(hash[:], key.Hash[:]) != 1 || !key.Revoked.IsZero() {
		return Key{}, false
	}
	if !key.Expires.IsZero() && !k.now().Before(key.Expires) {
		return Key{}, false
	}
	return key, true
}

// Request is what a new key is to be.
type Request struct {
	Kind    Kind
	Source  string // needed for ingest and browser keys
	Name    string
	Expires time.Time // zero: never
}

// Create makes a key and gives its secret, which is not kept and cannot be
// shown again.
func (k *Keys) Create(ctx context.Context, r Request) (secret string, key Key, err error) {
	prefix, ok := prefixes[r.Kind]
	switch {
	case !ok:
		return "", key, fault.New(fault.Invalid, "unknown_key_kind", "a key is of kind ingest, browser or manage")
	case r.Kind != Manage && r.Source == "":
		return "", key, fault.New(fault.Invalid, "source_required", "a key of this kind belongs to a source; name it")
	case r.Kind == Manage && r.Source != "":
		return "", key, fault.New(fault.Invalid, "source_not_allowed", "a management key belongs to no source")
	case len(r.Name) > 200:
		return "", key, fault.New(fault.Invalid, "name_too_long", "a key's name has at most 200 bytes")
	}
	var raw [32]byte
	var short [5]byte
	for _, b := range [][]byte{raw[:], short[:]} {
		if _, err := io.ReadFull(k.rand, b); err != nil {
			return "", key, fmt.Errorf("make a key: %w", err)
		}
	}
	secret = prefix + digits.EncodeToString(raw[:])
	key = Key{
		ID: "key_" + digits.EncodeToString(short[:]), Kind: r.Kind, Source: r.Source, Name: r.Name,
		Hash: HashOf(secret), Created: k.now().UTC(), Expires: r.Expires,
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.keeper.Write(ctx, func(st Store) error { return st.InsertKey(key) }); err != nil {
		return "", Key{}, fmt.Errorf("keep key %s: %w", key.ID, err)
	}
	k.stored = append(k.stored, key)
	k.publish()
	return secret, key, nil
}

// List gives all keys, also revoked and expired ones, oldest first, those of
// the configuration at the end.
func (k *Keys) List() []Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := slices.Clone(k.stored)
	slices.SortStableFunc(out, func(a, b Key) int { return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID)) })
	return append(out, k.declared...)
}

// Revoke ends a key: when it returns, no lookup finds it any more. Revoking
// twice changes nothing.
func (k *Keys) Revoke(ctx context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.stored, func(key Key) bool { return key.ID == id })
	if i < 0 {
		if slices.ContainsFunc(k.declared, func(key Key) bool { return key.ID == id }) {
			return fault.New(fault.Conflict, "key_is_configured", "key %s stands in the configuration; remove it there and apply", id)
		}
		return fault.New(fault.NotFound, "no_such_key", "there is no key %q", id)
	}
	if !k.stored[i].Revoked.IsZero() {
		return nil
	}
	at := k.now().UTC()
	err := k.keeper.Write(ctx, func(st Store) error {
		_, err := st.RevokeKey(id, at)
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke key %s: %w", id, err)
	}
	k.stored[i].Revoked = at
	k.publish()
	return nil
}

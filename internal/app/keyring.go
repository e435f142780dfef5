package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rapport/internal/fault"
	"rapport/internal/seal"
	"rapport/internal/seal/keyset"
	"rapport/internal/store/sqlitestore"
)

// Keyring is the opened keys of a data folder. It is safe for concurrent use.
type Keyring struct {
	dir  string
	keys *keys
	o    RootKey
	ring *seal.Ring
	now  func() time.Time

	closers []func() error
	wake    chan bool // a rotation is asked for; true: of the root key too
	mu      sync.Mutex
	turn    Rotation
	set     *keyset.Keyset // the root key where it is in keyset.json
}

// KeyStatus tells which keys there are.
type KeyStatus struct {
	Root     string `json:"root_key"`            // FileRoot, or where else it is
	RootKeys int    `json:"root_keys,omitempty"` // in keyset.json; more than one while one takes the other's place
	// Passphrase tells whether keyset.json is encrypted.
	Passphrase bool   `json:"passphrase,omitempty"`
	Moving     string `json:"moving_to,omitempty"` // where the root key is being moved
	seal.Status
	Pending  bool      `json:"pending"` // a rotation was begun and has not ended
	Rotation Rotation  `json:"rotation"`
	Now      time.Time `json:"now"`
}

// Rotation is how far a rotation is.
type Rotation struct {
	Running bool   `json:"running"`
	Done    int64  `json:"done"`            // data keys that were wrapped anew
	Error   string `json:"error,omitempty"` // what the last one failed of
}

// openKeyring opens the keys of a folder, or makes them where nothing was stored
// yet (fresh), or where they are asked for. A folder whose keys are missing is
// refused: nothing in it could be read.
func openKeyring(dir string, k *keys, o RootKey, vfs string, now func() time.Time, fresh bool) (_ *Keyring, err error) {
	if err := mayOpen(dir, k, o, fresh); err != nil {
		return nil, err
	}
	r := &Keyring{dir: dir, keys: k, o: o, now: now, wake: make(chan bool, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if !k.Sealed && o.Address != "" && o.Address != FileRoot {
		k.Root = o.Address
	}
	path := filepath.Join(dir, ringFile)
	if vfs == "" {
		if err := own(path); err != nil {
			return nil, err
		}
	}
	kept, err := sqlitestore.OpenKeyring(sqlitestore.KeyringConfig{Path: path, VFS: vfs})
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, kept.Close)
	if err := r.unlock(kept); err != nil {
		return nil, err
	}
	if !k.Sealed {
		k.Sealed = true
		return r, k.write(filepath.Join(dir, keysFile))
	}
	return r, nil
}

// own makes a file that only its owner may read; SQLite would let others.
func own(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // The path is the operator's own choice.
	if err != nil {
		return fmt.Errorf("make %s: %w", ringFile, err)
	}
	return f.Close()
}

// mayOpen refuses what would read nothing, or would seal what nobody has asked to
// be sealed.
func mayOpen(dir string, k *keys, o RootKey, fresh bool) error {
	switch {
	case k.Sealed && o.Off:
		return fault.New(fault.Conflict, "sealed", "what the data folder holds is sealed: start without --unsealed, or with another data folder")
	case !k.Sealed && !fresh && !o.Begin:
		return fault.New(fault.Conflict, "not_sealed",
			"what the data folder holds is not sealed: seal what comes from now on with `rapport keys begin`, or go on with --unsealed")
	case !k.Sealed:
		return nil
	case o.Address != "" && o.Address != k.root() && o.Address != k.NextRoot:
		return fault.New(fault.Conflict, "root_key_elsewhere",
			"the root key of the data folder is %s, not %s: name that, or move it with `rapport keys move --to %s`", k.root(), o.Address, o.Address)
	}
	files := []string{ringFile}
	if k.root() == FileRoot {
		files = append(files, rootFile)
	}
	for _, name := range files {
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			return missing(name)
		}
	}
	return nil
}

// unlock opens the wrapping keys with the root key; where a move of the root was
// interrupted, with either, and ends it.
func (r *Keyring) unlock(kept seal.Store) error {
	err := r.unlockWith(kept, r.keys.root())
	if r.keys.NextRoot == "" {
		return err
	}
	if err != nil {
		if again := r.unlockWith(kept, r.keys.NextRoot); again != nil {
			return errors.Join(err, again)
		}
	}
	return r.Move(r.keys.NextRoot)
}

func (r *Keyring) unlockWith(kept seal.Store, address string) error {
	root, err := r.o.root(r.dir, address, !r.keys.Sealed)
	if err != nil {
		return err
	}
	r.ring, err = seal.Open(seal.Config{Store: kept, Root: root, Rand: rand.Reader, Now: r.now, Fresh: !r.keys.Sealed})
	r.set, _ = root.(*keyset.Keyset)
	return err
}

func (r *Keyring) close() error {
	var errs []error
	for i := len(r.closers) - 1; i >= 0; i-- {
		errs = append(errs, r.closers[i]())
	}
	r.closers = nil
	return errors.Join(errs...)
}

// Close closes the keys. Closing twice is harmless.
func (r *Keyring) Close() error { return r.close() }

// OpenKeys opens the keys of a data folder that nobody serves.
func OpenKeys(dir string, o RootKey) (*Keyring, error) {
	k, err := sealedKeys(dir)
	if err != nil {
		return nil, err
	}
	return openHeld(dir, k, o)
}

// BeginSealing makes the keys of a data folder that was not sealed: what is
// written from then on is. Given again it changes nothing.
func BeginSealing(dir string, o RootKey) (*Keyring, error) {
	k, err := sealedKeys(dir)
	if err != nil && fault.CodeOf(err) != "not_sealed" {
		return nil, err
	}
	o.Begin = true
	return openHeld(dir, k, o)
}

// openHeld opens keys and keeps everybody else out of the folder.
func openHeld(dir string, k *keys, o RootKey) (*Keyring, error) {
	lock, err := sqlitestore.Lock(dir)
	if err != nil {
		return nil, err
	}
	r, err := openKeyring(dir, k, o, "", time.Now, false)
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	r.closers = append([]func() error{lock.Release}, r.closers...)
	return r, nil
}

// Status counts the keys.
func (r *Keyring) Status(ctx context.Context) (out KeyStatus, err error) {
	if out.Status, err = r.ring.Status(ctx); err != nil {
		return out, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out.Root, out.Moving = r.keys.root(), r.keys.NextRoot
	out.Rotation, out.Now = r.turn, r.now().UTC()
	if r.set != nil {
		out.RootKeys = r.set.Len()
		if out.Passphrase, err = encrypted(r.dir); err != nil {
			return out, err
		}
	}
	out.Pending = r.ring.Pending() || out.RootKeys > 1 || out.Moving != ""
	return out, nil
}

// Rotate makes a new wrapping key and retires the former once nothing is under
// it; then, if asked, it does so with the root key. What was interrupted goes on.
func (r *Keyring) Rotate(ctx context.Context, root bool, told func(done int64)) error {
	if err := r.ring.Rotate(ctx, told); err != nil {
		return fmt.Errorf("rotate the keys: %w", err)
	}
	if !root {
		return nil
	}
	if err := r.rotateRoot(); err != nil {
		return fmt.Errorf("rotate the root key: %w", err)
	}
	return nil
}

// rotateRoot gives the keyset a new key, under which the wrapping keys come before
// the former leaves the file. A service rotates its keys itself: there the
// wrapping keys come under the newest.
func (r *Keyring) rotateRoot() error {
	r.mu.Lock()
	set := r.set
	r.mu.Unlock()
	if set == nil {
		root, err := r.o.root(r.dir, r.keys.root(), false)
		if err != nil {
			return err
		}
		return r.ring.Reroot(root)
	}
	if set.Len() == 1 { // More: it was interrupted, and goes on.
		fresh, err := set.Rotated()
		if err != nil {
			return err
		}
		if set, err = fresh, r.put(fresh); err != nil {
			return err
		}
	}
	if err := r.ring.Reroot(set); err != nil {
		return err
	}
	alone, err := set.Alone()
	if err != nil {
		return err
	}
	if err := r.put(alone); err != nil {
		return err
	}
	return r.ring.Reroot(alone)
}

// put writes keyset.json.
func (r *Keyring) put(set *keyset.Keyset) error {
	if err := r.o.write(r.dir, set); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set = set
	return nil
}

// Move brings the wrapping keys under a root key elsewhere. keyset.json is kept
// under another name: it opens older copies of keys.db.
func (r *Keyring) Move(to string) error {
	path := filepath.Join(r.dir, keysFile)
	from := r.keys.root()
	switch {
	case to == from && r.keys.NextRoot == "":
		return nil
	case r.ring.Pending():
		return fault.New(fault.Conflict, "rotation_pending", "a rotation has not ended: end it with `rapport keys rotate`, then move the root key")
	}
	root, err := r.o.root(r.dir, to, true)
	if err != nil {
		return err
	}
	if err := tried(root); err != nil { // Before anything says that it is to be there.
		return err
	}
	r.keys.NextRoot = to
	if err := r.keys.write(path); err != nil {
		return err
	}
	if err := r.ring.Reroot(root); err != nil {
		return fmt.Errorf("move the root key: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set, _ = root.(*keyset.Keyset)
	r.keys.Root, r.keys.NextRoot = to, ""
	if to == FileRoot {
		r.keys.Root = ""
	}
	if err := r.keys.write(path); err != nil || from != FileRoot {
		return err
	}
	err = os.Rename(filepath.Join(r.dir, rootFile), filepath.Join(r.dir, formerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Done before an interruption.
	}
	return err
}

// tried has a root key wrap and unwrap something.
func tried(root seal.Root) error {
	label := []byte("rapport trial")
	body, err := root.Encrypt(label, label)
	if err != nil {
		return fmt.Errorf("try the new root key: %w", err)
	}
	plain, err := root.Decrypt(body, label)
	if err == nil && !bytes.Equal(plain, label) {
		err = fault.New(fault.Conflict, "root_key_wrong", "it does not give back what it wrapped")
	}
	if err != nil {
		return fmt.Errorf("try the new root key: %w", err)
	}
	return nil
}

// Ask has a serving house rotate its keys. It does not wait: Turn tells how far
// that is.
func (r *Keyring) Ask(root bool) (Rotation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turn.Running {
		return r.turn, seal.ErrRotating
	}
	r.turn = Rotation{Running: true}
	r.wake <- root // Nobody waits: there is one at a time.
	return r.turn, nil
}

// Turn tells how far a rotation is.
func (r *Keyring) Turn() Rotation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.turn
}

// run rotates keys when it is asked to, and ends what was interrupted.
func (r *Keyring) run(ctx context.Context, logger *slog.Logger) error {
	if r.ring.Pending() {
		_, _ = r.Ask(false) // Nobody else asks yet.
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case root := <-r.wake:
			err := r.Rotate(ctx, root, r.noteDone)
			if err != nil && ctx.Err() == nil {
				logger.Error("the keys could not be rotated; `rapport keys rotate` goes on", "error", err)
			}
			r.noteEnd(err)
		}
	}
}

func (r *Keyring) noteDone(done int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn.Done = done
}

func (r *Keyring) noteEnd(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn.Running = false
	if err != nil {
		r.turn.Error = err.Error()
	}
}

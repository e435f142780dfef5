package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"rapport/internal/fault"
)

// Keeper runs functions over the trail in one transaction. The roof joins it to
// the state store.
type Keeper interface {
	// Write commits what fn did, or nothing. A durable commit outlives a power
	// loss, and with it all that was committed before.
	Write(ctx context.Context, durable bool, fn func(Store) error) error
	// Hurry commits as Write does what somebody waits for, before what nobody does.
	Hurry(ctx context.Context, fn func(Store) error) error
	Read(ctx context.Context, fn func(Store) error) error
}

// Config is what a Trail needs.
type Config struct {
	Keeper Keeper
	Key    string        // the signing key, as MakeKey gave it
	Every  time.Duration // how long rows wait for a checkpoint at most; a minute when zero
	Now    func() time.Time
	Rand   io.Reader // salts
	Logger *slog.Logger
}

// Trail is the room's one service. It is safe for concurrent use.
type Trail struct {
	keeper Keeper
	signer note.Signer
	key    string // the public one
	now    func() time.Time
	logger *slog.Logger

	randMu sync.Mutex
	rand   *bufio.Reader

	mu     sync.Mutex
	every  time.Duration
	places []Place
	ways   map[string]*way // to each of the places, by name
}

// MakeKey makes a signing key for a name, and the public key that goes with it.
func MakeKey(rand io.Reader, name string) (secret, public string, err error) {
	return note.GenerateKey(rand, name)
}

// New checks the configuration and makes a Trail. public is the key that goes
// with Config.Key.
func New(c Config, public string) (*Trail, error) {
	if c.Keeper == nil || c.Now == nil || c.Rand == nil {
		return nil, errors.New("audit: Config.Keeper, Now and Rand are required")
	}
	t := &Trail{keeper: c.Keeper, key: public, every: c.Every, now: c.Now, rand: bufio.NewReader(c.Rand), logger: c.Logger}
	var err error
	if t.signer, err = note.NewSigner(c.Key); err != nil {
		return nil, fault.New(fault.Conflict, "trail_key_damaged", "the key that signs the trail cannot be read: restore it from a backup")
	}
	v, err := Verifier(public)
	if err != nil || v.Name() != t.signer.Name() || v.KeyHash() != t.signer.KeyHash() {
		return nil, fault.New(fault.Conflict, "trail_key_damaged", "the two keys of the trail do not belong together: restore them from a backup")
	}
	if t.every <= 0 {
		t.every = time.Minute
	}
	if t.logger == nil {
		t.logger = slog.New(slog.DiscardHandler)
	}
	return t, nil
}

// Key is the public key with which checkpoints are checked.
func (t *Trail) Key() string { return t.key }

// Note writes an act into the trail, in the transaction of the act itself.
func (t *Trail) Note(st Store, acts ...Act) error {
	for i := range acts {
		var salt []byte
		if acts[i].Detail != nil {
			var err error
			if salt, err = t.salt(); err != nil {
				return err
			}
		}
		r, err := NewRow(&acts[i], salt)
		if err != nil {
			return err
		}
		if _, err := st.Append(r); err != nil {
			return fmt.Errorf("write the trail: %w", err)
		}
	}
	return nil
}

func (t *Trail) salt() ([]byte, error) {
	salt := make([]byte, SaltBytes)
	t.randMu.Lock()
	defer t.randMu.Unlock()
	if _, err := io.ReadFull(t.rand, salt); err != nil {
		return nil, fmt.Errorf("salt a row of the trail: %w", err)
	}
	return salt, nil
}

// Record writes an act down that is a transaction of its own: somebody asked for
// something.
func (t *Trail) Record(ctx context.Context, a Act) error {
	return t.keeper.Hurry(ctx, func(st Store) error { return t.Note(st, a) })
}

// Sizes of the work of the one who sequences.
const (
	growRows   = 250                    // rows that one transaction puts into the tree: a few milliseconds
	growEvery  = 500 * time.Millisecond // how long a row waits for its place in the tree
	parcelRows = 10_000                 // rows after which one is signed at the latest, give or take growRows
)

// Run puts rows into the tree, signs checkpoints and has them leave, until the
// context ends. A place that hangs does not keep the next from being signed.
func (t *Trail) Run(ctx context.Context) error {
	var leaving sync.WaitGroup
	leaving.Go(func() {
		t.again(ctx, func() error { return t.leave(ctx, false) })
	})
	t.again(ctx, func() error { return t.signAll(ctx, false) })
	leaving.Wait()
	return nil
}

// again does something now and then.
func (t *Trail) again(ctx context.Context, do func() error) {
	tick := time.NewTicker(growEvery) // machine time: the disk's, not the business's
	defer tick.Stop()
	for {
		if err := do(); err != nil && ctx.Err() == nil {
			t.logger.Warn("the trail could not go on, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// CatchUp puts all rows into the tree, signs a checkpoint if it is time or one is
// asked for, and has those leave that have not.
func (t *Trail) CatchUp(ctx context.Context, ask bool) error {
	if err := t.signAll(ctx, ask); err != nil {
		return err
	}
	return t.leave(ctx, ask)
}

// signAll puts all rows into the tree, and signs a checkpoint if it is time or one
// is asked for.
func (t *Trail) signAll(ctx context.Context, ask bool) error {
	for {
		var hash, signs bool
		err := t.keeper.Read(ctx, func(st Store) (err error) { // A house in which nothing happens writes nothing.
			hash, signs, err = t.behind(st, ask)
			return err
		})
		switch {
		case err != nil:
			return err
		case signs:
			// What is signed is durable before anybody hears of it: after a power loss
			// the trail would else contradict a checkpoint that has left.
			err = t.keeper.Write(ctx, true, func(st Store) error { return t.sign(st, ask) })
		case hash:
			err = t.keeper.Write(ctx, false, func(st Store) error {
				_, err := grow(st, growRows)
				return err
			})
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// behind tells whether there is something to sign, or else to hash.
func (t *Trail) behind(st Store, ask bool) (hash, signs bool, err error) {
	last, found, err := st.LastCheckpoint()
	if err != nil {
		return false, false, err
	}
	hashed, err := st.Hashed()
	if err != nil {
		return false, false, err
	}
	rows, err := st.Size()
	return rows > hashed, t.timely(last, found, hashed, rows, ask), err
}

// timely tells whether a checkpoint is to be signed for so many rows of a tree, of
// all that there are.
func (t *Trail) timely(last Checkpoint, found bool, size, rows int64, ask bool) bool {
	full := size-last.Size > parcelRows-growRows
	return size > last.Size && (!found || full || rows == size && (ask || t.now().Sub(last.At) >= t.waits()))
}

// sign signs a checkpoint for the tree as it stands, if one is due still.
func (t *Trail) sign(st Store, ask bool) error {
	last, found, err := st.LastCheckpoint()
	if err != nil {
		return err
	}
	size, err := grow(st, growRows) // what came since it was found to be due
	if err != nil {
		return err
	}
	rows, err := st.Size()
	if err != nil || !t.timely(last, found, size, rows, ask) {
		return err
	}
	root, err := tlog.TreeHash(size, reading{st})
	if err != nil {
		return fmt.Errorf("audit: root of %d rows: %w", size, err)
	}
	c, err := sign(Tree{size, root}, t.now(), t.signer)
	if err != nil {
		return fmt.Errorf("audit: sign a checkpoint: %w", err)
	}
	return st.SaveCheckpoint(c)
}

func (t *Trail) waits() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.every
}

// Parcel gives the newest checkpoint as it leaves the machine; ok is false when
// there is none yet.
func (t *Trail) Parcel(ctx context.Context) (p *Parcel, ok bool, err error) {
	err = t.keeper.Read(ctx, func(st Store) error {
		last, found, err := st.LastCheckpoint()
		if ok = found; err != nil || !found {
			return err
		}
		p, err = parcel(st, last, 0)
		return err
	})
	return p, ok, err
}

// Prove shows that a row is in the tree of the newest checkpoint.
func (t *Trail) Prove(ctx context.Context, n int64) (*Proof, error) {
	var p *Proof
	err := t.keeper.Read(ctx, func(st Store) error {
		rows, err := st.Rows(n, 1)
		if err != nil {
			return err
		}
		if n < 0 || len(rows) == 0 || rows[0].N != n {
			return fault.New(fault.NotFound, "no_such_row", "the trail has no row %d", n)
		}
		last, found, err := st.LastCheckpoint()
		if err != nil {
			return err
		}
		if !found || last.Size <= n {
			return fault.New(fault.Unavailable, "no_checkpoint_yet", "no checkpoint covers row %d yet; ask for one, or wait %s", n, t.waits())
		}
		proof, err := tlog.ProveRecord(last.Size, n, reading{st})
		if err != nil {
			return fmt.Errorf("audit: prove row %d: %w", n, err)
		}
		p = &Proof{N: n, Leaf: rows[0].Leaf, Inclusion: proof, Checkpoint: last.Note}
		return nil
	})
	return p, err
}

// Size gives the number of rows.
func (t *Trail) Size(ctx context.Context) (n int64, err error) {
	err = t.keeper.Read(ctx, func(st Store) error {
		n, err = st.Size()
		return err
	})
	return n, err
}

// Search lists rows, newest first.
func (t *Trail) Search(ctx context.Context, q Query) ([]Entry, error) {
	out := []Entry{}
	err := t.keeper.Read(ctx, func(st Store) error {
		var err error
		if q.Newest, err = st.Size(); err != nil {
			return err
		}
		rows, err := st.Search(q)
		if err != nil {
			return err
		}
		for i := range rows {
			e, err := EntryOf(&rows[i])
			if err != nil {
				return err
			}
			out = append(out, e)
		}
		return nil
	})
	return out, err
}

package app

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/seal"
	"rapport/internal/store"
	"rapport/internal/store/sealed"
	"rapport/internal/store/sqlitestore"
)

// unlock opens the keys before anything is stored: what a house that begins
// writes first is sealed.
func (h *House) unlock(fresh bool) error {
	if h.Root.Off && !h.keys.Sealed {
		return nil
	}
	r, err := openKeyring(h.Data, h.keys, h.Root, h.VFS, h.clock.Now, fresh)
	if err != nil {
		return err
	}
	h.onClose(r.close)
	h.keyring = r
	if h.keys.root() == FileRoot {
		return h.Root.mustBeMeant(h.Data)
	}
	return nil
}

// sealCellar has everything that the log and the state hold sealed from now on.
func (h *House) sealCellar(ctx context.Context) error {
	if h.keyring == nil {
		return nil
	}
	ring := h.keyring.ring
	h.logStore = &sealed.Log{Log: h.logStore, Ring: ring}
	restored, err := h.state.Meta(ctx, metaRestored)
	if err != nil {
		return err
	}
	state := &sealed.State{State: h.state, Ring: ring, Restored: restored != nil}
	h.state = state
	return state.Sweep(ctx)
}

// mustOpenNewest refuses keys that are older than what they should open: what was
// written since would be taken for erased. That log and state belong together is
// known by then.
func (h *House) mustOpenNewest(ctx context.Context) error {
	if h.keyring == nil {
		return nil
	}
	for _, lane := range lanes {
		tail, _, err := h.logStore.Tail(ctx, lane)
		if err != nil {
			return err
		}
		if tail == 0 {
			continue
		}
		_, err = h.logStore.Read(ctx, lane, tail, 1)
		if fault.CodeOf(err) == seal.CodeDestroyed {
			if newer, newErr := h.keysNewer(ctx, lane, tail); newErr != nil || newer {
				if newErr != nil {
					return newErr
				}
				continue
			}
			return fault.Wrap(err, fault.Conflict, seal.CodeOlder, "keys.db does not open what the log got last: it is older than the data, or of another house; restore the newest copy of it")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keysNewer tells whether the keys are newer than the log's last frame: the data come
// from a backup, and the log has let that day go since. Nobody reads the frame again
// where it is walked; else what is in it is lost, and somebody must say so.
func (h *House) keysNewer(ctx context.Context, lane eventlog.Lane, tail int64) (bool, error) {
	_, at, err := h.bare.Log.Tail(ctx, lane)
	if err != nil {
		return false, err
	}
	newer, err := h.keyring.ring.Newer(uint8(lane), at.Unix()/86400)
	if err != nil || !newer {
		return false, err
	}
	if tail > h.walker.Walked(lane) {
		return false, fault.New(fault.Conflict, "tail_expired",
			"the keys of what the log holds behind the state were destroyed since the backup, as events.keep_log says: restore it with the keys that were backed up with it, or with --drop-tail, without what had come in and was not walked when the backup was taken")
	}
	return true, nil
}

// runKeys rotates keys for as long as the house runs.
func (h *House) runKeys(ctx context.Context) error {
	if h.keyring == nil {
		return nil
	}
	return h.keyring.run(ctx, h.logger.With("room", "seal"))
}

// keyringDoor is the keys for the management API.
type keyringDoor struct{ h *House }

var errNotSealed = fault.New(fault.Conflict, "not_sealed", "what this house stores is not sealed: stop it, and begin with `rapport keys begin`")

func (d keyringDoor) Status(ctx context.Context) (any, error) {
	if d.h.keyring == nil {
		return nil, errNotSealed
	}
	return d.h.keyring.Status(ctx)
}

func (d keyringDoor) Rotate(root bool) (any, error) {
	if d.h.keyring == nil {
		return nil, errNotSealed
	}
	return d.h.keyring.Ask(root)
}

func (d keyringDoor) Rotation() (any, error) {
	if d.h.keyring == nil {
		return nil, errNotSealed
	}
	return d.h.keyring.Turn(), nil
}

// FolderState opens the state of a data folder that nobody serves, to be looked at.
func FolderState(dir string, o RootKey) (store.State, error) {
	k, err := loadKeys(dir, false)
	if err != nil {
		return nil, err
	}
	state, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(dir, "state.db")})
	if err != nil || !k.Sealed {
		return state, err
	}
	r, err := openKeyring(dir, k, o, "", time.Now, false)
	if err != nil {
		return nil, errors.Join(err, state.Close())
	}
	return &lookedAt{sealed.State{State: state, Ring: r.ring}, r.close}, nil
}

// lookedAt closes its keys too.
type lookedAt struct {
	sealed.State
	closeRing func() error
}

func (s *lookedAt) Close() error { return errors.Join(s.State.Close(), s.closeRing()) }

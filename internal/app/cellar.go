package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store"
	"rapport/internal/store/move"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/sqlitestore"
)

// logStore is a home of the log that also knows how far a state has walked it.
type logStore = move.Log

// openCellar takes the folder and opens log and state.
func (h *House) openCellar(ctx context.Context) error {
	if err := os.MkdirAll(h.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	lock, err := sqlitestore.Lock(h.Data)
	if err != nil {
		return err
	}
	h.onClose(lock.Release)
	if h.Database != "" {
		err = h.openDatabase(ctx)
	} else {
		err = h.openFiles(ctx)
	}
	if err != nil {
		return err
	}
	h.bare = move.House{Log: h.logStore, State: h.state.(move.State)} // Both kinds are.
	if err := h.sealCellar(ctx); err != nil {
		return err
	}
	if h.log, err = eventlog.Open(eventlog.Config{Store: h.logStore, Now: h.clock.Now, Logger: h.logger}); err != nil {
		return err
	}
	if h.hasher, err = id.NewHasher(h.keys.Hash); err != nil {
		return err
	}
	if err := h.keepTrail(); err != nil {
		return err
	}
	h.listen()
	h.editions = &editions{state: h.state, made: map[int]*edition{}}
	return nil
}

// openFiles opens the embedded store in the data folder.
func (h *House) openFiles(ctx context.Context) error {
	statePath, logPath := filepath.Join(h.Data, "state.db"), filepath.Join(h.Data, "log.db")
	_, stateErr := os.Stat(statePath)
	_, logErr := os.Stat(logPath)
	fresh := stateErr != nil && logErr != nil
	var err error
	if fresh { // Before there is anything to seal: a start that is interrupted leaves none that is not.
		if h.keys, err = loadKeys(h.Data, true); err != nil {
			return err
		}
		if err := h.unlock(true); err != nil {
			return err
		}
	}
	if stateErr == nil && logErr != nil {
		return fault.New(fault.Conflict, "log_missing", "the data folder has state.db but no log.db: restore both from one backup")
	}
	log, err := sqlitestore.OpenLog(sqlitestore.LogConfig{Path: logPath, Logger: h.logger, VFS: h.VFS})
	if err != nil {
		return err
	}
	h.onClose(log.Close)
	h.logStore = log
	if stateErr != nil {
		if err := mustBeNew(ctx, log, "the data folder has a log of events but no state.db"); err != nil {
			return err
		}
	}
	state, err := sqlitestore.OpenState(sqlitestore.Config{Path: statePath, Logger: h.logger, VFS: h.VFS})
	if err != nil {
		return err
	}
	h.onClose(state.Close)
	h.state = state
	if err := mustBeWhole(ctx, state); err != nil || fresh { // Keys come last where a house moves to.
		return err
	}
	if h.keys, err = loadKeys(h.Data, false); err != nil {
		return err
	}
	return h.unlock(false)
}

// openDatabase opens PostgreSQL; the workspace's keys stay in the data folder,
// so that the database alone does not tell whose identifiers it holds.
func (h *House) openDatabase(ctx context.Context) error {
	conf := pgstore.Config{URL: h.Database, Logger: h.logger}
	lock, err := pgstore.Lock(ctx, conf)
	if err != nil {
		return err
	}
	h.onClose(lock.Release)
	log, err := pgstore.OpenLog(ctx, conf)
	if err != nil {
		return err
	}
	h.onClose(log.Close)
	h.logStore = log
	state, err := pgstore.OpenState(ctx, conf)
	if err != nil {
		return err
	}
	h.onClose(state.Close)
	h.state = state
	if err := mustBeWhole(ctx, state); err != nil {
		return err
	}
	owner := ""
	err = state.Read(ctx, func(tx store.Tx) (err error) {
		owner, err = tx.Processor().LogID()
		return err
	})
	if err != nil {
		return err
	}
	if owner == "" {
		if err := mustBeNew(ctx, log, "the database has a log of events but an empty state"); err != nil {
			return err
		}
	}
	if h.keys, err = loadKeys(h.Data, owner == ""); err != nil {
		return err
	}
	return h.unlock(owner == "")
}

// mustBeNew refuses a log without its state, unless nothing was ever written to
// it: walking it again would decide again what was sent already.
func mustBeNew(ctx context.Context, log eventlog.Store, found string) error {
	var errs []error
	used := false
	for _, lane := range lanes {
		tail, _, err := log.Tail(ctx, lane)
		errs = append(errs, err)
		used = used || tail > 0
	}
	if err := errors.Join(errs...); err != nil || !used {
		return err
	}
	return fault.New(fault.Conflict, "state_missing",
		"%s: restore both from one backup; walking the log again would send again what was sent", found)
}

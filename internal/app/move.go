package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rapport/internal/fault"
	"rapport/internal/store"
	"rapport/internal/store/move"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/sealed"
	"rapport/internal/store/sqlitestore"
)

// MoveOptions say what is moved where.
type MoveOptions struct {
	From, To string // a data folder, or the address of a PostgreSQL database
	Data     string // the data folder that serves a database: it holds the workspace's keys
	Root     RootKey
	Logger   *slog.Logger
	// Told hears of every step, as the verb and a table with its rows so far.
	Told func(doing, table string, rows int64)
}

// MoveResult is what a move came to.
type MoveResult struct {
	From move.Sums `json:"from"`
	To   move.Sums `json:"to"`
	// Left is what stays where the house was, and is the operator's to delete.
	Left []string `json:"left_behind"`
}

// place is an opened home of a house.
type place struct {
	move.House
	name    string // for people, without a password
	keys    string // the folder with the workspace's keys
	root    RootKey
	closers []func() error
}

func (p *place) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	p.closers = nil
	return errors.Join(errs...)
}

func isDatabase(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

// openPlace opens a folder or a database that nobody serves.
func openPlace(ctx context.Context, where, data string, root RootKey, logger *slog.Logger, fresh bool) (p *place, err error) {
	p = &place{name: where, keys: where, root: root}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if isDatabase(where) {
		p.name, p.keys = "the database", data
		return p, p.openDatabase(ctx, pgstore.Config{URL: where, Logger: logger})
	}
	if _, err := os.Stat(filepath.Join(where, "state.db")); err != nil && !fresh {
		return p, fault.New(fault.NotFound, "no_house", "%s holds no state.db: name the data folder of a server, or postgres://…", where)
	}
	if err := os.MkdirAll(where, 0o700); err != nil {
		return p, fmt.Errorf("make the data folder: %w", err)
	}
	return p, p.openFiles(where, logger)
}

func (p *place) openDatabase(ctx context.Context, c pgstore.Config) error {
	lock, err := pgstore.Lock(ctx, c)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, lock.Release)
	log, err := pgstore.OpenLog(ctx, c)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, log.Close)
	state, err := pgstore.OpenState(ctx, c)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, state.Close)
	p.House = move.House{Log: log, State: state}
	return nil
}

func (p *place) openFiles(dir string, logger *slog.Logger) error {
	lock, err := sqlitestore.Lock(dir)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, lock.Release)
	log, err := sqlitestore.OpenLog(sqlitestore.LogConfig{Path: filepath.Join(dir, "log.db"), Logger: logger})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, log.Close)
	state, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(dir, "state.db"), Logger: logger})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, state.Close)
	p.House = move.House{Log: log, State: state}
	return nil
}

// MoveStore carries a house from files to a database or back, compares both, and
// lets the target serve from then on. Given again after it was interrupted it
// goes on. Nobody may serve either of them meanwhile.
func MoveStore(ctx context.Context, o MoveOptions) (out MoveResult, err error) {
	if o.From == o.To {
		return out, fault.New(fault.Invalid, "same_place", "a house is moved from one place to another")
	}
	from, err := openPlace(ctx, o.From, o.Data, o.Root, o.Logger, false)
	if err != nil {
		return out, fmt.Errorf("open the source: %w", err)
	}
	defer func() { err = errors.Join(err, from.close()) }()
	to, err := openPlace(ctx, o.To, o.Data, o.Root, o.Logger, true)
	if err != nil {
		return out, fmt.Errorf("open the target: %w", err)
	}
	defer func() { err = errors.Join(err, to.close()) }()
	if err := move.Move(ctx, from.House, to.House, func(table string, rows int64) { o.Told("moving", table, rows) }); err != nil {
		return out, err
	}
	if err := carryFolder(from.keys, to.keys); err != nil {
		return out, err
	}
	source, err := from.opened()
	if err != nil {
		return out, err
	}
	target, err := to.opened()
	if err != nil {
		return out, err
	}
	if out.From, err = move.Digest(ctx, source, func(table string, rows int64) { o.Told("reading the source's", table, rows) }); err != nil {
		return out, err
	}
	if out.To, err = move.Digest(ctx, target, func(table string, rows int64) { o.Told("reading the target's", table, rows) }); err != nil {
		return out, err
	}
	if wrong := move.Differences(out.From, out.To); len(wrong) > 0 {
		return out, fault.New(fault.Conflict, "not_the_same",
			"the target does not hold what the source holds: %s differ. The source stays in use; empty the target and move again", strings.Join(wrong, ", "))
	}
	out.Left = leftBehind(from, to, isDatabase(o.From))
	// The source ends before the target begins: never may both serve.
	if err := from.State.SetMeta(ctx, move.MetaMoved, []byte(to.name)); err != nil {
		return out, err
	}
	return out, forgetNote(ctx, to.House.State, move.MetaArriving)
}

// forgetNote takes a note of a move away; what is empty counts as none.
func forgetNote(ctx context.Context, s move.State, key string) error { return s.SetMeta(ctx, key, nil) }

// Reopen lets a house that was moved away serve again. What happened since at
// the place to which it was moved is not in it.
func Reopen(ctx context.Context, where, data string, logger *slog.Logger) (err error) {
	p, err := openPlace(ctx, where, data, RootKey{}, logger, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	return forgetNote(ctx, p.State, move.MetaMoved)
}

// DigestStore sums up what a folder or a database holds.
func DigestStore(ctx context.Context, where, data string, root RootKey, logger *slog.Logger) (sums move.Sums, err error) {
	p, err := openPlace(ctx, where, data, root, logger, false)
	if err != nil {
		return sums, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	house, err := p.opened()
	if err != nil {
		return sums, err
	}
	return move.Digest(ctx, house, func(string, int64) {})
}

// opened gives the house as it reads: sealed bodies differ from one writing to
// the next.
func (p *place) opened() (move.House, error) {
	k, err := loadKeys(p.keys, false)
	if err != nil || !k.Sealed {
		return p.House, err
	}
	r, err := openKeyring(p.keys, k, p.root, "", time.Now, false)
	if err != nil {
		return p.House, err
	}
	p.closers = append(p.closers, r.close)
	return move.House{Log: &sealed.Log{Log: p.Log, Ring: r.ring}, State: &sealed.Tables{State: p.State, Ring: r.ring}}, nil
}

// mustBeWhole refuses a state that is still arriving, or that has moved away.
func mustBeWhole(ctx context.Context, s store.State) error {
	arriving, err := s.Meta(ctx, move.MetaArriving)
	if err != nil {
		return err
	}
	if len(arriving) > 0 {
		return fault.New(fault.Conflict, "move_unfinished", "a move or a restore to this store was interrupted: run the same `rapport migrate-store` again, or empty it and restore again")
	}
	moved, err := s.Meta(ctx, move.MetaMoved)
	if err == nil && len(moved) > 0 {
		err = fault.New(fault.Conflict, "moved",
			"this house has moved to %s: serve that, or let this one serve again with `rapport migrate-store --reopen`, without what happened since", moved)
	}
	return err
}

// Package move carries a house's log and state from one store to another, table
// by table in the order of their keys, and proves by digests that both hold the
// same. What comes in are two stores that say which tables they have; nothing
// here knows what a row means. A move that was interrupted goes on behind the
// highest key that the target holds.
package move

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/store"
)

// Kind is what a column's values are.
type Kind uint8

// The kinds. A truth value is the number 0 or 1, an identifier its bytes.
const (
	Int Kind = iota + 1
	Text
	Blob
)

// Column is one column of a table.
type Column struct {
	Name string
	Kind Kind
}

// Table is one table of a state.
type Table struct {
	Name    string
	Columns []Column
	Key     []int // places of the primary key's columns, in its order
}

// Row is the values of one row, in the order of the table's columns: nil, int64,
// string or []byte.
type Row []any

// KeyOf gives the values of a row's key.
func (t *Table) KeyOf(r Row) Row {
	key := make(Row, len(t.Key))
	for i, at := range t.Key {
		key[i] = r[at]
	}
	return key
}

// Reader reads a state as it lies there.
type Reader interface {
	// Tables gives all tables that hold what is to be kept, by name.
	Tables(ctx context.Context) ([]Table, error)
	// Rows gives rows behind a key, nil for the first, in the order of the key's
	// bytes: some, until about a few megabytes, and none at the end.
	Rows(ctx context.Context, t *Table, after Row) ([]Row, error)
}

// State is a state store that can be read and written as it lies there.
type State interface {
	Reader
	// Snapshot reads everything as it is at one instant, however long fn takes, and
	// lets others write meanwhile.
	Snapshot(ctx context.Context, fn func(Reader, store.Tx) error) error
	// Last gives the highest key, nil for none.
	Last(ctx context.Context, t *Table) (Row, error)
	// Put adds rows, durably and in one transaction. Those of a key that is there
	// take its place.
	Put(ctx context.Context, t *Table, rows []Row) error
	// Meta reads and writes small named values.
	Meta(ctx context.Context, key string) ([]byte, error)
	SetMeta(ctx context.Context, key string, value []byte) error
}

// Log is a log's store that can be filled with another's frames.
type Log interface {
	eventlog.Store
	// Adopt gives an empty log the name of the one that it becomes.
	Adopt(ctx context.Context, id string) error
	Mark(ctx context.Context, lane eventlog.Lane, pos int64) error
	Marked(ctx context.Context, lane eventlog.Lane) (int64, error)
}

// House is a log and its state.
type House struct {
	Log   Log
	State State
}

// Names of what a move notes in a state. They are no part of what it holds.
const (
	MetaArriving = "arriving" // in the target, until all is there: the log it comes from
	MetaMoved    = "moved"    // in the source, when it is done: where to
)

// noted are the small values that belong to one store and not to the house.
var noted = []string{MetaArriving, MetaMoved}

var lanes = []eventlog.Lane{eventlog.Live, eventlog.Bulk}

// frameBytes is about how much of a log is carried at once.
const frameBytes = 4 << 20

// Move carries everything from one house to another, which is empty or holds the
// beginning of the same. told hears of every step: the table and how many rows
// have come over in this run.
func Move(ctx context.Context, from, to House, told func(table string, rows int64)) error {
	if err := prepare(ctx, from, to); err != nil {
		return err
	}
	if err := frames(ctx, from.Log, to.Log, told); err != nil {
		return fmt.Errorf("move the log: %w", err)
	}
	pairs, err := paired(ctx, from.State, to.State)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := p.carry(ctx, from.State, to.State, told); err != nil {
			return fmt.Errorf("move %s: %w", p.from.Name, err)
		}
	}
	return nil
}

// prepare makes sure that the target may be filled from this source.
func prepare(ctx context.Context, from, to House) error {
	if left, err := from.State.Meta(ctx, MetaArriving); err != nil || len(left) > 0 {
		return either(err, fault.New(fault.Conflict, "move_unfinished", "the source is itself not complete: another move to it was interrupted; finish that one first"))
	}
	own := []byte(from.Log.ID())
	arriving, err := to.State.Meta(ctx, MetaArriving)
	if err != nil {
		return err
	}
	switch {
	case bytes.Equal(arriving, own):
		return nil
	case len(arriving) > 0:
		return fault.New(fault.Conflict, "target_of_another", "the target holds a part of another house: name an empty folder or database")
	}
	used, err := inUse(ctx, to)
	if err != nil || used {
		return either(err, fault.New(fault.Conflict, "target_in_use", "the target holds something already: name an empty folder or database"))
	}
	if gone, err := from.State.Meta(ctx, MetaMoved); err != nil || len(gone) > 0 {
		return either(err, fault.New(fault.Conflict, "moved",
			"the source has moved to %s already: move that, or let the source serve again with `rapport migrate-store --reopen`, without what happened since", gone))
	}
	if err := to.State.SetMeta(ctx, MetaArriving, own); err != nil {
		return err
	}
	return to.Log.Adopt(ctx, from.Log.ID())
}

func either(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// inUse tells whether anything was ever written to a house.
func inUse(ctx context.Context, h House) (bool, error) {
	for _, lane := range lanes {
		if tail, _, err := h.Log.Tail(ctx, lane); err != nil || tail > 0 {
			return true, err
		}
	}
	tables, err := h.State.Tables(ctx)
	if err != nil {
		return false, err
	}
	for i := range tables {
		rows, err := h.State.Rows(ctx, &tables[i], nil)
		if err != nil || len(kept(&tables[i], rows)) > 0 {
			return true, err
		}
	}
	return false, nil
}

// frames carries the log.
func frames(ctx context.Context, from, to Log, told func(string, int64)) error {
	if to.ID() != from.ID() { // An earlier run was stopped between its two notes.
		if err := to.Adopt(ctx, from.ID()); err != nil {
			return err
		}
	}
	for _, lane := range lanes {
		tail, _, err := to.Tail(ctx, lane)
		if err != nil {
			return err
		}
		next, n := tail+1, int64(0)
		if tail == 0 {
			if next, err = from.First(ctx, lane); err != nil {
				return err
			}
		}
		for {
			some, err := from.Read(ctx, lane, next, frameBytes)
			if err != nil {
				return err
			}
			if len(some) == 0 {
				break
			}
			if err := to.Append(ctx, some); err != nil {
				return err
			}
			last := some[len(some)-1]
			next = last.First + int64(last.Count)
			n += int64(len(some))
			told("log, "+lane.String()+" lane", n)
		}
		walked, err := from.Marked(ctx, lane)
		if err != nil {
			return err
		}
		if err := to.Mark(ctx, lane, walked); err != nil {
			return err
		}
	}
	return nil
}

// pair is a table as both stores have it.
type pair struct{ from, to Table }

// paired matches the tables of two stores; both must have the same.
func paired(ctx context.Context, from, to State) ([]pair, error) {
	a, err := from.Tables(ctx)
	if err != nil {
		return nil, err
	}
	b, err := to.Tables(ctx)
	if err != nil {
		return nil, err
	}
	if len(a) != len(b) {
		return nil, fmt.Errorf("one store has %d tables, the other %d", len(a), len(b))
	}
	out := make([]pair, len(a))
	for i := range a {
		if a[i].Name != b[i].Name || !slices.Equal(a[i].Columns, b[i].Columns) || !slices.Equal(a[i].Key, b[i].Key) {
			return nil, fmt.Errorf("the stores differ in a table: %+v and %+v", a[i], b[i])
		}
		out[i] = pair{a[i], b[i]}
	}
	return out, nil
}

// carry carries the rows of one table behind the highest that has come over.
func (p *pair) carry(ctx context.Context, from, to State, told func(string, int64)) error {
	after, err := to.Last(ctx, &p.to)
	if p.from.Name == metaTable {
		after = nil // It is small, and the move's own notes are in it.
	}
	if err != nil {
		return err
	}
	for n := int64(0); ; {
		rows, err := from.Rows(ctx, &p.from, after)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = p.from.KeyOf(rows[len(rows)-1])
		rows = kept(&p.from, rows)
		if err := to.Put(ctx, &p.to, rows); err != nil {
			return err
		}
		n += int64(len(rows))
		told(p.from.Name, n)
	}
}

// metaTable is where small named values lie, with their names in front.
const metaTable = "meta"

// Kept gives the rows that are part of a house: what a move has noted is not.
func Kept(t *Table, rows []Row) []Row { return kept(t, rows) }

// kept leaves out what is no part of the house.
func kept(t *Table, rows []Row) []Row {
	if t.Name != metaTable {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return slices.Contains(noted, r[t.Key[0]].(string)) })
}

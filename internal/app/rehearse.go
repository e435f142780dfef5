package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"rapport/internal/id"
	"rapport/internal/person"
	"rapport/internal/store/move"
)

// Rehearsal is what a restore came to that was only practised.
type Rehearsal struct {
	People  int64 `json:"people"`   // rows of people
	Erased  int64 `json:"erased"`   // of them nothing can be read
	Records int64 `json:"unwalked"` // of the log, which a server would walk
}

// Rehearse restores a copy with its keys into the empty folder of o, opens the house as
// a server does, without serving anybody, and reads all that it holds. keyset is the
// file of the root key where the copy of the keys does not have it.
func Rehearse(ctx context.Context, data, keys io.Reader, keyset []byte, o Options) (*Rehearsal, error) {
	if _, err := Restore(ctx, data, RestoreOptions{Data: o.Data, Keys: keys}); err != nil {
		return nil, err
	}
	if keyset != nil {
		if err := writeSecret(filepath.Join(o.Data, rootFile), keyset); err != nil {
			return nil, fmt.Errorf("write the root key: %w", err)
		}
	}
	h, err := Open(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	out := Rehearsal{}
	for _, lane := range lanes {
		tail, _ := h.log.Tail(lane)
		out.Records += tail - h.walker.Walked(lane)
	}
	if err := h.Close(); err != nil {
		return nil, err
	}
	return &out, out.read(ctx, o)
}

// read opens every row.
func (x *Rehearsal) read(ctx context.Context, o Options) (err error) {
	p, err := openPlace(ctx, o.Data, o.Data, o.Root, slog.New(slog.DiscardHandler), false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	house, err := p.opened()
	if err != nil {
		return err
	}
	tables, err := house.State.Tables(ctx)
	if err != nil {
		return err
	}
	for i := range tables {
		t := &tables[i]
		for after := move.Row(nil); ; {
			rows, err := house.State.Rows(ctx, t, after)
			if err != nil {
				return fmt.Errorf("read %s: %w", t.Name, err)
			}
			if len(rows) == 0 {
				break
			}
			after = t.KeyOf(rows[len(rows)-1])
			if err := x.count(t, rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// count looks at rows of people.
func (x *Rehearsal) count(t *move.Table, rows []move.Row) error {
	if t.Name != "person" {
		return nil
	}
	number, body := columnOf(t.Columns, "id"), columnOf(t.Columns, "body")
	for _, r := range rows {
		x.People++
		who, _ := r[number].(int64)
		raw, _ := r[body].([]byte)
		if len(raw) == 0 {
			x.Erased++
			continue
		}
		row, err := person.Decode(id.Person(who), raw)
		if err != nil {
			return fmt.Errorf("read %s: %w", id.Person(who), err)
		}
		if row.Erased != 0 {
			x.Erased++
		}
	}
	return nil
}

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"rapport/internal/backup"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/seal"
	"rapport/internal/store/move"
)

// RestoreOptions say what is restored where.
type RestoreOptions struct {
	Data     string    // a folder that is empty, or not there
	Database string    // an empty PostgreSQL database for log and state; "" for files in the folder
	Keys     io.Reader // a copy of the keys, opened; nil: they come later
	Newer    []byte    // a newer erasures.jsonl
	Key      string    // the public key of the house's trail, "" where nobody has it at hand
	DropTail bool      // leave out what was not walked when the copy was taken
	Told     func(doing, table string, rows int64)
}

// Restore fills an empty folder, and an empty database where one is named, with what
// a copy holds. Where it fails nothing is left that a server would serve.
func Restore(ctx context.Context, r io.Reader, o RestoreOptions) (m *backup.Manifest, err error) {
	if err := mustBeEmpty(o.Data); err != nil {
		return nil, err
	}
	where := o.Data
	if o.Database != "" {
		where = o.Database
	}
	p, err := openPlace(ctx, where, o.Data, RootKey{}, slog.New(slog.DiscardHandler), true)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err = errors.Join(err, p.close()); err != nil {
			err = errors.Join(err, clearFolder(o.Data))
		}
	}()
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	x := restoring{ctx: ctx, o: o, to: p.House, tables: map[string]*move.Table{}, rows: map[string]int64{}}
	m, err = backup.Read(r, backup.Taker{Head: x.begin, Rows: x.put, Frames: x.frames, File: x.file})
	if err != nil {
		return nil, err
	}
	for _, l := range m.Head.Lanes {
		if err := p.Log.Mark(ctx, eventlog.Lane(l.Lane), l.Walked); err != nil {
			return nil, err
		}
	}
	if err := x.erasures(); err != nil {
		return nil, err
	}
	if o.Keys != nil {
		k, err := restoreKeys(o.Keys, o.Data, m.Head.Key)
		if err != nil {
			return nil, err
		}
		if k.Head.Sealed && k.Head.Made.Before(m.Head.Made) {
			return nil, keysOlder(k.Head.Made, m.Head.Made)
		}
	}
	if err := p.State.SetMeta(ctx, metaRestored, []byte("1")); err != nil {
		return nil, err
	}
	return m, forgetNote(ctx, p.State, move.MetaArriving)
}

// metaRestored notes for ever that the state was restored: the keys may know of more people.
const metaRestored = "restored"

// errAnother refuses what is signed, and by somebody else. With recipients anybody can
// encrypt for them: only the signature says whose a backup is.
var errAnother = fault.New(fault.Denied, "backup_of_another",
	"the backup is signed, and not by the key that was given: it is of another house, or was made by somebody else")

// keysOlder refuses keys from before the data: whoever came between the two could not
// be read.
func keysOlder(keys, data time.Time) error {
	return fault.New(fault.Conflict, seal.CodeOlder,
		"the keys were backed up at %s, before the data at %s: whoever came between cannot be read; give a later backup of keys, or an earlier one of the data",
		keys.UTC().Format(time.RFC3339), data.UTC().Format(time.RFC3339))
}

// mustBeEmpty refuses a folder in which anything lies.
func mustBeEmpty(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("look at the data folder: %w", err)
	}
	if len(list) > 0 {
		return fault.New(fault.Conflict, "folder_in_use", "%s is not empty: name an empty folder with --data, so that nothing is lost", dir)
	}
	return nil
}

// clearFolder takes away what was restored by half. Only what a house has is there.
func clearFolder(dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range list {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// restoring is a copy on its way into a store.
type restoring struct {
	ctx    context.Context //nolint:containedctx // A restore lives within one call.
	o      RestoreOptions
	to     move.House
	head   *backup.Head
	tables map[string]*move.Table
	rows   map[string]int64
	erased []byte
}

// begin makes sure that the copy fits, and marks the target as not complete.
func (x *restoring) begin(h *backup.Head) error {
	if h.Kind != backup.Data {
		return fault.New(fault.Invalid, "backup_kind", "this is a backup of keys: give it with --keys, beside one of data")
	}
	if x.o.Key != "" && h.Key != x.o.Key {
		return errAnother
	}
	x.head = h
	own, err := x.to.State.Tables(x.ctx)
	if err != nil {
		return err
	}
	for i := range own {
		x.tables[own[i].Name] = &own[i]
	}
	for _, t := range h.Tables {
		is := x.tables[t.Name]
		if is == nil || !reflect.DeepEqual(is.Columns, t.Columns) || len(h.Tables) != len(own) {
			return fault.New(fault.Conflict, "backup_schema",
				"the backup was written by rapport %s, whose tables are others: restore it with that version, and upgrade then", h.Build)
		}
		some, err := x.to.State.Rows(x.ctx, is, nil)
		if err != nil {
			return err
		}
		if len(move.Kept(is, some)) > 0 {
			return fault.New(fault.Conflict, "target_in_use", "the database holds something already: name an empty one")
		}
	}
	if err := x.to.State.SetMeta(x.ctx, move.MetaArriving, []byte(h.Log)); err != nil {
		return err
	}
	return x.to.Log.Adopt(x.ctx, h.Log)
}

func (x *restoring) put(t *backup.Table, rows []move.Row) error {
	if err := x.to.State.Put(x.ctx, x.tables[t.Name], rows); err != nil {
		return fmt.Errorf("restore %s: %w", t.Name, err)
	}
	x.rows[t.Name] += int64(len(rows))
	x.told("restoring", t.Name, x.rows[t.Name])
	return nil
}

func (x *restoring) told(doing, table string, n int64) {
	if x.o.Told != nil {
		x.o.Told(doing, table, n)
	}
}

func (x *restoring) frames(frames []eventlog.Frame) error {
	if x.o.DropTail {
		frames = x.walked(frames)
	}
	if len(frames) == 0 {
		return nil
	}
	if err := x.to.Log.Append(x.ctx, frames); err != nil {
		return fmt.Errorf("restore the log: %w", err)
	}
	return nil
}

// walked leaves of frames what is walked: of the one in which the walk stood, the
// part before, which nobody reads again.
func (x *restoring) walked(frames []eventlog.Frame) (out []eventlog.Frame) {
	for _, f := range frames {
		for _, l := range x.head.Lanes {
			if l.Lane == uint8(f.Lane) && f.First <= l.Walked {
				f.Count = min(f.Count, int(l.Walked-f.First+1))
				out = append(out, f)
			}
		}
	}
	return out
}

func (x *restoring) file(name string, body []byte) error {
	if name == erasuresFile {
		x.erased = slices.Clone(body)
	}
	return nil
}

// erasures writes who was erased: by the copy, and by what came after it.
func (x *restoring) erasures() error {
	raw := joinedErasures(x.erased, x.o.Newer)
	if err := checkErasures(raw); err != nil {
		return err
	}
	if err := writeSecret(filepath.Join(x.o.Data, erasuresFile), raw); err != nil {
		return fmt.Errorf("write who was erased: %w", err)
	}
	return nil
}

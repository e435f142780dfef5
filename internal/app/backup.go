package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rapport/internal/audit"
	"rapport/internal/backup"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/store"
	"rapport/internal/store/move"
)

// house names a house in its backups: by the name of the key that signs its trail.
func (k *keys) house() string {
	name, _, _ := strings.Cut(k.TrailPublic, "+")
	return strings.TrimPrefix(name, "rapport-")
}

func (k *keys) signLines(lines []string) (string, error) { return audit.CertifyWith(k.Trail, lines) }

// copying writes one copy of a house.
type copying struct {
	house move.House
	keys  *keys
	dir   string // where erasures.jsonl is
	build string
	now   func() time.Time
}

// Backup writes what the house holds while it runs, as it is at one instant.
func (h *House) Backup(ctx context.Context, w io.Writer) error {
	if !h.copies.TryLock() {
		return fault.New(fault.Conflict, "backup_runs", "a backup is being taken: wait for its end")
	}
	defer h.copies.Unlock()
	c := copying{house: h.bare, keys: h.keys, dir: h.Data, build: h.Build, now: h.clock.Now}
	m, err := c.write(ctx, w)
	if err != nil {
		return err
	}
	return NoteBackup(h.Data, backup.Data, m.Head.Made)
}

// NoteBackup leaves in a data folder when a copy of it was taken: `rapport doctor` and
// alerts look at that.
func NoteBackup(dir string, kind backup.Kind, made time.Time) error {
	if err := writeSecret(filepath.Join(dir, kind.Mark()), []byte(made.UTC().Format(time.RFC3339)+"\n")); err != nil {
		return fmt.Errorf("note the backup: %w", err)
	}
	return nil
}

// BackupFolder does the same for a data folder, or a database beside one, that
// nobody serves.
func BackupFolder(ctx context.Context, data, database, build string, w io.Writer) (err error) {
	where := data
	if database != "" {
		where = database
	}
	p, err := openPlace(ctx, where, data, RootKey{}, slog.New(slog.DiscardHandler), false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	k, err := loadKeys(p.keys, false)
	if err != nil {
		return err
	}
	c := copying{house: p.House, keys: k, dir: p.keys, build: build, now: time.Now}
	_, err = c.write(ctx, w)
	return err
}

// write reads the state at one instant, and then the log from where that has walked:
// what came meanwhile is in it, and a house that is restored walks it.
func (c *copying) write(ctx context.Context, w io.Writer) (m *backup.Manifest, err error) {
	err = c.house.State.Snapshot(ctx, func(r move.Reader, tx store.Tx) error {
		tables, err := r.Tables(ctx)
		if err != nil {
			return err
		}
		head, err := c.head(tx, tables)
		if err != nil {
			return err
		}
		out, err := backup.NewWriter(w, head, c.keys.signLines)
		if err != nil {
			return err
		}
		for i := range tables {
			if err := copyTable(ctx, r, &tables[i], out); err != nil {
				return fmt.Errorf("back up %s: %w", tables[i].Name, err)
			}
		}
		for _, l := range head.Lanes {
			if err := c.lane(ctx, l, out); err != nil {
				return fmt.Errorf("back up the log: %w", err)
			}
		}
		// After the state: who was erased since is in the file alone, and is erased again.
		raw, err := os.ReadFile(filepath.Join(c.dir, erasuresFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read who was erased: %w", err)
		}
		if err := out.File(erasuresFile, raw); err != nil {
			return err
		}
		m, err = out.Close()
		return err
	})
	return m, err
}

func (c *copying) head(tx store.Tx, tables []move.Table) (h backup.Head, err error) {
	h = backup.Head{
		Kind: backup.Data, House: c.keys.house(), Log: c.house.Log.ID(), Made: c.now(), Build: c.build,
		Sealed: c.keys.Sealed, Key: c.keys.TrailPublic,
	}
	for _, t := range tables {
		h.Tables = append(h.Tables, backup.Table{Name: t.Name, Columns: t.Columns, Key: t.Key})
	}
	for _, lane := range lanes {
		pos, err := tx.Processor().Position(lane)
		if err != nil {
			return h, err
		}
		h.Lanes = append(h.Lanes, backup.Lane{Lane: uint8(lane), Walked: pos})
	}
	tree, err := audit.TreeOf(tx.Audit())
	if err != nil {
		return h, fmt.Errorf("read the trail: %w", err)
	}
	h.Trail = &backup.Trail{Size: tree.Size, Root: hex.EncodeToString(tree.Root[:])}
	return h, nil
}

func copyTable(ctx context.Context, r move.Reader, t *move.Table, out *backup.Writer) error {
	out.Table(t.Name)
	for after := move.Row(nil); ; {
		rows, err := r.Rows(ctx, t, after)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = t.KeyOf(rows[len(rows)-1])
		if err := out.Rows(move.Kept(t, rows)); err != nil {
			return err
		}
	}
}

// frameBytes is about how much of the log is read at once.
const frameBytes = 4 << 20

// lane copies what is not walked, and the frame before it: that knows the position
// and the instant to go on from.
func (c *copying) lane(ctx context.Context, l backup.Lane, out *backup.Writer) error {
	lane := eventlog.Lane(l.Lane)
	out.Lane(lane)
	tail, _, err := c.house.Log.Tail(ctx, lane)
	if err != nil || tail == 0 {
		return err
	}
	for next := max(l.Walked, 1); next <= tail; {
		frames, err := c.house.Log.Read(ctx, lane, next, frameBytes)
		if err != nil {
			return err
		}
		if len(frames) == 0 || frames[0].First > next {
			return fault.New(fault.Conflict, "log_expired", "the log has let go what is not in the state yet: the backup took longer than events.keep_log; back up again, to a quicker place")
		}
		frames = slices.DeleteFunc(frames, func(f eventlog.Frame) bool { return f.First > tail })
		if err := out.Frames(frames); err != nil {
			return err
		}
		last := frames[len(frames)-1]
		next = last.First + int64(last.Count)
	}
	return nil
}

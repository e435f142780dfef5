package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// Copy writes a file with what is in state.db at one instant. Nobody waits for it.
func (s *State) Copy(ctx context.Context, path string) error {
	return copyInto(ctx, s.readers.config, path)
}

// Copy writes a file with what is in log.db at one instant. Nobody waits for it.
func (l *Log) Copy(ctx context.Context, path string) error {
	return copyInto(ctx, l.readers.config, path)
}

// Copy writes a file with the keys of one instant.
func (k *Keyring) Copy(ctx context.Context, path string) error {
	return copyInto(ctx, connConfig{path: k.path, file: filepath.Base(k.path), vfs: k.vfs}, path)
}

// copyInto runs VACUUM INTO on a connection of its own: it reads one snapshot, so
// that what is written meanwhile is not in the copy, and keeps nobody from writing.
func copyInto(ctx context.Context, from connConfig, path string) error {
	from.readonly, from.pragmas = false, []string{"cache_size = -2048", "wal_autocheckpoint = 0"}
	c, err := openConn(from)
	if err != nil {
		return fmt.Errorf("open %s to copy it: %w", from.file, err)
	}
	defer func() { _ = c.close() }() // It was only read.
	c.db.SetInterrupt(ctx)
	q := c.query("VACUUM INTO ?")
	q.text(path)
	if err := q.exec(); err != nil {
		return fmt.Errorf("copy %s: %w", from.file, err)
	}
	return nil
}

// Check reads a whole file and tells what is wrong with it: a page whose checksum
// does not hold, or an index that does not fit its table.
func Check(ctx context.Context, path string) error {
	c, err := openConn(connConfig{path: path, file: filepath.Base(path)})
	if err != nil {
		return err
	}
	defer func() { _ = c.close() }() // It was only read.
	c.db.SetInterrupt(ctx)
	q := c.query("PRAGMA integrity_check(1)")
	said := ""
	if q.step() {
		said = q.colText(0)
	}
	if err := q.done(); err != nil {
		return fmt.Errorf("check %s: %w", c.file, err)
	}
	if said != "ok" {
		return damagedFile(c.file, "its pages", errors.New(said))
	}
	return nil
}

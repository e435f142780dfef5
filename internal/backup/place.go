package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rapport/internal/fault"
)

// Place is where copies lie. A copy is there whole or not at all.
type Place interface {
	// Put writes a copy under a name that is not there yet: what fn writes counts
	// once fn has returned without an error.
	Put(ctx context.Context, name string, fn func(io.Writer) error) error
	Get(ctx context.Context, name string, fn func(io.Reader) error) error
	List(ctx context.Context) ([]Object, error)
	Remove(ctx context.Context, name string) error
}

// Object is what lies at a place: a copy, or something else.
type Object struct {
	Name string
	Size int64
}

// Folder is a place in the file system.
type Folder string

var _ Place = Folder("")

// partial marks what is being written. It is no copy, and nobody lists it.
const partial = ".partial"

// Put implements Place.
func (d Folder) Put(_ context.Context, name string, fn func(io.Writer) error) (err error) {
	path := filepath.Join(string(d), name)
	if _, err := os.Lstat(path); err == nil {
		return fault.New(fault.Conflict, "backup_there", "%s is there already: name another file, so that no backup is lost", path)
	}
	f, err := os.OpenFile(path+partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // The operator names the folder.
	if err != nil {
		return fmt.Errorf("write a backup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path+partial))
		}
	}()
	err = fn(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+partial, path); err != nil {
		return fmt.Errorf("write a backup: %w", err)
	}
	return d.sync()
}

// sync has the folder's own entries on the disk.
func (d Folder) sync() error {
	f, err := os.Open(filepath.Clean(string(d)))
	if err != nil {
		return fmt.Errorf("write a backup: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// Get implements Place.
func (d Folder) Get(_ context.Context, name string, fn func(io.Reader) error) (err error) {
	f, err := os.Open(filepath.Join(string(d), name)) //nolint:gosec // The operator names the file.
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "no_backup", "there is no %s", filepath.Join(string(d), name))
	}
	if err != nil {
		return fmt.Errorf("read a backup: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return fn(f)
}

// List implements Place.
func (d Folder) List(context.Context) (out []Object, err error) {
	list, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	for _, e := range list {
		if !e.Type().IsRegular() || strings.HasSuffix(e.Name(), partial) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // Somebody has taken it away meanwhile.
		}
		if err != nil {
			return nil, fmt.Errorf("list backups: %w", err)
		}
		out = append(out, Object{e.Name(), info.Size()})
	}
	return out, nil
}

// Remove implements Place.
func (d Folder) Remove(_ context.Context, name string) error {
	return os.Remove(filepath.Join(string(d), name))
}

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
	"time"

	"rapport/internal/fault"
)

// Place is where copies lie. A copy is there whole or not at all.
type Place interface {
	// Put writes a copy under a name that is not there yet: what fn writes counts
	// once fn has returned without an error.
	Put(ctx context.Context, name string, fn func(io.Writer) error) error
	Get(ctx context.Context, name string, fn func(io.Reader) error) error
	List(ctx context.Context) ([]Object, error)
	// Remove takes a copy away. A place that keeps versions may keep it as one.
	Remove(ctx context.Context, name string) error
	// Destroy takes a copy away with every version of it, or fails.
	Destroy(ctx context.Context, name string) error
	// Former lists what was taken away and lives on as a version.
	Former(ctx context.Context) ([]Object, error)
	// Abandon takes away what somebody began to write under a name of ours and never
	// ended, if nothing has been heard of it since an instant. It gives the names.
	Abandon(ctx context.Context, since time.Time, ours func(name string) bool) ([]string, error)
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

// Destroy implements Place: a folder keeps no versions.
func (d Folder) Destroy(ctx context.Context, name string) error { return d.Remove(ctx, name) }

// Former implements Place.
func (d Folder) Former(context.Context) ([]Object, error) { return nil, nil }

// Abandon implements Place. Whoever still writes a file changes its time.
func (d Folder) Abandon(_ context.Context, since time.Time, ours func(name string) bool) (gone []string, err error) {
	list, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("look for what was never ended: %w", err)
	}
	for _, e := range list {
		name, is := strings.CutSuffix(e.Name(), partial)
		if !is || !e.Type().IsRegular() || !ours(name) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.ModTime().Before(since) {
			continue
		}
		if err = errors.Join(err, os.Remove(filepath.Join(string(d), e.Name()))); err != nil {
			return gone, fmt.Errorf("take away what was never ended: %w", err)
		}
		gone = append(gone, e.Name())
	}
	return gone, nil
}

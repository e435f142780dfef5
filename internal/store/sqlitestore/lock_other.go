//go:build !unix

package sqlitestore

import (
	"os"
	"path/filepath"

	"rapport/internal/fault"
)

// FolderLock is the exclusive hold on a data folder. It ends with Release or
// with the process: the file is gone when its last handle closes or, where that
// fails, the next start names it.
type FolderLock struct{ file *os.File }

// Lock takes a data folder for this process, or says that somebody has it.
func Lock(dir string) (*FolderLock, error) {
	path := filepath.Join(dir, "lock")
	_ = os.Remove(path) // A file that a dead process left; one in use cannot be removed here.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fault.Wrap(err, fault.Conflict, "folder_held",
			"the data folder %s is in use by another process; stop it first, or choose another folder", dir)
	}
	return &FolderLock{file: f}, nil
}

// Release gives the folder up. Releasing twice is harmless.
func (l *FolderLock) Release() error {
	if l == nil || l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	if err := f.Close(); err != nil {
		return err
	}
	return os.Remove(f.Name())
}

package sqlitestore

import (
	"errors"
	"fmt"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// plainName is the file layer that connections use unless a test brings its own.
const plainName = "rapport"

var registerPlain = sync.OnceFunc(func() { vfs.Register(plainName, plainVFS{vfs.Find("os").(vfs.VFSFilename)}) })

// plainVFS is the operating system's file layer without memory maps: a mapped
// page passes by the checksums, and with checksums on, the driver cannot do
// without the map it then does not give.
type plainVFS struct{ vfs.VFSFilename }

// OpenFilename opens a file and hides that a database could be mapped.
func (p plainVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := p.VFSFilename.OpenFilename(name, flags)
	if err != nil || flags&vfs.OPEN_MAIN_DB == 0 {
		return f, flags, err
	}
	of, ok := f.(osFile)
	if !ok {
		return nil, flags, errors.Join(fmt.Errorf("the driver's file %T lacks what this package needs", f), f.Close())
	}
	return &mainFile{osFile: of}, flags, nil
}

// osFile is what the operating system's files can do, but for memory maps.
type osFile interface {
	vfs.File
	vfs.FileLockState
	vfs.FileHasMoved
	vfs.FileSizeHint
	vfs.FilePersistWAL
	vfs.FilePowersafeOverwrite
	vfs.FileSharedMemory
}

// writeBehind is how much may be written before the system is asked to begin
// bringing it to the disk.
const writeBehind = 4 << 20

// mainFile is a database, not its log. Only checkpoints write it, and what they
// write goes to the disk little by little: otherwise their last sync brings up
// to 256 MiB at once, and the other file's syncs, for which clients wait, stand
// behind it.
type mainFile struct {
	osFile
	from, to int64 // written and not yet under way; empty when equal
	dirty    int
}

var errCutShort = errors.New("the file is cut short")

// ReadAt reads a page. A database ends with a whole one; SQLite would take what
// is missing for zeros.
func (f *mainFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.osFile.ReadAt(p, off)
	if n > 0 && n < len(p) {
		return 0, vfs.SystemError(errCutShort, uint16(sqlite3.IOERR_DATA))
	}
	return n, err
}

// WriteAt writes.
func (f *mainFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.osFile.WriteAt(p, off)
	if f.from == f.to {
		f.from, f.to = off, off
	}
	f.from, f.to = min(f.from, off), max(f.to, off+int64(n))
	if f.dirty += n; f.dirty >= writeBehind {
		beginWriting(f.osFile, f.from, f.to)
		f.from, f.to, f.dirty = 0, 0, 0
	}
	return n, err
}

// Sync brings to the disk what is not there yet.
func (f *mainFile) Sync(flags vfs.SyncFlag) error {
	f.from, f.to, f.dirty = 0, 0, 0
	return f.osFile.Sync(flags)
}

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

// OpenFilename opens a file and hides that it could be mapped.
func (p plainVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := p.VFSFilename.OpenFilename(name, flags)
	if err != nil {
		return nil, flags, err
	}
	of, ok := f.(osFile)
	if !ok {
		return nil, flags, fmt.Errorf("the driver's file %T lacks what this package needs", f)
	}
	if flags&vfs.OPEN_MAIN_DB != 0 {
		return mainFile{plainFile{of}}, flags, nil
	}
	return plainFile{of}, flags, nil
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

type plainFile struct{ osFile }

// mainFile is a database, not its log: it ends with a whole page. SQLite would
// take what is missing of a page for zeros.
type mainFile struct{ plainFile }

var errCutShort = errors.New("the file is cut short")

// ReadAt reads a page.
func (f mainFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.plainFile.ReadAt(p, off)
	if n > 0 && n < len(p) {
		return 0, vfs.SystemError(errCutShort, uint16(sqlite3.IOERR_DATA))
	}
	return n, err
}

package sqlitestore

import (
	"fmt"
	"sync"

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

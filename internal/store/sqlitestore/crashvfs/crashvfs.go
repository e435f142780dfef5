// Package crashvfs is a file layer for tests that keeps apart what was written
// and what was synced. What comes in is SQLite's use of its files; what goes
// out, at any chosen instant, is what a disk would hold after a power loss.
// It can also be full, and recover. It never runs in production.
package crashvfs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// sector is the unit that a disk writes whole.
const sector = 512

// Disk is one disk with its files. It is safe for concurrent use.
type Disk struct {
	name string
	os   vfs.VFSFilename

	mu    sync.Mutex
	files map[string]*image
	room  int64 // bytes by which files may still grow; negative means no limit
	full  int   // how often a write did not fit
	syncs int
}

// image is what is known about one file.
type image struct {
	durable []byte
	pending []change // since the last sync, in order
}

// change is a write, or a truncation when data is nil.
type change struct {
	off  int64
	data []byte
}

var serial atomic.Int64

// New makes a disk and registers it with the driver under a name of its own.
// Remove ends that.
func New() *Disk {
	d := &Disk{
		name:  fmt.Sprintf("crash-%d", serial.Add(1)),
		os:    vfs.Find("os").(vfs.VFSFilename),
		files: make(map[string]*image),
		room:  -1,
	}
	vfs.Register(d.name, disk{d})
	return d
}

// Remove takes the disk out of the driver's list.
func (d *Disk) Remove() { vfs.Unregister(d.name) }

// Name is what the driver knows the disk by.
func (d *Disk) Name() string { return d.name }

// Fill lets files grow by so many more bytes, then the disk is full.
func (d *Disk) Fill(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = max(bytes, 0)
}

// Free ends Fill.
func (d *Disk) Free() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = -1
}

// Refused tells how many writes did not fit.
func (d *Disk) Refused() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full
}

// Syncs tells how often a file was synced.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// PowerLoss writes into a folder what the disk holds if the power fails now.
// What was not synced is forgotten; with r, each unsynced write is kept or
// forgotten by chance, whole or by sectors, as a disk that reorders would do.
// The files in use are not disturbed.
func (d *Disk) PowerLoss(dir string, r *rand.Rand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, f := range d.files {
		data := append([]byte(nil), f.durable...)
		if r != nil {
			for _, c := range f.pending {
				data = c.survive(data, r)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (c change) apply(data []byte) []byte {
	if c.data == nil {
		return resize(data, c.off)
	}
	if end := c.off + int64(len(c.data)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[c.off:], c.data)
	return data
}

func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// survive applies a change, or some of its sectors, or nothing.
func (c change) survive(data []byte, r *rand.Rand) []byte {
	switch r.IntN(4) {
	case 0:
		return data
	case 1:
		return c.apply(data)
	}
	for at := int64(0); at < int64(len(c.data)); {
		end := min(at+sector-(c.off+at)%sector, int64(len(c.data)))
		if r.IntN(2) == 0 {
			data = change{c.off + at, c.data[at:end]}.apply(data)
		}
		at = end
	}
	return data
}

// disk keeps the driver's methods out of Disk's own.
type disk struct{ d *Disk }

var _ vfs.VFSFilename = disk{}

func (k disk) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return k.d.os.Open(name, flags)
}

func (k disk) Access(name string, flags vfs.AccessFlag) (bool, error) {
	return k.d.os.Access(name, flags)
}

func (k disk) FullPathname(name string) (string, error) { return k.d.os.FullPathname(name) }

func (k disk) Delete(name string, syncDir bool) error {
	k.d.mu.Lock()
	defer k.d.mu.Unlock()
	delete(k.d.files, name)
	return k.d.os.Delete(name, syncDir)
}

func (k disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	under, flags, err := k.d.os.OpenFilename(name, flags)
	if err != nil {
		return nil, flags, err
	}
	of, ok := under.(osFile)
	if !ok {
		return nil, flags, fmt.Errorf("the driver's file %T lacks what this package needs", under)
	}
	path := name.String()
	if path == "" {
		return of, flags, nil // A temporary file: nobody asks for it after a crash.
	}
	k.d.mu.Lock()
	defer k.d.mu.Unlock()
	f := k.d.files[path]
	if f == nil {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, flags, errors.Join(err, under.Close())
		}
		f = &image{durable: data}
		k.d.files[path] = f
	}
	return &file{osFile: of, d: k.d, image: f}, flags, nil
}

// osFile is what the operating system's files can do that SQLite must see.
type osFile interface {
	vfs.File
	vfs.FileLockState
	vfs.FilePersistWAL
	vfs.FilePowersafeOverwrite
	vfs.FileSharedMemory
}

// file passes everything on and remembers what is not yet synced.
type file struct {
	osFile
	d     *Disk
	image *image
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	fits, err := f.fit(off, len(p))
	if err != nil {
		return 0, err
	}
	n, err := f.osFile.WriteAt(p[:fits], off)
	if n > 0 {
		f.image.pending = append(f.image.pending, change{off, append([]byte(nil), p[:n]...)})
	}
	if err == nil && n < len(p) {
		f.d.full++
		err = vfs.SystemError(syscall.ENOSPC, sqlite3.FULL)
	}
	return n, err
}

// fit tells how much of a write the disk has room for.
func (f *file) fit(off int64, n int) (int, error) {
	if f.d.room < 0 {
		return n, nil
	}
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	grown := off + int64(n) - size
	if grown <= 0 {
		return n, nil
	}
	short := max(grown-f.d.room, 0)
	f.d.room -= grown - short
	return max(n-int(short), 0), nil
}

func (f *file) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.osFile.Truncate(size); err != nil {
		return err
	}
	f.image.pending = append(f.image.pending, change{off: size})
	return nil
}

// Sync makes what was written durable. The operating system is not troubled:
// what matters is in the image.
func (f *file) Sync(vfs.SyncFlag) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.syncs++
	for _, c := range f.image.pending {
		f.image.durable = c.apply(f.image.durable)
	}
	f.image.pending = nil
	return nil
}

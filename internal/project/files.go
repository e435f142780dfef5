package project

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Files shows files that are held in memory as a folder to read from. Names that
// are no paths of such a folder (fs.ValidPath), or lie below a file, are not in it.
func Files(files map[string][]byte) fs.FS {
	m := memory{".": {name: ".", dir: true}}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if fs.ValidPath(p) && p != "." {
			m.put(p, &node{name: path.Base(p), data: files[p]})
		}
	}
	for _, n := range m {
		slices.SortFunc(n.below, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return m
}

// memory is a folder by paths.
type memory map[string]*node

// put adds a node and the folders above it.
func (m memory) put(p string, n *node) bool {
	if old, ok := m[p]; ok {
		return old.dir && n.dir
	}
	above := path.Dir(p)
	if !m.put(above, &node{name: path.Base(above), dir: true}) {
		return false
	}
	m[p] = n
	m[above].below = append(m[above].below, n)
	return true
}

// Open implements fs.FS.
func (m memory) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	n, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if n.dir {
		return &openFolder{node: n, rest: n.below}, nil
	}
	return &openFile{node: n, Reader: bytes.NewReader(n.data)}, nil
}

// node is a file or a folder, and says about itself all that can be asked.
type node struct {
	name  string
	dir   bool
	data  []byte
	below []fs.DirEntry
}

var (
	_ fs.FileInfo = (*node)(nil)
	_ fs.DirEntry = (*node)(nil)
)

// Name implements fs.FileInfo and fs.DirEntry.
func (n *node) Name() string { return n.name }

// IsDir implements fs.FileInfo and fs.DirEntry.
func (n *node) IsDir() bool { return n.dir }

// Size implements fs.FileInfo.
func (n *node) Size() int64 { return int64(len(n.data)) }

// Mode implements fs.FileInfo.
func (n *node) Mode() fs.FileMode {
	if n.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// ModTime implements fs.FileInfo: nobody wrote down when.
func (n *node) ModTime() time.Time { return time.Time{} }

// Sys implements fs.FileInfo.
func (n *node) Sys() any { return nil }

// Type implements fs.DirEntry.
func (n *node) Type() fs.FileMode { return n.Mode().Type() }

// Info implements fs.DirEntry.
func (n *node) Info() (fs.FileInfo, error) { return n, nil }

// openFile is a file that is being read.
type openFile struct {
	*bytes.Reader
	node *node
}

// Stat implements fs.File.
func (f *openFile) Stat() (fs.FileInfo, error) { return f.node, nil }

// Close implements fs.File.
func (f *openFile) Close() error { return nil }

// openFolder is a folder that is being listed.
type openFolder struct {
	node *node
	rest []fs.DirEntry
}

// Stat implements fs.File.
func (f *openFolder) Stat() (fs.FileInfo, error) { return f.node, nil }

// Close implements fs.File.
func (f *openFolder) Close() error { return nil }

// Read implements fs.File: a folder has nothing to read.
func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.node.name, Err: fs.ErrInvalid}
}

// ReadDir implements fs.ReadDirFile.
func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(f.rest) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(f.rest) {
		n = len(f.rest)
	}
	out := slices.Clone(f.rest[:n])
	f.rest = f.rest[n:]
	return out, nil
}

package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// reading lets tlog read stored hashes.
type reading struct{ Store }

// ReadHashes implements tlog.HashReader.
func (r reading) ReadHashes(indexes []int64) ([]tlog.Hash, error) { return r.Hashes(indexes) }

// grow adds rows to the tree that have no hashes there yet, up to many, and gives
// for how many rows it stands.
func grow(st Store, many int) (size int64, err error) {
	size, err = st.Hashed()
	if err != nil {
		return 0, err
	}
	rows, err := st.Rows(size, many)
	if err != nil {
		return size, err
	}
	known := &fresh{reading: reading{st}, from: tlog.StoredHashCount(size)}
	for i := range rows {
		if rows[i].N != size {
			return size, fmt.Errorf("audit: row %d is missing", size)
		}
		hashes, err := tlog.StoredHashes(size, rows[i].Leaf, known)
		if err != nil {
			return size, fmt.Errorf("audit: hash row %d: %w", size, err)
		}
		known.hashes = append(known.hashes, hashes...)
		size++
	}
	if len(rows) == 0 {
		return size, nil
	}
	return size, st.AppendHashes(known.hashes)
}

// fresh is stored hashes with those behind them that are not written yet.
type fresh struct {
	reading
	from   int64
	hashes []tlog.Hash
}

// ReadHashes implements tlog.HashReader.
func (f *fresh) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	var old, places []int64
	for i, x := range indexes {
		if x >= f.from {
			out[i] = f.hashes[x-f.from]
			continue
		}
		old, places = append(old, x), append(places, int64(i))
	}
	if len(old) == 0 {
		return out, nil
	}
	stored, err := f.reading.ReadHashes(old)
	if err != nil {
		return nil, err
	}
	for i, p := range places {
		out[p] = stored[i]
	}
	return out, nil
}

// Tree is the size and the root of a tree.
type Tree struct {
	Size int64
	Root tlog.Hash
}

// TreeOf gives the tree of a store's rows that are hashed.
func TreeOf(st Store) (t Tree, err error) {
	hashes, err := st.Hashed()
	if err != nil || hashes == 0 {
		return t, err
	}
	t.Size = hashes
	t.Root, err = tlog.TreeHash(t.Size, reading{st})
	return t, err
}

// LeafHashes builds a tree from its leaves, one after the other, to hold a copy of
// the rows against a root.
type LeafHashes struct {
	size  int64
	stack []tlog.Hash // of whole subtrees, the largest first
}

// Add puts a leaf behind all others.
func (l *LeafHashes) Add(leaf []byte) {
	h := tlog.RecordHash(leaf)
	for n := l.size; n&1 == 1; n >>= 1 {
		last := len(l.stack) - 1
		h = tlog.NodeHash(l.stack[last], h)
		l.stack = l.stack[:last]
	}
	l.stack = append(l.stack, h)
	l.size++
}

// Tree gives the tree so far.
func (l *LeafHashes) Tree() (t Tree) {
	t.Size = l.size
	for i := len(l.stack) - 1; i >= 0; i-- {
		if i == len(l.stack)-1 {
			t.Root = l.stack[i]
		} else {
			t.Root = tlog.NodeHash(l.stack[i], t.Root)
		}
	}
	return t
}

// sign writes a checkpoint: the form of C2SP tlog-checkpoint with the time as an
// extension line.
func sign(t Tree, at time.Time, s note.Signer) (Checkpoint, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n%s%s\n", s.Name(), t.Size, base64.StdEncoding.EncodeToString(t.Root[:]), atLine, at.UTC().Format(timeFormat))
	raw, err := note.Sign(&note.Note{Text: text}, s)
	return Checkpoint{Size: t.Size, At: at, Note: string(raw)}, err
}

const atLine = "at "

var errCheckpoint = errors.New("it is no checkpoint")

// OpenCheckpoint checks the signature of a checkpoint and reads it.
func OpenCheckpoint(text string, v note.Verifier) (Tree, time.Time, error) {
	var t Tree
	n, err := note.Open([]byte(text), note.VerifierList(v))
	if err != nil {
		return t, time.Time{}, fmt.Errorf("the signature does not hold: %w", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 || lines[0] != v.Name() {
		return t, time.Time{}, errCheckpoint
	}
	root, rootErr := base64.StdEncoding.DecodeString(lines[2])
	t.Size, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || rootErr != nil || t.Size < 0 || len(root) != tlog.HashSize {
		return t, time.Time{}, errCheckpoint
	}
	copy(t.Root[:], root)
	var at time.Time
	if text, ok := strings.CutPrefix(lines[3], atLine); ok {
		at, _ = time.Parse(timeFormat, text) // It is the signer's word, and may be missing.
	}
	return t, at, nil
}

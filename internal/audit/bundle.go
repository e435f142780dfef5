package audit

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// bundleFormat is the number of the form of a bundle: lines of JSON, a head, then
// the hash of each row before the first, then rows, each checkpoint behind the
// last row that it is for.
const bundleFormat = 1

// line is one line of a bundle.
type line struct {
	Bundle int    `json:"bundle,omitempty"` // of the head: bundleFormat
	Key    string `json:"key,omitempty"`    // of the head: the public key, to be compared with one that came another way
	From   int64  `json:"from,omitempty"`   // of the head: the first row that is here in full
	Size   int64  `json:"size,omitempty"`   // of the head: rows in the tree when it was made

	Hash       string          `json:"hash,omitempty"` // of an earlier row, base64
	N          *int64          `json:"n,omitempty"`
	Leaf       json.RawMessage `json:"leaf,omitempty"`
	Opening    []byte          `json:"opening,omitempty"` // salt and detail, where they were asked for
	Checkpoint string          `json:"checkpoint,omitempty"`
}

// Export writes a bundle of the rows from one on. Details are written only when
// they are asked for: rows commit to them. It reads page by page, so that it may
// be of any size.
func (t *Trail) Export(ctx context.Context, w io.Writer, from int64, details bool) error {
	read := func(fn func(Store) error) error { return t.keeper.Read(ctx, fn) }
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	var size int64
	if err := read(func(st Store) (err error) { size, err = st.Hashed(); return err }); err != nil {
		return err
	}
	if from < 0 || from > size {
		from = size
	}
	if err := enc.Encode(line{Bundle: bundleFormat, Key: t.key, From: from, Size: size}); err != nil {
		return err
	}
	for n := int64(0); n < from; {
		var hashes []tlog.Hash
		err := read(func(st Store) (err error) { hashes, err = earlier(st, n, from); return err })
		for _, h := range hashes {
			err = errors.Join(err, enc.Encode(line{Hash: base64.StdEncoding.EncodeToString(h[:])}))
		}
		if err != nil {
			return err
		}
		n += int64(len(hashes))
	}
	for n := from; n < size; {
		var p page
		err := read(func(st Store) (err error) { p, err = pageOf(st, n, size); return err })
		if err == nil {
			err = p.write(enc, details)
		}
		if err != nil {
			return err
		}
		n += int64(len(p.rows))
	}
	return out.Flush()
}

// pageRows is how many rows an export reads at once. What was read is written
// when its transaction is over: whoever takes the bundle may be slow.
const pageRows = 1000

// earlier reads hashes of rows that are not in the bundle in full.
func earlier(st Store, n, from int64) ([]tlog.Hash, error) {
	var indexes []int64
	for k := n; k < min(from, n+pageRows); k++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, k))
	}
	return st.Hashes(indexes)
}

// page is some rows, and the checkpoints among them.
type page struct {
	rows  []Row
	marks []Checkpoint
}

func pageOf(st Store, n, size int64) (p page, err error) {
	if p.rows, err = st.Rows(n, int(min(pageRows, size-n))); err != nil {
		return p, err
	}
	if len(p.rows) == 0 {
		return p, fmt.Errorf("audit: row %d is missing", n)
	}
	p.marks, err = st.Checkpoints(n, pageRows)
	return p, err
}

func (p *page) write(enc *json.Encoder, details bool) error {
	marks := p.marks
	for i := range p.rows {
		r := &p.rows[i]
		l := line{N: &r.N, Leaf: r.Leaf}
		if details {
			l.Opening = r.Opening
		}
		if err := enc.Encode(l); err != nil {
			return err
		}
		for len(marks) > 0 && marks[0].Size <= r.N+1 {
			if err := enc.Encode(line{Checkpoint: marks[0].Note}); err != nil {
				return err
			}
			marks = marks[1:]
		}
	}
	return nil
}

// Parcel is a checkpoint as it leaves the machine: with the hashes of the rows
// since the one before, which name the row that was changed.
type Parcel struct {
	Checkpoint string      `json:"checkpoint"`
	From       int64       `json:"from"`
	Leaves     []tlog.Hash `json:"leaves"` // of rows From and on, base64
}

// maxLine bounds a line of a bundle or of a file of checkpoints.
const maxLine = 4 << 20

// Verifier reads a public key as `rapport audit key` prints it.
func Verifier(key string) (note.Verifier, error) {
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("the public key cannot be read: %w", err)
	}
	return v, nil
}

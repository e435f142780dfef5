package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"

	"rapport/internal/audit"
	"rapport/internal/eventlog"
	"rapport/internal/store/move"
)

// Taker takes what a copy holds, as it is read: before it is known whether the copy
// is whole. What it has taken is worth nothing where Read fails.
type Taker struct {
	Head   func(h *Head) error
	Rows   func(t *Table, rows []move.Row) error
	Frames func(frames []eventlog.Frame) error
	File   func(name string, body []byte) error
}

// Limits of what is read at one go: a chunk is a few megabytes.
const (
	maxChunk = 256 << 20
	maxSmall = 64 << 20
)

// reading is a copy that is being read.
type reading struct {
	take   Taker
	head   Head
	tables map[string]*Table
	sums   []Sum
	now    *adder
	first  map[uint8]int64 // where each lane begins
	next   map[uint8]int64 // where it goes on
	pages  map[string]int
}

// Read reads a copy from its beginning to its end, checks all digests and that the
// manifest is signed with the key that the copy names, and gives the manifest.
func Read(r io.Reader, take Taker) (*Manifest, error) {
	x := &reading{take: take, tables: map[string]*Table{}, first: map[uint8]int64{}, next: map[uint8]int64{}, pages: map[string]int{}}
	in := tar.NewReader(r)
	var manifest []byte
	for first := true; ; first = false {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil, broken("its end is missing")
		}
		if err != nil {
			return nil, unreadable(err)
		}
		body, err := entryOf(in, h)
		if err != nil {
			return nil, err
		}
		switch {
		case first != (h.Name == headName):
			return nil, broken("it does not begin with its head")
		case first:
			err = x.begin(body)
		case h.Name == manifestName:
			manifest = body
		case h.Name == signName:
			m, err := x.end(in, manifest, body)
			if err != nil {
				return nil, err
			}
			if _, err := io.Copy(io.Discard, r); err != nil { // What encrypts proves its end there.
				return nil, unreadable(err)
			}
			return m, nil
		case manifest != nil:
			return nil, broken("something stands behind the manifest")
		default:
			err = x.entry(h.Name, body)
		}
		if err != nil {
			return nil, err
		}
	}
}

// unreadable tells an interrupted or changed stream from what the taker said.
func unreadable(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return broken("it is cut short")
	}
	return broken("it was changed or damaged: %v", err)
}

func entryOf(in io.Reader, h *tar.Header) ([]byte, error) {
	if h.Typeflag != tar.TypeReg || h.Size < 0 || h.Size > maxChunk {
		return nil, broken("an entry is of no kind that a backup has")
	}
	var body bytes.Buffer // It grows as bytes come: a size may be a lie.
	if _, err := io.CopyN(&body, in, h.Size); err != nil {
		return nil, unreadable(err)
	}
	return body.Bytes(), nil
}

func (x *reading) begin(raw []byte) error {
	if err := json.Unmarshal(raw, &x.head); err != nil {
		return broken("its head cannot be read")
	}
	if x.head.Format != format {
		return broken("it is of format %d, and this program knows %d: read it with the rapport that wrote it (%s)", x.head.Format, format, x.head.Build)
	}
	for i := range x.head.Tables {
		x.tables[x.head.Tables[i].Name] = &x.head.Tables[i]
	}
	if x.take.Head == nil {
		return nil
	}
	return x.take.Head(&x.head)
}

func (x *reading) entry(name string, body []byte) error {
	thing := name
	if !isFile(name) {
		at := strings.LastIndexByte(name, '/')
		if at < 0 {
			return broken("an entry has no place")
		}
		thing = name[:at]
		x.pages[thing]++
		if n, err := strconv.Atoi(name[at+1:]); err != nil || n != x.pages[thing] {
			return broken("chunks are missing or doubled")
		}
	}
	if x.now == nil || x.now.name != thing {
		x.settle()
		x.now = newAdder(thing)
	}
	switch {
	case isFile(name):
		x.now.add(body, int64(len(body)))
		return call(x.take.File, name[len(filePrefix):], body)
	case strings.HasPrefix(thing, tablePrefix):
		return x.rows(thing[len(tablePrefix):], body)
	case strings.HasPrefix(thing, lanePrefix):
		return x.frames(thing[len(lanePrefix):], body)
	}
	return broken("an entry is of no kind that a backup has")
}

func call[A, B any](fn func(A, B) error, a A, b B) error {
	if fn == nil {
		return nil
	}
	return fn(a, b)
}

func (x *reading) rows(name string, body []byte) error {
	t := x.tables[name]
	if t == nil {
		return broken("a table is not in its head")
	}
	rows, err := readRows(t, body)
	if err != nil {
		return err
	}
	x.now.add(body, int64(len(rows)))
	return call(x.take.Rows, t, rows)
}

func (x *reading) frames(name string, body []byte) error {
	lane, err := strconv.ParseUint(name, 10, 8)
	if err != nil {
		return broken("a lane of the log has no number")
	}
	frames, err := readFrames(uint8(lane), body)
	if err != nil {
		return err
	}
	for _, f := range frames {
		switch next := x.next[uint8(lane)]; {
		case next == 0:
			x.first[uint8(lane)] = f.First
		case f.First != next:
			return broken("the log has a gap")
		}
		x.next[uint8(lane)] = f.First + int64(f.Count)
	}
	x.now.add(body, int64(len(frames)))
	if x.take.Frames == nil {
		return nil
	}
	return x.take.Frames(frames)
}

func (x *reading) settle() {
	if x.now != nil {
		x.sums = append(x.sums, x.now.sum())
	}
}

// end holds the manifest against what was read, and its signature.
func (x *reading) end(in *tar.Reader, raw, signed []byte) (*Manifest, error) {
	x.settle()
	if len(raw) == 0 || len(raw) > maxSmall {
		return nil, broken("its manifest is missing")
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, broken("its manifest cannot be read")
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		return nil, broken("something stands behind the manifest")
	}
	sum := sha256.Sum256(raw)
	if !x.signedBy(m.Head.Key, hex.EncodeToString(sum[:]), signed) {
		return nil, broken("its manifest is not signed by the key that it names")
	}
	if !reflect.DeepEqual(m.Head, x.head) {
		return nil, broken("head and manifest differ")
	}
	got := map[string]Sum{}
	for _, s := range x.sums {
		got[s.Name] = s
	}
	for _, want := range m.Sums {
		have, ok := got[want.Name]
		if !ok {
			have = newAdder(want.Name).sum() // An empty table has no chunk.
		}
		if have != want {
			return nil, broken("%s does not hold what the manifest says", want.Name)
		}
		delete(got, want.Name)
	}
	if len(got) > 0 {
		return nil, broken("it holds what the manifest does not name")
	}
	return &m, x.goesOn(&m)
}

func (x *reading) signedBy(key, sum string, signed []byte) bool {
	lines, err := audit.OpenCertificate(signed, key)
	return err == nil && reflect.DeepEqual(lines, signedLines(sum))
}

// goesOn tells whether the log goes on where the state ends, so that a house that is
// restored can walk on.
func (x *reading) goesOn(m *Manifest) error {
	for i, l := range m.Head.Lanes {
		last := int64(0)
		if i < len(m.Last) && m.Last[i].Lane == l.Lane {
			last = m.Last[i].Walked
		}
		if next := x.next[l.Lane]; next != 0 && next-1 != last || last < l.Walked || x.first[l.Lane] > l.Walked+1 {
			return broken("the log does not go on where the state ends")
		}
	}
	return nil
}

// Peek reads the head of a copy and gives a reader of the whole.
func Peek(r io.Reader) (*Head, io.Reader, error) {
	var seen bytes.Buffer
	in := tar.NewReader(io.TeeReader(r, &seen)) // It reads no further than it is asked to.
	h, err := in.Next()
	if err != nil {
		return nil, nil, unreadable(err)
	}
	body, err := entryOf(in, h)
	if err != nil {
		return nil, nil, err
	}
	var head Head
	if err := json.Unmarshal(body, &head); err != nil || h.Name != headName {
		return nil, nil, broken("it does not begin with its head")
	}
	return &head, io.MultiReader(&seen, r), nil
}

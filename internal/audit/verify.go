package audit

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Report is what the check of a bundle came to.
type Report struct {
	Origin      string    `json:"origin"`
	From        int64     `json:"from"`
	Rows        int64     `json:"rows"` // in the tree
	Root        string    `json:"root"`
	Checkpoints int       `json:"checkpoints"` // in the bundle, that hold
	Older       int       `json:"older"`       // that came another way, and hold
	Covered     int64     `json:"covered"`     // rows that a checkpoint vouches for
	Last        time.Time `json:"last,omitzero"`
	Details     int64     `json:"details"` // that were there and are what their row committed to
	Problems    []string  `json:"problems"`
	// CannotSee says what no check of this bundle can show.
	CannotSee []string `json:"cannot_see"`
}

// Verify checks a bundle offline, with nothing but the public key and, what it is
// worth most with, checkpoints that left the machine earlier. An error says that
// the bundle cannot be read at all; what does not hold is among the problems.
func Verify(r io.Reader, key string, older []Parcel) (*Report, error) {
	v, err := Verifier(key)
	if err != nil {
		return nil, err
	}
	c := &check{v: v, given: key, report: &Report{Origin: v.Name(), Problems: []string{}}}
	if err := c.expect(older); err != nil {
		return nil, err
	}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	for first := true; sc.Scan(); first = false {
		var l line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return nil, errors.New("the bundle holds a line that is no JSON")
		}
		if first != (l.Bundle != 0) || first && l.Bundle != bundleFormat {
			return nil, errors.New("it is no bundle of this form")
		}
		if err := c.line(&l); err != nil {
			return nil, err
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	c.end()
	return c.report, nil
}

// check is a tree that grows as a bundle is read.
type check struct {
	v      note.Verifier
	given  string // the public key
	report *Report
	stack  []tlog.Hash // roots of the full subtrees, the largest first
	size   int64
	full   int64               // rows that the head says there are
	known  int64               // up to here a checkpoint held
	olds   []older             // by size; those that were reached are gone
	leaves map[int64]tlog.Hash // hashes of rows as checkpoints knew them
}

// older is a checkpoint that came another way.
type older struct {
	Tree
	at time.Time
}

func (c *check) problem(format string, args ...any) {
	c.report.Problems = append(c.report.Problems, fmt.Sprintf(format, args...))
}

func (c *check) expect(parcels []Parcel) error {
	c.leaves = map[int64]tlog.Hash{}
	for i := range parcels {
		t, at, err := OpenCheckpoint(parcels[i].Checkpoint, c.v)
		if err != nil {
			return fmt.Errorf("older checkpoint %d: %w", i+1, err)
		}
		c.olds = append(c.olds, older{t, at})
		for k, h := range parcels[i].Leaves {
			c.leaves[parcels[i].From+int64(k)] = h
		}
	}
	slices.SortFunc(c.olds, func(a, b older) int { return int(a.Size - b.Size) })
	return nil
}

func (c *check) line(l *line) error {
	switch {
	case l.Bundle != 0:
		c.report.From, c.full = l.From, l.Size
		if l.Key != "" && l.Key != c.given {
			c.problem("the bundle names another public key than the one it is checked with")
		}
	case l.Hash != "":
		raw, err := base64.StdEncoding.DecodeString(l.Hash)
		if err != nil || len(raw) != tlog.HashSize || c.size >= c.report.From {
			return errors.New("the bundle holds a hash that is none, or where none belongs")
		}
		c.add(tlog.Hash(raw))
	case l.N != nil:
		if *l.N != c.size {
			c.problem("row %d stands where row %d belongs: rows were taken out or put in", *l.N, c.size)
		}
		c.opening(l)
		c.add(tlog.RecordHash(l.Leaf))
	case l.Checkpoint != "":
		c.checkpoint(l.Checkpoint)
	}
	return nil
}

// opening checks a detail against what its row committed to.
func (c *check) opening(l *line) {
	if l.Opening == nil {
		return
	}
	var is leaf
	if err := json.Unmarshal(l.Leaf, &is); err != nil || is.Commit != commitment(l.Opening) {
		c.problem("the detail of row %d is not what the row committed to", c.size)
		return
	}
	c.report.Details++
}

// add puts one more row into the tree.
func (c *check) add(h tlog.Hash) {
	if was, known := c.leaves[c.size]; known && was != h {
		c.problem("row %d is not what it was when an older checkpoint was made", c.size)
	}
	c.size++
	for n := c.size; n&1 == 0; n >>= 1 {
		last := len(c.stack) - 1
		h = tlog.NodeHash(c.stack[last], h)
		c.stack = c.stack[:last]
	}
	c.stack = append(c.stack, h)
	for len(c.olds) > 0 && c.olds[0].Size == c.size {
		c.compare(c.olds[0], "older checkpoint")
		c.olds = c.olds[1:]
	}
}

// root folds the full subtrees (RFC 6962, 2.1).
func (c *check) root() tlog.Hash {
	if len(c.stack) == 0 {
		h, _ := tlog.TreeHash(0, nil) // Of nothing it reads nothing.
		return h
	}
	h := c.stack[len(c.stack)-1]
	for i := len(c.stack) - 2; i >= 0; i-- {
		h = tlog.NodeHash(c.stack[i], h)
	}
	return h
}

func (c *check) checkpoint(text string) {
	t, at, err := OpenCheckpoint(text, c.v)
	switch {
	case err != nil:
		c.problem("a checkpoint behind row %d: %v", c.size-1, err)
		return
	case t.Size > c.size:
		c.problem("a checkpoint for %d rows stands behind row %d: rows are missing", t.Size, c.size-1)
		return
	case t.Size < c.size:
		c.problem("a checkpoint for %d rows stands behind row %d: rows were put in", t.Size, c.size-1)
		return
	}
	c.compare(older{t, at}, "checkpoint")
}

func (c *check) compare(o older, what string) {
	if c.root() != o.Root {
		c.problem("the %s of %s for %d rows does not fit: among rows %d to %d something was changed",
			what, o.at.Format(time.RFC3339), o.Size, c.known, o.Size-1)
		return
	}
	c.known, c.report.Covered = o.Size, o.Size
	if o.at.After(c.report.Last) {
		c.report.Last = o.at
	}
	if what == "checkpoint" {
		c.report.Checkpoints++
	} else {
		c.report.Older++
	}
}

func (c *check) end() {
	r := c.report
	r.Rows = c.size
	root := c.root()
	r.Root = base64.StdEncoding.EncodeToString(root[:])
	if c.size < c.full {
		c.problem("the bundle says that there are %d rows and ends with row %d", c.full, c.size-1)
	}
	for _, o := range c.olds {
		if o.Size == 0 {
			continue
		}
		c.problem("the older checkpoint of %s is for %d rows and the bundle ends with row %d: rows are missing", o.at.Format(time.RFC3339), o.Size, c.size-1)
	}
	r.CannotSee = append(r.CannotSee, "acts of which no row was ever written")
	if r.Covered < r.Rows {
		r.CannotSee = append(r.CannotSee, fmt.Sprintf("changes of rows %d to %d: no checkpoint that holds vouches for them", r.Covered, r.Rows-1))
	}
	if r.Older == 0 {
		r.CannotSee = append(r.CannotSee, "a trail that was written anew and signed anew by whoever holds the signing key: that takes a checkpoint that left the machine before")
	} else {
		r.CannotSee = append(r.CannotSee, "changes by whoever holds the signing key behind the newest checkpoint that left the machine")
	}
	if r.Details == 0 {
		r.CannotSee = append(r.CannotSee, "details: the bundle was made without them, rows only commit to them")
	}
}

// Proof shows that a row is in the tree that a checkpoint is for. That this tree
// holds all that an older one held takes a bundle.
type Proof struct {
	N          int64            `json:"n"`
	Leaf       json.RawMessage  `json:"leaf"`
	Inclusion  tlog.RecordProof `json:"inclusion"`
	Checkpoint string           `json:"checkpoint"`
}

// Check checks a proof with the public key alone.
func (p *Proof) Check(key string) (Tree, time.Time, error) {
	v, err := Verifier(key)
	if err != nil {
		return Tree{}, time.Time{}, err
	}
	t, at, err := OpenCheckpoint(p.Checkpoint, v)
	if err != nil {
		return t, at, err
	}
	if err := tlog.CheckRecord(p.Inclusion, t.Size, t.Root, p.N, tlog.RecordHash(p.Leaf)); err != nil {
		return t, at, errors.New("the row is not in the tree that the checkpoint is for")
	}
	return t, at, nil
}

// Package backup is how copies of a house are written and read: one stream of
// chunks, a manifest with their digests behind them, signed, compressed, and
// encrypted for whom it is meant. What comes in are tables and frames as a store
// gives them; what goes out is a file that says itself whether it is whole. It never
// decides what a copy holds and knows no row.
package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"time"

	"rapport/internal/fault"
	"rapport/internal/store/move"
)

// Kind says what a copy is of.
type Kind string

// The kinds. What Data holds is opened by what Keys holds; each has a life of its own.
const (
	Data Kind = "data"
	Keys Kind = "keys"
)

// Mark names the file of a data folder that says when the last copy of a kind was
// taken from it.
func (k Kind) Mark() string { return "backup-" + string(k) + ".last" }

// format is the version of the stream.
const format = 1

// Head stands in front: what a reader needs before the first row.
type Head struct {
	Format int       `json:"format"`
	Kind   Kind      `json:"kind"`
	House  string    `json:"house"` // a short name of whose it is
	Log    string    `json:"log,omitempty"`
	Made   time.Time `json:"made"`
	Build  string    `json:"build,omitempty"` // the program's version
	Sealed bool      `json:"sealed"`          // bodies need the keys
	Lanes  []Lane    `json:"lanes,omitempty"`
	Tables []Table   `json:"tables,omitempty"`
	Trail  *Trail    `json:"trail,omitempty"`
	Key    string    `json:"key"` // checks the manifest's signature; whose it is the reader must know
}

// Lane is how far the state has walked a lane of the log.
type Lane struct {
	Lane   uint8 `json:"lane"`
	Walked int64 `json:"walked"`
}

// Trail is the tree of the trail: its size and root, in hex.
type Trail struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
}

// Table is one table as it is written.
type Table struct {
	Name    string        `json:"name"`
	Columns []move.Column `json:"columns"`
	Key     []int         `json:"key"`
}

// Sum is what one table, lane or file came to.
type Sum struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"` // or bytes of a file
	Digest string `json:"sha256"`
}

// Manifest stands at the end: a stream without it is no copy.
type Manifest struct {
	Head Head   `json:"head"`
	Sums []Sum  `json:"sums"`
	Last []Lane `json:"last,omitempty"` // where each lane's frames end; in Walked
}

// Rows counts what all sums but files came to.
func (m *Manifest) Rows() (n int64) {
	for _, s := range m.Sums {
		if !isFile(s.Name) {
			n += s.Rows
		}
	}
	return n
}

// digest is that of the manifest as it is signed.
func (m *Manifest) digest() (raw []byte, sum string, err error) {
	raw, err = json.Marshal(m)
	if err != nil {
		return nil, "", fmt.Errorf("write the manifest: %w", err)
	}
	h := sha256.Sum256(raw)
	return raw, hex.EncodeToString(h[:]), nil
}

// signedLines is what is signed: no certificate of the trail says the same.
func signedLines(sum string) []string { return []string{"manifest of a backup", "sha256 " + sum} }

// Names of entries.
const (
	headName     = "head.json"
	manifestName = "manifest.json"
	signName     = "manifest.sig"
	tablePrefix  = "table/"
	lanePrefix   = "log/"
	filePrefix   = "file/"
)

func isFile(name string) bool {
	return len(name) > len(filePrefix) && name[:len(filePrefix)] == filePrefix
}

// adder sums one thing up.
type adder struct {
	name string
	rows int64
	h    hash.Hash
}

func newAdder(name string) *adder { return &adder{name: name, h: sha256.New()} }

func (a *adder) add(chunk []byte, rows int64) {
	_, _ = a.h.Write(chunk) // A hash takes everything.
	a.rows += rows
}

func (a *adder) sum() Sum {
	return Sum{Name: a.name, Rows: a.rows, Digest: hex.EncodeToString(a.h.Sum(nil))}
}

// broken refuses a copy. It says no more than what is wrong with it: what it holds
// may be anybody's.
func broken(why string, args ...any) error {
	return fault.New(fault.Conflict, "backup_broken", "this is no whole backup: %s; take another one", fmt.Sprintf(why, args...))
}

// Package audit keeps the trail: a row for every act that somebody may be asked
// about later, in a Merkle tree (RFC 6962) whose signed checkpoints leave the
// machine. What comes in are acts, in the transaction of the act itself; what goes
// out are rows with proofs, checkpoints, and bundles that are verified offline
// with the public key alone. Rows hold keyed references and commitments, never
// personal data; and it decides nothing.
package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"rapport/internal/id"
)

// Act is something that was done.
type Act struct {
	At      time.Time // business time
	Actor   string    // who: "key/ID" of a management key, "source/NAME", or the house's own room
	What    string    // stable, a noun and a verb: "person.read", "permission.changed", "mail.accepted"
	Object  string    // what with: an id or a name of the house, never personal data
	Subject id.Hash   // whom it concerns: a keyed hash; zero: nobody
	Outcome string    // "" or a stable code: "denied", "bounced"
	Detail  []byte    // a JSON object or nil; it is kept beside the row, which only commits to it
}

// PersonKind is the kind under which a person of the house is hashed to be a
// Subject; an identifier is hashed under its own.
const PersonKind = "person"

// SaltBytes is how long the salt of a commitment is: without it a short detail
// could be guessed.
const SaltBytes = 16

// Row is an act in the trail.
type Row struct {
	N       int64     // its place in the tree, from 0
	At      time.Time // this and the next three are as in the leaf, to be looked up by
	Actor   string
	What    string
	Subject id.Hash
	Leaf    []byte // canonical JSON, what the tree holds
	Opening []byte // salt and detail; nil: it was erased, or there is none
}

// leaf is a row's canonical form: these members in this order, none but "outcome",
// "subject" and "commit" may be missing.
type leaf struct {
	Format  int    `json:"v"`
	At      string `json:"at"`
	Actor   string `json:"actor"`
	What    string `json:"act"`
	Object  string `json:"object"`
	Subject string `json:"subject,omitempty"`
	Outcome string `json:"outcome,omitempty"`
	Commit  string `json:"commit,omitempty"` // base64 of SHA-256 of salt and detail
}

// leafFormat is the number of the form of a leaf.
const leafFormat = 1

// timeFormat has a fixed width: milliseconds, UTC.
const timeFormat = "2006-01-02T15:04:05.000Z"

// NewRow writes an act down; salt is SaltBytes of chance where there is a detail.
func NewRow(a *Act, salt []byte) (Row, error) {
	r := Row{At: a.At, Actor: a.Actor, What: a.What, Subject: a.Subject}
	l := leaf{Format: leafFormat, At: a.At.UTC().Format(timeFormat), Actor: a.Actor, What: a.What, Object: a.Object, Outcome: a.Outcome}
	if a.Subject != (id.Hash{}) {
		l.Subject = hex.EncodeToString(a.Subject[:])
	}
	if a.Detail != nil {
		if len(salt) != SaltBytes {
			return r, errors.New("audit: a detail needs a salt")
		}
		r.Opening = append(append(make([]byte, 0, len(salt)+len(a.Detail)), salt...), a.Detail...)
		l.Commit = commitment(r.Opening)
	}
	var err error
	r.Leaf, err = json.Marshal(l)
	return r, err
}

func commitment(opening []byte) string {
	sum := sha256.Sum256(opening)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Entry is a row as it is shown.
type Entry struct {
	N       int64           `json:"n"`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"`
	What    string          `json:"act"`
	Object  string          `json:"object,omitempty"`
	Subject string          `json:"subject,omitempty"`
	Outcome string          `json:"outcome,omitempty"`
	Detail  json.RawMessage `json:"detail,omitempty"`
}

// EntryOf reads a row.
func EntryOf(r *Row) (Entry, error) {
	var l leaf
	if err := json.Unmarshal(r.Leaf, &l); err != nil || l.Format != leafFormat {
		return Entry{}, errors.New("audit: a row that is none")
	}
	at, err := time.Parse(timeFormat, l.At)
	if err != nil {
		return Entry{}, errors.New("audit: a row without a time")
	}
	e := Entry{N: r.N, At: at, Actor: l.Actor, What: l.What, Object: l.Object, Subject: l.Subject, Outcome: l.Outcome}
	if len(r.Opening) > SaltBytes {
		e.Detail = append(json.RawMessage(nil), r.Opening[SaltBytes:]...)
	}
	return e, nil
}

package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/sumdb/tlog"

	"rapport/internal/fault"
	"rapport/internal/id"
)

// receiptsFormat is the number of the form of Receipts.
const receiptsFormat = 1

// Receipt shows that a record was written into the trail as it is: the row's
// detail, which the row commits to, holds the record's digest, and the row is in
// the tree that a signed checkpoint is for (RFC 6962, 2.1.1).
type Receipt struct {
	Record  json.RawMessage `json:"record"`
	Opening []byte          `json:"opening"` // salt and detail of the row
	Proof   *Proof          `json:"proof"`
}

// Receipts is what a person is given.
type Receipts struct {
	Format   int       `json:"receipts"`
	Key      string    `json:"key"` // the public key, to be compared with one that came another way
	Made     time.Time `json:"made"`
	List     []Receipt `json:"list"`
	Unproven int       `json:"unproven,omitempty"` // records of before there were receipts
}

// digested is the member of a row's detail that receipts rest on.
type digested struct {
	Digest string `json:"sha256"`
}

// Digest names the content of a record: SHA-256, in hex, of its canonical form
// (RFC 8785), so that it is the same however a program on the way wrote it.
func Digest(record []byte) string {
	canonical := jsontext.Value(bytes.Clone(record))
	if err := canonical.Canonicalize(); err != nil {
		return "" // What is no JSON has no content.
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// Receipts proves records that acts of a kind committed to, of some subjects. It
// has a checkpoint signed first if rows wait for one.
func (t *Trail) Receipts(ctx context.Context, what string, subjects []id.Hash, records [][]byte) (*Receipts, error) {
	if err := t.signAll(ctx, true); err != nil { // Whoever asks does not wait for places elsewhere.
		return nil, err
	}
	out := &Receipts{Format: receiptsFormat, Key: t.key, Made: t.now().UTC().Truncate(time.Millisecond), List: []Receipt{}}
	if len(records) == 0 {
		return out, nil
	}
	err := t.keeper.Read(ctx, func(st Store) error {
		rows, err := committed(st, what, subjects)
		if err != nil {
			return err
		}
		last, found, err := st.LastCheckpoint()
		if err != nil {
			return err
		}
		out.List, out.Unproven = out.List[:0], 0
		for _, record := range records {
			r, ok := rows[Digest(record)]
			if !ok || !found || r.N >= last.Size {
				out.Unproven++
				continue
			}
			proof, err := tlog.ProveRecord(last.Size, r.N, reading{st})
			if err != nil {
				return fmt.Errorf("audit: prove row %d: %w", r.N, err)
			}
			out.List = append(out.List, Receipt{
				Record: record, Opening: r.Opening, Proof: &Proof{N: r.N, Leaf: r.Leaf, Inclusion: proof, Checkpoint: last.Note},
			})
		}
		return nil
	})
	return out, err
}

// maxReceipts bounds how many rows of somebody are looked through.
const maxReceipts = 20_000

// committed finds rows by the digest that their details hold.
func committed(st Store, what string, subjects []id.Hash) (map[string]Row, error) {
	out := map[string]Row{}
	size, err := st.Size()
	if err != nil {
		return nil, err
	}
	for before, seen := int64(-1), 0; seen < maxReceipts; {
		rows, err := st.Search(Query{Subjects: subjects, What: what, Before: before, Newest: size, Limit: pageRows})
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			var d digested
			if len(r.Opening) > SaltBytes && json.Unmarshal(r.Opening[SaltBytes:], &d) == nil && d.Digest != "" {
				out[d.Digest] = r
			}
		}
		if len(rows) < pageRows {
			break
		}
		seen, before = seen+len(rows), rows[len(rows)-1].N
	}
	return out, nil
}

// Check checks a receipt with the public key alone, and gives when the tree was
// signed that holds it.
func (r *Receipt) Check(key string) (Tree, time.Time, error) {
	no := func(format string, args ...any) (Tree, time.Time, error) {
		return Tree{}, time.Time{}, fault.New(fault.Invalid, "receipt_broken", format, args...)
	}
	if r.Proof == nil {
		return no("the receipt has no proof")
	}
	var is leaf
	if err := json.Unmarshal(r.Proof.Leaf, &is); err != nil || is.Format != leafFormat {
		return no("the receipt's row is none")
	}
	if len(r.Opening) <= SaltBytes || is.Commit != commitment(r.Opening) {
		return no("the row did not commit to this detail")
	}
	var d digested
	if err := json.Unmarshal(r.Opening[SaltBytes:], &d); err != nil || d.Digest == "" || d.Digest != Digest(r.Record) {
		return no("the record is not the one that the row was written for")
	}
	return r.Proof.Check(key)
}

// ReadReceipts reads what was given to a person.
func ReadReceipts(raw []byte) (*Receipts, error) {
	var out Receipts
	if err := json.Unmarshal(raw, &out); err != nil || out.Format != receiptsFormat {
		return nil, errors.New("these are no receipts of this form")
	}
	return &out, nil
}

package app

import (
	"encoding/hex"
	"io"
	"slices"

	"rapport/internal/audit"
	"rapport/internal/backup"
	"rapport/internal/fault"
	"rapport/internal/store/move"
	"rapport/internal/store/rows"
)

// columnOf gives the place of a column, -1 where there is none.
func columnOf(columns []move.Column, name string) int {
	return slices.IndexFunc(columns, func(c move.Column) bool { return c.Name == name })
}

// BackupReport is what can be told of a copy without a server.
type BackupReport struct {
	*backup.Manifest
	Signer  string   `json:"signer"`   // "known": the key that was expected signed it; "named": the key that is in it did
	Unseen  []string `json:"not_seen"` // what this cannot tell
	Checked []string `json:"checked"`
	// Rehearsal is what came of restoring it with its keys; nil where that was not tried.
	Rehearsal *Rehearsal `json:"rehearsal,omitempty"`
}

const unrehearsed = "whether the copies of keys that you have open it: practise a restore with --keys KEYS"

// Rehearsed notes what a restore came to that was practised.
func (r *BackupReport) Rehearsed(x *Rehearsal) {
	r.Rehearsal = x
	r.Unseen = slices.DeleteFunc(r.Unseen, func(s string) bool { return s == unrehearsed })
}

// VerifyBackup reads a copy to its end and checks what can be checked without a
// server. key is the public key of the house's trail, "" where nobody has it at hand.
func VerifyBackup(r io.Reader, key string) (*BackupReport, error) {
	v := verifying{}
	m, err := backup.Read(r, backup.Taker{Rows: v.rows, File: v.file, Head: v.head})
	if err != nil {
		return nil, err
	}
	if err := v.trail(m); err != nil {
		return nil, err
	}
	out := &BackupReport{Manifest: m, Signer: "named", Checked: []string{
		"it is whole: every chunk, row count and digest is as the manifest says, and the manifest is signed",
	}}
	if m.Head.Kind == backup.Data {
		out.Checked = append(out.Checked,
			"the log goes on where the state ends, without a gap",
			"people and their history bear the checksums with which they were written",
			"the rows of the trail come to the root of its tree")
		out.Unseen = append(out.Unseen, unrehearsed)
	} else {
		out.Unseen = append(out.Unseen, "whether the root key opens these keys: restore them now and then, docs/backup.md")
	}
	out.Unseen = append(out.Unseen, "whether there is a newer backup, and what came after this one")
	switch {
	case key == "":
		out.Unseen = append(out.Unseen, "whose key it is that signed it: give --key KEY, as rapport audit key prints it")
	case key != m.Head.Key:
		return nil, errAnother
	default:
		out.Signer = "known"
	}
	return out, nil
}

var errTables = fault.New(fault.Conflict, "backup_broken", "this is no whole backup: a table has other columns than its name says; take another one")

// verifying looks into rows on their way.
type verifying struct {
	size   int64
	leaves audit.LeafHashes
}

func (v *verifying) head(h *backup.Head) error {
	if h.Trail != nil {
		v.size = h.Trail.Size
	}
	return nil
}

func (v *verifying) file(name string, body []byte) error {
	if name != erasuresFile {
		return nil
	}
	return checkErasures(body)
}

func (v *verifying) rows(t *backup.Table, list []move.Row) error {
	column := func(name string) int { return columnOf(t.Columns, name) }
	switch t.Name {
	case "person", "timeline":
		number, body := column("id"), column("body")
		if number < 0 || body < 0 {
			return errTables
		}
		for _, r := range list {
			n, _ := r[number].(int64)
			raw, _ := r[body].([]byte)
			if _, err := rows.Unsummed(n, raw); err != nil {
				return fault.New(fault.Conflict, "backup_damaged", "row %d of %s was damaged before it was backed up: keep the backup before this one", n, t.Name)
			}
		}
	case "trail":
		at := column("leaf")
		if at < 0 {
			return errTables
		}
		for _, r := range list {
			leaf, _ := r[at].([]byte)
			if v.size > v.leaves.Tree().Size {
				v.leaves.Add(leaf)
			}
		}
	}
	return nil
}

func (v *verifying) trail(m *backup.Manifest) error {
	if m.Head.Trail == nil {
		return nil
	}
	if t := v.leaves.Tree(); t.Size != m.Head.Trail.Size || hex.EncodeToString(t.Root[:]) != m.Head.Trail.Root {
		return fault.New(fault.Conflict, "backup_trail", "the rows of the trail do not come to its root: somebody changed them before they were backed up; see rapport audit verify")
	}
	return nil
}

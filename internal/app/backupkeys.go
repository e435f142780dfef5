package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"rapport/internal/backup"
	"rapport/internal/fault"
	"rapport/internal/seal"
	"rapport/internal/store/move"
	"rapport/internal/store/sqlitestore"
)

// The tables of a copy of keys.
var (
	wrappingTable = backup.Table{Name: "wrapping", Key: []int{0}, Columns: []move.Column{{Name: "number", Kind: move.Int}, {Name: "made", Kind: move.Int}, {Name: "body", Kind: move.Blob}}}
	dataKeyTable  = backup.Table{Name: "data_key", Key: []int{0}, Columns: []move.Column{{Name: "k", Kind: move.Blob}, {Name: "body", Kind: move.Blob}}}
)

// BackupKeys writes the keys of a data folder: what is in keys.db, and keys.json;
// with root also keyset.json, without which the former are worthless. The server may
// run: each key is read as it is, and a rotation meanwhile is told by the wrapping keys.
func BackupKeys(dir, build string, root bool, w io.Writer) error {
	k, err := loadKeys(dir, false)
	if err != nil {
		return err
	}
	head := backup.Head{Kind: backup.Keys, House: k.house(), Made: time.Now(), Build: build, Sealed: k.Sealed, Key: k.TrailPublic}
	if k.Sealed {
		head.Tables = []backup.Table{wrappingTable, dataKeyTable}
	}
	out, err := backup.NewWriter(w, head, k.signLines)
	if err != nil {
		return err
	}
	if k.Sealed {
		if err := copyRing(filepath.Join(dir, ringFile), out); err != nil {
			return err
		}
	}
	names := []string{keysFile}
	if root {
		names = append(names, rootFile)
	}
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // The folder is the operator's own choice.
		if errors.Is(err, fs.ErrNotExist) {
			return fault.New(fault.NotFound, "no_root_file", "%s is not in the data folder: the root key is elsewhere, and stays there; leave --root away", name)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := out.File(name, raw); err != nil {
			return err
		}
	}
	_, err = out.Close()
	return err
}

// keysAtOnce is how many keys are read in one go.
const keysAtOnce = 2000

func copyRing(path string, out *backup.Writer) (err error) {
	if _, err := os.Stat(path); err != nil {
		return missing(ringFile)
	}
	ring, err := sqlitestore.OpenKeyring(sqlitestore.KeyringConfig{Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	before, err := ring.Wrapping()
	if err != nil {
		return err
	}
	out.Table(dataKeyTable.Name)
	for after := []byte(nil); ; {
		list, err := ring.Copied(after, keysAtOnce)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		some := make([]move.Row, len(list))
		for i, r := range list {
			some[i] = move.Row{r.Key, r.Body}
		}
		if err := out.Rows(some); err != nil {
			return err
		}
		after = list[len(list)-1].Key
	}
	wrapping, err := ring.Wrapping()
	if err != nil {
		return err
	}
	if !slices.EqualFunc(before, wrapping, func(a, b seal.Wrapping) bool { return a.Number == b.Number }) {
		return fault.New(fault.Conflict, "rotation_runs", "the keys were rotated meanwhile: back them up again")
	}
	out.Table(wrappingTable.Name)
	for _, k := range wrapping {
		if err := out.Rows([]move.Row{{int64(k.Number), k.Made.UnixMilli(), k.Body}}); err != nil {
			return err
		}
	}
	return nil
}

// RestoreKeys puts the keys of a copy into a data folder that has none yet. key is the
// public key of the house's trail, "" where nobody has it at hand.
func RestoreKeys(r io.Reader, dir, key string) (*backup.Manifest, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	return restoreKeys(r, dir, key)
}

// restoreKeys does so; key is that of the data which they are to open, "" for any.
func restoreKeys(r io.Reader, dir, key string) (m *backup.Manifest, err error) {
	for _, name := range []string{keysFile, ringFile, rootFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil, fault.New(fault.Conflict, "folder_in_use", "the folder has %s already: no keys are ever written over others", name)
		}
	}
	fresh := filepath.Join(dir, ringFile)
	x := takingKeys{path: fresh, files: map[string][]byte{}, key: key}
	m, err = backup.Read(r, backup.Taker{Head: x.head, Rows: x.rows, File: x.file})
	if x.ring != nil {
		err = errors.Join(err, x.ring.Close())
	}
	for _, name := range []string{rootFile, keysFile} { // keys.json last: without it nothing begins.
		if body, ok := x.files[name]; ok && err == nil {
			err = writeSecret(filepath.Join(dir, name), body)
		}
	}
	if err != nil {
		for _, behind := range []string{"", "-wal", "-shm"} {
			if rmErr := os.Remove(fresh + behind); !errors.Is(rmErr, fs.ErrNotExist) {
				err = errors.Join(err, rmErr)
			}
		}
		return nil, err
	}
	return m, nil
}

// takingKeys is keys on their way into a folder.
type takingKeys struct {
	path, key string
	ring      *sqlitestore.Keyring
	files     map[string][]byte
}

func (x *takingKeys) head(h *backup.Head) error {
	switch {
	case h.Kind != backup.Keys:
		return fault.New(fault.Invalid, "backup_kind", "this is no backup of keys: give the one that rapport backup --keys wrote")
	case x.key != "" && h.Key != x.key:
		return fault.New(fault.Conflict, "keys_of_another", "the keys are of another house than the data, or than the key that was given")
	case !h.Sealed:
		return nil
	}
	if err := own(x.path); err != nil {
		return err
	}
	var err error
	x.ring, err = sqlitestore.OpenKeyring(sqlitestore.KeyringConfig{Path: x.path})
	return err
}

func (x *takingKeys) rows(t *backup.Table, list []move.Row) error {
	bytes := func(r move.Row, i int) []byte { b, _ := r[i].([]byte); return append([]byte{}, b...) }
	number := func(r move.Row, i int) int64 { n, _ := r[i].(int64); return n }
	if x.ring == nil || t.Name != wrappingTable.Name && t.Name != dataKeyTable.Name || len(t.Columns) < 2 {
		return fault.New(fault.Conflict, "backup_broken", "the backup of keys holds a table that is none of theirs")
	}
	if t.Name == wrappingTable.Name {
		for _, r := range list {
			if err := x.ring.AddWrapping(seal.Wrapping{Number: int(number(r, 0)), Made: time.UnixMilli(number(r, 1)).UTC(), Body: bytes(r, len(r)-1)}); err != nil {
				return err
			}
		}
		return nil
	}
	some := make([]seal.Row, len(list))
	for i, r := range list {
		some[i] = seal.Row{Key: bytes(r, 0), Body: bytes(r, 1)}
	}
	return x.ring.Add(some)
}

func (x *takingKeys) file(name string, body []byte) error {
	if name == keysFile || name == rootFile {
		x.files[name] = slices.Clone(body)
	}
	return nil
}

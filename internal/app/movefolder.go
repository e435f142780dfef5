package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rapport/internal/fault"
	"rapport/internal/store/sqlitestore"
)

// AcmeFolder is where in a data folder the account at an authority and its
// certificates are kept.
const AcmeFolder = "acme"

// keyFiles are the workspace's keys. keyset-former.json opens older copies of
// keys.db.
var keyFiles = []string{keysFile, manageFile, rootFile, formerFile, ringFile}

// carryFolder brings what a data folder holds beside log and state to where the
// target looks for it: the keys, who was erased, and certificates. When backups
// were last taken is not carried, for none was ever taken of the new place.
// Given again it goes on.
func carryFolder(from, to string) error {
	if from == to {
		return nil
	}
	if err := settleKeys(from); err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	for _, name := range keyFiles {
		if err := carryKey(from, to, name); err != nil {
			return err
		}
	}
	if err := carryErasures(from, to); err != nil {
		return err
	}
	return carryCertificates(filepath.Join(from, AcmeFolder), filepath.Join(to, AcmeFolder))
}

// leftBehind tells what holds the house still where it was: no erasure reaches that any
// more, and what keys lie there open it.
func leftBehind(from, to *place, database bool) (out []string) {
	if database {
		out = []string{"the schemas rapport_log and rapport_state of the database"}
	}
	was, wasErr := os.Stat(from.keys)
	is, isErr := os.Stat(to.keys)
	switch same := from.keys == to.keys || wasErr != nil || isErr != nil || os.SameFile(was, is); {
	case !same:
		return append(out, from.keys)
	case !database: // The keys are those that the database needs.
		return []string{filepath.Join(from.keys, "log.db"), filepath.Join(from.keys, "state.db")}
	}
	return out
}

// settleKeys brings the keys of a folder to rest before they are copied: a key
// that this version adds is added once and not in each copy, and what a process
// that died left in the journal of keys.db comes home into the file.
func settleKeys(dir string) error {
	if !exists(filepath.Join(dir, keysFile)) {
		return fault.New(fault.Conflict, "keys_missing", "%s has no %s, without which nobody can be found: name the data folder that serves the house with --data", dir, keysFile)
	}
	if _, err := loadKeys(dir, false); err != nil {
		return err
	}
	path := filepath.Join(dir, ringFile)
	if !exists(path) {
		return nil
	}
	kept, err := sqlitestore.OpenKeyring(sqlitestore.KeyringConfig{Path: path})
	if err != nil {
		return err
	}
	return kept.Close()
}

// carryKey copies one file of the keys. One that is there already must be the same.
func carryKey(from, to, name string) error {
	raw, err := os.ReadFile(filepath.Join(from, name)) //nolint:gosec // The folder is the operator's own choice.
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	there, err := os.ReadFile(filepath.Join(to, name)) //nolint:gosec // As above.
	switch {
	case err == nil && bytes.Equal(there, raw):
		return nil
	case err == nil:
		return fault.New(fault.Conflict, "keys_of_another",
			"%s holds another %s, of another house or of this one before it went on: name an empty folder", to, name)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := writeSecret(filepath.Join(to, name), raw); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// carryErasures has the target know of everybody of whom the source keeps nothing.
func carryErasures(from, to string) error {
	newer, err := readOr(filepath.Join(from, erasuresFile))
	if err != nil {
		return fmt.Errorf("read who was erased: %w", err)
	}
	return keepErasures(newer, to)
}

// carryCertificates copies what an authority gave, so that the new place need not
// ask for it again.
func carryCertificates(from, to string) error {
	if !exists(from) {
		return nil
	}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch target := filepath.Join(to, name); {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case !d.Type().IsRegular() || strings.HasPrefix(d.Name(), newPrefix) || exists(target):
			return nil
		default:
			raw, err := os.ReadFile(path) //nolint:gosec // As above.
			if err != nil {
				return err
			}
			return writeSecret(target, raw)
		}
	})
	if err != nil {
		return fmt.Errorf("carry certificates: %w", err)
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// readOr reads a file, which may be missing.
func readOr(path string) ([]byte, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // The path is the operator's own choice.
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return raw, err
}

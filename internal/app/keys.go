package app

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rapport/internal/fault"
)

// keys are the workspace's own secrets. They stand in a file of their own, so
// that a copy of the databases alone tells nobody who somebody is.
type keys struct {
	Format int      `json:"format"`
	Hash   []byte   `json:"hash"`                    // identifiers and addresses are looked up under it
	Token  []byte   `json:"token"`                   // links in mails are signed under it
	Former [][]byte `json:"former_tokens,omitempty"` // links in older mails
}

const keysFile = "keys.json"

// loadKeys reads the keys of a data folder and makes them when the folder is
// new. A folder that has lost them is refused: nobody in it could be found again.
func loadKeys(dir string, isNew bool) (*keys, error) {
	path := filepath.Join(dir, keysFile)
	raw, err := os.ReadFile(path) //nolint:gosec // The path is the operator's own choice.
	switch {
	case errors.Is(err, fs.ErrNotExist) && isNew:
		return makeKeys(path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.Conflict, "keys_missing",
			"the data folder holds data but no %s: restore it from the backup of the same installation", keysFile)
	case err != nil:
		return nil, fmt.Errorf("read the workspace's keys: %w", err)
	}
	var k keys
	if err := json.Unmarshal(raw, &k); err != nil || k.Format != 1 || len(k.Hash) < 32 || len(k.Token) < 32 {
		return nil, fault.New(fault.Conflict, "keys_damaged", "%s cannot be read: restore it from a backup", keysFile)
	}
	return &k, nil
}

func makeKeys(path string) (*keys, error) {
	k := keys{Format: 1, Hash: make([]byte, 32), Token: make([]byte, 32)}
	for _, b := range [][]byte{k.Hash, k.Token} {
		if _, err := rand.Read(b); err != nil {
			return nil, fmt.Errorf("make the workspace's keys: %w", err)
		}
	}
	raw, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("write the workspace's keys: %w", err)
	}
	if err := writeSecret(path, raw); err != nil {
		return nil, fmt.Errorf("write the workspace's keys: %w", err)
	}
	return &k, nil
}

// writeSecret writes a file that only its owner may read, whole or not at all.
func writeSecret(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

const manageFile = "manage.key"

func manageKeyPath(dir string) string { return filepath.Join(dir, manageFile) }

func readSecret(path string) (string, bool) {
	raw, err := os.ReadFile(path) //nolint:gosec // The path is the operator's own choice.
	secret := strings.TrimSpace(string(raw))
	return secret, err == nil && secret != ""
}

package app

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rapport/internal/audit"
	"rapport/internal/fault"
)

// keys are the workspace's own secrets. They stand in a file of their own, so
// that a copy of the databases alone tells nobody who somebody is.
type keys struct {
	Format int      `json:"format"`
	Hash   []byte   `json:"hash"`                    // identifiers and addresses are looked up under it
	Token  []byte   `json:"token"`                   // links in mails are signed under it
	Former [][]byte `json:"former_tokens,omitempty"` // links in older mails

	Sealed   bool   `json:"sealed,omitempty"`    // what is stored needs the root key and keys.db
	Root     string `json:"root,omitempty"`      // address of the root key; "" for keyset.json
	NextRoot string `json:"next_root,omitempty"` // where the root key is being moved

	Trail       string `json:"trail,omitempty"`        // signs checkpoints of the trail
	TrailPublic string `json:"trail_public,omitempty"` // checks them
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
	if k.Trail == "" { // The folder is older than the trail, which begins now.
		if err := k.sign(); err != nil {
			return nil, err
		}
		return &k, k.write(path)
	}
	return &k, nil
}

// sign makes the key that signs the trail. Its name tells one workspace's
// checkpoints from another's.
func (k *keys) sign() error {
	var name [4]byte
	_, err := rand.Read(name[:])
	if err == nil {
		k.Trail, k.TrailPublic, err = audit.MakeKey(rand.Reader, "rapport-"+hex.EncodeToString(name[:]))
	}
	if err != nil {
		return fmt.Errorf("make the key of the trail: %w", err)
	}
	return nil
}

func (k *keys) write(path string) error {
	raw, err := json.Marshal(k)
	if err == nil {
		err = writeSecret(path, raw)
	}
	if err != nil {
		return fmt.Errorf("write the workspace's keys: %w", err)
	}
	return nil
}

func makeKeys(path string) (*keys, error) {
	k := keys{Format: 1, Hash: make([]byte, 32), Token: make([]byte, 32)}
	for _, b := range [][]byte{k.Hash, k.Token} {
		if _, err := rand.Read(b); err != nil {
			return nil, fmt.Errorf("make the workspace's keys: %w", err)
		}
	}
	if err := k.sign(); err != nil {
		return nil, err
	}
	return &k, k.write(path)
}

// newPrefix begins the names of files that are not whole yet.
const newPrefix = ".new-"

// writeSecret writes a file that only its owner may read, whole or not at all.
func writeSecret(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), newPrefix+"*") // mode 0600
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

package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rapport/internal/fault"
	"rapport/internal/seal"
	"rapport/internal/seal/keyset"
	"rapport/internal/seal/kms"
)

// RootKey says under which key everything else is sealed.
type RootKey struct {
	Off   bool // what is stored stays readable to whoever has the files
	Begin bool // from now on what a folder holds that is not sealed is sealed
	// Address is where the root key is: FileRoot, or an address of a key management
	// service; "" for where the folder says, and FileRoot where it says nothing.
	Address string
	// Passphrase gives that of keyset.json, "" where it is not encrypted; nil: there is none.
	Passphrase func() (string, error)
	// KMS says by what key management services know us; nil: there are none.
	KMS func() (kms.Config, error)
}

// FileRoot is the address of a root key in keyset.json.
const FileRoot = "file"

const (
	rootFile   = "keyset.json"
	formerFile = "keyset-former.json"
	ringFile   = "keys.db"
)

func (o RootKey) passphrase() (string, error) {
	if o.Passphrase == nil {
		return "", nil
	}
	return o.Passphrase()
}

// service gives a root key in a key management service. It asks nobody yet.
func (o RootKey) service(address string) (seal.Root, error) {
	if !kms.Supported(address) {
		return nil, fault.New(fault.Invalid, "root_key_invalid",
			"%q is no root key: give %s for keyset.json in the data folder, or aws-kms://…, gcp-kms://… or hcvault://… (docs/keys.md)", address, FileRoot)
	}
	if o.KMS == nil {
		return nil, fault.New(fault.Conflict, "root_key_elsewhere", "the root key is %s, and this command asks no key management service", address)
	}
	c, err := o.KMS()
	if err != nil {
		return nil, err
	}
	client, err := kms.New(c)
	if err != nil {
		return nil, err
	}
	return client.GetAEAD(address)
}

// root gives the root key at an address; mayMake lets keyset.json be made.
func (o RootKey) root(dir, address string, mayMake bool) (seal.Root, error) {
	if address != FileRoot {
		return o.service(address)
	}
	return o.keyset(dir, mayMake)
}

func (o RootKey) keyset(dir string, mayMake bool) (*keyset.Keyset, error) {
	path := filepath.Join(dir, rootFile)
	raw, err := os.ReadFile(path) //nolint:gosec // The path is the operator's own choice.
	switch {
	case err == nil:
		return keyset.Read(raw, o.passphrase)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the root key: %w", err)
	case !mayMake:
		return nil, missing(rootFile)
	}
	k, err := keyset.New()
	if err != nil {
		return nil, err
	}
	return k, o.write(dir, k)
}

// write writes keyset.json under the passphrase that there is.
func (o RootKey) write(dir string, k *keyset.Keyset) error {
	word, err := o.passphrase()
	if err != nil {
		return err
	}
	raw, err := k.Marshal(word)
	if err == nil {
		err = writeSecret(filepath.Join(dir, rootFile), raw)
	}
	if err != nil {
		return fmt.Errorf("write the root key: %w", err)
	}
	return nil
}

// missing says what to do where a file of the keys is gone.
func missing(name string) error {
	return fault.New(fault.Conflict, "keys_missing",
		"what the data folder holds is sealed and it has no %s: restore it from the backup of the keys; without it nothing can be read", name)
}

// encrypted tells whether keyset.json has a passphrase.
func encrypted(dir string) (bool, error) {
	raw, err := os.ReadFile(filepath.Join(dir, rootFile)) //nolint:gosec // The path is the operator's own choice.
	if err != nil {
		return false, fmt.Errorf("read the root key: %w", err)
	}
	return keyset.Encrypted(raw), nil
}

// mustBeMeant refuses a passphrase that protects nothing.
func (o RootKey) mustBeMeant(dir string) error {
	word, err := o.passphrase()
	if err != nil || word == "" {
		return err
	}
	has, err := encrypted(dir)
	if err == nil && !has {
		err = fault.New(fault.Conflict, "passphrase_unused",
			"a passphrase is given, and keyset.json is not encrypted: encrypt it with `rapport keys rotate --root`, or take the passphrase away")
	}
	return err
}

// ExportKeyset gives keyset.json of a data folder under a passphrase, for safe
// keeping. It is a keyset.json itself.
func ExportKeyset(dir string, o RootKey, passphrase string) ([]byte, error) {
	k, err := sealedKeys(dir)
	if err != nil {
		return nil, err
	}
	if k.root() != FileRoot {
		return nil, fault.New(fault.Conflict, "root_key_elsewhere", "the root key is %s and never leaves it: back up keys.db, and see that the key stays there", k.root())
	}
	if len(passphrase) < leastPassphrase {
		return nil, fault.New(fault.Invalid, "passphrase_short", "a keyset is exported under a passphrase of at least %d bytes: whoever has both opens everything", leastPassphrase)
	}
	set, err := o.keyset(dir, false)
	if err != nil {
		return nil, err
	}
	return set.Marshal(passphrase)
}

// leastPassphrase is how long a passphrase of an exported keyset is at least.
const leastPassphrase = 12

// sealedKeys reads keys.json of a folder that is sealed.
func sealedKeys(dir string) (*keys, error) {
	if _, err := os.Stat(filepath.Join(dir, keysFile)); err != nil {
		return nil, fault.New(fault.NotFound, "no_house", "%s holds no %s: name the data folder of a server with --data", dir, keysFile)
	}
	k, err := loadKeys(dir, false)
	if err == nil && !k.Sealed {
		err = fault.New(fault.Conflict, "not_sealed", "what %s holds is not sealed, so it has no such keys: seal what comes from now on with `rapport keys begin`", dir)
	}
	return k, err
}

// root gives the address of the root key.
func (k *keys) root() string {
	if k.Root == "" {
		return FileRoot
	}
	return k.Root
}

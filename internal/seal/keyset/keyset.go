// Package keyset is the root key in a file of the data folder: a Tink keyset with
// AES-256-GCM keys, of which the newest wraps and the older still open. With a
// passphrase the file is encrypted by age (scrypt). What goes out is the keyset's
// AEAD; nothing else of it leaves.
package keyset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"rapport/internal/fault"
)

// Keyset is a root key with its history.
type Keyset struct{ handle *keyset.Handle }

// New makes a keyset of one key.
func New() (*Keyset, error) {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make a keyset: %w", err)
	}
	return &Keyset{h}, nil
}

// Encrypt and Decrypt are those of the keyset's AEAD.
func (k *Keyset) aead() (tink.AEAD, error) { return aead.New(k.handle) }

// Encrypt implements seal.Root.
func (k *Keyset) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	a, err := k.aead()
	if err != nil {
		return nil, err
	}
	return a.Encrypt(plaintext, associatedData)
}

// Decrypt implements seal.Root.
func (k *Keyset) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	a, err := k.aead()
	if err != nil {
		return nil, err
	}
	return a.Decrypt(ciphertext, associatedData)
}

// Rotated gives the keyset with a new key that wraps from now on; the former
// keys still open. Alone gives it with the newest only.
func (k *Keyset) Rotated() (*Keyset, error) {
	m := keyset.NewManagerFromHandle(k.handle)
	fresh, err := m.Add(aead.AES256GCMKeyTemplate())
	if err == nil {
		err = m.SetPrimary(fresh)
	}
	if err != nil {
		return nil, fmt.Errorf("rotate the keyset: %w", err)
	}
	h, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("rotate the keyset: %w", err)
	}
	return &Keyset{h}, nil
}

// Alone gives the keyset without its former keys.
func (k *Keyset) Alone() (*Keyset, error) {
	primary, err := k.handle.Primary()
	if err != nil {
		return nil, fmt.Errorf("read the keyset: %w", err)
	}
	m := keyset.NewManagerFromHandle(k.handle)
	for i := range k.handle.Len() {
		e, err := k.handle.Entry(i)
		if err != nil {
			return nil, fmt.Errorf("read the keyset: %w", err)
		}
		if e.KeyID() == primary.KeyID() {
			continue
		}
		if err := m.Delete(e.KeyID()); err != nil {
			return nil, fmt.Errorf("retire a root key: %w", err)
		}
	}
	h, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("retire a root key: %w", err)
	}
	return &Keyset{h}, nil
}

// Len tells how many keys it holds.
func (k *Keyset) Len() int { return k.handle.Len() }

// Marshal writes the keyset as a file: Tink's JSON, or with a passphrase age's
// armoured text around it.
func (k *Keyset) Marshal(passphrase string) ([]byte, error) {
	var plain bytes.Buffer
	if err := insecurecleartextkeyset.Write(k.handle, keyset.NewJSONWriter(&plain)); err != nil {
		return nil, fmt.Errorf("write the keyset: %w", err)
	}
	if passphrase == "" {
		return append(plain.Bytes(), '\n'), nil
	}
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("write the keyset: %w", err)
	}
	return Encrypt(plain.Bytes(), to)
}

// Encrypt writes something for whom it is meant, as armoured text.
func Encrypt(plain []byte, to ...age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, to...)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = text.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// Errors about the passphrase.
var (
	ErrPassphrase = fault.New(fault.Conflict, "passphrase_needed",
		"the root key is encrypted with a passphrase: give it in RAPPORT_KEYS_PASSPHRASE, or name a file that holds it in RAPPORT_KEYS_PASSPHRASE_FILE")
	errWrong = fault.New(fault.Conflict, "passphrase_wrong", "the passphrase does not open the root key")
)

// Read reads what Marshal wrote.
func Read(file []byte, passphrase func() (string, error)) (*Keyset, error) {
	if Encrypted(file) {
		word, err := passphrase()
		if err != nil {
			return nil, err
		}
		if file, err = decrypt(file, word); err != nil {
			return nil, err
		}
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file)))
	if err != nil {
		return nil, damaged(err)
	}
	return &Keyset{h}, nil
}

// Encrypted tells whether a keyset's file has a passphrase.
func Encrypted(file []byte) bool { return strings.HasPrefix(string(file), armor.Header) }

func decrypt(file []byte, passphrase string) ([]byte, error) {
	if passphrase == "" {
		return nil, ErrPassphrase
	}
	by, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("read the keyset: %w", err)
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(file)), by)
	var wrong *age.NoIdentityMatchError
	switch {
	case errors.As(err, &wrong):
		return nil, errWrong
	case err == nil:
		file, err = io.ReadAll(r)
	}
	if err != nil {
		return nil, damaged(err)
	}
	return file, nil
}

func damaged(err error) error {
	return fault.Wrap(err, fault.Conflict, "keyset_damaged", "keyset.json cannot be read: restore it from its backup")
}

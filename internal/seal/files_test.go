package seal_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"rapport/internal/fault"
	"rapport/internal/seal/keyset"
)

// read gives a file, nothing where there is none.
func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return b
}

// TestAPassphraseIsNeeded where the root key was written with one.
func TestAPassphraseIsNeeded(t *testing.T) {
	t.Parallel()
	k := rootKey(t)
	body, err := k.Encrypt([]byte("secret"), []byte("label"))
	must(t, err)
	file, err := k.Marshal("open sesame")
	must(t, err)
	for word, code := range map[string]string{"": "passphrase_needed", "open barley": "passphrase_wrong", "open sesame": ""} {
		again, err := keyset.Read(file, func() (string, error) { return word, nil })
		if err != nil || code != "" {
			if err == nil || fault.CodeOf(err) != code {
				t.Errorf("%q: %v", word, err)
			}
			continue
		}
		if plain, err := again.Decrypt(body, []byte("label")); err != nil || string(plain) != "secret" {
			t.Errorf("%q, %v", plain, err)
		}
	}
	plain, err := k.Marshal("")
	must(t, err)
	if keyset.Encrypted(plain) || !keyset.Encrypted(file) {
		t.Error("it does not tell which file has a passphrase")
	}
	if _, err := keyset.Read(plain[:len(plain)/2], nil); fault.CodeOf(err) != "keyset_damaged" {
		t.Errorf("half a file: %v", err)
	}
}

package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/event"
	"rapport/internal/fault"
)

var sealedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// openAs opens a folder with a root key and closes it again.
func openAs(t *testing.T, dir, database string, root app.RootKey) error {
	t.Helper()
	house, err := app.Open(t.Context(), app.Options{Data: dir, Database: database, Clock: app.NewClock(sealedAt, 0), Root: root}, smallFolder(t, "sealed"))
	if err != nil {
		return err
	}
	return house.Close()
}

// somebody is told to a house, which is closed again. early is keys.db from
// before.
func somebody(t *testing.T, dir, database string, root app.RootKey) (early []byte) {
	t.Helper()
	if err := openAs(t, dir, database, root); err != nil {
		t.Fatal(err)
	}
	early = fileOf(t, dir, "keys.db")
	house, stop := runningAs(t, dir, database, root)
	tellOf(t, house, "m1")
	stop()
	return early
}

func tellOf(t *testing.T, house *app.House, message string) {
	t.Helper()
	e := event.Event{Type: event.Identify, Source: "server", MessageID: message, UserID: "u1", Traits: []byte(`{"name":"Ann"}`), Time: sealedAt, Received: sealedAt}
	if err := app.Tell(t.Context(), house, &e); err != nil {
		t.Fatal(err)
	}
	goOn(t, house, sealedAt)
}

// fileOf reads a file of a folder, nil where there is none.
func fileOf(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, dir, name string, body []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func word(s string) func() (string, error) { return func() (string, error) { return s, nil } }

// TestKeysThatDoNotOpen are refused with what to do next, and none is ever made
// over what is sealed.
func TestKeysThatDoNotOpen(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		dir, other := t.TempDir(), t.TempDir()
		early := somebody(t, dir, database, app.RootKey{})
		for _, name := range []string{"keys.json", "keyset.json", "keys.db"} {
			if s, err := os.Stat(filepath.Join(dir, name)); err != nil || s.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, s, err)
			}
		}
		somebody(t, other, "", app.RootKey{})
		for _, c := range []struct {
			name       string
			spoil      func()
			root       app.RootKey
			code, next string
		}{
			{"keyset.json is gone", func() { remove(t, dir, "keyset.json") }, app.RootKey{}, "keys_missing", "no keyset.json: restore it"},
			{"keys.db is gone", func() { remove(t, dir, "keys.db") }, app.RootKey{}, "keys_missing", "no keys.db: restore it"},
			{"keys.json is gone", func() { remove(t, dir, "keys.json") }, app.RootKey{}, "keys_missing", "restore it"},
			{"keys.db is empty", func() { put(t, dir, "keys.db", nil) }, app.RootKey{}, "wrapping_key_missing", "restore keys.db"},
			{"keys.db is another's", func() { put(t, dir, "keys.db", fileOf(t, other, "keys.db")) }, app.RootKey{}, "root_key_wrong", "restore keyset.json"},
			{"keyset.json is another's", func() { put(t, dir, "keyset.json", fileOf(t, other, "keyset.json")) }, app.RootKey{}, "root_key_wrong", "restore keyset.json"},
			{"keyset.json is cut short", func() { put(t, dir, "keyset.json", fileOf(t, dir, "keyset.json")[:40]) }, app.RootKey{}, "keyset_damaged", "restore it"},
			{"keys.db is older", func() { put(t, dir, "keys.db", early) }, app.RootKey{}, "keys_older", "restore the newest copy"},
			{"unsealed is asked for", func() {}, app.RootKey{Off: true}, "sealed", "without --unsealed"},
			{"another root key is asked for", func() {}, app.RootKey{Address: "hcvault://vault.example/transit/keys/k"}, "root_key_elsewhere", "rapport keys move"},
			{"a passphrase protects nothing", func() {}, app.RootKey{Passphrase: word("open sesame")}, "passphrase_unused", "rapport keys rotate --root"},
		} {
			names := []string{"keys.json", "keyset.json", "keys.db"}
			kept := map[string][]byte{}
			for _, name := range names {
				kept[name] = fileOf(t, dir, name)
			}
			c.spoil()
			spoilt := fileOf(t, dir, "keyset.json")
			err := openAs(t, dir, database, c.root)
			if fault.CodeOf(err) != c.code || err == nil || !strings.Contains(err.Error(), c.next) {
				t.Errorf("%s: %v", c.name, err)
			}
			if !bytes.Equal(fileOf(t, dir, "keyset.json"), spoilt) {
				t.Errorf("%s: a root key was written", c.name)
			}
			for _, name := range []string{"keys.db-wal", "keys.db-shm"} {
				_ = os.Remove(filepath.Join(dir, name)) // Of the file that was put there; there may be none.
			}
			for _, name := range names {
				put(t, dir, name, kept[name])
			}
		}
		if err := openAs(t, dir, database, app.RootKey{}); err != nil {
			t.Errorf("with everything back in its place: %v", err)
		}
	})
}

// TestAPassphraseKeepsTheRootKey from whoever does not know it.
func TestAPassphraseKeepsTheRootKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	somebody(t, dir, "", app.RootKey{Passphrase: word("open sesame")})
	for given, code := range map[string]string{"": "passphrase_needed", "open barley": "passphrase_wrong"} {
		if err := openAs(t, dir, "", app.RootKey{Passphrase: word(given)}); fault.CodeOf(err) != code {
			t.Errorf("%q: %v", given, err)
		}
	}
	if err := openAs(t, dir, "", app.RootKey{Passphrase: word("open sesame")}); err != nil {
		t.Error(err)
	}
}

// TestSealingBeginsWhenItIsAskedFor in a folder that was not sealed, and what is
// there stays readable.
func TestSealingBeginsWhenItIsAskedFor(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		dir := t.TempDir()
		somebody(t, dir, database, app.RootKey{Off: true})
		err := openAs(t, dir, database, app.RootKey{})
		if fault.CodeOf(err) != "not_sealed" || !strings.Contains(err.Error(), "rapport keys begin") || !strings.Contains(err.Error(), "--unsealed") {
			t.Fatalf("without asking: %v", err)
		}
		if fileOf(t, dir, "keyset.json") != nil || fileOf(t, dir, "keys.db") != nil {
			t.Fatal("it made keys")
		}
		if err := openAs(t, dir, database, app.RootKey{Off: true}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // The second time changes nothing.
			k, err := app.BeginSealing(dir, app.RootKey{})
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
		}
		house, stop := runningAs(t, dir, database, app.RootKey{})
		tellOf(t, house, "m2")
		stop()
		where := dir
		if database != "" {
			where = database
		}
		if people := countsOf(t, where, dir)["person"]; people != 1 {
			t.Errorf("%d people: who was there before is not known again", people)
		}
		if err := openAs(t, dir, database, app.RootKey{Off: true}); fault.CodeOf(err) != "sealed" {
			t.Errorf("unsealed again: %v", err)
		}
	})
}

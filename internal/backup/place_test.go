package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rapport/internal/backup"
	"rapport/internal/fault"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func put(t *testing.T, p backup.Place, name string) error {
	t.Helper()
	return p.Put(t.Context(), name, func(w io.Writer) error {
		_, err := io.WriteString(w, name)
		return err
	})
}

// TestAFolderHoldsWholeCopies: what fails leaves nothing, and nothing is written over
// what is there.
func TestAFolderHoldsWholeCopies(t *testing.T) {
	t.Parallel()
	dir := backup.Folder(t.TempDir())
	if err := put(t, dir, "one.age"); err != nil {
		t.Fatal(err)
	}
	if err := put(t, dir, "one.age"); fault.CodeOf(err) != "backup_there" {
		t.Errorf("over another: %v", err)
	}
	gaveUp := errors.New("no more")
	if err := dir.Put(t.Context(), "two.age", func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		return errors.Join(err, gaveUp)
	}); !errors.Is(err, gaveUp) {
		t.Error(err)
	}
	list, err := os.ReadDir(string(dir))
	if err != nil || len(list) != 1 {
		t.Errorf("left are %v, %v", fmt.Sprint(list), err)
	}
	if err := dir.Get(t.Context(), "two.age", func(io.Reader) error { return nil }); fault.KindOf(err) != fault.NotFound {
		t.Errorf("what is not there: %v", err)
	}
}

// TestLocks: a backup is for somebody.
func TestLocks(t *testing.T) {
	t.Parallel()
	for code, l := range map[string]backup.Lock{
		"backup_unlocked":     {},
		"backup_locked_twice": {Passphrase: "long enough for it", Recipients: []string{"age1x"}},
		"passphrase_short":    {Passphrase: "short"},
		"bad_recipient":       {Recipients: []string{"age1x"}},
	} {
		if err := l.Check(); fault.CodeOf(err) != code {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// TestAPassphraseOpensItsBackup, and no other does.
func TestAPassphraseOpensItsBackup(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w, err := backup.Encrypt(&out, backup.Lock{Passphrase: "correct horse battery", Work: 10})
	if err == nil {
		_, err = io.WriteString(w, "a copy")
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := backup.Decrypt(bytes.NewReader(out.Bytes()), backup.Opener{Passphrase: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "a copy" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := backup.Decrypt(bytes.NewReader(out.Bytes()), backup.Opener{Passphrase: "incorrect horse battery"}); fault.CodeOf(err) != "backup_locked" {
		t.Errorf("another passphrase: %v", err)
	}
}

// TestFilesOfTheDeadAreTakenAway: what a killed process left goes once nobody has
// written to it for two days; what another may be writing, and what is not ours, stays.
func TestFilesOfTheDeadAreTakenAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(house string, kind backup.Kind, hours int) string {
		name := backup.Name(house, kind, noon) + ".partial"
		if hours != 49 {
			name = backup.Name(house, kind, noon.Add(time.Hour)) + ".partial"
		}
		file(t, dir, name, noon.Add(-time.Duration(hours)*time.Hour))
		return name
	}
	old := at("0a", backup.Keys, 49)
	stays := []string{at("0a", backup.Keys, 47), at("0a", backup.Data, 49), at("0b", backup.Keys, 49), backup.Name("0a", backup.Keys, noon), "film.partial"}
	for _, name := range stays[3:] {
		file(t, dir, name, noon.Add(-1000*time.Hour))
	}
	gone, err := backup.Tidy(t.Context(), backup.Folder(dir), "0a", backup.Keys, noon)
	if err != nil || fmt.Sprint(gone) != fmt.Sprint([]string{old}) {
		t.Errorf("taken away are %v, %v; want %s", gone, err, old)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != len(stays) {
		t.Errorf("left are %v, %v; want %v", list, err, stays)
	}
}

func file(t *testing.T, dir, name string, written time.Time) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.WriteFile(path, []byte("half"), 0o600), os.Chtimes(path, written, written)); err != nil {
		t.Fatal(err)
	}
}

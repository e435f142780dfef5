package app_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/fault"
	"rapport/internal/store/pgstore/pgtest"
)

// TestMoveCarriesWhatTheFolderHolds moves a house in which somebody was erased into
// PostgreSQL with a data folder of its own, and into files again: each new folder
// has the keys, the list of who was erased and the certificates, and the house in
// it keeps nothing of whoever was erased.
func TestMoveCarriesWhatTheFolderHolds(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	config := small(t, sink.Addr(), rightsConfig)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	files, database, beside, back := t.TempDir(), pgtest.Database(t), filepath.Join(t.TempDir(), "beside"), filepath.Join(t.TempDir(), "back")
	l := live(t, app.Options{Data: files, Clock: app.NewClock(at, 0)}, config)
	l.lives(marker)
	l.lives("eve-lives")
	l.erase("user_id:" + marker)
	l.told()
	l.end()
	for name, text := range map[string]string{"acme/acme.example/shop.example/shop.example.key": "a key", "acme/.new-1": "half a key", "keyset-former.json": "{}"} {
		path := filepath.Join(files, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Half a line, as a crash leaves it, was promised to nobody; and the new folder
	// knows of an erasure of before.
	erased := fileOf(t, files, "erasures.jsonl")
	if bytes.Count(erased, []byte("\n")) == 0 {
		t.Fatalf("nobody is erased: %q", erased)
	}
	if err := os.WriteFile(filepath.Join(files, "erasures.jsonl"), append(bytes.Clone(erased), `{"at":"2026`...), 0o600); err != nil {
		t.Fatal(err)
	}
	former := []byte(`{"at":"2025-01-01T00:00:00Z","barred":["00112233445566778899aabbccddeeff"]}` + "\n")
	if err := os.MkdirAll(beside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(beside, "erasures.jsonl"), former, 0o600); err != nil {
		t.Fatal(err)
	}
	wanted := append(former, erased...)
	for _, way := range []struct {
		from, to, data, folder, database string
		left                             []string
	}{
		{files, database, beside, beside, database, []string{files}},
		{database, back, beside, back, "", []string{"the schemas rapport_log and rapport_state of the database", beside}},
	} {
		moved, err := moveStore(t.Context(), way.from, way.to, way.data, nil)
		if err != nil {
			t.Fatal(err)
		}
		leaves(t, moved, way.left...)
		for _, name := range []string{"keys.json", "keys.db", "keyset.json", "keyset-former.json", "manage.key", "acme/acme.example/shop.example/shop.example.key"} {
			want := fileOf(t, files, name)
			if got := fileOf(t, way.folder, name); !bytes.Equal(got, want) {
				t.Errorf("%s of %s is not that of the first folder", name, way.folder)
			}
			if info, err := os.Stat(filepath.Join(way.folder, name)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v may be read by others: %v", name, info, err)
			}
		}
		if _, err := os.Stat(filepath.Join(way.folder, "acme", ".new-1")); !os.IsNotExist(err) {
			t.Errorf("what is not whole is carried: %v", err)
		}
		if got := fileOf(t, way.folder, "erasures.jsonl"); !bytes.Equal(got, wanted) {
			t.Errorf("who was erased, in %s:\n%s\nwant\n%s", way.folder, got, wanted)
		}
	}
	l = live(t, app.Options{Data: back, Clock: app.NewClock(at.Add(time.Hour), 0)}, config)
	if w := l.ask("GET", "/v1/people/user_id:"+marker, ""); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "person_erased") {
		t.Errorf("after the moves: %d %s", w.Code, w.Body)
	}
	if w := l.ask("GET", "/v1/people/user_id:eve-lives", ""); w.Code != http.StatusOK {
		t.Errorf("somebody else after the moves: %d %s", w.Code, w.Body)
	}
}

// TestMoveKeepsToOneHouse refuses a folder whose keys went on after an interrupted move.
func TestMoveKeepsToOneHouse(t *testing.T) {
	t.Parallel()
	dir, database, beside := earlierHouse(t), pgtest.Database(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(beside, "manage.key"), []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := moveStore(t.Context(), dir, database, beside, nil)
	if fault.CodeOf(err) != "keys_of_another" || !strings.Contains(err.Error(), "manage.key") {
		t.Errorf("got %v", err)
	}
}

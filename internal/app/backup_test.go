package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"rapport/internal/app"
	"rapport/internal/backup"
	"rapport/internal/fault"
	"rapport/internal/store/pgstore/pgtest"
)

// ageKey opens the backups of these tests: a passphrase takes a second each time.
var ageKey = sync.OnceValues(age.GenerateX25519Identity)

func opener(t *testing.T) backup.Opener {
	t.Helper()
	own, err := ageKey()
	if err != nil {
		t.Fatal(err)
	}
	return backup.Opener{Identities: []byte(own.String())}
}

// locked encrypts what fn writes.
func locked(t *testing.T, fn func(io.Writer) error) []byte {
	t.Helper()
	var out bytes.Buffer
	own, err := ageKey()
	if err != nil {
		t.Fatal(err)
	}
	w, err := backup.Encrypt(&out, backup.Lock{Recipients: []string{own.Recipient().String()}})
	if err == nil {
		err = fn(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// unlocked opens what locked has written.
func unlocked(t *testing.T, raw []byte) io.Reader {
	t.Helper()
	r, err := backup.Decrypt(bytes.NewReader(raw), opener(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// backs writes an encrypted backup of a running house.
func (l *lived) backs() []byte {
	l.t.Helper()
	out := locked(l.t.(*testing.T), func(w io.Writer) error { return l.house.Backup(l.t.Context(), w) })
	if _, err := os.Stat(filepath.Join(l.house.Data, backup.Data.Mark())); err != nil {
		l.t.Error(err)
	}
	return out
}

func keysOf(t *testing.T, dir string, root bool) []byte {
	t.Helper()
	return locked(t, func(w io.Writer) error { return app.BackupKeys(dir, "test", root, w) })
}

// peopleDigest gives the digests of what is known of people: of tables that hold
// nothing but what events have made.
func peopleDigest(t *testing.T, where, data string) map[string]string {
	t.Helper()
	sums, err := app.DigestStore(t.Context(), where, data, app.RootKey{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, s := range sums.Tables {
		switch s.Name {
		case "person", "ident", "merge", "held", "ledger", "segment_count", "position":
			out[s.Name] = fmt.Sprint(s.Rows, " rows ", s.Digest)
		}
	}
	return out
}

// everybody gives what is known of so many people, and which events, in which order.
func (l *lived) everybody(n int) map[string]string {
	l.t.Helper()
	out := map[string]string{}
	for i := range n {
		ref := fmt.Sprint("user_id:p", i)
		w := l.ask("GET", "/v1/people/"+ref, "")
		if w.Code != http.StatusOK {
			l.t.Fatalf("%s: %d %s", ref, w.Code, w.Body)
		}
		out[ref] = w.Body.String()
		var page struct {
			Events []struct {
				MessageID string `json:"message_id"`
			} `json:"events"`
		}
		l.get("/v1/people/"+ref+"/events?limit=200", &page)
		for _, e := range page.Events {
			out[ref] += " " + e.MessageID
		}
	}
	return out
}

// TestABackupIsTakenWhileEventsComeIn: every event that was acknowledged before the
// backup began is in it, what came meanwhile may be; a house that is restored elsewhere
// walks on, and with what came later again both hold the same people.
func TestABackupIsTakenWhileEventsComeIn(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		config := small(t, sink.Addr(), nil)
		data := t.TempDir()
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		l := live(t, app.Options{Data: data, Database: database, Clock: app.NewClock(at, 0)}, config)
		send := func(l *lived, i int) {
			if code := l.track("Seen", fmt.Sprint("p", i%40), fmt.Sprint("m", i)); code > 299 {
				t.Errorf("event %d: %d", i, code)
			}
		}
		for i := range 200 {
			send(l, i)
		}
		ctx, stop := context.WithCancel(t.Context())
		var feeding sync.WaitGroup
		sent := 200
		feeding.Go(func() {
			for ; ctx.Err() == nil && sent < 1200; sent++ {
				send(l, sent)
			}
		})
		var copied []byte
		for range 3 { // The last one is taken in the midst of it.
			w := new(bytes.Buffer)
			if err := l.house.Backup(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			copied = w.Bytes()
		}
		stop()
		feeding.Wait()
		if bytes.Contains(copied, []byte("@people.example")) {
			t.Error("an address is read in what a server gives out")
		}
		secret := locked(t, func(w io.Writer) error { _, err := w.Write(copied); return err })
		keys := keysOf(t, data, true)
		report, err := app.VerifyBackup(unlocked(t, secret), "")
		if err != nil {
			t.Fatal(err)
		}
		if report.Head.Lanes[0].Walked == 0 || report.Rows() == 0 {
			t.Errorf("it holds nothing: %+v", report.Head)
		}
		l.settle()
		want := l.everybody(40)
		l.end()

		again, there := filepath.Join(t.TempDir(), "again"), ""
		if database == "" { // Each store restores what the other wrote.
			there = pgtest.Database(t)
		}
		if _, err := app.Restore(t.Context(), unlocked(t, secret), app.RestoreOptions{Data: again, Database: there, Keys: unlocked(t, keys)}); err != nil {
			t.Fatal(err)
		}
		l = live(t, app.Options{Data: again, Database: there, Clock: app.NewClock(at, 0)}, config)
		l.settle()
		for i := range 40 { // Five of each were acknowledged before.
			if got := l.timeline(fmt.Sprint("p", i)); len(got) < 5 {
				t.Fatalf("p%d has %d events, want 5 at least", i, len(got))
			}
		}
		for i := range sent { // What is in it already counts once.
			send(l, i)
		}
		l.settle()
		if diff := cmp.Diff(want, l.everybody(40)); diff != "" {
			t.Errorf("restored and walked on (-want +got):\n%s", diff)
		}
	})
}

// filled is a house that was filled and ended, with its copies.
func filled(t *testing.T, database string) (data string, secret, keys []byte, o app.Options) {
	t.Helper()
	sink := taking(t, func(string) bool { return false })
	data = t.TempDir()
	o = app.Options{Data: data, Database: database, Clock: handClock()}
	l := live(t, o, small(t, sink.Addr(), rightsConfig))
	l.lives("ann-x")
	l.lives("eve-x")
	l.end()
	return data, locked(t, func(w io.Writer) error { return app.BackupFolder(t.Context(), data, database, "test", w) }), keysOf(t, data, true), o
}

// TestABackupIsWholeOrRefused: cut short anywhere, changed anywhere, of another key or
// for another identity, a file is no backup, and nothing of it is restored.
func TestABackupIsWholeOrRefused(t *testing.T) {
	t.Parallel()
	_, secret, keys, _ := filled(t, "")
	if r, err := app.VerifyBackup(unlocked(t, secret), ""); err != nil || r.Signer != "named" || len(r.Unseen) == 0 {
		t.Fatalf("the whole one: %+v %v", r, err)
	}
	try := func(raw []byte, o backup.Opener) error {
		r, err := backup.Decrypt(bytes.NewReader(raw), o)
		if err != nil {
			return err
		}
		_, err = app.VerifyBackup(r, "")
		dir := t.TempDir()
		opened, _ := backup.Decrypt(bytes.NewReader(raw), o) // It opened above.
		if _, restored := app.Restore(t.Context(), opened, app.RestoreOptions{Data: dir}); err != nil && restored == nil {
			t.Error("what is refused was restored")
		}
		if list, _ := os.ReadDir(dir); err != nil && len(list) > 0 {
			t.Errorf("a restore that failed has left %v", list)
		}
		return err
	}
	for _, cut := range []int{0, 10, len(secret) / 2, len(secret) - 1} {
		if err := try(secret[:cut], opener(t)); fault.CodeOf(err) != "backup_broken" {
			t.Errorf("cut after %d of %d bytes: %v", cut, len(secret), err)
		}
	}
	for _, at := range []int{3, len(secret) / 3, len(secret) - 20} {
		changed := slices.Clone(secret)
		changed[at] ^= 1
		if err := try(changed, opener(t)); err == nil {
			t.Errorf("changed at %d: accepted", at)
		}
	}
	another, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := try(secret, backup.Opener{Identities: []byte(another.String())}); fault.CodeOf(err) != "backup_locked" {
		t.Errorf("with another identity: %v", err)
	}
	if err := try(secret, backup.Opener{}); fault.CodeOf(err) != "backup_locked" {
		t.Errorf("with nothing: %v", err)
	}
	if err := try(keys, opener(t)); err != nil {
		t.Errorf("keys are a whole copy of their kind: %v", err)
	}
	if _, err := app.VerifyBackup(unlocked(t, secret), "rapport-00000000+00000000+AAAA"); fault.CodeOf(err) != "backup_of_another" {
		t.Errorf("of another key: %v", err)
	}
}

// TestARestoreGoesIntoAnEmptyFolder, and keys only to the data that they open.
func TestARestoreGoesIntoAnEmptyFolder(t *testing.T) {
	t.Parallel()
	data, secret, keys, _ := filled(t, "")
	_, _, foreign, _ := filled(t, "")
	restore := func(dir string, raw, keys []byte) error {
		o := app.RestoreOptions{Data: dir}
		if keys != nil {
			o.Keys = unlocked(t, keys)
		}
		_, err := app.Restore(t.Context(), unlocked(t, raw), o)
		return err
	}
	for _, c := range []struct {
		name, dir string
		raw, keys []byte
		want      string
	}{
		{"over a house", data, secret, keys, "folder_in_use"},
		{"keys for data", t.TempDir(), keys, nil, "backup_kind"},
		{"data for keys", t.TempDir(), secret, secret, "backup_kind"},
		{"keys of another house", t.TempDir(), secret, foreign, "keys_of_another"},
	} {
		if err := restore(c.dir, c.raw, c.keys); fault.CodeOf(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	dir := t.TempDir()
	if _, err := app.Restore(t.Context(), unlocked(t, secret), app.RestoreOptions{Data: dir, Key: "rapport-00000000+00000000+AAAA"}); fault.CodeOf(err) != "backup_of_another" {
		t.Errorf("of another key: %v", err)
	}
	if err := restore(dir, secret, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := app.RestoreKeys(unlocked(t, keys), dir, ""); err != nil { // They may come later.
		t.Fatal(err)
	}
	if diff := cmp.Diff(peopleDigest(t, data, data), peopleDigest(t, dir, dir)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestARestoreGoesIntoAnEmptyDatabase, and one that broke off serves nobody and is not
// filled again.
func TestARestoreGoesIntoAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	used := pgtest.Database(t)
	_, secret, keys, o := filled(t, used)
	restore := func(database string, r io.Reader) error {
		dir := t.TempDir()
		_, err := app.Restore(t.Context(), r, app.RestoreOptions{Data: dir, Database: database, Keys: unlocked(t, keys)})
		if list, _ := os.ReadDir(dir); err != nil && len(list) > 0 {
			t.Errorf("a restore that failed has left %v", list)
		}
		return err
	}
	if err := restore(used, unlocked(t, secret)); fault.CodeOf(err) != "target_in_use" {
		t.Errorf("over a house: %v", err)
	}
	half := pgtest.Database(t)
	var plain bytes.Buffer
	if _, err := io.Copy(&plain, unlocked(t, secret)); err != nil {
		t.Fatal(err)
	}
	if err := restore(half, io.LimitReader(&plain, int64(plain.Len()/2))); fault.CodeOf(err) != "backup_broken" {
		t.Errorf("half of it: %v", err)
	}
	if err := restore(half, unlocked(t, secret)); fault.CodeOf(err) != "target_in_use" {
		t.Errorf("over half of it: %v", err)
	}
	house, err := app.Open(t.Context(), app.Options{Data: t.TempDir(), Database: half, Clock: o.Clock}, nil)
	if fault.CodeOf(err) != "move_unfinished" {
		t.Errorf("half of it is served: %v", err)
	}
	if house != nil {
		t.Fatal(house.Close())
	}
}

// TestABackupWhoseDaysAreGone: the keys of today do not open the log of a backup that is
// older than events.keep_log. Where all of it was walked the house begins; where not, it
// says so, and what was not walked is left out when that is asked for.
func TestABackupWhoseDaysAreGone(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	config := small(t, sink.Addr(), nil)
	data, behind := t.TempDir(), t.TempDir()
	clock := handClock()
	o := app.Options{Data: data, Clock: clock}
	l := live(t, o, config)
	l.lives("ann")
	l.end()
	copyFiles(t, data, behind) // of which the log goes on:
	l = live(t, o, nil)
	if code := l.track("Seen", "bob", "b1"); code > 299 {
		t.Fatal(code)
	}
	l.settle()
	l.end()
	_ = os.Remove(filepath.Join(behind, "log.db-wal")) // It may not be there.
	for _, name := range []string{"log.db", "keys.json", "keyset.json", "keys.db"} {
		copyFile(t, name, data, behind)
	}
	copied := func(dir string) []byte {
		return locked(t, func(w io.Writer) error { return app.BackupFolder(t.Context(), dir, "", "test", w) })
	}
	walked, tail, then := copied(data), copied(behind), keysOf(t, data, true)
	clock.Set(clock.Now().Add(9 * 24 * time.Hour))
	l = live(t, o, nil)
	if code := l.track("Seen", "cem", "c1"); code > 299 {
		t.Fatal(code)
	}
	l.settle()
	if err := app.Clean(t.Context(), l.house); err != nil {
		t.Fatal(err)
	}
	l.end()
	today := keysOf(t, data, true)
	for _, c := range []struct {
		name      string
		raw, keys []byte
		drop      bool
		want      string // of the start
		bob       int
	}{
		{"all walked, the keys of today", walked, today, false, "", http.StatusOK},
		{"a tail, the keys of then", tail, then, false, "", http.StatusOK},
		{"a tail, the keys of today", tail, today, false, "tail_expired", 0},
		{"a tail that is dropped", tail, today, true, "", http.StatusNotFound},
	} {
		dir := t.TempDir()
		if _, err := app.Restore(t.Context(), unlocked(t, c.raw), app.RestoreOptions{Data: dir, Keys: unlocked(t, c.keys), DropTail: c.drop}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if c.want != "" {
			house, err := app.Open(t.Context(), app.Options{Data: dir, Clock: clock}, nil)
			if fault.CodeOf(err) != c.want {
				t.Errorf("%s: %v", c.name, err)
			}
			if house != nil {
				t.Fatal(house.Close())
			}
			continue
		}
		l := live(t, app.Options{Data: dir, Clock: clock}, nil)
		l.settle()
		if w := l.ask("GET", "/v1/people/user_id:bob", ""); w.Code != c.bob {
			t.Errorf("%s: bob is %d %s", c.name, w.Code, w.Body)
		}
		if w := l.ask("GET", "/v1/people/user_id:ann", ""); w.Code != http.StatusOK {
			t.Errorf("%s: ann is %d %s", c.name, w.Code, w.Body)
		}
		if code := l.track("Seen", "ann", "later"); code > 299 {
			t.Errorf("%s: it takes nothing: %d", c.name, code)
		}
		l.settle()
		l.end()
	}
}

// TestOldBackupsAreToldOf: where none was ever taken once the folder is old, and where the
// last is; a database of its own may have backups of its own.
func TestOldBackupsAreToldOf(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		data := t.TempDir()
		l := live(t, app.Options{Data: data, Database: database, Clock: handClock()}, small(t, sink.Addr(), nil))
		want := func(about ...string) {
			t.Helper()
			got, err := l.house.Alert(t.Context())
			var is []string
			for _, a := range got {
				is = append(is, a.About)
			}
			if err != nil || !slices.Equal(is, about) {
				t.Errorf("alerts about %v, want %v, %v", is, about, err)
			}
		}
		aged := func(name string, age time.Duration) {
			t.Helper()
			if err := os.Chtimes(filepath.Join(data, name), time.Time{}, time.Now().Add(-age)); err != nil {
				t.Fatal(err)
			}
		}
		want()
		aged("keys.json", 8*24*time.Hour)
		if database == "" {
			want("data", "keys")
		} else {
			want("keys")
		}
		l.backs()
		want("keys")
		if err := app.NoteBackup(data, backup.Keys, time.Now()); err != nil {
			t.Fatal(err)
		}
		want()
		aged(backup.Data.Mark(), 8*24*time.Hour)
		want("data")
	})
}

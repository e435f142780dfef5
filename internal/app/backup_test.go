package app_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/app"
	"rapport/internal/backup"
	"rapport/internal/fault"
)

// backs writes a backup of a running house.
func (l *lived) backs(part backup.Part) []byte {
	l.t.Helper()
	var out bytes.Buffer
	if err := l.house.Backup(context.Background(), part, &out); err != nil {
		l.t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(l.house.Data, part.Mark())); err != nil {
		l.t.Error(err)
	}
	return out.Bytes()
}

// restores puts backups into a new folder.
func restores(t *testing.T, parts ...[]byte) string {
	t.Helper()
	data := t.TempDir()
	for _, raw := range parts {
		if _, err := app.RestoreBackup(context.Background(), bytes.NewReader(raw), data, ""); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// TestBackup: a backup that is made while events come in is of one instant: the
// house that is restored from it walks on to everything that the log has, and
// knows everybody as the first does.
func TestBackup(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	config := small(t, sink.Addr(), rightsConfig)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := live(t, app.Options{Data: t.TempDir(), Clock: app.NewClock(at, 0)}, config)
	l.lives("ann")
	var group sync.WaitGroup
	stop := make(chan struct{})
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if code := l.track("Seen", fmt.Sprint("u", i%50), fmt.Sprint("load-", i)); code != http.StatusOK {
				t.Error(code)
				return
			}
		}
	})
	first := l.backs(backup.Data)
	if err := l.house.Mark(context.Background()); err != nil { // as it does each minute
		t.Fatal(err)
	}
	data := l.backs(backup.Data)
	l.settle()
	if err := l.house.Mark(context.Background()); err != nil {
		t.Fatal(err)
	}
	close(stop)
	group.Wait()
	l.settle()
	keys := l.backs(backup.Keys)
	if len(first) == 0 || len(data) < len(first)/2 {
		t.Errorf("two backups of %d and %d bytes", len(first), len(data))
	}
	m, err := app.VerifyBackup(context.Background(), bytes.NewReader(data), "")
	if err != nil {
		t.Fatal(err)
	}
	if m.People < 1 || m.Walked["live"] == 0 || len(m.Files) < 3 {
		t.Errorf("the manifest says %+v", m)
	}
	again := live(t, app.Options{Data: restores(t, data, keys), Clock: app.NewClock(at.Add(time.Minute), 0)}, config)
	again.settle()
	if diff := cmp.Diff(l.picture(t, "user_id:ann"), again.picture(t, "user_id:ann")); diff != "" {
		t.Errorf("ann (-first +restored):\n%s", diff)
	}
	var lost int
	for i := range 50 {
		was, is := l.known(fmt.Sprint("u", i)), again.known(fmt.Sprint("u", i))
		for id := range is {
			if was[id] != 1 || is[id] != 1 {
				lost++
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d events of the restored house are not once in the first", lost)
	}
}

// known is a timeline, empty where nobody is known.
func (l *lived) known(who string) map[string]int {
	if w := l.ask("GET", "/v1/people/user_id:"+who, ""); w.Code == http.StatusNotFound {
		return nil
	}
	return l.timeline(who)
}

// TestABackupDoesNotBringSomebodyBack: restored from before an erasure, with the
// keys of today, the person stays unreadable; with the file of erasures, also where
// the keys of then come back.
func TestABackupDoesNotBringSomebodyBack(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	config := small(t, sink.Addr(), rightsConfig)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	data := t.TempDir()
	l := live(t, app.Options{Data: data, Clock: app.NewClock(at, 0)}, config)
	l.lives(marker)
	l.lives("eve-lives")
	before, oldKeys := l.backs(backup.Data), l.backs(backup.Keys)
	l.erase("user_id:" + marker)
	newKeys := l.backs(backup.Keys)
	erasures, err := os.ReadFile(filepath.Join(data, "erasures.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	l.end()
	for name, row := range map[string]struct {
		keys     []byte
		erasures []byte
	}{"keys of today": {newKeys, nil}, "keys of then and the file": {oldKeys, erasures}, "both": {newKeys, erasures}} {
		folder := restores(t, before, row.keys)
		if row.erasures != nil {
			if err := os.WriteFile(filepath.Join(folder, "erasures.jsonl"), row.erasures, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l := live(t, app.Options{Data: folder, Clock: app.NewClock(at.Add(time.Hour), 0)}, config)
		l.settle()
		if w := l.ask("GET", "/v1/people/user_id:"+marker, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if w := l.ask("GET", "/v1/people/user_id:eve-lives", ""); w.Code != http.StatusOK {
			t.Errorf("%s: somebody else: %d %s", name, w.Code, w.Body)
		}
		l.told()
		l.end()
		got, err := app.Holds(context.Background(), folder, folder, marker)
		if err != nil {
			t.Fatal(err)
		}
		if row.erasures != nil && got != nil {
			t.Errorf("%s: these tables hold her: %v", name, got)
		}
	}
}

// TestABadBackupIsRefused: one that was cut short, changed or made up is refused as
// a whole, and nothing of it is put anywhere.
func TestABadBackupIsRefused(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	l := live(t, app.Options{Data: t.TempDir(), Clock: handClock()}, small(t, sink.Addr(), nil))
	l.lives("ann")
	data := l.backs(backup.Data)
	changed := bytes.Clone(data)
	changed[len(changed)/2] ^= 1
	other := live(t, app.Options{Data: t.TempDir(), Clock: handClock()}, small(t, sink.Addr(), nil))
	for name, row := range map[string]struct {
		raw       []byte
		key, code string
	}{
		"cut short":     {data[:len(data)/2], "", "backup_broken"},
		"without end":   {data[:len(data)-2048], "", "backup_incomplete"},
		"changed":       {changed, "", "backup_broken"},
		"empty":         {nil, "", "backup_incomplete"},
		"no backup":     {bytes.Repeat([]byte("x"), 4096), "", "backup_broken"},
		"another house": {data, other.house.TrailKey(), "bad_certificate"},
	} {
		folder := t.TempDir()
		_, err := app.RestoreBackup(context.Background(), bytes.NewReader(row.raw), folder, row.key)
		if fault.CodeOf(err) != row.code {
			t.Errorf("%s: %v, want %s", name, err, row.code)
		}
		for _, left := range []string{"state.db", "log.db", "keys.json"} {
			if _, err := os.Stat(filepath.Join(folder, left)); err == nil {
				t.Errorf("%s: %s was left", name, left)
			}
		}
	}
	if _, err := app.RestoreBackup(context.Background(), bytes.NewReader(data), restores(t, data), ""); fault.CodeOf(err) != "folder_in_use" {
		t.Errorf("over another house: %v", err)
	}
}

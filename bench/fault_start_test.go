package bench

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver" // to spoil a schema as a newer version would
)

// refused runs the server, which must end by itself with exit code 1 and say
// what is wrong and what to do.
func (f *faulty) refused(t *testing.T, want []string, more ...string) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	cmd := exec.CommandContext(ctx, f.program, f.args(more...)...)
	cmd.Dir = f.dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit code 1:\n%s", err, out)
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("the refusal lacks %q:\n%s", w, out)
		}
	}
	for _, bad := range []string{"goroutine ", "panic", `"msg":"serving"`} {
		if strings.Contains(string(out), bad) {
			t.Errorf("the refusal has %q:\n%s", bad, out)
		}
	}
}

// What cannot work is refused at the start, with a clear word, and once it is
// mended the same folder serves.
func TestStartRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	f := newFaulty(t, "127.0.0.1:2525")
	data := func(name string) string { return filepath.Join(f.dir, "data", name) }
	f.start()
	f.send("before", "before@before.example")

	t.Run("a folder that is held", func(t *testing.T) {
		f.refused(t, []string{"in use by process", "stop it first"})
	})
	t.Run("a port that is taken", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f.refused(t, []string{"cannot listen on " + l.Addr().String(), "--listen"}, "--data", t.TempDir(), "--listen", l.Addr().String())
	})
	t.Run("a port of metrics that is taken", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f.refused(t, []string{"cannot listen on " + l.Addr().String(), "--admin"}, "--data", t.TempDir(), "--admin", l.Addr().String())
	})
	if code := f.stop(10 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}

	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T)
		want  []string
	}{
		{"keys that are missing", func(t *testing.T) { remove(t, data("keys.json")) }, []string{"keys.json", "backup"}},
		{"keys that are damaged", func(t *testing.T) { rewrite(t, data("keys.json"), "{}") }, []string{"keys.json", "backup"}},
		{"a state of a newer version", func(t *testing.T) { newer(t, data("state.db")) }, []string{"state.db", "newer"}},
		{"a log of a newer version", func(t *testing.T) { newer(t, data("log.db")) }, []string{"log.db", "newer"}},
		{"a log that is gone", func(t *testing.T) { remove(t, data("log.db"), data("log.db-wal"), data("log.db-shm")) }, []string{"log", "state"}},
		{"a log that is another's", func(t *testing.T) {
			remove(t, data("log.db-wal"), data("log.db-shm"))
			copyFile(t, filepath.Join(another(t, f), "log.db"), data("log.db"))
		}, []string{"log", "state"}},
		{"a log that is cut short", func(t *testing.T) {
			remove(t, data("log.db-wal"), data("log.db-shm"))
			if err := os.Truncate(data("log.db"), 4096); err != nil {
				t.Fatal(err)
			}
		}, []string{"log.db"}},
		{"a state that is no database", func(t *testing.T) {
			remove(t, data("state.db-wal"), data("state.db-shm"))
			rewrite(t, data("state.db"), strings.Repeat("no database ", 1000))
		}, []string{"state.db"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kept := t.TempDir()
			copyDir(t, filepath.Join(f.dir, "data"), kept)
			tt.spoil(t)
			f.refused(t, tt.want)
			if err := os.RemoveAll(filepath.Join(f.dir, "data")); err != nil {
				t.Fatal(err)
			}
			copyDir(t, kept, filepath.Join(f.dir, "data"))
		})
	}
	f.start()
	if status, _, answer := f.ask("GET", "/readyz", ""); status != 200 {
		t.Errorf("after all was mended: %d %s", status, answer)
	}
}

func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.RemoveAll(p); err != nil {
			t.Fatal(err)
		}
	}
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, to, string(raw))
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		copyFile(t, filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
	}
}

// newer lets a database look as if a newer rapport had written it.
func newer(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("PRAGMA user_version = 9999"); err != nil {
		t.Fatal(err)
	}
}

// another makes a second data folder and gives where it is.
func another(t *testing.T, f *faulty) string {
	t.Helper()
	g := &faulty{t: t, program: f.program, said: &said{}}
	g.dir = t.TempDir()
	copyTree(t, filepath.Join(f.dir, "config"), filepath.Join(g.dir, "config"))
	t.Cleanup(g.kill)
	g.start()
	g.send("other", "other@other.example")
	if code := g.stop(10 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	return filepath.Join(g.dir, "data")
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

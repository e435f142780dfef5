package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rapport/internal/backup/bucket/buckettest"
)

// TestARehearsalLeavesNothing: its folder, into which keys come, goes when the terminal
// is closed on it; where it was killed the next one takes it away, and never that of one
// that lives.
func TestARehearsalLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	_, err := writeScaffold(dir)
	fine(t, err)
	data, aside := filepath.Join(t.TempDir(), "data"), t.TempDir()
	cmd, _, _ := started(t, "serve", "--config", dir, "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	fine(t, cmd.Process.Signal(os.Interrupt))
	fine(t, cmd.Wait())
	service := buckettest.New(time.Now)
	var reads, blocks atomic.Int32
	midst, end := make(chan struct{}, 9), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".data.age") && reads.Add(1)%2 == 0 && blocks.Load() > 0 {
			midst <- struct{}{} // It was checked, and is restored now.
			select {
			case <-end:
			case <-r.Context().Done():
			}
			return
		}
		service.ServeHTTP(w, r)
	}))
	defer server.Close()
	defer close(end)
	const where = "s3://" + buckettest.Name + "/shop"
	copied := func(args ...string) string {
		out, _, _ := strings.Cut(succeeds(t, reaching(t, server.URL, backing(t, append([]string{"backup", "--data", data, "--to", where}, args...)...))), ":")
		return where + "/" + out
	}
	one, keys := copied(), copied("--keys", "--root")
	rehearsal := func() *exec.Cmd {
		cmd := reaching(t, server.URL, backing(t, "verify-backup", one, "--keys", keys))
		cmd.Env = append(cmd.Env, "TMPDIR="+aside)
		return cmd
	}
	begun := func() *exec.Cmd {
		t.Helper()
		cmd := rehearsal()
		fine(t, cmd.Start())
		<-midst
		return cmd
	}
	left := func(when string, want int) (dirs []string) {
		t.Helper()
		dirs, err := filepath.Glob(filepath.Join(aside, "*"))
		if err != nil || len(dirs) != want {
			t.Errorf("%s: %v, %v; want %d folders", when, dirs, err, want)
		}
		return dirs
	}

	blocks.Store(1)
	cmd = begun()
	left("while one lives", 1)
	fine(t, cmd.Process.Signal(syscall.SIGHUP))
	if cmd.Wait() == nil {
		t.Error("its terminal was closed, and it exits as if it had ended")
	}
	left("a terminal that is closed", 0)

	cmd = begun()
	blocks.Store(0)
	long := time.Now().Add(-time.Hour)
	for _, dir := range left("while another lives", 1) {
		fine(t, os.Chtimes(dir, long, long))
	}
	succeeds(t, rehearsal())
	dirs := left("behind another's rehearsal", 1)
	fine(t, cmd.Process.Kill())
	_ = cmd.Wait() // It was killed.
	for _, dir := range dirs {
		fine(t, os.WriteFile(filepath.Join(dir, "keys.db"), []byte("keys"), 0o600))
		fine(t, os.Chtimes(dir, long, long))
	}
	succeeds(t, rehearsal())
	left("behind the killed", 0)
}

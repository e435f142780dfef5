package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pooler starts a PgBouncer before the shared cluster that shares sessions
// between transactions, and gives the address of a database as it is reached
// through it. Settings go into its configuration as they are.
func Pooler(tb testing.TB, address string, settings ...string) string {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !executable(program) {
			tb.Fatal("PgBouncer is not installed: make tools installs it (Debian's package pgbouncer)")
		}
	}
	dir, err := os.MkdirTemp("", "rapport-bouncer") //nolint:usetesting // A socket's path is short.
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	conf := fmt.Sprintf("[databases]\n* = host=%s user=rapport\n[pgbouncer]\nlisten_addr=\nunix_socket_dir=%s\nlisten_port=6432\nauth_type=any\n"+
		"pool_mode=transaction\ndefault_pool_size=6\n", u.Query().Get("host"), dir)
	for _, s := range settings {
		conf += s + "\n"
	}
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil { //nolint:gosec // Another user reads it.
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), program, file) //nolint:gosec // A program of the system.
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &said, &said, dir
	if cred := shared.cluster.cred; cred != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // How it ends is not what is tested.
	tb.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	u.RawQuery = url.Values{"host": {dir}, "port": {"6432"}}.Encode()
	for range 100 {
		c, err := pgx.Connect(tb.Context(), u.String())
		if err == nil {
			_ = c.Close(tb.Context())
			return u.String()
		}
		select {
		case <-ended:
			tb.Fatalf("PgBouncer ended: %s", said.String())
		case <-time.After(50 * time.Millisecond): // Another process decides when it listens.
		}
	}
	_ = cmd.Process.Kill()
	<-ended
	tb.Fatalf("PgBouncer cannot be reached: %s", said.String())
	return ""
}

// Through gives the address of a database as it is reached through a pooler.
func Through(tb testing.TB, pooler, database string) string {
	tb.Helper()
	through, err := url.Parse(pooler)
	if err != nil {
		tb.Fatal(err)
	}
	to, err := url.Parse(database)
	if err != nil {
		tb.Fatal(err)
	}
	through.Path = to.Path
	return through.String()
}

func executable(path string) bool {
	i, err := os.Stat(path)
	return err == nil && i.Mode()&0o111 != 0
}

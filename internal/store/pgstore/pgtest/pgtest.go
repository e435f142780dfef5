// Package pgtest gives tests a PostgreSQL of their own: a cluster in a temporary
// folder, reached over a socket only, made from the packages of the system, run
// by an ordinary user, and gone with the process. What goes out are connection
// strings, each of a fresh database. It is part of tests only.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Cluster is a running PostgreSQL.
type Cluster struct {
	dir  string
	bin  string
	cred *syscall.Credential      // nil: as whoever runs the test
	near func(func() error) error // runs its programs where they see a disk of their own; nil: here
	made atomic.Int64
}

var shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Main runs a package's tests and stops the cluster that they shared.
func Main(m *testing.M) {
	code := m.Run()
	if err := Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Stop ends the cluster that the tests of a process shared, if there is one. It is
// for a TestMain that cannot call Main.
func Stop() error {
	if c := shared.cluster; c != nil {
		return c.Stop()
	}
	return nil
}

// Create makes a new, empty database in the shared cluster, where no test is at
// hand to fail.
func Create(ctx context.Context) (string, error) {
	shared.once.Do(func() { shared.cluster, shared.err = Start() })
	if shared.err != nil {
		return "", shared.err
	}
	return shared.cluster.Create(ctx)
}

// Database gives the address of a new, empty database in the cluster that all
// tests of a process share. The package's TestMain must call Main.
func Database(tb testing.TB) string {
	tb.Helper()
	u, err := Create(tb.Context())
	if err != nil {
		tb.Fatalf("start PostgreSQL and make a database: %v", err)
	}
	return u
}

// Chosen gives an empty database where RAPPORT_TEST_STORE is postgres, so that
// tests which know their store by its interface alone run over PostgreSQL, and ""
// where it is files or not set.
func Chosen(tb testing.TB) string {
	tb.Helper()
	switch which := os.Getenv("RAPPORT_TEST_STORE"); which {
	case "", "files":
		return ""
	case "postgres":
		return Database(tb)
	default:
		tb.Fatalf("RAPPORT_TEST_STORE is files or postgres, not %q", which)
		return ""
	}
}

// Server starts a cluster for one test and gives an address at which databases
// may be made.
func Server(tb testing.TB) string {
	tb.Helper()
	c, err := Start()
	if err != nil {
		tb.Fatalf("start PostgreSQL: %v", err)
	}
	tb.Cleanup(func() {
		if err := c.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return c.URL("postgres")
}

// Start makes a cluster and starts it.
func Start() (*Cluster, error) {
	c := &Cluster{}
	var err error
	if c.bin, err = programs(); err != nil {
		return nil, err
	}
	if c.dir, err = os.MkdirTemp("", "rapport-pg"); err != nil {
		return nil, err
	}
	if err := c.setUp(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	return c, nil
}

// identify finds out as whom the cluster runs.
func (c *Cluster) identify() error {
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root.
		return c.ordinary()
	}
	return nil
}

func (c *Cluster) setUp() error {
	if err := c.identify(); err != nil {
		return err
	}
	if err := c.run("initdb", "-D", c.data(), "-U", "rapport", "-A", "trust", "--no-sync", "--data-checksums", "-E", "UTF8", "--locale=C.UTF-8"); err != nil {
		return err
	}
	// fsync stays on, as for everybody.
	return c.run("pg_ctl", "-D", c.data(), "-w", "-l", filepath.Join(c.dir, "log"),
		"-o", c.options(), "start")
}

// options are the server's: a socket and no address; what need not be durable
// stays in memory, so that a crash takes it back.
func (c *Cluster) options() string {
	return fmt.Sprintf("-k %s -c listen_addresses= -c max_connections=300 -c shared_buffers=256MB -c wal_writer_delay=10s", c.dir)
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// ordinary finds the user whom Debian's package makes, and gives it the folder.
func (c *Cluster) ordinary() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	c.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(c.dir, int(uid), int(gid))
}

// programs finds the newest server of the system's packages.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New("no PostgreSQL server is installed: make tools installs it (Debian's package postgresql)")
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1]), nil
}

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // A name that is no number comes first.
	return n
}

func (c *Cluster) run(program string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), filepath.Join(c.bin, program), args...) //nolint:gosec // Programs of the system.
	var out bytes.Buffer
	// Not a pipe: the server that pg_ctl leaves behind would hold it open.
	cmd.Dir = c.dir
	f, err := os.CreateTemp(c.dir, program)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	cmd.Stdout, cmd.Stderr = f, f
	if c.cred != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred}
	}
	start := cmd.Run
	if c.near != nil {
		start = func() error { return c.near(cmd.Run) }
	}
	if err := start(); err != nil {
		said, _ := os.ReadFile(f.Name())
		out.Write(said)
		said, _ = os.ReadFile(filepath.Join(c.dir, "log"))
		out.Write(said)
		return fmt.Errorf("%s: %w\n%s", program, err, out.Bytes())
	}
	return nil
}

// URL addresses a database of the cluster.
func (c *Cluster) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("rapport"), Path: "/" + database, RawQuery: url.Values{"host": {c.dir}}.Encode()}
	return u.String()
}

// Create makes a new, empty database and gives its address.
func (c *Cluster) Create(ctx context.Context) (string, error) {
	name := fmt.Sprintf("test%d", c.made.Add(1))
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	// WAL_LOG would copy block by block; a file copy needs a checkpoint each. The first is quicker here.
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name)
	return c.URL(name), err
}

// Restart stops the server at once, as a crash does, and starts it again.
func (c *Cluster) Restart() error {
	return c.run("pg_ctl", "-D", c.data(), "-w", "-m", "immediate", "-l", filepath.Join(c.dir, "log"),
		"-o", c.options(), "restart")
}

// Stop ends the cluster and takes its folder away.
func (c *Cluster) Stop() error {
	err := c.run("pg_ctl", "-D", c.data(), "-w", "-m", "immediate", "stop")
	return errors.Join(err, os.RemoveAll(c.dir))
}

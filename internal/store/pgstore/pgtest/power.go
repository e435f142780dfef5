package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Machine is a cluster whose machine can lose its power. A crash of PostgreSQL
// alone leaves to the next start whatever the kernel holds; the loss of power
// does not. What is left of it is what PostgreSQL had synced and nothing else:
// its files as they were at the last checkpoint, and its write-ahead log up to
// where it says that it is flushed.
type Machine struct {
	*Cluster
	synced string // the data folder as it was at the last checkpoint
	redo   string // where that stands in the write-ahead log
	ask    *pgx.Conn
}

// noCheckpoint keeps PostgreSQL from syncing its files while a test runs: the
// older they are, the more is lost with the power.
const noCheckpoint = " -c checkpoint_timeout=1d -c max_wal_size=16GB"

// StartMachine starts a cluster with an empty database, whose address it gives.
func StartMachine(ctx context.Context) (*Machine, string, error) {
	c, err := Start()
	if err != nil {
		return nil, "", err
	}
	m := &Machine{Cluster: c, synced: filepath.Join(c.dir, "synced")}
	address, err := m.begin(ctx)
	if err != nil {
		return nil, "", errors.Join(err, c.Stop())
	}
	return m, address, nil
}

// begin makes the database, stops the cluster in order, so that all of it is on
// the disk, copies that, and starts it again.
func (m *Machine) begin(ctx context.Context) (string, error) {
	address, err := m.Create(ctx)
	if err != nil {
		return "", err
	}
	if err := m.run("pg_ctl", "-D", m.data(), "-w", "-m", "fast", "stop"); err != nil {
		return "", err
	}
	if err := m.copyData(m.data(), m.synced); err != nil {
		return "", err
	}
	if err := m.run("pg_ctl", "-D", m.data(), "-w", "-l", filepath.Join(m.dir, "log"), "-o", m.options()+noCheckpoint, "start"); err != nil {
		return "", err
	}
	if m.ask, err = pgx.Connect(ctx, m.URL("postgres")); err != nil {
		return "", err
	}
	return address, m.ask.QueryRow(ctx, "SELECT redo_lsn::text FROM pg_control_checkpoint()").Scan(&m.redo)
}

// PowerLoss gives the cluster that another machine would find on the disk, had
// this one lost its power now. This one goes on, and is nobody's any more.
func (m *Machine) PowerLoss(ctx context.Context) (*Cluster, error) {
	var segment, redo, fsync string
	var offset int64
	err := m.ask.QueryRow(ctx, `SELECT (pg_walfile_name_offset(l)).file_name, (pg_walfile_name_offset(l)).file_offset, (SELECT redo_lsn::text FROM pg_control_checkpoint()),
		current_setting('fsync') FROM pg_current_wal_flush_lsn() l`).Scan(&segment, &offset, &redo, &fsync)
	switch {
	case err != nil:
		return nil, err
	case redo != m.redo:
		return nil, fmt.Errorf("PostgreSQL has made a checkpoint at %s: its files are not those of %s any more", redo, m.redo)
	case fsync != "on":
		return nil, errors.New("PostgreSQL does not sync: it cannot say what a loss of power leaves")
	}
	dir, err := os.MkdirTemp("", "rapport-pg")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, bin: m.bin, cred: m.cred}
	if err := m.leave(c, segment, offset); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, c.run("pg_ctl", "-D", c.data(), "-w", "-l", filepath.Join(c.dir, "log"), "-o", c.options(), "start")
}

// leave writes what is left on the disk into another cluster's folder.
func (m *Machine) leave(c *Cluster, segment string, offset int64) error {
	if c.cred != nil {
		if err := os.Chown(c.dir, int(c.cred.Uid), int(c.cred.Gid)); err != nil {
			return err
		}
	}
	if err := m.copyData(m.synced, c.data()); err != nil {
		return err
	}
	// It is synced whenever it changes, and says that PostgreSQL was running.
	if err := c.copyFile(filepath.Join(m.data(), "global", "pg_control"), filepath.Join(c.data(), "global", "pg_control"), -1); err != nil {
		return err
	}
	logs, err := os.ReadDir(filepath.Join(m.data(), "pg_wal"))
	if err != nil {
		return err
	}
	for _, f := range logs {
		if f.IsDir() || len(f.Name()) != len(segment) || f.Name() > segment {
			continue // behind what is flushed
		}
		upTo := int64(-1)
		if f.Name() == segment {
			upTo = offset
		}
		if err := c.copyFile(filepath.Join(m.data(), "pg_wal", f.Name()), filepath.Join(c.data(), "pg_wal", f.Name()), upTo); err != nil {
			return err
		}
	}
	return nil
}

// Like gives the address in this cluster of what has an address in another.
func (c *Cluster) Like(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return c.URL("")
	}
	return c.URL(strings.TrimPrefix(u.Path, "/"))
}

// Stop ends the cluster and takes its folder away.
func (m *Machine) Stop() error {
	if m.ask != nil {
		_ = m.ask.Close(context.Background()) // Its server ends with it.
	}
	return m.Cluster.Stop()
}

// copyData copies a data folder of a cluster that is stopped.
func (c *Cluster) copyData(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		if !d.IsDir() {
			return c.copyFile(path, at, -1)
		}
		if err := os.Mkdir(at, 0o700); err != nil {
			return err
		}
		return c.own(at)
	})
}

// copyFile copies a file, of its bytes only so many unless that is below zero:
// the others are zero.
func (c *Cluster) copyFile(from, to string, upTo int64) error {
	b, err := os.ReadFile(from) //nolint:gosec // A file of a test.
	if err != nil {
		return err
	}
	if upTo >= 0 {
		clear(b[min(upTo, int64(len(b))):])
	}
	if err := os.WriteFile(to, b, 0o600); err != nil { //nolint:gosec // As above.
		return err
	}
	return c.own(to)
}

// own gives a file to the user whom the cluster runs as.
func (c *Cluster) own(path string) error {
	if c.cred == nil {
		return nil
	}
	return os.Chown(path, int(c.cred.Uid), int(c.cred.Gid))
}

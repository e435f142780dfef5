package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrNoDisk says that the kernel lets this process mount nothing.
var ErrNoDisk = errors.New("only root may mount a disk of its own")

// Disk is a small file system in memory. It lives in a mount namespace of one
// thread and of what that has started, and so ends with them, whatever happens.
type Disk struct {
	dir  string
	jobs chan func()
	once sync.Once
}

// NewDisk mounts a disk of so many megabytes at a folder.
func NewDisk(dir string, megabytes int) (*Disk, error) {
	d := &Disk{dir: dir, jobs: make(chan func())}
	mounted := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // It is never unlocked: the thread ends with its namespace.
		err := mount(dir, megabytes)
		mounted <- err
		if err != nil {
			return
		}
		for job := range d.jobs {
			job()
		}
	}()
	return d, <-mounted
}

func mount(dir string, megabytes int) error {
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0777", megabytes))
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return ErrNoDisk
	}
	return err
}

// Do runs something where the disk is seen.
func (d *Disk) Do(fn func() error) error {
	done := make(chan error, 1)
	d.jobs <- func() { done <- fn() }
	return <-done
}

// Fill takes all the room there is.
func (d *Disk) Fill() error {
	return d.Do(func() error {
		f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // It holds nothing.
		for _, size := range []int{1 << 20, 4 << 10} {
			for err = nil; err == nil; {
				_, err = f.Write(make([]byte, size))
			}
			if !errors.Is(err, unix.ENOSPC) {
				return err
			}
		}
		return nil
	})
}

// Free gives the room back.
func (d *Disk) Free() error { return d.Do(func() error { return os.Remove(d.ballast()) }) }

func (d *Disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// Close lets go of the disk. Closing twice is harmless.
func (d *Disk) Close() { d.once.Do(func() { close(d.jobs) }) }

// StartOn starts a cluster that sees a small disk, and gives the disk and a folder
// on it that belongs to the cluster's user.
func StartOn(megabytes int) (c *Cluster, d *Disk, folder string, err error) {
	return startOn(megabytes, func(*Cluster, string) error { return nil })
}

// StartWithin starts a cluster that lies on a small disk as a whole.
func StartWithin(megabytes int) (c *Cluster, d *Disk, err error) {
	c, d, _, err = startOn(megabytes, func(c *Cluster, folder string) error { return os.Symlink(folder, c.data()) })
	return c, d, err
}

func startOn(megabytes int, lay func(c *Cluster, folder string) error) (c *Cluster, d *Disk, folder string, err error) {
	c = &Cluster{}
	if c.bin, err = programs(); err != nil {
		return nil, nil, "", err
	}
	if c.dir, err = os.MkdirTemp("", "rapport-pg"); err != nil {
		return nil, nil, "", err
	}
	at := filepath.Join(c.dir, "disk")
	folder = filepath.Join(at, "space")
	if err = os.Mkdir(at, 0o700); err == nil {
		d, err = NewDisk(at, megabytes)
	}
	if err != nil {
		return nil, nil, "", errors.Join(err, os.RemoveAll(c.dir))
	}
	c.near = d.Do
	err = c.identify()
	if err == nil {
		err = d.Do(func() error { return errors.Join(os.Mkdir(folder, 0o700), c.own(folder), lay(c, folder)) })
	}
	if err == nil {
		err = c.setUp()
	}
	if err != nil {
		d.Close()
		return nil, nil, "", errors.Join(err, os.RemoveAll(c.dir))
	}
	return c, d, folder, nil
}

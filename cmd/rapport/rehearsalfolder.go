package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// rehearsals is how the names of folders begin in which restores are practised.
const rehearsals = "rapport-rehearsal-"

// rehearsalFolder makes one and has takeAway remove it. Those of processes that were
// killed go first: they may hold keys.
func rehearsalFolder() (dir string, takeAway func() error, err error) {
	if err := takeDeadRehearsals(); err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp("", rehearsals); err != nil {
		return "", nil, err
	}
	held, err := holdRehearsal(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), held.Close()) }, nil
}

// holdRehearsal locks a folder until its process ends, however that happens.
func holdRehearsal(dir string) (*os.File, error) {
	f, err := os.Open(dir) //nolint:gosec // It is ours, in the folder that the operator names.
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// justMade is how long a folder may be there before its process holds it.
const justMade = time.Minute

func takeDeadRehearsals() error {
	list, err := filepath.Glob(filepath.Join(os.TempDir(), rehearsals+"*"))
	if err != nil {
		return err
	}
	for _, dir := range list {
		info, err := os.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		of, ok := info.Sys().(*syscall.Stat_t)
		if !ok || int(of.Uid) != os.Getuid() || !info.IsDir() || time.Since(info.ModTime()) < justMade {
			continue
		}
		held, err := holdRehearsal(dir)
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
			continue // It lives, or another has taken it away.
		}
		if err != nil {
			return err
		}
		if err := errors.Join(os.RemoveAll(dir), held.Close()); err != nil {
			return fmt.Errorf("take away a rehearsal that was killed: %w", err)
		}
	}
	return nil
}

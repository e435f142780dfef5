package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"rapport/internal/audit"
	"rapport/internal/backup"
	"rapport/internal/fault"
	"rapport/internal/store"
	"rapport/internal/store/sqlitestore"
)

// files are the databases of an embedded house.
type files struct {
	state *sqlitestore.State
	log   *sqlitestore.Log
}

// Backup writes a part of what the house holds, while it goes on. The state is
// copied before the log: the log then has all that the state has walked, and what
// came since is walked by whoever restores it.
func (h *House) Backup(ctx context.Context, part backup.Part, w io.Writer) (err error) {
	if part == backup.Data && h.files == nil {
		return fault.New(fault.Conflict, "in_database", "log and state are in PostgreSQL: back up its two schemas with pg_dump, and the keys with --keys (docs/backup.md)")
	}
	dir, err := os.MkdirTemp(h.Data, ".backup-")
	if err != nil {
		return fmt.Errorf("make room for a backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	m := backup.Manifest{Part: part, Made: h.clock.Now().UTC(), Build: h.Build, House: h.logStore.ID()}
	var names []string
	if part == backup.Keys {
		names, err = h.copyKeys(ctx, dir)
	} else {
		names, err = h.copyData(ctx, dir, &m)
	}
	if err != nil {
		return err
	}
	out := backup.NewWriter(w, m)
	for _, name := range names {
		if err := addFile(out, name); err != nil {
			return err
		}
	}
	if err := out.Close(h.trail.Certify); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(h.Data, part.Mark()), []byte(m.Made.Format(time.RFC3339)+"\n"), 0o600)
}

func addFile(out *backup.Writer, name string) error {
	f, err := os.Open(name) //nolint:gosec // One of ours.
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // It was only read.
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return out.Add(filepath.Base(name), info.Size(), io.LimitReader(f, info.Size())) // What is appended meanwhile is the next backup's.
}

func (h *House) copyData(ctx context.Context, dir string, m *backup.Manifest) ([]string, error) {
	state, log := filepath.Join(dir, "state.db"), filepath.Join(dir, "log.db")
	if err := h.files.state.Copy(ctx, state); err != nil {
		return nil, err
	}
	if err := h.files.log.Copy(ctx, log); err != nil {
		return nil, err
	}
	if err := describe(ctx, state, m); err != nil {
		return nil, err
	}
	if err := markCopy(ctx, log, m); err != nil {
		return nil, err
	}
	names := []string{state, log, filepath.Join(h.Data, keysFile)}
	if exists(filepath.Join(h.Data, erasuresFile)) {
		names = append(names, filepath.Join(h.Data, erasuresFile))
	}
	return names, nil
}

// describe reads out of a copy how far it is.
func describe(ctx context.Context, path string, m *backup.Manifest) (err error) {
	s, err := sqlitestore.OpenState(sqlitestore.Config{Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Read(ctx, func(tx store.Tx) error {
		m.Walked = map[string]int64{}
		for _, lane := range lanes {
			pos, err := tx.Processor().Position(lane)
			if err != nil {
				return err
			}
			m.Walked[lane.String()] = pos
		}
		last, found, err := tx.Audit().LastCheckpoint()
		if err != nil {
			return err
		}
		if found {
			m.Checkpoint = last.Note
		}
		m.People, err = tx.Persons().Count()
		return err
	})
}

// markCopy notes in the copy of a log how far the copy of the state is: the house
// may have noted since that its own is further, and an older state is refused.
func markCopy(ctx context.Context, path string, m *backup.Manifest) (err error) {
	l, err := sqlitestore.OpenLog(sqlitestore.LogConfig{Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	for _, lane := range lanes {
		if err := l.Mark(ctx, lane, m.Walked[lane.String()]); err != nil {
			return err
		}
	}
	return nil
}

func (h *House) copyKeys(ctx context.Context, dir string) ([]string, error) {
	if h.keyring == nil {
		return nil, fault.New(fault.Conflict, "not_sealed", "nothing is sealed here: the backup of the data has all there is")
	}
	ring := filepath.Join(dir, ringFile)
	if err := h.keyring.file.Copy(ctx, ring); err != nil {
		return nil, err
	}
	names := []string{ring}
	if root := filepath.Join(h.Data, rootFile); exists(root) {
		names = append(names, root)
	}
	return names, nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// VerifyBackup reads a backup to its end and checks what can be checked without the
// house: every digest, the signature, and, of data, each page of both databases. key
// is the trail's public key; without one that of the backup itself is taken.
func VerifyBackup(ctx context.Context, r io.Reader, key string) (m *backup.Manifest, err error) {
	dir, err := os.MkdirTemp("", "rapport-verify-")
	if err != nil {
		return nil, fmt.Errorf("make room for a check: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if m, err = unpack(r, dir, key); err != nil {
		return nil, err
	}
	return m, checkFiles(ctx, dir)
}

func checkFiles(ctx context.Context, dir string) error {
	for _, name := range []string{"state.db", "log.db", ringFile} {
		if !exists(filepath.Join(dir, name)) {
			continue
		}
		if err := sqlitestore.Check(ctx, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// unpack puts the files of a backup into a folder.
func unpack(r io.Reader, dir, key string) (*backup.Manifest, error) {
	put := func(name string, r io.Reader) (err error) {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // Its name is a plain one.
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		if _, err := io.Copy(f, r); err != nil {
			return fault.Wrap(err, fault.Invalid, "backup_broken", "the backup is damaged, or was changed, or the passphrase is another")
		}
		return f.Sync()
	}
	check := func(signed []byte) ([]string, error) {
		if key == "" {
			var err error
			if key, err = publicKeyIn(dir); err != nil {
				return nil, err
			}
		}
		return audit.OpenCertificate(signed, key)
	}
	return backup.Read(r, put, check)
}

// publicKeyIn reads the trail's public key out of keys.json.
func publicKeyIn(dir string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, keysFile)) //nolint:gosec // One of ours.
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.Invalid, "no_key", "a backup of keys does not say by whom it is signed: give the trail's public key with --key (rapport audit key)")
	}
	var k keys
	if err != nil || json.Unmarshal(raw, &k) != nil {
		return "", fault.New(fault.Invalid, "backup_broken", "keys.json of the backup cannot be read")
	}
	return k.TrailPublic, nil
}

// RestoreBackup puts a backup into a data folder that nobody serves: data into one
// that holds neither log nor state, keys into one that holds none. Erasures that the
// folder knows of already are kept beside those of the backup.
func RestoreBackup(ctx context.Context, r io.Reader, data, key string) (m *backup.Manifest, err error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	lock, err := sqlitestore.Lock(data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	dir, err := os.MkdirTemp(data, ".restore-")
	if err != nil {
		return nil, fmt.Errorf("make room for a restore: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if key == "" && exists(filepath.Join(data, keysFile)) {
		if key, err = publicKeyIn(data); err != nil {
			return nil, err
		}
	}
	if m, err = unpack(r, dir, key); err != nil {
		return nil, err
	}
	if err := checkFiles(ctx, dir); err != nil {
		return nil, err
	}
	return m, settleRestore(dir, data, m)
}

// settleRestore moves what was checked into the folder, the state last: a folder
// without it is known to be unfinished.
func settleRestore(dir, data string, m *backup.Manifest) error {
	order := []string{keysFile, "log.db", "state.db"}
	if m.Part == backup.Keys {
		order = []string{rootFile, ringFile}
	}
	for _, name := range order {
		there := exists(filepath.Join(data, name))
		if there && name != keysFile && exists(filepath.Join(dir, name)) {
			return fault.New(fault.Conflict, "folder_in_use", "%s holds %s already: restore into an empty folder, or move it away", data, name)
		}
	}
	if err := joinErasures(dir, data); err != nil {
		return err
	}
	for _, name := range order {
		from := filepath.Join(dir, name)
		if !exists(from) {
			continue
		}
		if err := os.Rename(from, filepath.Join(data, name)); err != nil {
			return fmt.Errorf("put %s in its place: %w", name, err)
		}
	}
	return nil
}

// joinErasures keeps the erasures of both: no line of either is lost. Those of the
// folder are the newer ones.
func joinErasures(dir, data string) error {
	older, err := readOr(filepath.Join(dir, erasuresFile))
	if err != nil {
		return err
	}
	return keepErasures(older, data, false)
}

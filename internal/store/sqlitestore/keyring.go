package sqlitestore

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"rapport/internal/seal"
)

// keyringSteps bring keys.db forward, one number after the other.
var keyringSteps = []string{`
CREATE TABLE wrapping(number INTEGER PRIMARY KEY, made INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE data_key(k BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
`}

// Keyring keeps wrapped keys in keys.db, apart from what they open. What is
// dropped is overwritten, in the file and in its journal.
type Keyring struct {
	mu sync.Mutex
	c  *conn
}

var _ seal.Store = (*Keyring)(nil)

// KeyringConfig says where the keys are.
type KeyringConfig struct {
	Path string // required
	VFS  string // name of a registered VFS; "" for the operating system's
}

// OpenKeyring opens keys.db, or makes one that is empty.
func OpenKeyring(c KeyringConfig) (*Keyring, error) {
	w, err := openConn(connConfig{path: c.Path, file: filepath.Base(c.Path), vfs: c.VFS, pragmas: []string{"page_size = 4096", "cache_size = -16384"}})
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	k := &Keyring{c: w}
	if err := k.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open keys: %w", err), w.close())
	}
	return k, nil
}

func (k *Keyring) prepare() error {
	if err := k.c.checkVersion(); err != nil {
		return err
	}
	if err := k.c.enableChecksums(); err != nil {
		return err
	}
	for _, p := range []string{"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA secure_delete = ON"} {
		if err := k.c.db.Exec(p); err != nil {
			return k.c.fail(err)
		}
	}
	return k.c.migrate(keyringSteps)
}

// Get reads some keys.
func (k *Keyring) Get(keys [][]byte, fn func(i int, body []byte) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c == nil {
		return errClosed("keys.db")
	}
	for i, key := range keys {
		q := k.c.query("SELECT body FROM data_key WHERE k = ?")
		q.blob(key)
		var err error
		if q.step() && len(q.colRaw(0)) > 0 { // An empty one was ended.
			err = fn(i, q.colRaw(0))
		}
		if err := errors.Join(err, q.done()); err != nil {
			return err
		}
	}
	return nil
}

// Add writes keys that are not there yet.
func (k *Keyring) Add(rows []seal.Row) error {
	return k.write(func() error {
		for _, r := range rows {
			q := k.c.query("INSERT OR IGNORE INTO data_key(k, body) VALUES(?, ?)")
			q.blob(r.Key)
			q.blob(r.Body)
			if err := q.exec(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Replace writes keys that are there anew.
func (k *Keyring) Replace(rows []seal.Row) error {
	return k.write(func() error {
		for _, r := range rows {
			q := k.c.query("UPDATE data_key SET body = ?2 WHERE k = ?1 AND length(body) > 0")
			q.blob(r.Key)
			q.blob(r.Body)
			if err := q.exec(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Drop deletes keys, and leaves no copy of them in the journal.
func (k *Keyring) Drop(keys [][]byte) error { return k.end(keys, "DELETE FROM data_key WHERE k = ?") }

// End does the same for good: an empty row stands where a key was, or would be.
func (k *Keyring) End(keys [][]byte) error {
	return k.end(keys, "INSERT INTO data_key(k, body) VALUES(?, x'') ON CONFLICT(k) DO UPDATE SET body = excluded.body")
}

func (k *Keyring) end(keys [][]byte, sql string) error {
	if len(keys) == 0 {
		return nil
	}
	err := k.write(func() error {
		for _, key := range keys {
			q := k.c.query(sql)
			q.blob(key)
			if err := q.exec(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return k.scrub()
}

// scrub brings the journal home and empties it: it still holds what was
// overwritten in the file.
func (k *Keyring) scrub() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c == nil {
		return errClosed("keys.db")
	}
	return k.c.fail(k.c.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"))
}

// Ended tells whether an empty row stands where a key was.
func (k *Keyring) Ended(key []byte) (ended bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c == nil {
		return false, errClosed("keys.db")
	}
	q := k.c.query("SELECT 1 FROM data_key WHERE k = ? AND length(body) = 0")
	q.blob(key)
	ended = q.step()
	return ended, q.done()
}

// Last gives the last key between two, ended ones too.
func (k *Keyring) Last(behind, before []byte) (key []byte, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c == nil {
		return nil, errClosed("keys.db")
	}
	q := k.c.query("SELECT k FROM data_key WHERE k > ? AND k < ? ORDER BY k DESC LIMIT 1")
	q.blob(behind)
	q.blob(before)
	if q.step() {
		key = q.colBlob(0)
	}
	return key, q.done()
}

// After lists keys behind one.
func (k *Keyring) After(key []byte, limit int) ([]seal.Row, error) {
	return k.list("SELECT k, body FROM data_key WHERE k > ? AND length(body) > 0 ORDER BY k LIMIT ?", key, limit)
}

// Copied does the same for a backup, which also has those that were ended, empty: an
// older key must not come back in their place.
func (k *Keyring) Copied(key []byte, limit int) ([]seal.Row, error) {
	return k.list("SELECT k, body FROM data_key WHERE k > ? ORDER BY k LIMIT ?", key, limit)
}

func (k *Keyring) list(sql string, key []byte, limit int) (out []seal.Row, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c == nil {
		return nil, errClosed("keys.db")
	}
	q := k.c.query(sql)
	q.blob(append([]byte{}, key...)) // Not NULL, which is before nothing.
	q.int(int64(limit))
	for q.step() {
		out = append(out, seal.Row{Key: q.colBlob(0), Body: q.colBlob(1)})
	}
	return out, q.done()
}

// Wrapping lists the wrapping keys.
func (k *Keyring) Wrapping() (out []seal.Wrapping, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c == nil {
		return nil, errClosed("keys.db")
	}
	q := k.c.query("SELECT number, made, body FROM wrapping ORDER BY number")
	for q.step() {
		out = append(out, seal.Wrapping{Number: int(q.colInt(0)), Made: q.colTime(1), Body: q.colBlob(2)})
	}
	return out, q.done()
}

// AddWrapping writes a new wrapping key.
func (k *Keyring) AddWrapping(w seal.Wrapping) error {
	return k.write(func() error {
		q := k.c.query("INSERT INTO wrapping(number, made, body) VALUES(?, ?, ?)")
		q.int(int64(w.Number))
		q.time(w.Made)
		q.blob(w.Body)
		return q.exec()
	})
}

// ReplaceWrapping writes a wrapping key under another root.
func (k *Keyring) ReplaceWrapping(w seal.Wrapping) error {
	return k.write(func() error {
		q := k.c.query("UPDATE wrapping SET body = ?2 WHERE number = ?1")
		q.int(int64(w.Number))
		q.blob(w.Body)
		return q.exec()
	})
}

// DropWrapping deletes a wrapping key that wraps nothing.
func (k *Keyring) DropWrapping(number int) error {
	err := k.write(func() error {
		q := k.c.query("DELETE FROM wrapping WHERE number = ?")
		q.int(int64(number))
		return q.exec()
	})
	if err != nil {
		return err
	}
	return k.scrub()
}

// write runs fn in a transaction that is durable when it returns.
func (k *Keyring) write(fn func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c == nil {
		return errClosed("keys.db")
	}
	if err := k.c.run("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return errors.Join(err, k.c.rollback())
	}
	if err := k.c.run("COMMIT"); err != nil {
		return errors.Join(err, k.c.rollback())
	}
	return nil
}

// Close closes the file. Closing twice is harmless.
func (k *Keyring) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c == nil {
		return nil
	}
	c := k.c
	k.c = nil
	return c.close()
}

package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"

	"rapport/internal/id"
	"rapport/internal/store"
	"rapport/internal/store/rows"
)

// Config says where a state is and how it is opened.
type Config struct {
	Path   string       // required
	Logger *slog.Logger // optional
	VFS    string       // name of a registered VFS; "" for the operating system's
	// Readers is how many may read at once; zero means as many as may run Go code at once, at least four.
	Readers int
	// CacheKB is the writer's page cache; zero means 32 MiB.
	CacheKB int
	// CheckpointPages is how many pages the WAL gathers under load before it is
	// brought home; zero lets it follow the size of the file, 64 to 256 MiB.
	CheckpointPages int
}

// State keeps everything but the log in state.db. It implements store.State.
type State struct {
	logger    *slog.Logger
	queue     rows.Queue
	readers   *pool
	walPinned int64 // CheckpointPages

	// The writing connection and what belongs to it; held by whoever is in the queue's one place.
	w        *conn
	tx       *tx
	full     bool // synchronous stands at FULL
	relaySeq int64
	mailSeq  int64
	stepSeq  int64
	trail    int64 // rows
	toldSeq  int64
	hot      rows.Hot

	walPages atomic.Int64 // pages in the WAL after the last commit
	walBase  atomic.Int64 // pages in the WAL at the last checkpoint
	dbPages  atomic.Int64 // pages in the file at the last checkpoint
	due      chan struct{}
	stop     context.CancelFunc
	group    sync.WaitGroup
	closing  sync.Once
	closeErr error
}

var _ store.State = (*State)(nil)

// OpenState opens a state, makes a new one, or brings an older one forward.
func OpenState(c Config) (*State, error) {
	if c.Path == "" {
		return nil, errors.New("open state: a path is required")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Readers <= 0 {
		c.Readers = max(4, runtime.GOMAXPROCS(0))
	}
	if c.CacheKB <= 0 {
		c.CacheKB = 32 << 10
	}
	base := connConfig{path: c.Path, file: filepath.Base(c.Path), vfs: c.VFS}
	base.pragmas = []string{"page_size = 4096", fmt.Sprintf("cache_size = -%d", c.CacheKB)}
	w, err := openConn(base)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	base.pragmas = []string{"cache_size = -2048", "wal_autocheckpoint = 0"}
	s := &State{logger: c.Logger, walPinned: int64(c.CheckpointPages), w: w, readers: newPool(base, c.Readers), due: make(chan struct{}, 1)}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open state: %w", err), w.close())
	}
	checker, err := openConn(base)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open state: %w", err), w.close())
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.group.Go(func() { s.checkpoints(ctx, checker) })
	return s, nil
}

func (s *State) prepare() error {
	if err := s.w.checkVersion(); err != nil {
		return err
	}
	if err := s.w.enableChecksums(); err != nil {
		return err
	}
	// Migrations are rare and must not be lost with a power failure: FULL until they are done.
	for _, p := range []string{"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"} {
		if err := s.w.db.Exec(p); err != nil {
			return s.w.fail(err)
		}
	}
	s.full = true
	if err := s.w.migrate(migrations); err != nil {
		return err
	}
	if err := s.w.db.Exec("PRAGMA wal_autocheckpoint = 0"); err != nil {
		return s.w.fail(err)
	}
	s.w.db.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
		s.walPages.Store(int64(pages))
		return nil
	})
	s.tx = newTx(s.w, s)
	if err := s.w.queryInt("SELECT coalesce(max(seq), 0) FROM relay", &s.relaySeq); err != nil {
		return err
	}
	if err := s.w.queryInt("SELECT coalesce(max(seq), 0) FROM step", &s.stepSeq); err != nil {
		return err
	}
	if err := s.w.queryInt("SELECT coalesce(max(n) + 1, 0) FROM trail", &s.trail); err != nil {
		return err
	}
	if err := s.w.queryInt("SELECT max(coalesce((SELECT max(seq) FROM told), 0), coalesce((SELECT max(seq) FROM destination), 0))", &s.toldSeq); err != nil {
		return err
	}
	var pages int64
	if err := s.w.queryInt("PRAGMA page_count", &pages); err != nil {
		return err
	}
	s.dbPages.Store(pages)
	return s.w.queryInt("SELECT coalesce(max(seq), 0) FROM intent", &s.mailSeq)
}

// Write runs fn in the one transaction that may write.
func (s *State) Write(ctx context.Context, o store.WriteOptions, fn func(store.Tx) error) error {
	if err := s.queue.Enter(ctx, o.Priority); err != nil {
		return err
	}
	defer s.queue.Leave()
	if s.w == nil {
		return errClosed("state.db")
	}
	err := s.write(o.Durable, fn)
	s.noteWAL()
	return err
}

// write runs one transaction; the caller has the queue's one place.
func (s *State) write(durable bool, fn func(store.Tx) error) (err error) {
	if err := s.synchronous(durable); err != nil {
		return err
	}
	if err := s.w.run("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	relay, mail, step, trail, told := s.relaySeq, s.mailSeq, s.stepSeq, s.trail, s.toldSeq
	s.w.inTx = true
	committed := false
	defer func() {
		s.w.inTx, s.w.broken = false, nil
		s.tx.reset()
		if committed {
			return
		}
		s.relaySeq, s.mailSeq, s.stepSeq, s.trail, s.toldSeq = relay, mail, step, trail, told
		s.hot.Clear()
		if rollErr := s.w.rollback(); rollErr != nil {
			err = errors.Join(err, fmt.Errorf("roll back: %w", rollErr))
		}
	}()
	if err := fn(s.tx); err != nil {
		return err
	}
	if err := s.tx.flush(); err != nil {
		return err
	}
	if s.w.broken != nil { // SQLite rolled back by itself, and fn did not mind.
		return s.w.broken
	}
	if err := s.w.run("COMMIT"); err != nil {
		return err
	}
	committed = true
	return nil
}

// synchronous makes the next commit durable, or leaves that to a later one.
// It costs nothing while it stays as it is.
func (s *State) synchronous(full bool) error {
	if s.full == full {
		return nil
	}
	pragma := "PRAGMA synchronous = NORMAL"
	if full {
		pragma = "PRAGMA synchronous = FULL"
	}
	if err := s.w.db.Exec(pragma); err != nil {
		return s.w.fail(err)
	}
	s.full = full
	return nil
}

// Read runs fn in a snapshot.
func (s *State) Read(ctx context.Context, fn func(store.Tx) error) error {
	return s.readers.with(ctx, func(c *conn) (err error) {
		if err := c.run("BEGIN"); err != nil {
			return err
		}
		defer func() {
			c.db.SetInterrupt(context.Background())
			if rollErr := c.rollback(); err == nil {
				err = rollErr
			}
		}()
		if c.tx == nil {
			c.tx = newTx(c, nil)
		}
		return fn(c.tx)
	})
}

// Meta reads a small named value, nil when it was never set.
func (s *State) Meta(ctx context.Context, key string) (value []byte, err error) {
	err = s.readers.with(ctx, func(c *conn) error {
		q := c.query("SELECT value FROM meta WHERE key = ?")
		q.text(key)
		if q.step() {
			value = q.colBlob(0)
		}
		return q.done()
	})
	return value, err
}

// SetMeta writes a small named value durably.
func (s *State) SetMeta(ctx context.Context, key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return s.Write(ctx, store.WriteOptions{Durable: true}, func(t store.Tx) error {
		q := t.(*tx).c.query("INSERT INTO meta(key, value) VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value")
		q.text(key)
		q.blob(value)
		return q.exec()
	})
}

// Ahead implements store.State: a lookup in files is no wait.
func (s *State) Ahead(context.Context, []id.Hash, []id.Person) ([]id.Person, error) {
	return nil, nil
}

// Waiting tells how many wait to write.
func (s *State) Waiting(p store.Priority) int { return s.queue.Waiting(p) }

// Close waits for those who read or write, brings the WAL home and closes the
// file. Closing twice is harmless.
func (s *State) Close() error {
	s.closing.Do(func() {
		s.stop()
		s.group.Wait()
		readErr := s.readers.close()
		if err := s.queue.Enter(context.Background(), store.Urgent); err != nil {
			s.closeErr = errors.Join(readErr, err)
			return
		}
		defer s.queue.Leave()
		w := s.w
		s.w = nil
		s.closeErr = errors.Join(readErr, w.close())
	})
	return s.closeErr
}

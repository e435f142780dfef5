package pgstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"rapport/internal/fault"
	"rapport/internal/processor"
	"rapport/internal/store"
	"rapport/internal/store/rows"
)

// State keeps everything but the log. It implements store.State. One process
// writes at a time: it owns the database from OpenState on, and one that has
// lost it to another finds out with its next commit.
type State struct {
	logger  *slog.Logger
	queue   rows.Queue
	writer  *pool
	readers *pool
	scout   *pool       // reads ahead of the walk, which waits for no reader
	name    pgtype.UUID // of this owner

	// Held by whoever is in the queue's one place.
	closed  bool
	commits int64
	next    numbers
	hot     rows.Hot
	askKeys int // how many transactions more ask for each key of a mail

	closing sync.Once
	shut    atomic.Bool // closing has begun

	ahead ahead
}

// numbers are the highest that were given; the next row gets one more.
type numbers struct {
	person, pack, relay, mail, step, ledger, merge, seen, reject, trail, told int64

	walked [2]int64 // position of each lane
}

var _ store.State = (*State)(nil)

// OpenState opens the state, makes a new one, or brings an older one forward,
// and takes it over from whoever wrote it before.
func OpenState(ctx context.Context, c Config) (*State, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Readers <= 0 {
		c.Readers = 8
	}
	s := &State{logger: c.Logger}
	var err error
	if s.writer, err = connect(ctx, c, StateSchema, 1); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err = s.prepare(ctx); err == nil {
		s.readers, err = connect(ctx, c, StateSchema, int32(min(c.Readers, 1000)))
	}
	if err == nil {
		if s.scout, err = connect(ctx, c, StateSchema, 1); err != nil {
			s.readers.Close()
		}
	}
	if err != nil {
		s.writer.Close()
		return nil, fmt.Errorf("open state: %w", err)
	}
	s.ahead.commits = s.commits
	return s, nil
}

func (s *State) prepare(ctx context.Context) error {
	if err := migrate(ctx, s.writer, StateSchema, stateMigrations); err != nil {
		return err
	}
	return s.writer.inTx(ctx, func(tx pgx.Tx) error { return s.take(ctx, tx) })
}

// take makes the database this owner's, and reads which numbers were given.
func (s *State) take(ctx context.Context, tx pgx.Tx) error {
	err := tx.QueryRow(ctx, `INSERT INTO owner VALUES(1, gen_random_uuid(), 0)
		ON CONFLICT(one) DO UPDATE SET name = excluded.name, n = owner.n + 1 RETURNING name, n`).Scan(&s.name, &s.commits)
	if err != nil {
		return err
	}
	n := &s.next
	return tx.QueryRow(ctx, `SELECT (SELECT coalesce(max(id), 0) FROM person), (SELECT coalesce(max(id), 0) FROM timeline), (SELECT coalesce(max(seq), 0) FROM relay),
		(SELECT coalesce(max(seq), 0) FROM intent), (SELECT coalesce(max(seq), 0) FROM step), (SELECT coalesce(max(seq), 0) FROM ledger),
		(SELECT coalesce(max(seq), 0) FROM merge), (SELECT coalesce(max(seq), 0) FROM seen), (SELECT coalesce(max(id), 0) FROM reject),
		(SELECT coalesce(max(n) + 1, 0) FROM trail),
		greatest((SELECT coalesce(max(seq), 0) FROM told), (SELECT coalesce(max(seq), 0) FROM destination)),
		coalesce((SELECT pos FROM position WHERE lane = 0), 0), coalesce((SELECT pos FROM position WHERE lane = 1), 0)`).
		Scan(&n.person, &n.pack, &n.relay, &n.mail, &n.step, &n.ledger, &n.merge, &n.seen, &n.reject, &n.trail, &n.told, &n.walked[0], &n.walked[1])
}

// Write runs fn in the one transaction that may write.
func (s *State) Write(ctx context.Context, o store.WriteOptions, fn func(store.Tx) error) error {
	if err := s.queue.Enter(ctx, o.Priority); err != nil {
		return err
	}
	defer s.queue.Leave()
	if s.closed {
		return errClosed()
	}
	for again := 0; ; again++ {
		err := s.once(ctx, o.Durable, fn)
		if !errors.Is(err, errTakenBack) || o.Once || again == takenBackTries {
			return err
		}
		s.logger.Debug("the database took a transaction back, running it again", "error", err)
	}
}

// takenBackTries is how often a transaction is run again that the database took
// back, because of a deadlock or for what else went on at its time.
const takenBackTries = 5

// once runs a transaction once; the caller has the queue's one place.
func (s *State) once(ctx context.Context, durable bool, fn func(store.Tx) error) error {
	c, err := s.writer.Acquire(ctx)
	if err != nil {
		return fail(err)
	}
	defer c.Release() // A connection within a transaction, or a broken one, is thrown away.
	err = s.write(ctx, c.Conn(), durable, fn)
	if s.askKeys = max(s.askKeys-1, 0); errors.Is(err, errKeyTaken) {
		s.askKeys = asksAfter
	}
	return err
}

// write runs one transaction; the caller has the queue's one place.
func (s *State) write(ctx context.Context, c *pgx.Conn, durable bool, fn func(store.Tx) error) error {
	t := &tx{ctx: ctx, c: c, s: s, begin: s.writer.opening("BEGIN")}
	t.begin = append(t.begin, commitAtOnce) // The commit is whole, but a crash of the database may take it back.
	if durable {
		t.begin[len(t.begin)-1] = commitDurably
	}
	before, committed := s.next, false
	defer func() {
		if committed {
			s.ahead.committed(&t.changed, s.commits)
			return
		}
		s.next = before
		s.hot.Clear()
		if t.committing { // It may have been.
			s.ahead.clear()
		}
		t.rollback()
	}()
	err := fn(t)
	switch {
	case t.broken != nil && (err == nil || errors.Is(t.broken, errTakenBack)):
		return t.broken // What fn makes of it may not say that it is to be run again.
	case err != nil:
		return err
	}
	err = t.commit()
	switch {
	case err != nil && t.committing && s.wasCommitted(): // Its answer was lost on the way.
		err = nil
	case errors.Is(err, errNotOurs):
		err = s.whyNotOurs(ctx)
	}
	committed = err == nil
	return err
}

// wasCommitted asks what became of a commit whose answer was lost.
func (s *State) wasCommitted() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		// The lost connection may be the one in the pool; a few tries pass it.
		var name pgtype.UUID
		var n int64
		err := s.readers.QueryRow(ctx, "SELECT name, n FROM rapport_state.owner WHERE one = 1").Scan(&name, &n)
		if err == nil {
			if name == s.name && n == s.commits+1 {
				s.commits = n
				return true
			}
			return false
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false
}

// Read runs fn in a snapshot. Connections that a crash of the database has left
// in the pool are passed over: each is found to be dead by its first question.
func (s *State) Read(ctx context.Context, fn func(store.Tx) error) error {
	for {
		dead, err := s.read(ctx, fn)
		if !dead {
			return err
		}
	}
}

// read runs fn once. dead says that the connection was of no use: fn has heard
// nothing and may be run again.
func (s *State) read(ctx context.Context, fn func(store.Tx) error) (dead bool, err error) {
	c, err := s.readers.Acquire(ctx)
	if err != nil {
		return false, s.failClosed(err)
	}
	t := &tx{ctx: ctx, c: c.Conn(), begin: s.readers.opening("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")}
	defer func() {
		// Nobody need wait for the end of a snapshot; Close does, for the connection.
		go func() {
			defer c.Release()
			t.rollback()
		}()
	}()
	err = fn(t)
	return err != nil && t.begun && !t.heard && c.Conn().IsClosed() && ctx.Err() == nil && !s.shut.Load(), err
}

// failClosed tells a pool that was closed from a database that is away.
func (s *State) failClosed(err error) error {
	if err != nil && s.shut.Load() {
		return errClosed()
	}
	return fail(err)
}

// Meta reads a small named value, nil when it was never set.
func (s *State) Meta(ctx context.Context, key string) (value []byte, err error) {
	err = s.readers.QueryRow(ctx, "SELECT value FROM rapport_state.meta WHERE key = $1", key).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if value == nil {
		value = []byte{}
	}
	return value, s.failClosed(err)
}

// SetMeta writes a small named value durably.
func (s *State) SetMeta(ctx context.Context, key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return s.Write(ctx, store.WriteOptions{Durable: true}, func(t store.Tx) error {
		return t.(*tx).later("INSERT INTO meta VALUES($1, $2) ON CONFLICT(key) DO UPDATE SET value = excluded.value", key, value)
	})
}

// Waiting tells how many wait to write.
func (s *State) Waiting(p store.Priority) int { return s.queue.Waiting(p) }

// Close waits for those who read or write and closes the connections. Closing
// twice is harmless.
func (s *State) Close() error {
	s.closing.Do(func() {
		s.shut.Store(true)
		s.readers.Close()
		s.scout.Close()
		if s.queue.Enter(context.Background(), store.Urgent) == nil {
			defer s.queue.Leave()
		}
		s.closed = true
		s.writer.Close()
	})
	return nil
}

// stillOurs counts the commit, and divides by zero where somebody else owns the
// database, so that the COMMIT behind it is not carried out.
func (s *State) stillOurs() statement {
	return statement{`WITH ours AS (UPDATE owner SET n = $1 WHERE one = 1 AND name = $2 AND n = $3 RETURNING 1)
		SELECT 1 / count(*) FROM ours`, []any{s.commits + 1, s.name, s.commits}}
}

// errNotOurs is what the end of a transaction says whose count of commits the
// owner's row does not hold.
var errNotOurs = errors.New("the owner's row is not what this process left")

// whyNotOurs tells a database that somebody else has taken from one that has
// crashed and lost the commits that need not survive it. Whoever wrote them holds
// things in memory that the database has never heard of, and must begin anew.
func (s *State) whyNotOurs(ctx context.Context) error {
	var name pgtype.UUID
	if err := s.readers.QueryRow(ctx, "SELECT name FROM rapport_state.owner WHERE one = 1").Scan(&name); err != nil {
		return s.failClosed(err)
	}
	if name == s.name {
		return fault.Wrap(processor.ErrLost, fault.Conflict, store.CodeRewound,
			"the database has crashed and taken its last commits back; start the server again: it walks the log from where the database stands, and nothing is lost")
	}
	return fault.Wrap(processor.ErrLost, fault.Conflict, "database_taken",
		"another process has taken this database over: two servers were started on it. This one writes no more; stop it")
}

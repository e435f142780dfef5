package sqlitestore

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"

	"rapport/internal/store"
)

// The WAL's measures, in pages of 4 KiB.
const (
	walSmall = 1_000  // below this a checkpoint is not worth an fsync, and one is short
	walLeast = 16_384 // 64 MiB
	walMost  = 65_536 // 256 MiB
	// walCalm is how much the WAL grows in a second when there is little to do.
	walCalm = 4_000
)

// walLimit is how large the WAL may grow under load: the larger the file, the
// more a large WAL saves, because pages that changed often are copied once.
func (s *State) walLimit() int64 {
	if s.walPinned > 0 {
		return s.walPinned
	}
	return min(max(s.dbPages.Load()/3, walLeast), walMost)
}

// noteWAL asks for a checkpoint when the WAL has grown by its limit since the
// last one. While a long reader keeps it from beginning again at the front it
// only grows, and asking after each commit would help nobody.
func (s *State) noteWAL() {
	pages, base := s.walPages.Load(), s.walBase.Load()
	if pages < base {
		base = 0
	}
	if pages-base < s.walLimit() {
		return
	}
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// checkpoints copies the WAL home on a connection of its own, so that the
// writer waits for the short last part only. Under load it does so when the
// WAL is large, otherwise each second, while little is in it.
func (s *State) checkpoints(ctx context.Context, c *conn) {
	defer func() {
		if err := c.close(); err != nil {
			s.logger.Error("closing the checkpointer", "error", err)
		}
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := int64(0)
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.due:
		case <-tick.C:
			pages := s.walPages.Load()
			grown := pages - last
			last = pages
			if pages < walSmall || grown > walCalm || pages == s.walBase.Load() {
				continue
			}
		}
		err := s.checkpoint(ctx, c)
		if err != nil && ctx.Err() == nil && !failing {
			s.logger.Error("the state's write-ahead log cannot be brought home", "error", err)
		}
		failing = err != nil
		last = s.walPages.Load()
	}
}

// checkpoint runs in the background until little is left, then once on the
// writer between two transactions: only when nothing is left does the next
// commit begin again at the front of the WAL.
func (s *State) checkpoint(ctx context.Context, c *conn) error {
	for range 5 {
		_, done, err := c.db.WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE)
		if err != nil {
			return c.fail(err)
		}
		if s.walPages.Load()-int64(done) < walSmall { // What the writer added meanwhile.
			break
		}
	}
	if err := s.queue.Enter(ctx, store.Urgent); err != nil {
		return err
	}
	defer s.queue.Leave()
	logged, done, err := s.w.db.WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE)
	if err != nil {
		return s.w.fail(err)
	}
	s.walBase.Store(int64(logged))
	if logged == done {
		s.walPages.Store(0) // The next commit begins at the front, or says how far it is.
	}
	var pages int64
	if err := s.w.queryInt("PRAGMA page_count", &pages); err != nil {
		return err
	}
	s.dbPages.Store(pages)
	select {
	case <-s.due: // Asked for while this one ran.
	default:
	}
	return nil
}

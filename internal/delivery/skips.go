package delivery

import (
	"maps"
	"sync"
)

// skipReasonsMost bounds how many reasons are counted by name. All of them are
// codes of this house, two dozen or so; should one ever be made of what a caller
// sends, the page of metrics stays short.
const skipReasonsMost = 64

// Skips counts the mails that were skipped, by the reason in their story. The
// zero value counts from nothing; it may be handed from one Dispatcher to the
// next and is safe for concurrent use.
type Skips struct {
	mu sync.Mutex
	by map[string]int64
}

// Counts gives how many there were, by reason; "other" are those of reasons that
// came after the first 64.
func (s *Skips) Counts() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := maps.Clone(s.by)
	if out == nil {
		out = map[string]int64{}
	}
	return out
}

// add counts what one transaction has skipped, once it is committed.
func (s *Skips) add(by map[string]int64) {
	if len(by) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]int64{}
	}
	for reason, n := range by {
		if _, known := s.by[reason]; !known && len(s.by) >= skipReasonsMost {
			reason = "other"
		}
		s.by[reason] += n
	}
}

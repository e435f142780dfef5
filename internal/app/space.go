package app

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rapport/internal/fault"
)

// How often the free space is looked at, and what must be left of it where the
// configuration does not say: a twentieth of the disk, and no more than 1 GiB.
const (
	spaceEvery  = time.Second
	spacePart   = 20
	spaceEnough = 1 << 30
)

// space watches how much is free on the disk of the data folder. New events stop
// while there is room for everything else: withdrawals of consent, the outcomes
// of mails, and the walk of what was taken. A disk that is full stops those too.
type space struct {
	look   func() (free, total int64, err error)
	least  int64 // bytes; negative: the default part of the disk
	now    func() time.Time
	logger *slog.Logger

	looking sync.Mutex
	seen    atomic.Pointer[glance]
}

// glance is what was seen at an instant.
type glance struct {
	at          time.Time
	free, floor int64
	known       bool // somebody could say
}

func (g *glance) low() bool { return g.known && g.free < g.floor }

// newSpace looks for the first time.
func newSpace(s *space) *space {
	s.seen.Store(s.glance(&glance{}))
	return s
}

// glance looks at the disk, and says so when that changes something.
func (s *space) glance(before *glance) *glance {
	free, total, err := s.look()
	g := &glance{at: s.now(), free: free, floor: s.least, known: err == nil}
	if s.least < 0 {
		g.floor = min(total/spacePart, spaceEnough)
	}
	switch {
	case g.low() && !before.low():
		s.logger.Error("the disk is nearly full: no events are taken until there is more room; sending and reading go on",
			"alert", "disk_low", "free_mb", g.free>>20, "floor_mb", g.floor>>20)
	case before.low() && !g.low():
		s.logger.Info("there is room on the disk again: events are taken", "free_mb", g.free>>20)
	}
	return g
}

// latest gives what is seen now, at most spaceEvery old.
func (s *space) latest() *glance {
	g := s.seen.Load()
	if s.now().Sub(g.at) < spaceEvery || !s.looking.TryLock() {
		return g // somebody else is looking
	}
	defer s.looking.Unlock()
	g = s.glance(s.seen.Load())
	s.seen.Store(g)
	return g
}

// room says why nothing new may be taken, or nil. It is cheap enough for every
// request.
func (s *space) room() error {
	g := s.latest()
	if !g.low() {
		return nil
	}
	e := fault.New(fault.Unavailable, "disk_low",
		"the disk of the data folder has %d MB free and limits.free_disk keeps %d MB; free some, events are then taken again by themselves", g.free>>20, g.floor>>20)
	e.RetryAfter = 5 * time.Second
	return e
}

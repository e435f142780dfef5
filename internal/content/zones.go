package content

import (
	"errors"
	"sync"
	"time"
)

// zones remembers time zones by name, for reading one costs a file. What people
// claim as their zone bounds nothing, so the memory is bounded.
type zones struct {
	mu    sync.RWMutex
	known map[string]*time.Location // nil for a name that is none
}

const maxZones = 1000

var errZone = errors.New("no such time zone")

func (z *zones) load(name string) (*time.Location, error) {
	z.mu.RLock()
	loc, seen := z.known[name]
	z.mu.RUnlock()
	if !seen {
		var err error
		if loc, err = time.LoadLocation(name); err != nil || name == "Local" || name == "" {
			loc = nil
		}
		z.mu.Lock()
		if z.known == nil || len(z.known) >= maxZones {
			z.known = map[string]*time.Location{}
		}
		z.known[name] = loc
		z.mu.Unlock()
	}
	if loc == nil {
		return nil, errZone
	}
	return loc, nil
}

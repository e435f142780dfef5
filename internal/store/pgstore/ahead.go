package pgstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"rapport/internal/id"
)

// ahead holds what was read for transactions to come. Names and rows of people are
// changed by this process alone, as the owner's row makes sure of; so an answer that
// knows of all its commits holds until one that changes it. Each answer brings the
// owner's row along: one from a copy of the database that lags behind is not kept.
type ahead struct {
	mu      sync.Mutex
	slips   []*slip // oldest first
	commits int64   // this owner's
}

const (
	// keptSlips is for how many batches answers are kept: one that is being walked, one
	// that waits for it, and one that is being asked for.
	keptSlips = 3
	// keptBytes bounds the rows of one answer; who is left out is asked for again.
	keptBytes = 16 << 20
	// aheadMost is how long the walk may be kept waiting by it.
	aheadMost = 250 * time.Millisecond
)

var errStale = errors.New("the answer is older than the last commit, or of another owner")

// slip is what one call of Ahead has read.
type slip struct {
	names  map[id.Hash]id.Person // 0: nobody's
	people map[id.Person][]byte  // nil: there is no row

	// What was changed since it was asked for. Its answer may be from before.
	asking bool
	since  changed
	void   bool  // anything may have
	after  int64 // how many commits it must know of
}

// Ahead implements store.State: it looks up and loads on a connection of its own while
// a transaction is being walked.
func (s *State) Ahead(ctx context.Context, hashes []id.Hash, people []id.Person) ([]id.Person, error) {
	ctx, cancel := context.WithTimeout(ctx, aheadMost)
	defer cancel()
	p := s.ahead.ask()
	names, err := s.namesAhead(ctx, p, hashes)
	if err != nil {
		s.ahead.drop(p)
		return nil, err
	}
	people = slices.Clone(people)
	for _, who := range names {
		if who != 0 {
			people = append(people, who)
		}
	}
	slices.Sort(people)
	people = slices.Compact(people)
	rows, err := s.peopleAhead(ctx, p, people)
	if err != nil {
		s.ahead.drop(p)
		return nil, err
	}
	s.ahead.answer(p, names, rows)
	return people, nil
}

func (s *State) namesAhead(ctx context.Context, p *slip, hashes []id.Hash) (map[id.Hash]id.Person, error) {
	names := make(map[id.Hash]id.Person, len(hashes))
	for _, h := range hashes {
		names[h] = 0
	}
	var place, who int64
	return names, s.askAhead(ctx, p, []any{&place, &who}, func() error {
		names[hashes[place-1]] = id.Person(who)
		return nil
	}, `SELECT 0, n FROM rapport_state.owner WHERE one = 1 AND name = $1
		UNION ALL SELECT u.place, i.person FROM unnest($2::uuid[]) WITH ORDINALITY u(h, place) JOIN rapport_state.ident i USING(h)`, uuids(hashes))
}

// peopleAhead leaves a damaged row out: whoever needs it asks for it again, and is told.
func (s *State) peopleAhead(ctx context.Context, p *slip, people []id.Person) (map[id.Person][]byte, error) {
	out := make(map[id.Person][]byte, len(people))
	for _, who := range people {
		out[who] = nil
	}
	var who, n int64
	var raw []byte
	kept := 0
	return out, s.askAhead(ctx, p, []any{&who, &n, &raw}, func() error {
		body, err := unsummed("person", who, raw)
		if kept += len(body); err != nil || kept > keptBytes {
			delete(out, id.Person(who))
			return nil //nolint:nilerr // The one who needs it meets the same.
		}
		out[id.Person(who)] = body
		return nil
	}, `SELECT 0, n, NULL::bytea FROM rapport_state.owner WHERE one = 1 AND name = $1
		UNION ALL SELECT id, 0, body FROM rapport_state.person WHERE id = ANY($2::bigint[])`, int64s(people))
}

// askAhead asks, and makes sure that the answer knows of this owner's commits: the row
// whose first column is 0 tells how many it knows of in its second.
func (s *State) askAhead(ctx context.Context, p *slip, columns []any, each func() error, sql string, keys any) error {
	rows, err := s.scout.Query(ctx, sql, s.name, keys)
	if err != nil {
		return s.failClosed(err)
	}
	known := int64(-1)
	first, second := columns[0].(*int64), columns[1].(*int64) //nolint:forcetypeassert // Both statements begin so.
	_, err = pgx.ForEachRow(rows, columns, func() error {
		if *first == 0 {
			known = *second
			return nil
		}
		return each()
	})
	switch {
	case err != nil:
		return s.failClosed(err)
	case known < p.after:
		return errStale
	}
	return nil
}

// ask makes room for an answer. What commits from now on is held against it.
func (a *ahead) ask() *slip {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := &slip{asking: true, after: a.commits}
	if len(a.slips) == keptSlips {
		a.slips = slices.Delete(a.slips, 0, 1)
	}
	a.slips = append(a.slips, p)
	return p
}

func (a *ahead) drop(p *slip) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slips = slices.DeleteFunc(a.slips, func(x *slip) bool { return x == p })
}

// answer fills in what was read, less what was changed meanwhile.
func (a *ahead) answer(p *slip, names map[id.Hash]id.Person, people map[id.Person][]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p.void {
		return
	}
	p.names, p.people, p.asking = names, people, false
	p.forget(&p.since)
	p.since = changed{}
}

func (p *slip) forget(c *changed) {
	for _, m := range c.names {
		for h := range m {
			delete(p.names, h)
		}
	}
	for _, m := range c.people {
		for who := range m {
			delete(p.people, who)
		}
	}
}

// committed takes away what the latest of so many transactions has changed.
func (a *ahead) committed(c *changed, commits int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.commits = commits
	for _, p := range a.slips {
		if p.asking {
			p.since.names = append(p.since.names, c.names...)
			p.since.people = append(p.since.people, c.people...)
			continue
		}
		p.forget(c)
	}
}

// clear takes everything away: it is not known what was committed.
func (a *ahead) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.slips {
		p.void = true
	}
	a.slips = nil
}

// changed is what a transaction has sent of names and people, as it was gathered.
type changed struct {
	names  []map[id.Hash]id.Person
	people []map[id.Person][]byte
}

func (c *changed) add(p *pending) {
	if len(p.idents) > 0 {
		c.names = append(c.names, p.idents)
	}
	for _, m := range []map[id.Person][]byte{p.newPersons, p.persons} {
		if len(m) > 0 {
			c.people = append(c.people, m)
		}
	}
}

// hasName tells whether a transaction has given a name to somebody, or taken it.
func (t *tx) hasName(h id.Hash) bool {
	if _, ok := t.pending.idents[h]; ok {
		return true
	}
	return slices.ContainsFunc(t.changed.names, func(m map[id.Hash]id.Person) bool { _, ok := m[h]; return ok })
}

// hasRow tells whether a transaction has written somebody's row.
func (t *tx) hasRow(who id.Person) bool {
	for _, m := range []map[id.Person][]byte{t.pending.newPersons, t.pending.persons} {
		if _, ok := m[who]; ok {
			return true
		}
	}
	return slices.ContainsFunc(t.changed.people, func(m map[id.Person][]byte) bool { _, ok := m[who]; return ok })
}

// knownNames fills in whose names are known from ahead, and gives the places of the rest.
func (t *tx) knownNames(hashes []id.Hash, out []id.Person) (rest []int) {
	clear(out)
	if t.s == nil { // Who only reads has a snapshot of their own.
		for i := range hashes {
			rest = append(rest, i)
		}
		return rest
	}
	t.s.ahead.mu.Lock()
	defer t.s.ahead.mu.Unlock()
	for i, h := range hashes {
		if !t.hasName(h) {
			if who, ok := t.s.ahead.name(h); ok {
				out[i] = who
				continue
			}
		}
		rest = append(rest, i)
	}
	return rest
}

// knownPeople gives rows that are known from ahead, and of whom there is more to ask.
func (t *tx) knownPeople(ids []id.Person) (found numbered, rest []id.Person) {
	if t.s == nil {
		return found, ids
	}
	t.s.ahead.mu.Lock()
	defer t.s.ahead.mu.Unlock()
	for _, who := range ids {
		body, ok := []byte(nil), false
		if !t.hasRow(who) {
			body, ok = t.s.ahead.row(who)
		}
		switch {
		case !ok:
			rest = append(rest, who)
		case body != nil:
			found.add(int64(who), body)
		}
	}
	return found, rest
}

// name and row look into the answers; the caller holds mu.
func (a *ahead) name(h id.Hash) (who id.Person, ok bool) {
	for _, p := range a.slips {
		if who, ok = p.names[h]; ok {
			return who, true
		}
	}
	return 0, false
}

func (a *ahead) row(who id.Person) (body []byte, ok bool) {
	for _, p := range a.slips {
		if body, ok = p.people[who]; ok {
			return body, true
		}
	}
	return nil, false
}

// Package sealed keeps what is stored unreadable without the workspace's keys: it
// wraps a State and a log so that bodies are sealed on the way in and opened on the
// way out, and no room need know. What belongs to a person is sealed under the
// person's key: their row, their history, their mails. What was written before
// sealing began is read as it is, and sealed when it is written again.
package sealed

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/fault"
	"rapport/internal/group"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/outbox"
	"rapport/internal/person"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/rights"
	"rapport/internal/seal"
	"rapport/internal/store"
)

// State is a state store whose bodies are sealed.
type State struct {
	store.State
	Ring *seal.Ring
	// Restored says that the keys may know people of whom the state knows nothing any
	// more: numbers begin behind them. Elsewhere they follow from the log alone.
	Restored bool

	mu   sync.Mutex
	left []seal.ID // keys whose records are gone, and which could not be destroyed yet
}

var _ store.State = (*State)(nil)

// Write implements store.State.
func (s *State) Write(ctx context.Context, o store.WriteOptions, fn func(store.Tx) error) error {
	var doomed []seal.ID
	err := s.State.Write(ctx, o, func(inner store.Tx) error {
		t := &tx{Tx: inner, ring: s.Ring, names: s.Ring.Draft(), restored: s.Restored}
		if err := fn(t); err != nil {
			t.names.Drop()
			return err
		}
		doomed = t.doomed
		return t.names.Keep() // Before the commit: a body whose key is lost is lost.
	})
	if err == nil {
		s.destroy(doomed)
	}
	return err
}

// destroy takes the keys of records that are gone. What is committed has not failed
// where that fails: it is tried again with the next write.
func (s *State) destroy(doomed []seal.ID) {
	s.mu.Lock()
	doomed, s.left = append(s.left, doomed...), nil
	s.mu.Unlock()
	if len(doomed) == 0 || s.Ring.Destroy(doomed...) == nil {
		return
	}
	s.mu.Lock()
	s.left = append(s.left, doomed...)
	s.mu.Unlock()
}

// Ahead implements store.State: the keys of whom it reads are opened ahead too.
func (s *State) Ahead(ctx context.Context, hashes []id.Hash, people []id.Person) ([]id.Person, error) {
	people, err := s.State.Ahead(ctx, hashes, people)
	if err != nil || len(people) == 0 {
		return people, err
	}
	keys := make([]seal.ID, len(people))
	for i, who := range people {
		keys[i] = seal.Person(who)
	}
	return people, s.Ring.Load(keys...)
}

// Read implements store.State.
func (s *State) Read(ctx context.Context, fn func(store.Tx) error) error {
	return s.State.Read(ctx, func(t store.Tx) error { return fn(&tx{Tx: t, ring: s.Ring}) })
}

// tx is a transaction that seals and opens.
type tx struct {
	store.Tx
	ring     *seal.Ring
	restored bool
	names    *seal.Draft // keys of identifiers that this transaction makes; nil where it only reads
	// doomed are keys of records that this transaction takes away. They are destroyed
	// once it has committed: it may be undone.
	doomed []seal.ID

	people  people
	history history
	mails   mails
}

func (t *tx) Persons() person.Store {
	if t.people.Store == nil {
		t.people = people{Store: t.Tx.Persons(), t: t}
	}
	return &t.people
}

func (t *tx) Profile() profile.Store {
	if t.history.Store == nil {
		t.history = history{Store: t.Tx.Profile(), t: t}
	}
	return &t.history
}

func (t *tx) Outbox() outbox.Store {
	if t.mails.Store == nil {
		t.mails = mails{Store: t.Tx.Outbox(), t: t}
	}
	return &t.mails
}

func (t *tx) Identity() identity.Store       { return &idents{t.Tx.Identity(), t} }
func (t *tx) Group() group.Store             { return &groups{t.Tx.Group(), t} }
func (t *tx) Consent() consent.Store         { return &ledger{t.Tx.Consent(), t} }
func (t *tx) Processor() processor.Store     { return &walk{t.Tx.Processor(), t} }
func (t *tx) Ingest() ingest.Store           { return &rejects{t.Tx.Ingest(), t} }
func (t *tx) Audit() audit.Store             { return &trail{t.Tx.Audit(), t} }
func (t *tx) Destination() destination.Store { return &tellings{t.Tx.Destination(), t} }
func (t *tx) Rights() rights.Store           { return &requests{t.Tx.Rights(), t} }

// open gives what a body holds, or the body where it is not sealed.
func (t *tx) open(label, body []byte) ([]byte, error) {
	if !seal.Sealed(body) {
		return body, nil
	}
	return t.ring.Open(nil, label, body)
}

// openKept does the same for what may be left of somebody who was erased: nothing.
func (t *tx) openKept(label, body []byte) ([]byte, error) {
	out, err := t.open(label, body)
	if fault.CodeOf(err) == seal.CodeDestroyed {
		return nil, nil
	}
	return out, err
}

// house seals what belongs to nobody.
func (t *tx) house(label, plain []byte) ([]byte, error) {
	if plain == nil {
		return nil, nil
	}
	if err := t.ring.Mint(seal.House()); err != nil {
		return nil, err
	}
	return t.ring.Seal(nil, seal.House(), label, plain)
}

// record seals a record of which it is not known whose it is, under a key of its own.
func (t *tx) record(label, plain []byte) ([]byte, error) {
	if plain == nil {
		return nil, nil
	}
	if t.names == nil {
		return nil, errReading
	}
	k, err := t.names.Record()
	if err != nil {
		return nil, err
	}
	return t.ring.Seal(nil, k, label, plain)
}

// doom has the key of a record destroyed that is taken away.
func (t *tx) doom(body []byte) {
	if k, ok := seal.RecordOf(body); ok {
		t.doomed = append(t.doomed, k)
	}
}

// people keeps rows of people.
type people struct {
	person.Store
	t     *tx
	buf   []byte
	keys  []seal.ID
	label [8 + 8]byte
}

func personLabel(dst []byte, who id.Person) []byte {
	return binary.BigEndian.AppendUint64(append(dst, "person/"...), uint64(who))
}

func (p *people) Load(ids []id.Person, fn func(who id.Person, body []byte) error) error {
	p.keys = p.keys[:0]
	for _, who := range ids {
		p.keys = append(p.keys, seal.Person(who))
	}
	if err := p.t.ring.Load(p.keys...); err != nil {
		return err
	}
	return p.Store.Load(ids, func(who id.Person, body []byte) error {
		if !seal.Sealed(body) {
			return fn(who, body)
		}
		buf := p.buf
		p.buf = nil // fn may load further people
		out, err := p.t.ring.Open(buf[:0], personLabel(p.label[:0], who), body)
		if fault.CodeOf(err) == seal.CodeDestroyed { // A row of before they were erased has come back.
			row := person.Row{ID: who, Erased: person.Unreadable}
			out, err = row.Append(buf[:0]), nil
		}
		if err == nil {
			err = fn(who, out)
		}
		p.buf = out
		return err
	})
}

func (p *people) seal(who id.Person, body []byte) ([]byte, error) {
	var err error
	p.buf, err = p.t.ring.Seal(p.buf[:0], seal.Person(who), personLabel(p.label[:0], who), body)
	if err != nil {
		return nil, fmt.Errorf("seal the row of %s: %w", who, err)
	}
	return p.buf, nil
}

// buried tells whether a row says only that somebody was erased: it is kept in the
// clear, for their key is gone.
func buried(body []byte) bool { return len(body) > 0 && body[0] == person.ErasedFormat }

func (p *people) Insert(who id.Person, body []byte) error {
	if buried(body) {
		return p.Store.Insert(who, body)
	}
	if err := p.t.ring.Mint(seal.Person(who)); err != nil {
		return err
	}
	body, err := p.seal(who, body)
	if err != nil {
		return err
	}
	return p.Store.Insert(who, body)
}

func (p *people) Update(who id.Person, body []byte) error {
	if buried(body) {
		return p.Store.Update(who, body)
	}
	if err := p.t.ring.Mint(seal.Person(who)); err != nil { // Where the row is from before sealing.
		return err
	}
	body, err := p.seal(who, body)
	if err != nil {
		return err
	}
	return p.Store.Update(who, body)
}

// history seals each entry of a pack for whose it is.
type history struct {
	profile.Store
	t *tx
}

var _ profile.Sealer = (*history)(nil)

func entryLabel(dst []byte, at profile.Pointer) []byte {
	return binary.BigEndian.AppendUint64(append(dst, "entry/"...), uint64(at))
}

// SealEntry implements profile.Sealer. The person may be as new as the entry.
func (h *history) SealEntry(dst []byte, who id.Person, at profile.Pointer, plain []byte) ([]byte, error) {
	if err := h.t.ring.Mint(seal.Person(who)); err != nil {
		return dst, err
	}
	var label [6 + 8]byte
	return h.t.ring.Seal(dst, seal.Person(who), entryLabel(label[:0], at), plain)
}

// OpenEntry implements profile.Sealer.
func (h *history) OpenEntry(at profile.Pointer, body []byte) ([]byte, error) {
	return h.t.openKept(entryLabel(nil, at), body)
}

// ResealEntry implements profile.Sealer.
func (h *history) ResealEntry(at profile.Pointer, old, plain []byte) ([]byte, error) {
	key, ok := seal.KeyOf(old)
	if !ok { // It is from before sealing, and nothing tells whose it is.
		return plain, nil
	}
	return h.t.ring.Seal(nil, key, entryLabel(nil, at), plain)
}

// idents seals the identifiers that a merge moved.
type idents struct {
	identity.Store
	t *tx
}

func mergeLabel(m *identity.Merge) []byte {
	return fmt.Appendf(nil, "merge/%d/%d/%s", m.Into, m.From, m.Cause)
}

func (i *idents) seal(m identity.Merge, of identity.Merge) (identity.Merge, error) {
	if err := i.t.ring.Mint(seal.Person(of.From)); err != nil {
		return m, err
	}
	of.Cause = m.Cause
	moved, err := i.t.ring.Seal(nil, seal.Person(of.From), mergeLabel(&of), m.Moved)
	if err != nil {
		return m, fmt.Errorf("seal a merge: %w", err)
	}
	m.Moved = moved
	return m, nil
}

// LastPerson counts those in too of whom only the keys know, where the state was
// restored: it may be older than they are, and a number is given once.
func (i *idents) LastPerson() (id.Person, error) {
	last, err := i.Store.LastPerson()
	if !i.t.restored {
		return last, err
	}
	return max(last, i.t.ring.LastPerson()), err
}

func (i *idents) AppendMerge(m identity.Merge) error {
	m, err := i.seal(m, m)
	if err != nil {
		return err
	}
	return i.Store.AppendMerge(m)
}

// Remake writes nothing of what moved where the key is gone: it was of somebody who
// was erased.
func (i *idents) Remake(old, now identity.Merge) error {
	sealed, err := i.seal(now, old)
	if fault.CodeOf(err) == seal.CodeDestroyed {
		sealed, err = now, nil
		sealed.Moved = nil
	}
	if err != nil {
		return err
	}
	now = sealed
	return i.Store.Remake(old, now)
}

func (i *idents) Merges(who id.Person) ([]identity.Merge, error) {
	list, err := i.Store.Merges(who)
	if err != nil {
		return nil, err
	}
	for n := range list {
		if list[n].Moved, err = i.t.openKept(mergeLabel(&list[n]), list[n].Moved); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// groups seals what is known of groups.
type groups struct {
	group.Store
	t *tx
}

func groupLabel(h id.Hash) []byte { return append([]byte("group/"), h[:]...) }

func (g *groups) Group(h id.Hash) ([]byte, error) {
	body, err := g.Store.Group(h)
	if err != nil {
		return nil, err
	}
	return g.t.open(groupLabel(h), body)
}

func (g *groups) SaveGroup(h id.Hash, body []byte) error {
	body, err := g.t.house(groupLabel(h), body)
	if err != nil {
		return err
	}
	return g.Store.SaveGroup(h, body)
}

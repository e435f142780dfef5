package consent

import (
	"encoding/binary"
	"sync/atomic"

	"rapport/internal/id"
	"rapport/internal/purpose"
)

// picture holds, for every subject of which something narrow is known, one word
// of states (two bits a purpose) and one of suppressions. Readers take no lock:
// a slot's key never changes once its second word is published, and slots are
// never freed, only blanked. Keys are keyed hashes, so they are spread already.
type picture struct {
	table atomic.Pointer[table]
	used  int   // by the writer only
	base  int64 // what happened before this tick is in the picture from its loading
}

type table struct {
	mask  uint64
	slots []slot
}

type slot struct {
	key     id.Hash
	tick    int64 // of the last change, by the writer only
	states  atomic.Uint64
	against atomic.Uint64 // suppressions; inUse says that the slot has a key
}

// The bits of the second word: one for each purpose that a suppression forbids,
// then the reasons that stand.
const (
	inUse       uint64 = 1 << 63
	reasonShift        = 32
)

var reasonBits = map[Reason]uint64{
	HardBounce: 1 << reasonShift, Complaint: 2 << reasonShift,
	Unsubscribed: 4 << reasonShift, Manual: 8 << reasonShift,
}

func newPicture(base int64) *picture {
	p := &picture{base: base}
	p.table.Store(&table{mask: 63, slots: make([]slot, 64)})
	return p
}

// look gives the two words of a subject, zero for nothing narrow.
func (p *picture) look(key *id.Hash) (states, against uint64) {
	t := p.table.Load()
	for i := binary.LittleEndian.Uint64(key[:8]) & t.mask; ; i = (i + 1) & t.mask {
		s := &t.slots[i]
		w := s.against.Load()
		if w == 0 {
			return 0, 0
		}
		if s.key == *key {
			return s.states.Load(), w &^ inUse
		}
	}
}

// set replaces a subject's words unless something newer is there. One writer at a time.
func (p *picture) set(key id.Hash, tick int64, states, against uint64) {
	if s := p.find(key, tick, states|against != 0); s != nil {
		s.states.Store(states)
		s.against.Store(against | inUse)
	}
}

// add only ever narrows; used while loading.
func (p *picture) add(key id.Hash, states, against uint64) {
	if s := p.find(key, p.base, true); s != nil {
		s.states.Store(narrower(s.states.Load(), states))
		s.against.Store(s.against.Load() | against | inUse)
	}
}

// tighten narrows a subject at once, whatever tick its slot bears; the tick stays.
func (p *picture) tighten(key id.Hash, states, against uint64) {
	t := p.table.Load()
	i := binary.LittleEndian.Uint64(key[:8]) & t.mask
	for ; t.slots[i].against.Load() != 0; i = (i + 1) & t.mask {
		if s := &t.slots[i]; s.key == key {
			s.states.Store(narrower(s.states.Load(), states))
			s.against.Store(s.against.Load() | against | inUse)
			return
		}
	}
	p.add(key, states, against)
}

// find gives the slot that a change of this tick may write, making one if asked.
func (p *picture) find(key id.Hash, tick int64, create bool) *slot {
	t := p.table.Load()
	i := binary.LittleEndian.Uint64(key[:8]) & t.mask
	for ; t.slots[i].against.Load() != 0; i = (i + 1) & t.mask {
		s := &t.slots[i]
		if s.key != key {
			continue
		}
		if tick < s.tick {
			return nil
		}
		s.tick = tick
		return s
	}
	if !create || tick < p.base {
		return nil
	}
	if p.used*4 >= len(t.slots)*3 {
		p.grow()
		return p.find(key, tick, create)
	}
	p.used++
	s := &t.slots[i]
	s.key, s.tick = key, tick
	return s
}

// grow makes a table twice the size, without the slots that hold nothing.
func (p *picture) grow() {
	old := p.table.Load()
	t := &table{mask: uint64(len(old.slots)*2 - 1), slots: make([]slot, len(old.slots)*2)}
	p.used = 0
	for i := range old.slots {
		s := &old.slots[i]
		states, against := s.states.Load(), s.against.Load()
		if states == 0 && against&^inUse == 0 {
			continue
		}
		j := binary.LittleEndian.Uint64(s.key[:8]) & t.mask
		for t.slots[j].against.Load() != 0 {
			j = (j + 1) & t.mask
		}
		n := &t.slots[j]
		n.key, n.tick = s.key, s.tick
		n.states.Store(states)
		n.against.Store(against)
		p.used++
	}
	p.table.Store(t)
}

// narrower merges two words of states: of each purpose the higher state.
func narrower(a, b uint64) uint64 {
	var out uint64
	for shift := 0; shift < 64; shift += 2 {
		out |= max(a>>shift&3, b>>shift&3) << shift
	}
	return out
}

// load fills an empty picture from the store.
func (p *picture) load(policy *Policy, st Store) error {
	var again []id.Hash
	err := st.EachNarrowing(func(subject id.Hash, h Held) error {
		if policy.family(h.Purpose) {
			again = append(again, subject)
			return nil
		}
		if w := policy.word([]Held{h}); w != 0 {
			p.add(subject, w, 0)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, subject := range again { // A family's state may be outdone by a later word on a member.
		held, err := st.Standing(subject)
		if err != nil {
			return err
		}
		p.add(subject, policy.word(held), 0)
	}
	return st.EachSuppression(func(s Suppression) error {
		p.add(s.Address, 0, policy.forbids(s))
		return nil
	})
}

// word packs what a subject holds: two bits a purpose, zero for nothing narrow.
func (p *Policy) word(held []Held) uint64 {
	w := restriction(held)
	for i, d := range p.list {
		if h, ok := standing(held, d.Name); ok && h.State > Granted {
			w |= uint64(h.State-Granted) << (2 * i)
		}
	}
	return w
}

// forbids packs a suppression: the purposes that it forbids, and its reason.
func (p *Policy) forbids(s Suppression) uint64 {
	w := reasonBits[s.Reason]
	for i, d := range p.list {
		if s.covers(d.Name) {
			w |= 1 << i
		}
	}
	return w
}

// covers tells whether a suppression forbids mail of a purpose: "*" means all,
// "" all but service, and a name means itself and its family.
func (s Suppression) covers(p purpose.Purpose) bool {
	switch s.Purpose {
	case "*":
		return true
	case "":
		return !within(p, purpose.Service)
	}
	return within(p, s.Purpose)
}

// within tells whether a purpose is another one or of its family.
func within(p, family purpose.Purpose) bool {
	return p == family || len(p) > len(family) && p[len(family)] == '.' && p[:len(family)] == family
}

// standing finds what holds for a purpose among all that one subject holds: the
// latest word to arrive about the purpose or a family it belongs to; of words
// that arrived together, the narrower.
func standing(held []Held, p purpose.Purpose) (Held, bool) {
	var best Held
	for _, h := range held {
		if !within(p, h.Purpose) {
			continue
		}
		if best.State == 0 || h.At.After(best.At) || h.At.Equal(best.At) && h.State > best.State {
			best = h
		}
	}
	return best, best.State != 0
}

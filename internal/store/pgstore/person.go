package pgstore

import (
	"maps"
	"slices"
	"sort"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/person"
	"rapport/internal/profile"
	"rapport/internal/segment"
	"rapport/internal/store/rows"
	"rapport/internal/timer"
)

type persons tx

var _ person.Store = (*persons)(nil)

// Load asks once for all that is not known from ahead, and calls fn afterwards, so that
// fn may use the transaction.
func (p *persons) Load(ids []id.Person, fn func(who id.Person, body []byte) error) error {
	if len(ids) == 0 {
		return nil
	}
	if done, err := p.foreseen.load(ids, fn); done {
		return err
	}
	found, rest := (*tx)(p).knownPeople(ids)
	if len(rest) > 0 {
		err := (*tx)(p).query(func(r pgx.Rows) error {
			var who int64
			var raw []byte
			if err := r.Scan(&who, &raw); err != nil {
				return fail(err)
			}
			body, err := unsummed("person", who, raw)
			found.add(who, body)
			return err
		}, "SELECT id, body FROM person WHERE id = ANY($1::bigint[]) ORDER BY id", int64s(rest))
		if err != nil {
			return err
		}
		if !sort.IsSorted(&found) {
			sort.Sort(&found)
		}
	}
	for i, who := range found.ids {
		if err := fn(id.Person(who), found.bodies[i]); err != nil {
			return err
		}
	}
	return nil
}

// Foresee implements person.Store.
func (p *persons) Foresee(ids []id.Person) error {
	f := &p.foreseen
	if f.people == nil {
		f.people = map[id.Person][]byte{}
	}
	open := slices.DeleteFunc(slices.Clone(ids), func(who id.Person) bool { _, ok := f.people[who]; return ok })
	slices.Sort(open)
	open = slices.Compact(open)
	found := make(map[id.Person][]byte, len(open))
	for _, who := range open {
		found[who] = nil
	}
	err := p.Load(open, func(who id.Person, body []byte) error {
		found[who] = body
		return nil
	})
	if err == nil {
		maps.Copy(f.people, found)
	}
	return err
}

// load calls fn for people who were read ahead, where all of them were.
func (f *foreseen) load(ids []id.Person, fn func(who id.Person, body []byte) error) (done bool, err error) {
	for _, who := range ids {
		if _, ok := f.people[who]; !ok {
			return false, nil
		}
	}
	for _, who := range ids {
		if body := f.people[who]; body != nil {
			if err := fn(who, body); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

func int64s(ids []id.Person) []int64 {
	out := make([]int64, len(ids))
	for i, v := range ids {
		out[i] = int64(v)
	}
	return out
}

func (p *persons) Insert(who id.Person, body []byte) error {
	if p.s == nil {
		return errReadOnly
	}
	if int64(who) <= p.s.next.person { // Numbers grow, so this one is asked for.
		var there bool
		_, err := (*tx)(p).one([]any{&there}, "SELECT EXISTS(SELECT FROM person WHERE id = $1)", int64(who))
		if err != nil {
			return err
		}
		if there {
			return fault.New(fault.Conflict, "already_there", "%s has a row already", who)
		}
	}
	delete(p.foreseen.people, who)
	p.s.next.person = max(p.s.next.person, int64(who))
	if p.pending.newPersons == nil {
		p.pending.newPersons = map[id.Person][]byte{}
	}
	p.pending.newPersons[who] = rows.AppendSummed(nil, int64(who), body)
	p.counts[countPersons]++
	return nil
}

// Update is counted when it is sent: there is always a row up to the highest
// number, and none beyond.
func (p *persons) Update(who id.Person, body []byte) error {
	if p.s == nil {
		return errReadOnly
	}
	if int64(who) > p.s.next.person {
		return fault.New(fault.Internal, "person_missing", "%s has no row to update", who)
	}
	delete(p.foreseen.people, who)
	to := &p.pending.persons
	if _, isNew := p.pending.newPersons[who]; isNew {
		to = &p.pending.newPersons
	}
	if *to == nil {
		*to = map[id.Person][]byte{}
	}
	(*to)[who] = rows.AppendSummed(nil, int64(who), body)
	return nil
}

func (p *persons) After(who id.Person, limit int) (out []id.Person, err error) {
	err = (*tx)(p).query(func(r pgx.Rows) error {
		var n int64
		err := r.Scan(&n)
		out = append(out, id.Person(n))
		return fail(err)
	}, "SELECT id FROM person WHERE id > $1 ORDER BY id LIMIT $2", int64(who), limit)
	return out, err
}

func (p *persons) Count() (int64, error) { return (*tx)(p).counted(countPersons) }

type idents tx

var _ identity.Store = (*idents)(nil)

func (s *idents) Lookup(hashes []id.Hash, out []id.Person) error {
	if len(hashes) != len(out) {
		return fault.New(fault.Internal, "lookup_places", "look up %d identifiers into %d places", len(hashes), len(out))
	}
	rest := (*tx)(s).knownNames(hashes, out)
	if len(rest) == 0 {
		return nil
	}
	ask := make([]pgtype.UUID, len(rest))
	for i, at := range rest {
		ask[i] = uuid(hashes[at])
	}
	// A hash may stand among them twice; ordinality keeps each place.
	return (*tx)(s).query(func(r pgx.Rows) error {
		var place, who int64
		err := r.Scan(&place, &who)
		if err == nil {
			out[rest[place-1]] = id.Person(who)
		}
		return fail(err)
	}, "SELECT u.place, i.person FROM unnest($1::uuid[]) WITH ORDINALITY u(h, place) JOIN ident i USING(h)", ask)
}

func (s *idents) Bind(h id.Hash, who id.Person) error {
	if s.s == nil {
		return errReadOnly
	}
	if s.pending.idents == nil {
		s.pending.idents = map[id.Hash]id.Person{}
	}
	s.pending.idents[h] = who
	return nil
}

func (s *idents) Unbind(h id.Hash) error { return s.Bind(h, 0) }

func (s *idents) LastPerson() (last id.Person, err error) {
	var n int64
	_, err = (*tx)(s).one([]any{&n}, "SELECT coalesce(max(id), 0) FROM person")
	return id.Person(n), err
}

func (s *idents) AppendMerge(m identity.Merge) error {
	if s.s == nil {
		return errReadOnly
	}
	s.s.next.merge++
	return (*tx)(s).later("INSERT INTO merge VALUES($1, $2, $3, $4, $5, $6, $7)",
		s.s.next.merge, int64(m.Into), int64(m.From), m.At.UnixMilli(), m.Cause, m.Rule, m.Moved)
}

func (s *idents) Merges(who id.Person) (out []identity.Merge, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var m identity.Merge
		var into, from, at int64
		err := r.Scan(&into, &from, &at, &m.Cause, &m.Rule, &m.Moved)
		m.Into, m.From, m.At = id.Person(into), id.Person(from), unixMilli(at)
		out = append(out, m)
		return fail(err)
	}, "SELECT into_person, from_person, at, cause, rule, moved FROM merge WHERE into_person = $1 OR from_person = $1 ORDER BY seq", int64(who))
	return out, err
}

type packs tx

var _ profile.Store = (*packs)(nil)

func (p *packs) LastPack() (last int64, err error) {
	if p.s != nil { // The writer knows, since nobody else appends.
		return p.s.next.pack, nil
	}
	_, err = (*tx)(p).one([]any{&last}, "SELECT coalesce(max(id), 0) FROM timeline")
	return last, err
}

func (p *packs) AppendPack(pack int64, body []byte) error {
	if p.s == nil {
		return errReadOnly
	}
	p.s.next.pack = max(p.s.next.pack, pack)
	p.pending.packs.add(pack, rows.AppendSummed(nil, pack, body))
	return nil
}

func (p *packs) Pack(pack int64) ([]byte, error) {
	var raw []byte
	found, err := (*tx)(p).one([]any{&raw}, "SELECT body FROM timeline WHERE id = $1", pack)
	if err != nil || !found {
		return nil, err
	}
	return unsummed("timeline", pack, raw)
}

type segments tx

var _ segment.Store = (*segments)(nil)

func (s *segments) AddCounts(delta map[string]int64) error {
	if len(delta) == 0 {
		return nil
	}
	var names []string
	var by []int64
	for name, n := range sorted(delta) {
		names, by = append(names, name), append(by, n)
	}
	return (*tx)(s).later(`INSERT INTO segment_count SELECT * FROM unnest($1::text[], $2::bigint[])
		ON CONFLICT(segment) DO UPDATE SET members = segment_count.members + excluded.members`, names, by)
}

func (s *segments) Counts() (map[string]int64, error) {
	out := make(map[string]int64)
	err := (*tx)(s).query(func(r pgx.Rows) error {
		var name string
		var n int64
		err := r.Scan(&name, &n)
		out[name] = n
		return fail(err)
	}, "SELECT segment, members FROM segment_count")
	return out, err
}

func (s *segments) SaveBackfill(b segment.Backfill) error {
	return (*tx)(s).later(`INSERT INTO backfill VALUES(1, $1, $2, $3, $4) ON CONFLICT(one) DO UPDATE
		SET version = excluded.version, next = excluded.next, last = excluded.last, done = excluded.done`, b.Version, b.Next, b.Last, b.Done)
}

func (s *segments) Backfill() (b segment.Backfill, found bool, err error) {
	found, err = (*tx)(s).one([]any{&b.Version, &b.Next, &b.Last, &b.Done}, "SELECT version, next, last, done FROM backfill")
	return b, found, err
}

type alarms tx

var _ timer.Store = (*alarms)(nil)

func (s *alarms) Arm(a timer.Alarm) error { return s.set(a, true) }

func (s *alarms) Disarm(a timer.Alarm) error { return s.set(a, false) }

func (s *alarms) set(a timer.Alarm, armed bool) error {
	if s.s == nil {
		return errReadOnly
	}
	if s.pending.alarms == nil {
		s.pending.alarms = map[timer.Alarm]bool{}
	}
	s.pending.alarms[a] = armed
	return nil
}

func (s *alarms) DueBy(until int64, after timer.Alarm, limit int) (out []timer.Alarm, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		a, err := readAlarm(r)
		out = append(out, a)
		return err
	}, "SELECT due, person FROM alarm WHERE (due, person) > ($1, $2) AND due <= $3 ORDER BY due, person LIMIT $4",
		after.Due, int64(after.Who), until, limit)
	return out, err
}

func readAlarm(r pgx.Rows) (a timer.Alarm, err error) {
	var who int64
	err = r.Scan(&a.Due, &who)
	a.Who = id.Person(who)
	return a, fail(err)
}

func (s *alarms) Next() (a timer.Alarm, found bool, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		found = true
		a, err = readAlarm(r)
		return err
	}, "SELECT due, person FROM alarm ORDER BY due, person LIMIT 1")
	return a, found, err
}

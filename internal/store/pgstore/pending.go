package pgstore

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/store/rows"
	"rapport/internal/timer"
)

// pending is what a transaction has written and not sent. Of rows that are
// written over only the last stands here. One statement for each table takes
// all its rows, in order of their keys, so that whoever else locks rows meets
// them in the same order.
type pending struct {
	newPersons map[id.Person][]byte
	persons    map[id.Person][]byte
	packs      numbered
	idents     map[id.Hash]id.Person  // zero: forget it
	alarms     map[timer.Alarm]bool   // false: disarm it
	keys       map[id.Hash]id.Message // of mails
	intents    numbered
	newMails   map[id.Message]*standing
	mails      map[id.Message]*standing
	steps      steps
	parts      map[int64][]byte
	relay      numbered
	trail      trailRows
	told       toldRows
	others     []statement
}

// numbered are new rows of a number and a body.
type numbered struct {
	ids    []int64
	bodies [][]byte
}

func (n *numbered) add(number int64, body []byte) {
	n.ids, n.bodies = append(n.ids, number), append(n.bodies, body)
}

// Len, Less and Swap order by number.
func (n *numbered) Len() int           { return len(n.ids) }
func (n *numbered) Less(i, k int) bool { return n.ids[i] < n.ids[k] }
func (n *numbered) Swap(i, k int) {
	n.ids[i], n.ids[k] = n.ids[k], n.ids[i]
	n.bodies[i], n.bodies[k] = n.bodies[k], n.bodies[i]
}

// statement is one that stands for itself.
type statement struct {
	sql  string
	args []any
}

// standing is a row of mail.
type standing struct {
	kept  rows.Kept
	class message.Class
}

// trailRows are new rows of the trail, column by column.
type trailRows struct {
	n, at         []int64
	actor, act    []string
	subject       []pgtype.UUID
	leaf, opening [][]byte
}

// toldRows are new rows of what is to be told, column by column.
type toldRows struct {
	seq, at, person []int64
	kind, flags     []int32
	name            []string
	subject         []pgtype.UUID
	body            [][]byte
}

// steps are new rows of the stories, column by column.
type steps struct {
	seq, mail, prev, n []int64
	state              []int32
	at                 []pgtype.Int8
	reason             []string
	detail             [][]byte
}

func (p *pending) empty() bool {
	return len(p.newPersons)+len(p.persons)+len(p.packs.ids)+len(p.idents)+len(p.alarms)+len(p.keys)+len(p.newMails)+
		len(p.mails)+len(p.steps.seq)+len(p.parts)+len(p.relay.ids)+len(p.trail.n)+len(p.told.seq)+len(p.others) == 0
}

// count adds the transaction's differences of the counters, in order.
func (p *pending) count(counts *[counters]int64) {
	var which []int32
	var by []int64
	for what, n := range counts {
		if n != 0 {
			which, by = append(which, int32(what)), append(by, n)
		}
	}
	if len(which) > 0 {
		p.others = append(p.others, statement{`INSERT INTO counter SELECT * FROM unnest($1::int[], $2::bigint[])
			ON CONFLICT(what) DO UPDATE SET n = counter.n + excluded.n`, []any{which, by}})
	}
	*counts = [counters]int64{}
}

// flush queues everything and forgets it.
func (p *pending) flush(b *pgx.Batch) {
	if p.empty() {
		return
	}
	add := func(sql string, args ...any) { b.Queue(sql, args...) }
	p.flushPeople(add)
	p.flushMails(add)
	p.relay.flush(add, "INSERT INTO relay SELECT * FROM unnest($1::bigint[], $2::bytea[])")
	if t := &p.trail; len(t.n) > 0 {
		add("INSERT INTO trail SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::uuid[], $6::bytea[], $7::bytea[])",
			t.n, t.at, t.actor, t.act, t.subject, t.leaf, t.opening)
	}
	if t := &p.told; len(t.seq) > 0 {
		add("INSERT INTO told SELECT * FROM unnest($1::bigint[], $2::int[], $3::int[], $4::text[], $5::bigint[], $6::bigint[], $7::uuid[], $8::bytea[])",
			t.seq, t.kind, t.flags, t.name, t.at, t.person, t.subject, t.body)
	}
	for _, s := range p.others {
		add(s.sql, s.args...)
	}
	*p = pending{}
}

type adder func(sql string, args ...any)

func (n *numbered) flush(add adder, sql string) {
	if len(n.ids) > 0 {
		add(sql, n.ids, n.bodies)
	}
}

func (p *pending) flushPeople(add adder) {
	if n := len(p.newPersons); n > 0 {
		ids, bodies := columns(p.newPersons)
		add("INSERT INTO person SELECT * FROM unnest($1::bigint[], $2::bytea[])", ids, bodies)
	}
	if n := len(p.persons); n > 0 {
		ids, bodies := columns(p.persons)
		add(`WITH changed AS (UPDATE person p SET body = u.body FROM unnest($1::bigint[], $2::bytea[]) u(id, body) WHERE p.id = u.id RETURNING 1)
			SELECT sqrt(CASE WHEN count(*) = $3 THEN 1 ELSE -1 END) FROM changed`, ids, bodies, n) // Fails unless each had a row.
	}
	p.packs.flush(add, "INSERT INTO timeline SELECT * FROM unnest($1::bigint[], $2::bytea[])")
	p.flushIdents(add)
	p.flushAlarms(add)
}

// columns gives the rows of a map in order of their keys.
func columns[K ~int64](m map[K][]byte) (ids []int64, bodies [][]byte) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		ids, bodies = append(ids, int64(k)), append(bodies, m[k])
	}
	return ids, bodies
}

func (p *pending) flushIdents(add adder) {
	if len(p.idents) == 0 {
		return
	}
	var gone, bound []pgtype.UUID
	var who []int64
	for _, h := range slices.SortedFunc(maps.Keys(p.idents), func(a, b id.Hash) int { return bytes.Compare(a[:], b[:]) }) {
		if p.idents[h] == 0 {
			gone = append(gone, uuid(h))
			continue
		}
		bound, who = append(bound, uuid(h)), append(who, int64(p.idents[h]))
	}
	if len(gone) > 0 {
		add("DELETE FROM ident WHERE h = ANY($1::uuid[])", gone)
	}
	if len(bound) > 0 {
		add(`INSERT INTO ident SELECT * FROM unnest($1::uuid[], $2::bigint[])
			ON CONFLICT(h) DO UPDATE SET person = excluded.person`, bound, who)
	}
}

func (p *pending) flushAlarms(add adder) {
	if len(p.alarms) == 0 {
		return
	}
	var due, who [2][]int64
	order := func(a, b timer.Alarm) int { return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Who, b.Who)) }
	for _, a := range slices.SortedFunc(maps.Keys(p.alarms), order) {
		i := 0
		if p.alarms[a] {
			i = 1
		}
		due[i], who[i] = append(due[i], a.Due), append(who[i], int64(a.Who))
	}
	if len(due[0]) > 0 {
		add("DELETE FROM alarm a USING unnest($1::bigint[], $2::bigint[]) u(due, person) WHERE a.due = u.due AND a.person = u.person", due[0], who[0])
	}
	if len(due[1]) > 0 {
		add("INSERT INTO alarm SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING", due[1], who[1])
	}
}

func (p *pending) flushKeys(add adder) {
	if len(p.keys) == 0 {
		return
	}
	var keys, mails []pgtype.UUID
	for _, h := range slices.SortedFunc(maps.Keys(p.keys), func(a, b id.Hash) int { return bytes.Compare(a[:], b[:]) }) {
		keys, mails = append(keys, uuid(h)), append(mails, uuid(p.keys[h]))
	}
	add(`WITH taken AS (INSERT INTO mail_key SELECT * FROM unnest($1::uuid[], $2::uuid[]) ON CONFLICT DO NOTHING RETURNING 1)
		SELECT ln(CASE WHEN count(*) = $3 THEN 1 ELSE 0 END) FROM taken`, keys, mails, len(keys)) // Fails where one was taken already.
}

func (p *pending) flushMails(add adder) {
	p.flushKeys(add)
	p.intents.flush(add, "INSERT INTO intent SELECT * FROM unnest($1::bigint[], $2::bytea[])")
	if len(p.newMails) > 0 {
		add("INSERT INTO mail "+mailArrays+mailFrom, mailColumnsOf(p.newMails)...)
	}
	if len(p.mails) > 0 {
		add(`UPDATE mail m SET state = u.state, attempts = u.attempts, token = u.token, lease = u.lease, due = u.due,
			message_id = u.message_id, duplicate = u.duplicate, steps = u.steps, story = u.story, owed = u.owed, busy = u.busy
			FROM (`+mailArrays+mailFrom+`) u WHERE m.id = u.id`, mailColumnsOf(p.mails)...)
	}
	if s := &p.steps; len(s.seq) > 0 {
		add(`INSERT INTO step SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::int[], $6::bigint[], $7::text[], $8::bytea[])`,
			s.seq, s.mail, s.prev, s.n, s.state, s.at, s.reason, s.detail)
	}
	if len(p.parts) > 0 {
		ids, bodies := columns(p.parts)
		add(`INSERT INTO parts SELECT * FROM unnest($1::bigint[], $2::bytea[])
			ON CONFLICT(seq) DO UPDATE SET body = excluded.body`, ids, bodies)
	}
}

// mailArrays gives rows of mail out of columns.
const (
	mailArrays = `SELECT id, seq, person, class, state, attempts, token, lease, due, message_id, duplicate, steps, story,
		CASE WHEN state IN (1, 5) THEN class END AS owed, CASE WHEN state IN (2, 3, 8) THEN 1 END AS busy`
	mailFrom = ` FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::int[], $5::int[], $6::int[], $7::bigint[], $8::bigint[],
		$9::bigint[], $10::text[], $11::boolean[], $12::bigint[], $13::bigint[])
		AS n(id, seq, person, class, state, attempts, token, lease, due, message_id, duplicate, steps, story)`
)

func mailColumnsOf(m map[id.Message]*standing) []any {
	var (
		ids                                 []pgtype.UUID
		seq, who, token, due, length, story []int64
		class, state, attempts              []int32
		lease                               []pgtype.Int8
		messageID                           []string
		duplicate                           []bool
		order                               = func(a, b id.Message) int { return bytes.Compare(a[:], b[:]) }
	)
	for _, k := range slices.SortedFunc(maps.Keys(m), order) {
		s := m[k]
		mail := &s.kept.Mail
		ids, seq, who = append(ids, uuid(k)), append(seq, s.kept.Seq), append(who, int64(mail.Person))
		class, state = append(class, int32(mail.Class)), append(state, int32(mail.State))
		attempts = append(attempts, int32(min(mail.Attempts, 1<<30)))
		token, lease, due = append(token, mail.Token), append(lease, millis(mail.LeaseEnds)), append(due, rows.DueMillis(mail.NotBefore))
		messageID, duplicate = append(messageID, mail.MessageID), append(duplicate, mail.Duplicate)
		length, story = append(length, s.kept.Steps), append(story, s.kept.Story)
	}
	return []any{ids, seq, who, class, state, attempts, token, lease, due, messageID, duplicate, length, story}
}

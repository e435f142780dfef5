package sqlitestore

import (
	"math"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store/rows"
)

// mails keeps where each mail stands in narrow rows that many share a page, in
// order of their ids and so of time; what it is stands apart, written once.
type mails tx

var _ outbox.Store = (*mails)(nil)

var errReadOnly = fault.New(fault.Internal, "read_only", "this transaction may only read")

func (s *mails) Insert(in message.Intent, at time.Time) (id.Message, bool, error) {
	if s.s == nil {
		return id.Message{}, false, errReadOnly
	}
	if in.Class < message.Transactional || in.Class > message.Broadcast || in.ID.IsZero() {
		return id.Message{}, false, fault.New(fault.Invalid, "malformed_intent", "a mail needs an id and a known class")
	}
	h := outbox.KeyHash(in.Key)
	q := s.c.query("INSERT INTO mail_key(h, id) VALUES(?, ?) ON CONFLICT DO NOTHING")
	q.blob(h[:])
	q.blob(in.ID[:])
	added, err := q.execOne()
	if err != nil {
		return id.Message{}, false, err
	}
	if !added {
		old, _, err := s.ByKey(in.Key)
		return old, false, err
	}
	s.s.mailSeq++
	seq := s.s.mailSeq
	s.buf = rows.AppendIntent(s.buf[:0], &in)
	kind, err := rows.ReadIntent(s.buf) // as everybody will read it, and with bytes of its own
	if err != nil {
		return id.Message{}, false, err
	}
	s.buf = rows.AppendSum(s.buf, seq)
	q = s.c.query("INSERT INTO intent(seq, body) VALUES(?, ?)")
	q.int(seq)
	q.blob(s.buf)
	if err := q.exec(); err != nil {
		return id.Message{}, false, err
	}
	told, err := s.step(seq, 0, 1, &outbox.Step{State: message.Pending, At: at})
	if err != nil {
		return id.Message{}, false, err
	}
	q = s.c.query(`INSERT INTO mail(id, seq, person, class, state, attempts, token, lease, due, message_id, duplicate, steps, story, owed, busy)
		VALUES(?1, ?2, ?3, ?4, 1, 0, 0, NULL, ?5, '', 0, 1, ?6, ?4, NULL)`)
	q.blob(in.ID[:])
	q.int(seq)
	q.int(int64(in.Person))
	q.int(int64(in.Class))
	q.int(rows.DueMillis(in.Due))
	q.int(told)
	if err := q.exec(); err != nil {
		return id.Message{}, false, err
	}
	s.counts[message.Pending]++
	k := rows.Kept{Seq: seq, Steps: 1, Story: told}
	k.Mail.Intent = kind
	k.Mail.ID, k.Mail.Person, k.Mail.State, k.Mail.NotBefore = in.ID, in.Person, message.Pending, rows.DueTime(rows.DueMillis(in.Due))
	s.s.hot.Keep(in.ID, &k)
	return in.ID, true, nil
}

func (s *mails) ByKey(key string) (m id.Message, found bool, err error) {
	h := outbox.KeyHash(key)
	q := s.c.query("SELECT id FROM mail_key WHERE h = ?")
	q.blob(h[:])
	if q.step() {
		m, found = id.Message(q.colHash(0)), true
	}
	return m, found, q.done()
}

func (s *mails) Keys(after id.Hash, limit int) ([]id.Hash, error) {
	q := s.c.query("SELECT h FROM mail_key WHERE h > ? ORDER BY h LIMIT ?")
	q.blob(after[:])
	q.int(int64(limit))
	var out []id.Hash
	for q.step() {
		out = append(out, q.colHash(0))
	}
	return out, q.done()
}

// mailColumns are what readMail reads.
const mailColumns = `m.id, m.seq, m.person, m.state, m.attempts, m.token, m.lease, m.due, m.message_id, m.duplicate, i.body`

// mailRows is where they stand.
const mailRows = mailColumns + " FROM mail m JOIN intent i ON i.seq = m.seq "

func (s *mails) Get(m id.Message) (outbox.Mail, bool, error) {
	if s.s != nil {
		k, err := s.standing(m)
		if k == nil || err != nil {
			return outbox.Mail{}, false, err
		}
		return k.Mail, true, nil
	}
	q := s.c.query("SELECT " + mailRows + "WHERE m.id = ?")
	q.blob(m[:])
	out, err := s.collect(q, nil)
	if err != nil || len(out) == 0 {
		return outbox.Mail{}, false, err
	}
	return out[0], true, nil
}

func (s *mails) Named(ids []id.Message) (out []outbox.Mail, err error) {
	for _, one := range ids { // The file is here: nothing is won by asking for all at once.
		m, found, err := s.Get(one)
		if err != nil {
			return nil, err
		}
		if found {
			out = append(out, m)
		}
	}
	return out, nil
}

func (s *mails) collect(q query, out []outbox.Mail) ([]outbox.Mail, error) {
	for q.step() {
		m, err := s.read(&q)
		if err != nil {
			_ = q.done() // The first error is the one that counts.
			return nil, err
		}
		out = append(out, m)
	}
	return out, q.done()
}

func (s *mails) read(q *query) (m outbox.Mail, err error) {
	seq := q.colInt(1)
	body, err := s.c.checked("intent", seq, q.colRaw(10))
	if err != nil {
		return m, err
	}
	if m.Intent, err = rows.ReadIntent(body); err != nil {
		return m, damagedFile(s.c.file, "a mail", err)
	}
	m.Intent.ID = id.Message(q.colHash(0))
	m.Intent.Person = id.Person(q.colInt(2)) // It may have been given to another since.
	m.State = message.State(q.colInt(3))
	m.Attempts = int(q.colInt(4))
	m.Token = q.colInt(5)
	m.LeaseEnds = q.colTime(6)
	m.NotBefore = rows.DueTime(q.colInt(7))
	m.MessageID = q.colText(8)
	m.Duplicate = q.colInt(9) != 0
	return m, nil
}

// Owed reads class by class along the index of unfinished mails.
func (s *mails) Owed(until time.Time, limit int) (out []outbox.Mail, err error) {
	for class := message.Transactional; class <= message.Broadcast && len(out) < limit; class++ {
		q := s.c.query("SELECT " + mailRows + `WHERE m.owed = ? AND m.due <= ? ORDER BY m.due, m.id LIMIT ?`)
		q.int(int64(class))
		q.int(until.UnixMilli())
		q.int(int64(limit - len(out)))
		if out, err = s.collect(q, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *mails) NextOwed(after time.Time) (time.Time, bool, error) {
	least, found := int64(math.MaxInt64), false
	for class := message.Transactional; class <= message.Broadcast; class++ {
		q := s.c.query("SELECT due FROM mail WHERE owed = ? AND due > ? ORDER BY due LIMIT 1")
		q.int(int64(class))
		q.int(after.UnixMilli())
		if q.step() {
			least, found = min(least, q.colInt(0)), true
		}
		if err := q.done(); err != nil {
			return time.Time{}, false, err
		}
	}
	if !found {
		return time.Time{}, false, nil
	}
	return rows.DueTime(least), true, nil
}

func (s *mails) InState(state message.State, after id.Message, limit int) ([]outbox.Mail, error) {
	sql := "SELECT " + mailRows + "WHERE m.state = ? AND m.id > ? ORDER BY m.id LIMIT ?"
	if busy(state) {
		sql = "SELECT " + mailRows + "WHERE m.busy = 1 AND m.state = ? AND m.id > ? ORDER BY m.id LIMIT ?"
	}
	q := s.c.query(sql)
	q.int(int64(state))
	q.blob(after[:])
	q.int(int64(limit))
	return s.collect(q, nil)
}

// busy tells whether somebody holds a mail in this state, or nobody knows.
func busy(state message.State) bool {
	return state == message.Claimed || state == message.HandingOver || state == message.Uncertain
}

// standing gives what the writer knows of a mail, nil when there is none.
func (s *mails) standing(m id.Message) (*rows.Kept, error) {
	if k := s.s.hot.Find(m); k != nil {
		return k, nil
	}
	q := s.c.query("SELECT " + mailColumns + ", m.steps, m.story FROM mail m JOIN intent i ON i.seq = m.seq WHERE m.id = ?")
	q.blob(m[:])
	var k *rows.Kept
	if q.step() {
		mail, err := s.read(&q)
		if err != nil {
			_ = q.done() // The first error is the one that counts.
			return nil, err
		}
		k = &rows.Kept{Mail: mail, Seq: q.colInt(1), Steps: q.colInt(11), Story: q.colInt(12)}
	}
	if err := q.done(); err != nil || k == nil {
		return nil, err
	}
	s.s.hot.Keep(m, k)
	return k, nil
}

func (s *mails) Move(m *outbox.Mail, told ...outbox.Step) error {
	if s.s == nil {
		return errReadOnly
	}
	k, err := s.standing(m.ID)
	switch {
	case err != nil:
		return err
	case k == nil:
		return errNoMail(m.ID)
	case k.Mail.Token != m.Token:
		return outbox.ErrStale
	}
	old, token, steps, story := k.Mail.State, k.Mail.Token, k.Steps, k.Story
	for i := range told {
		steps++
		if story, err = s.step(k.Seq, story, steps, &told[i]); err != nil {
			return err
		}
	}
	// From hand to hand the indexes stay as they are.
	sql := `UPDATE mail SET state = ?2, attempts = ?3, token = ?4, lease = ?5, message_id = ?6, duplicate = ?7, steps = ?8,
		due = ?9, story = ?10 WHERE id = ?1`
	if !busy(old) || !busy(m.State) {
		sql = `UPDATE mail SET state = ?2, attempts = ?3, token = ?4, lease = ?5, message_id = ?6, duplicate = ?7, steps = ?8,
		due = ?9, story = ?10, owed = iif(?11, class, NULL), busy = iif(?12, 1, NULL) WHERE id = ?1`
	}
	q := s.c.query(sql)
	q.blob(m.ID[:])
	q.int(int64(m.State))
	q.int(int64(m.Attempts))
	q.int(token + 1)
	q.time(m.LeaseEnds)
	q.text(m.MessageID)
	q.bool(m.Duplicate)
	q.int(steps)
	q.int(rows.DueMillis(m.NotBefore))
	q.int(story)
	if !busy(old) || !busy(m.State) {
		q.bool(m.State == message.Pending || m.State == message.Deferred)
		q.bool(busy(m.State))
	}
	if err := q.exec(); err != nil {
		return err
	}
	s.counts[old%counters]--
	s.counts[m.State%counters]++
	m.Token = token + 1
	k.Steps, k.Story = steps, story
	k.Move(m)
	return nil
}

func errNoMail(m id.Message) error {
	return fault.New(fault.NotFound, "mail_unknown", "there is no mail %s", m)
}

// step appends a row to the story of a mail, behind the row prev.
func (s *mails) step(mail, prev, n int64, step *outbox.Step) (seq int64, err error) {
	s.s.stepSeq++
	seq = s.s.stepSeq
	q := s.c.query("INSERT INTO step(seq, mail, prev, n, state, at, reason, detail) VALUES(?, ?, ?, ?, ?, ?, ?, ?)")
	q.int(seq)
	q.int(mail)
	q.int(prev)
	q.int(n)
	q.int(int64(step.State))
	q.time(step.At)
	q.text(step.Reason)
	q.blob(step.Detail)
	return seq, q.exec()
}

func (s *mails) Note(m id.Message, step outbox.Step) error {
	if s.s == nil {
		return errReadOnly
	}
	k, err := s.standing(m)
	if err != nil {
		return err
	}
	if k == nil {
		return errNoMail(m)
	}
	seq, err := s.step(k.Seq, k.Story, k.Steps+1, &step)
	if err != nil {
		return err
	}
	q := s.c.query("UPDATE mail SET steps = ?2, story = ?3 WHERE id = ?1")
	q.blob(m[:])
	q.int(k.Steps + 1)
	q.int(seq)
	if err := q.exec(); err != nil {
		return err
	}
	k.Steps, k.Story = k.Steps+1, seq
	return nil
}

// storyRows follows a mail's story from its end.
const storyRows = `WITH RECURSIVE story(prev, n, state, at, reason, detail) AS (
	SELECT prev, n, state, at, reason, detail FROM step WHERE seq = (SELECT story FROM mail WHERE id = ?)
	UNION ALL SELECT s.prev, s.n, s.state, s.at, s.reason, s.detail FROM story JOIN step s ON s.seq = story.prev)
	SELECT n, state, at, reason, detail FROM story ORDER BY n`

func (s *mails) Story(m id.Message) ([]outbox.Step, error) {
	q := s.c.query(storyRows)
	q.blob(m[:])
	var out []outbox.Step
	for q.step() {
		out = append(out, outbox.Step{
			Seq: int(q.colInt(0)), State: message.State(q.colInt(1)), At: q.colTime(2),
			Reason: q.colText(3), Detail: q.colBlob(4),
		})
	}
	return out, q.done()
}

func (s *mails) Newest(state message.State, before id.Message, limit int) ([]outbox.Mail, error) {
	sql := "SELECT " + mailRows + "WHERE m.id < ? AND ? IN (0, m.state) ORDER BY m.id DESC LIMIT ?"
	if busy(state) {
		sql = "SELECT " + mailRows + "WHERE m.id < ? AND m.busy = 1 AND m.state = ? ORDER BY m.id DESC LIMIT ?"
	}
	if before.IsZero() {
		before = lastMail
	}
	q := s.c.query(sql)
	q.blob(before[:])
	q.int(int64(state))
	q.int(int64(limit))
	return s.collect(q, nil)
}

func (s *mails) Older(after id.Message, before time.Time, limit int) ([]outbox.Mail, error) {
	first := id.FirstMessage(before)
	q := s.c.query("SELECT " + mailRows + "WHERE m.id > ? AND m.id < ? ORDER BY m.id LIMIT ?")
	q.blob(after[:])
	q.blob(first[:])
	q.int(int64(limit))
	return s.collect(q, nil)
}

// lastMail is above the id of every mail for thousands of years.
var lastMail = id.Message{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (s *mails) Counts() (map[message.State]int64, error) {
	out := make(map[message.State]int64)
	for state := message.Pending; state <= message.Resolved; state++ {
		n, err := (*tx)(s).counted(int(state))
		if err != nil {
			return nil, err
		}
		if n != 0 {
			out[state] = n
		}
	}
	return out, nil
}

func (s *mails) Duplicates() (n int64, err error) {
	q := s.c.query("SELECT count(*) FROM mail WHERE duplicate = 1")
	if q.step() {
		n = q.colInt(0)
	}
	return n, q.done()
}

func (s *mails) SaveParts(m id.Message, parts []byte) error {
	seq, err := s.seq(m)
	if err != nil {
		return err
	}
	s.buf = rows.AppendSummed(s.buf[:0], seq, parts)
	q := s.c.query("INSERT INTO parts(seq, body) VALUES(?, ?) ON CONFLICT(seq) DO UPDATE SET body = excluded.body")
	q.int(seq)
	q.blob(s.buf)
	return q.exec()
}

func (s *mails) Parts(m id.Message) ([]byte, error) {
	q := s.c.query("SELECT seq, body FROM parts WHERE seq = (SELECT seq FROM mail WHERE id = ?)")
	q.blob(m[:])
	var seq int64
	var raw []byte
	if q.step() {
		seq, raw = q.colInt(0), q.colBlob(1)
	}
	if err := q.done(); err != nil || raw == nil {
		return nil, err
	}
	return s.c.checked("parts", seq, raw)
}

func (s *mails) seq(m id.Message) (seq int64, err error) {
	if s.s != nil {
		if k := s.s.hot.Find(m); k != nil {
			return k.Seq, nil
		}
	}
	q := s.c.query("SELECT seq FROM mail WHERE id = ?")
	q.blob(m[:])
	found := q.step()
	if found {
		seq = q.colInt(0)
	}
	if err = q.done(); err == nil && !found {
		err = errNoMail(m)
	}
	return seq, err
}

func (s *mails) Reserve(who id.Person, m id.Message, at time.Time) error {
	q := s.c.query(`INSERT INTO cap(id, person, at) VALUES(?, ?, ?)
		ON CONFLICT(id) DO UPDATE SET person = excluded.person, at = excluded.at`)
	q.blob(m[:])
	q.int(int64(who))
	q.int(at.UnixMilli())
	return q.exec()
}

func (s *mails) Release(m id.Message) error {
	q := s.c.query("DELETE FROM cap WHERE id = ?")
	q.blob(m[:])
	return q.exec()
}

func (s *mails) Used(who id.Person, after time.Time) (int, error) {
	q := s.c.query(`SELECT (SELECT count(*) FROM cap WHERE person = ?1 AND at > ?2) +
		(SELECT count(*) FROM cap WHERE id IN (SELECT mail FROM mail_shared WHERE person = ?1) AND person != ?1 AND at > ?2)`)
	q.int(int64(who))
	q.int(after.UnixMilli())
	var n int64
	if q.step() {
		n = q.colInt(0)
	}
	return int(n), q.done()
}

// DropUses looks only at mails that were decided before: their ids come first.
func (s *mails) DropUses(before time.Time, limit int) (int, error) {
	first := id.FirstMessage(before)
	q := s.c.query("DELETE FROM cap WHERE id IN (SELECT id FROM cap WHERE id < ? AND at < ? ORDER BY id LIMIT ?)")
	q.blob(first[:])
	q.int(before.UnixMilli())
	q.int(int64(limit))
	if err := q.exec(); err != nil {
		return 0, err
	}
	return int(s.c.db.Changes()), nil
}

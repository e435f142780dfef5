package pgstore

import (
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store/rows"
)

// mails keeps where each mail stands in narrow rows, and what it is in rows of
// their own, written once.
type mails tx

var _ outbox.Store = (*mails)(nil)

func (s *mails) Insert(in message.Intent, at time.Time) (id.Message, bool, error) {
	if s.s == nil {
		return id.Message{}, false, errReadOnly
	}
	if in.Class < message.Transactional || in.Class > message.Broadcast || in.ID.IsZero() {
		return id.Message{}, false, fault.New(fault.Invalid, "malformed_intent", "a mail needs an id and a known class")
	}
	if old, taken, err := s.takeKey(outbox.KeyHash(in.Key), in.ID); err != nil || taken {
		return old, false, err
	}
	s.s.next.mail++
	seq := s.s.next.mail
	body := rows.AppendIntent(nil, &in)
	kind, err := rows.ReadIntent(body) // as everybody will read it, and with bytes of its own
	if err != nil {
		return id.Message{}, false, err
	}
	s.pending.intents.add(seq, rows.AppendSum(body, seq))
	k := rows.Kept{Seq: seq, Steps: 1, Story: s.step(seq, 0, 1, &outbox.Step{State: message.Pending, At: at})}
	k.Mail.Intent = kind
	k.Mail.ID, k.Mail.Person, k.Mail.State = in.ID, in.Person, message.Pending
	k.Mail.NotBefore = rows.DueTime(rows.DueMillis(in.Due))
	s.counts[message.Pending]++
	if s.pending.newMails == nil {
		s.pending.newMails = map[id.Message]*standing{}
	}
	s.pending.newMails[in.ID] = &standing{kept: k, class: in.Class}
	s.s.hot.Keep(in.ID, &k)
	return in.ID, true, nil
}

// takeKey takes a key for a mail, or tells whose it is. That a key is new is nearly
// always so, and not asked: where the database finds one that is there, it takes the
// whole transaction back, and the next ones ask first.
func (s *mails) takeKey(h id.Hash, m id.Message) (of id.Message, taken bool, err error) {
	if old, ok := s.keys[h]; ok {
		return old, true, nil
	}
	if s.s.askKeys > 0 {
		if of, taken, err = s.byHash(h); err != nil || taken {
			return of, taken, err
		}
	}
	if s.keys == nil {
		s.keys = map[id.Hash]id.Message{}
	}
	s.keys[h] = m
	if s.pending.keys == nil {
		s.pending.keys = map[id.Hash]id.Message{}
	}
	s.pending.keys[h] = m
	return id.Message{}, false, nil
}

// asksAfter is how many transactions ask for each key after one met a key that was
// taken: where one is sent again, more are.
const asksAfter = 100

func (s *mails) ByKey(key string) (id.Message, bool, error) { return s.byHash(outbox.KeyHash(key)) }

func (s *mails) byHash(h id.Hash) (id.Message, bool, error) {
	var m pgtype.UUID
	found, err := (*tx)(s).one([]any{&m}, "SELECT id FROM mail_key WHERE h = $1", uuid(h))
	return id.Message(m.Bytes), found, err
}

func (s *mails) Keys(after id.Hash, limit int) (out []id.Hash, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var h pgtype.UUID
		err := r.Scan(&h)
		out = append(out, h.Bytes)
		return fail(err)
	}, "SELECT h FROM mail_key WHERE h > $1 ORDER BY h LIMIT $2", uuid(after), limit)
	return out, err
}

// mailRows is what readMail reads and where it stands.
const mailRows = `SELECT m.id, m.seq, m.person, m.state, m.attempts, m.token, m.lease, m.due, m.message_id, m.duplicate, m.steps, m.story, i.body
	FROM mail m JOIN intent i ON i.seq = m.seq `

func readMail(r pgx.Rows) (k rows.Kept, err error) {
	var (
		mid   pgtype.UUID
		raw   []byte
		who   int64
		state int16
		due   int64
		lease pgtype.Int8
		m     = &k.Mail
	)
	if err := r.Scan(&mid, &k.Seq, &who, &state, &m.Attempts, &m.Token, &lease, &due, &m.MessageID, &m.Duplicate, &k.Steps, &k.Story, &raw); err != nil {
		return k, fail(err)
	}
	body, err := unsummed("intent", k.Seq, raw)
	if err != nil {
		return k, err
	}
	if m.Intent, err = rows.ReadIntent(body); err != nil {
		return k, err
	}
	m.ID, m.Person = mid.Bytes, id.Person(who) // It may have been given to another since.
	m.State, m.LeaseEnds, m.NotBefore = message.State(state), instant(lease), rows.DueTime(due)
	return k, nil
}

func (s *mails) list(sql string, args ...any) (out []outbox.Mail, err error) {
	err = (*tx)(s).query(s.into(&out), mailRows+sql, args...)
	return out, err
}

// into adds each mail of an answer to a list. The writer remembers them: what
// moves next is one of those that were listed.
func (s *mails) into(out *[]outbox.Mail) func(pgx.Rows) error {
	return func(r pgx.Rows) error {
		k, err := readMail(r)
		if err == nil && s.s != nil && s.s.hot.Find(k.Mail.ID) == nil {
			s.s.hot.Keep(k.Mail.ID, &k)
		}
		*out = append(*out, k.Mail)
		return err
	}
}

// Named asks once for all that are not remembered.
func (s *mails) Named(ids []id.Message) ([]outbox.Mail, error) {
	found := make(map[id.Message]outbox.Mail, len(ids))
	var open []pgtype.UUID
	for _, m := range ids {
		if s.s != nil {
			if k := s.s.hot.Find(m); k != nil {
				found[m] = k.Mail
				continue
			}
		}
		open = append(open, uuid(m))
	}
	if len(open) > 0 {
		list, err := s.list("WHERE m.id = ANY($1::uuid[])", open)
		if err != nil {
			return nil, err
		}
		for i := range list {
			found[list[i].ID] = list[i]
		}
	}
	out := make([]outbox.Mail, 0, len(found))
	for _, m := range ids {
		if mail, ok := found[m]; ok {
			out = append(out, mail)
		}
	}
	return out, nil
}

func (s *mails) Get(m id.Message) (outbox.Mail, bool, error) {
	k, err := s.standing(m)
	if k == nil || err != nil {
		return outbox.Mail{}, false, err
	}
	return k.Mail, true, nil
}

// standing gives a mail as its rows are, nil when there is none. The writer
// remembers those that it has moved of late.
func (s *mails) standing(m id.Message) (k *rows.Kept, err error) {
	if s.s != nil {
		if k := s.s.hot.Find(m); k != nil {
			return k, nil
		}
	}
	err = (*tx)(s).query(func(r pgx.Rows) error {
		found, err := readMail(r)
		k = &found
		return err
	}, mailRows+"WHERE m.id = $1", uuid(m))
	if err != nil {
		return nil, err
	}
	if k != nil && s.s != nil {
		s.s.hot.Keep(m, k)
	}
	return k, nil
}

// Owed reads class by class along the index of unfinished mails.
func (s *mails) Owed(until time.Time, limit int) (out []outbox.Mail, err error) {
	for class := message.Transactional; class <= message.Broadcast && len(out) < limit; class++ {
		part, err := s.list("WHERE m.owed = $1 AND m.due <= $2 ORDER BY m.due, m.id LIMIT $3", int(class), until.UnixMilli(), limit-len(out))
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	return out, nil
}

func (s *mails) NextOwed(after time.Time) (time.Time, bool, error) {
	var due pgtype.Int8
	_, err := (*tx)(s).one([]any{&due}, `SELECT min(due) FROM (SELECT (SELECT min(due) FROM mail WHERE owed = c AND due > $3) AS due FROM generate_series($1::int, $2::int) c) d`,
		int(message.Transactional), int(message.Broadcast), after.UnixMilli())
	if err != nil || !due.Valid {
		return time.Time{}, false, err
	}
	return rows.DueTime(due.Int64), true, nil
}

func (s *mails) InState(state message.State, after id.Message, limit int) ([]outbox.Mail, error) {
	where := ""
	if busy(state) {
		where = "m.busy = 1 AND "
	}
	return s.list("WHERE "+where+"m.state = $1 AND m.id > $2 ORDER BY m.id LIMIT $3", int(state), uuid(after), limit)
}

// busy tells whether somebody holds a mail in this state, or nobody knows.
func busy(state message.State) bool {
	return state == message.Claimed || state == message.HandingOver || state == message.Uncertain
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
	s.counts[k.Mail.State%counters]--
	s.counts[m.State%counters]++
	m.Token++
	for i := range told {
		k.Steps++
		k.Story = s.step(k.Seq, k.Story, k.Steps, &told[i])
	}
	k.Move(m)
	s.wrote(k)
	return nil
}

// wrote takes the mail's row along with the next statement.
func (s *mails) wrote(k *rows.Kept) {
	to := &s.pending.mails
	if _, isNew := s.pending.newMails[k.Mail.ID]; isNew {
		to = &s.pending.newMails
	}
	if *to == nil {
		*to = map[id.Message]*standing{}
	}
	(*to)[k.Mail.ID] = &standing{kept: *k, class: k.Mail.Class}
}

func errNoMail(m id.Message) error {
	return fault.New(fault.NotFound, "mail_unknown", "there is no mail %s", m)
}

// step appends a row to the story of a mail, behind the row prev.
func (s *mails) step(mail, prev, n int64, step *outbox.Step) int64 {
	s.s.next.step++
	p := &s.pending.steps
	p.seq, p.mail, p.prev, p.n = append(p.seq, s.s.next.step), append(p.mail, mail), append(p.prev, prev), append(p.n, n)
	p.state, p.at = append(p.state, int32(step.State)), append(p.at, millis(step.At))
	p.reason, p.detail = append(p.reason, step.Reason), append(p.detail, step.Detail)
	return s.s.next.step
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
	k.Steps++
	k.Story = s.step(k.Seq, k.Story, k.Steps, &step)
	s.wrote(k)
	return nil
}

func (s *mails) Story(m id.Message) (out []outbox.Step, err error) {
	var last int64
	if _, err := (*tx)(s).one([]any{&last}, "SELECT story FROM mail WHERE id = $1", uuid(m)); err != nil {
		return nil, err
	}
	err = s.eachStep(last, func(_ int64, step *outbox.Step) { out = append(out, *step) })
	slices.Reverse(out)
	return out, err
}

// eachStep follows a story back from its last step, one by one: a query that calls
// itself over rows of many nodes is more than every database of this kind takes.
func (s *mails) eachStep(last int64, fn func(seq int64, step *outbox.Step)) error {
	for last != 0 {
		var step outbox.Step
		var state int16
		var at pgtype.Int8
		seq := last
		found, err := (*tx)(s).one([]any{&last, &step.Seq, &state, &at, &step.Reason, &step.Detail},
			"SELECT prev, n, state, at, reason, detail FROM step WHERE seq = $1", seq)
		if err != nil || !found {
			return err
		}
		step.State, step.At = message.State(state), instant(at)
		fn(seq, &step)
	}
	return nil
}

func (s *mails) Newest(state message.State, before id.Message, limit int) ([]outbox.Mail, error) {
	where := ""
	if busy(state) {
		where = "m.busy = 1 AND "
	}
	if before.IsZero() {
		before = lastMail
	}
	return s.list("WHERE "+where+"m.id < $1 AND $2::int IN (0, m.state) ORDER BY m.id DESC LIMIT $3", uuid(before), int(state), limit)
}

func (s *mails) Older(after id.Message, before time.Time, limit int) ([]outbox.Mail, error) {
	return s.list("WHERE m.id > $1 AND m.id < $2 ORDER BY m.id LIMIT $3", uuid(after), uuid(id.FirstMessage(before)), limit)
}

// lastMail is above the id of every mail for thousands of years.
var lastMail = id.Message{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (s *mails) Counts() (map[message.State]int64, error) {
	out := make(map[message.State]int64)
	err := (*tx)(s).query(func(r pgx.Rows) error {
		var what int16
		var n int64
		err := r.Scan(&what, &n)
		out[message.State(what)] = n
		return fail(err)
	}, "SELECT what, n FROM counter WHERE what > 0")
	for state := message.Pending; state <= message.Resolved; state++ {
		if out[state] += s.counts[state]; out[state] == 0 {
			delete(out, state)
		}
	}
	return out, err
}

func (s *mails) Duplicates() (n int64, err error) {
	_, err = (*tx)(s).one([]any{&n}, "SELECT count(*) FROM mail WHERE duplicate")
	return n, err
}

func (s *mails) SaveParts(m id.Message, parts []byte) error {
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
	if s.pending.parts == nil {
		s.pending.parts = map[int64][]byte{}
	}
	s.pending.parts[k.Seq] = rows.AppendSummed(nil, k.Seq, parts)
	return nil
}

func (s *mails) Parts(m id.Message) ([]byte, error) {
	var seq int64
	var raw []byte
	found, err := (*tx)(s).one([]any{&seq, &raw}, "SELECT seq, body FROM parts WHERE seq = (SELECT seq FROM mail WHERE id = $1)", uuid(m))
	if err != nil || !found {
		return nil, err
	}
	return unsummed("parts", seq, raw)
}

func (s *mails) Reserve(who id.Person, m id.Message, at time.Time) error {
	return (*tx)(s).later("INSERT INTO cap VALUES($1, $2, $3) ON CONFLICT(id) DO UPDATE SET person = excluded.person, at = excluded.at",
		uuid(m), int64(who), at.UnixMilli())
}

func (s *mails) Release(m id.Message) error {
	return (*tx)(s).later("DELETE FROM cap WHERE id = $1", uuid(m))
}

func (s *mails) Used(who id.Person, after time.Time) (n int, err error) {
	_, err = (*tx)(s).one([]any{&n}, `SELECT (SELECT count(*) FROM cap WHERE person = $1 AND at > $2) +
		(SELECT count(*) FROM cap WHERE id IN (SELECT mail FROM mail_shared WHERE person = $1) AND person <> $1 AND at > $2)`,
		int64(who), after.UnixMilli())
	return n, err
}

// DropUses looks only at mails that were decided before: their ids come first.
func (s *mails) DropUses(before time.Time, limit int) (n int, err error) {
	if s.s == nil {
		return 0, errReadOnly
	}
	_, err = (*tx)(s).one([]any{&n}, `WITH gone AS (DELETE FROM cap WHERE id IN
		(SELECT id FROM cap WHERE id < $1 AND at < $2 ORDER BY id LIMIT $3) RETURNING 1) SELECT count(*) FROM gone`,
		uuid(id.FirstMessage(before)), before.UnixMilli(), limit)
	return n, err
}

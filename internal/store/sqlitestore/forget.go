package sqlitestore

import (
	"rapport/internal/destination"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/store/rows"
)

// with is an argument of a statement.
type with func(*query)

func withInt(n int64) with   { return func(q *query) { q.int(n) } }
func withBlob(b []byte) with { return func(q *query) { q.blob(b) } }

// run executes one statement.
func (t *tx) run(sql string, args ...with) error {
	if t.s == nil {
		return errReadOnly
	}
	q := t.c.query(sql)
	for _, a := range args {
		a(&q)
	}
	return q.exec()
}

func (s *mails) Forget(m id.Message, who id.Person, content bool) error {
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
	owner, seq, story := k.Mail.Person, k.Seq, k.Story
	blank := rows.Blank(&k.Mail.Intent)
	s.s.hot.Clear()
	t := (*tx)(s)
	if content {
		body := rows.AppendSum(rows.AppendIntent(nil, &blank), seq)
		if err := t.run("UPDATE intent SET body = ?2 WHERE seq = ?1", withInt(seq), withBlob(body)); err != nil {
			return err
		}
		if err := t.run("DELETE FROM parts WHERE seq = ?", withInt(seq)); err != nil {
			return err
		}
		if err := t.run("UPDATE step SET detail = NULL WHERE seq IN ("+storyRowsOf+")", withInt(story)); err != nil {
			return err
		}
		if err := t.run("UPDATE mail SET message_id = '' WHERE id = ?", withBlob(m[:])); err != nil {
			return err
		}
	}
	if owner == who {
		if err := s.pass(m, who); err != nil {
			return err
		}
	}
	return t.run("DELETE FROM mail_shared WHERE person = ? AND mail = ?", withInt(int64(who)), withBlob(m[:]))
}

func (s *mails) Rewrite(m id.Message, to string, data, parts []byte) error {
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
	in, seq := k.Mail.Intent, k.Seq
	in.To, in.Data = to, data
	s.s.hot.Clear()
	body := rows.AppendSum(rows.AppendIntent(nil, &in), seq)
	if err := (*tx)(s).run("UPDATE intent SET body = ?2 WHERE seq = ?1", withInt(seq), withBlob(body)); err != nil {
		return err
	}
	if parts == nil {
		return (*tx)(s).run("DELETE FROM parts WHERE seq = ?", withInt(seq))
	}
	return s.SaveParts(m, parts)
}

// Entrust changes nothing: here nothing is sealed.
func (s *mails) Entrust(id.Message, []id.Person, id.Person) error { return nil }

// storyRowsOf lists the rows of a story by its newest.
const storyRowsOf = `WITH RECURSIVE story(seq, prev) AS (SELECT seq, prev FROM step WHERE seq = ?1
	UNION ALL SELECT s.seq, s.prev FROM story JOIN step s ON s.seq = story.prev) SELECT seq FROM story`

// pass gives a mail to somebody with whom it is shared, or to nobody.
func (s *mails) pass(m id.Message, who id.Person) error {
	var other int64
	q := s.c.query("SELECT coalesce(min(person), 0) FROM mail_shared WHERE mail = ? AND person != ?")
	q.blob(m[:])
	q.int(int64(who))
	if q.step() {
		other = q.colInt(0)
	}
	if err := q.done(); err != nil {
		return err
	}
	t := (*tx)(s)
	if err := t.run("UPDATE mail SET person = ?2 WHERE id = ?1", withBlob(m[:]), withInt(other)); err != nil {
		return err
	}
	if other == 0 {
		return t.run("DELETE FROM cap WHERE id = ?", withBlob(m[:]))
	}
	if err := t.run("UPDATE cap SET person = ?2 WHERE id = ?1", withBlob(m[:]), withInt(other)); err != nil {
		return err
	}
	return t.run("DELETE FROM mail_shared WHERE person = ?2 AND mail = ?1", withBlob(m[:]), withInt(other))
}

func (p *permissions) Forget(subject id.Hash) error {
	for _, sql := range []string{
		"DELETE FROM ledger WHERE subject = ? AND state = 1",
		"UPDATE ledger SET evidence = NULL, facts = NULL WHERE subject = ?",
		"DELETE FROM held WHERE subject = ? AND state = 1",
		"DELETE FROM opt_in WHERE address = ?",
	} {
		if err := (*tx)(p).run(sql, withBlob(subject[:])); err != nil {
			return err
		}
	}
	return nil
}

func (t *trail) Forget(subject id.Hash) error {
	return (*tx)(t).run("UPDATE trail SET opening = NULL WHERE subject = ?", withBlob(subject[:]))
}

func (s *tellings) ForgetPeople(people []id.Person, subjects []id.Hash) error {
	forget := func(where string, arg with) error {
		where += " AND kind != ?2"
		erasure := withInt(int64(destination.Erasure))
		if err := (*tx)(s).run("DELETE FROM told_held WHERE seq IN (SELECT seq FROM told WHERE "+where+")", arg, erasure); err != nil {
			return err
		}
		return (*tx)(s).run("DELETE FROM told WHERE "+where, arg, erasure)
	}
	for _, who := range people {
		if err := forget("person = ?1", withInt(int64(who))); err != nil {
			return err
		}
	}
	for _, h := range subjects {
		if err := forget("subject = ?1", withBlob(h[:])); err != nil {
			return err
		}
	}
	return nil
}

func (s *idents) Remake(old, now identity.Merge) error {
	q := s.c.query("UPDATE merge SET moved = ?4, cause = ?5 WHERE into_person = ?1 AND from_person = ?2 AND cause = ?3")
	q.int(int64(old.Into))
	q.int(int64(old.From))
	q.text(old.Cause)
	q.blob(now.Moved)
	q.text(now.Cause)
	return q.exec()
}

func (p *packs) RewritePack(pack int64, body []byte) error {
	return (*tx)(p).run("UPDATE timeline SET body = ?2 WHERE id = ?1", withInt(pack), withBlob(rows.AppendSummed(nil, pack, body)))
}

package sqlitestore

import (
	"rapport/internal/id"
	"rapport/internal/outbox"
	"rapport/internal/store/rows"
)

func (s *mails) OfPerson(who id.Person, limit int) ([]outbox.Mail, error) {
	return s.OfPersonBefore(who, id.Message{}, limit)
}

func (s *mails) OfPersonBefore(who id.Person, before id.Message, limit int) ([]outbox.Mail, error) {
	if before.IsZero() {
		before = lastMail
	}
	q := s.c.query("SELECT " + mailRows + "WHERE m.person = ? AND m.id < ? ORDER BY m.id DESC LIMIT ?")
	q.int(int64(who))
	q.blob(before[:])
	q.int(int64(limit))
	own, err := s.collect(q, nil)
	if err != nil {
		return nil, err
	}
	q = s.c.query("SELECT " + mailRows + "WHERE m.id IN (SELECT mail FROM mail_shared WHERE person = ?1) AND m.person != ?1 AND m.id < ?2 ORDER BY m.id DESC LIMIT ?3")
	q.int(int64(who))
	q.blob(before[:])
	q.int(int64(limit))
	shared, err := s.collect(q, nil)
	return rows.Newest(own, shared, limit), err
}

func (s *mails) Reassign(from, to id.Person) error {
	return s.hand(from, to, nil,
		"UPDATE mail SET person = ?2 WHERE person = ?1",
		"UPDATE cap SET person = ?2 WHERE person = ?1",
		"UPDATE OR REPLACE mail_shared SET person = ?2 WHERE person = ?1",
	)
}

func (s *mails) Give(m id.Message, from, to id.Person) error {
	return s.hand(from, to, m[:],
		"UPDATE mail SET person = ?2 WHERE id = ?3 AND person = ?1",
		"UPDATE cap SET person = ?2 WHERE id = ?3 AND person = ?1",
		"UPDATE OR REPLACE mail_shared SET person = ?2 WHERE person = ?1 AND mail = ?3",
	)
}

// hand runs statements that give mails of one person to another.
func (s *mails) hand(from, to id.Person, m []byte, sql ...string) error {
	if s.s == nil {
		return errReadOnly
	}
	s.s.hot.Clear()
	for _, sql := range sql {
		q := s.c.query(sql)
		q.int(int64(from))
		q.int(int64(to))
		if m != nil {
			q.blob(m)
		}
		if err := q.exec(); err != nil {
			return err
		}
	}
	return nil
}

func (s *mails) Share(m id.Message, with id.Person) error {
	if s.s == nil {
		return errReadOnly
	}
	q := s.c.query("INSERT OR IGNORE INTO mail_shared(person, mail) VALUES(?, ?)")
	q.int(int64(with))
	q.blob(m[:])
	return q.exec()
}

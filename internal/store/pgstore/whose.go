package pgstore

import (
	"errors"

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
	own, err := s.list("WHERE m.person = $1 AND m.id < $2 ORDER BY m.id DESC LIMIT $3", int64(who), uuid(before), limit)
	if err != nil {
		return nil, err
	}
	shared, err := s.list("WHERE m.id IN (SELECT mail FROM mail_shared WHERE person = $1) AND m.person <> $1 AND m.id < $2 ORDER BY m.id DESC LIMIT $3",
		int64(who), uuid(before), limit)
	return rows.Newest(own, shared, limit), err
}

func (s *mails) Reassign(from, to id.Person) error {
	if err := s.handing(); err != nil {
		return err
	}
	t, of, by := (*tx)(s), int64(from), int64(to)
	return errors.Join(
		t.later("UPDATE mail SET person = $2 WHERE person = $1", of, by),
		t.later("UPDATE cap SET person = $2 WHERE person = $1", of, by),
		t.later("INSERT INTO mail_shared SELECT $2::bigint, mail FROM mail_shared WHERE person = $1 ON CONFLICT DO NOTHING", of, by),
		t.later("DELETE FROM mail_shared WHERE person = $1", of),
		s.handed(),
	)
}

func (s *mails) Give(m id.Message, from, to id.Person) error {
	if err := s.handing(); err != nil {
		return err
	}
	t, of, by := (*tx)(s), int64(from), int64(to)
	return errors.Join(
		t.later("UPDATE mail SET person = $2 WHERE id = $3 AND person = $1", of, by, uuid(m)),
		t.later("UPDATE cap SET person = $2 WHERE id = $3 AND person = $1", of, by, uuid(m)),
		t.later("INSERT INTO mail_shared SELECT $2::bigint, mail FROM mail_shared WHERE person = $1 AND mail = $3 ON CONFLICT DO NOTHING", of, by, uuid(m)),
		t.later("DELETE FROM mail_shared WHERE person = $1 AND mail = $2", of, uuid(m)),
		s.handed(),
	)
}

// handing has mails that are gathered written before they change hands.
func (s *mails) handing() error {
	if s.s == nil {
		return errReadOnly
	}
	_, err := (*tx)(s).send()
	return err
}

// handed forgets whose mails were.
func (s *mails) handed() error {
	s.s.hot.Clear()
	_, err := (*tx)(s).send()
	return err
}

func (s *mails) Share(m id.Message, with id.Person) error {
	if s.s == nil {
		return errReadOnly
	}
	return (*tx)(s).later("INSERT INTO mail_shared VALUES($1, $2) ON CONFLICT DO NOTHING", int64(with), uuid(m))
}

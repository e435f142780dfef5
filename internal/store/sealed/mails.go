package sealed

import (
	"errors"
	"time"

	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/seal"
	"rapport/internal/wire"
)

// mails seals to whom a mail goes and what is in it under the key of whose it was
// when it was decided, or to whom it was entrusted since.
type mails struct {
	outbox.Store
	t *tx
}

var errMail = errors.New("a sealed mail is malformed")

func mailLabel(m *outbox.Mail) []byte { return append([]byte("mail/"), m.Key...) }

// Insert seals the address and the data. The key stays readable: the store looks
// mails up by it.
func (s *mails) Insert(in message.Intent, at time.Time) (id.Message, bool, error) {
	if err := s.t.ring.Mint(seal.Person(in.Person)); err != nil {
		return id.Message{}, false, err
	}
	body, err := s.body(&outbox.Mail{Intent: in}, seal.Person(in.Person))
	if err != nil {
		return id.Message{}, false, err
	}
	in.To, in.Data = "", body
	return s.Store.Insert(in, at)
}

// open gives a mail its address and data back. Of one whose person was erased
// there is neither.
func (s *mails) open(m *outbox.Mail) error {
	if !seal.Sealed(m.Data) {
		return nil
	}
	plain, err := s.t.openKept(mailLabel(m), m.Data)
	if err != nil || plain == nil {
		m.Data = nil
		return err
	}
	r := wire.Reader{Rest: plain}
	m.To, m.Data = r.String(), nil
	if r.Bad {
		return errMail
	}
	if len(r.Rest) > 0 {
		m.Data = r.Rest[1:]
	}
	return nil
}

func (s *mails) opened(list []outbox.Mail, err error) ([]outbox.Mail, error) {
	if err != nil {
		return nil, err
	}
	keys := make([]seal.ID, 0, len(list))
	for i := range list {
		keys = append(keys, seal.Person(list[i].Person))
	}
	if err := s.t.ring.Load(keys...); err != nil {
		return nil, err
	}
	for i := range list {
		if err := s.open(&list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (s *mails) Get(m id.Message) (outbox.Mail, bool, error) {
	mail, found, err := s.Store.Get(m)
	if err != nil || !found {
		return mail, found, err
	}
	return mail, true, s.open(&mail)
}

func (s *mails) Named(ids []id.Message) ([]outbox.Mail, error) {
	return s.opened(s.Store.Named(ids))
}

func (s *mails) Owed(until time.Time, limit int) ([]outbox.Mail, error) {
	return s.opened(s.Store.Owed(until, limit))
}

func (s *mails) InState(st message.State, after id.Message, limit int) ([]outbox.Mail, error) {
	return s.opened(s.Store.InState(st, after, limit))
}

func (s *mails) OfPerson(who id.Person, limit int) ([]outbox.Mail, error) {
	return s.opened(s.Store.OfPerson(who, limit))
}

func (s *mails) OfPersonBefore(who id.Person, before id.Message, limit int) ([]outbox.Mail, error) {
	return s.opened(s.Store.OfPersonBefore(who, before, limit))
}

func (s *mails) Older(after id.Message, before time.Time, limit int) ([]outbox.Mail, error) {
	return s.opened(s.Store.Older(after, before, limit))
}

func (s *mails) Newest(st message.State, before id.Message, limit int) ([]outbox.Mail, error) {
	return s.opened(s.Store.Newest(st, before, limit))
}

// SaveParts seals what was rendered under the key of the mail itself.
func (s *mails) SaveParts(m id.Message, parts []byte) error {
	mail, found, err := s.Store.Get(m)
	if err != nil {
		return err
	}
	if !found {
		return s.Store.SaveParts(m, parts) // which says what is the matter
	}
	body, err := s.sealParts(m, mailKey(&mail), parts)
	if err != nil {
		return err
	}
	return s.Store.SaveParts(m, body)
}

func (s *mails) Parts(m id.Message) ([]byte, error) {
	body, err := s.Store.Parts(m)
	if err != nil || !seal.Sealed(body) {
		return body, err
	}
	plain, err := s.t.openKept([]byte("parts"), body)
	if err != nil || plain == nil {
		return nil, err
	}
	if len(plain) < len(m) || id.Message(plain[:len(m)]) != m {
		return nil, errMail
	}
	return plain[len(m):], nil
}

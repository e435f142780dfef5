package sealed

import (
	"fmt"
	"slices"

	"rapport/internal/id"
	"rapport/internal/outbox"
	"rapport/internal/seal"
	"rapport/internal/wire"
)

// mailKey gives the key that a mail is sealed under, or would be.
func mailKey(m *outbox.Mail) seal.ID {
	if k, ok := seal.KeyOf(m.Data); ok {
		return k
	}
	return seal.Person(m.Person)
}

// body seals the address and the data of a mail.
func (s *mails) body(m *outbox.Mail, key seal.ID) ([]byte, error) {
	plain := wire.AppendString(nil, m.To)
	if m.Data != nil {
		plain = append(append(plain, 1), m.Data...)
	}
	body, err := s.t.ring.Seal(nil, key, mailLabel(m), plain)
	if err != nil {
		return nil, fmt.Errorf("seal a mail: %w", err)
	}
	return body, nil
}

// sealParts seals what was rendered. It begins with the mail's id, so that it is
// never taken for another's.
func (s *mails) sealParts(m id.Message, key seal.ID, parts []byte) ([]byte, error) {
	body, err := s.t.ring.Seal(nil, key, []byte("parts"), append(m[:], parts...))
	if err != nil {
		return nil, fmt.Errorf("seal the parts of %s: %w", m, err)
	}
	return body, nil
}

// Rewrite seals what a mail says now under the key that it was under.
func (s *mails) Rewrite(m id.Message, to string, data, parts []byte) error {
	mail, found, err := s.Store.Get(m)
	if err != nil {
		return err
	}
	if !found || mail.Person == 0 && !seal.Sealed(mail.Data) { // There is nobody whose it could be.
		return s.Store.Rewrite(m, to, data, parts)
	}
	key := mailKey(&mail)
	mail.To, mail.Data = to, data
	return s.rewrite(&mail, key, parts)
}

func (s *mails) rewrite(m *outbox.Mail, key seal.ID, parts []byte) error {
	if err := s.t.ring.Mint(key); err != nil {
		return err
	}
	body, err := s.body(m, key)
	if err != nil {
		return err
	}
	if parts != nil {
		if parts, err = s.sealParts(m.ID, key, parts); err != nil {
			return err
		}
	}
	return s.Store.Rewrite(m.ID, "", body, parts)
}

// Entrust seals what is in a mail anew. What cannot be read any more stays as it is.
func (s *mails) Entrust(m id.Message, from []id.Person, to id.Person) error {
	raw, found, err := s.Store.Get(m)
	if err != nil || !found {
		return err
	}
	key, is := seal.KeyOf(raw.Data)
	if !is || key == seal.Person(to) {
		return nil
	}
	if from != nil && !slices.ContainsFunc(from, func(who id.Person) bool { return key == seal.Person(who) }) {
		return nil
	}
	mail := raw
	if err := s.open(&mail); err != nil {
		return err
	}
	if mail.To == "" && mail.Data == nil {
		return nil
	}
	parts, err := s.Parts(m)
	if err != nil {
		return err
	}
	return s.rewrite(&mail, seal.Person(to), parts)
}

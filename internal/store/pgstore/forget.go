package pgstore

import (
	"errors"

	"rapport/internal/destination"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/outbox"
	"rapport/internal/store/rows"
)

func (s *mails) Forget(m id.Message, who id.Person, content bool) error {
	if err := s.handing(); err != nil {
		return err
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
	t := (*tx)(s)
	if content {
		var steps []int64
		if err := s.eachStep(story, func(seq int64, _ *outbox.Step) { steps = append(steps, seq) }); err != nil {
			return err
		}
		body := rows.AppendSum(rows.AppendIntent(nil, &blank), seq)
		err = errors.Join(
			t.later("UPDATE intent SET body = $2 WHERE seq = $1", seq, body),
			t.later("DELETE FROM parts WHERE seq = $1", seq),
			t.later("UPDATE step SET detail = NULL WHERE seq = ANY($1::bigint[])", steps),
			t.later("UPDATE mail SET message_id = '' WHERE id = $1", uuid(m)),
		)
		if err != nil {
			return err
		}
	}
	if owner == who {
		if err := s.pass(m, who); err != nil {
			return err
		}
	}
	return errors.Join(t.later("DELETE FROM mail_shared WHERE person = $1 AND mail = $2", int64(who), uuid(m)), s.handed())
}

func (s *mails) Rewrite(m id.Message, to string, data, parts []byte) error {
	if err := s.handing(); err != nil {
		return err
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
	err = (*tx)(s).later("UPDATE intent SET body = $2 WHERE seq = $1", seq, rows.AppendSum(rows.AppendIntent(nil, &in), seq))
	if parts == nil {
		return errors.Join(err, (*tx)(s).later("DELETE FROM parts WHERE seq = $1", seq), s.handed())
	}
	return errors.Join(err, s.SaveParts(m, parts), s.handed())
}

// Entrust changes nothing: here nothing is sealed.
func (s *mails) Entrust(id.Message, []id.Person, id.Person) error { return nil }

// pass gives a mail to somebody with whom it is shared, or to nobody.
func (s *mails) pass(m id.Message, who id.Person) error {
	t := (*tx)(s)
	var other int64
	if _, err := t.one([]any{&other}, "SELECT coalesce(min(person), 0) FROM mail_shared WHERE mail = $1 AND person <> $2", uuid(m), int64(who)); err != nil {
		return err
	}
	if err := t.later("UPDATE mail SET person = $2 WHERE id = $1", uuid(m), other); err != nil {
		return err
	}
	if other == 0 {
		return t.later("DELETE FROM cap WHERE id = $1", uuid(m))
	}
	return errors.Join(
		t.later("UPDATE cap SET person = $2 WHERE id = $1", uuid(m), other),
		t.later("DELETE FROM mail_shared WHERE person = $2 AND mail = $1", uuid(m), other),
	)
}

func (p *permissions) Forget(subject id.Hash) error {
	delete(p.foreseen.held, subject)
	p.foreseen.known = false
	t, h := (*tx)(p), uuid(subject)
	return errors.Join(
		t.later("DELETE FROM ledger WHERE subject = $1 AND state = 1", h),
		t.later("UPDATE ledger SET evidence = NULL, facts = NULL WHERE subject = $1", h),
		t.later("DELETE FROM held WHERE subject = $1 AND state = 1", h),
		t.later("DELETE FROM opt_in WHERE address = $1", h),
	)
}

func (t *trail) Forget(subject id.Hash) error {
	return (*tx)(t).later("UPDATE trail SET opening = NULL WHERE subject = $1", uuid(subject))
}

func (s *tellings) ForgetPeople(people []id.Person, subjects []id.Hash) error {
	if s.s == nil {
		return errReadOnly
	}
	if _, err := (*tx)(s).send(); err != nil { // What is gathered is about to be deleted, too.
		return err
	}
	const these = "(person = ANY($1::bigint[]) OR subject = ANY($2::uuid[])) AND kind <> $3"
	who, names, erasure := int64s(people), uuids(subjects), int32(destination.Erasure)
	return errors.Join(
		(*tx)(s).later("DELETE FROM told_held WHERE seq IN (SELECT seq FROM told WHERE "+these+")", who, names, erasure),
		(*tx)(s).later("DELETE FROM told WHERE "+these, who, names, erasure),
	)
}

func (s *idents) Remake(old, now identity.Merge) error {
	return (*tx)(s).later("UPDATE merge SET moved = $4, cause = $5 WHERE into_person = $1 AND from_person = $2 AND cause = $3",
		int64(old.Into), int64(old.From), old.Cause, now.Moved, now.Cause)
}

func (p *packs) RewritePack(pack int64, body []byte) error {
	return (*tx)(p).later("UPDATE timeline SET body = $2 WHERE id = $1", pack, rows.AppendSummed(nil, pack, body))
}

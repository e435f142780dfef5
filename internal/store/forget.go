package store

import (
	"encoding/json"
	"fmt"
	"slices"

	"rapport/internal/destination"
	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/ingest"
	"rapport/internal/outbox"
	"rapport/internal/processor"
)

// forgetPage is how many rows are looked at in one go.
const forgetPage = 500

// forget has every room whose tables the walk does not know take out of them what
// is about somebody, and tells destinations. It gives the number under which they
// are told, zero where there is none.
func forget(tx Tx, x processor.Forgotten, out *processor.Erased) (told int64, err error) {
	for _, step := range []func(Tx, *processor.Forgotten, *processor.Erased) error{
		forgetMails, forgetSubjects, forgetRequests, forgetRejects, forgetAsides,
	} {
		if err := step(tx, &x, out); err != nil {
			return 0, err
		}
	}
	if err := tx.Destination().ForgetPeople(x.People, x.Subjects); err != nil {
		return 0, fmt.Errorf("forget what is to be told: %w", err)
	}
	return tellErasure(tx, &x)
}

func forgetMails(tx Tx, x *processor.Forgotten, out *processor.Erased) error {
	seen := map[id.Message]bool{}
	for _, who := range x.People {
		for {
			mails, err := tx.Outbox().OfPerson(who, forgetPage)
			if err != nil {
				return fmt.Errorf("list mails: %w", err)
			}
			for i := range mails {
				m := &mails[i]
				if err := forgetMail(tx, m, who, x); err != nil {
					return fmt.Errorf("forget a mail: %w", err)
				}
				if !seen[m.ID] {
					seen[m.ID] = true
					out.Mails++
				}
			}
			if len(mails) == 0 {
				break
			}
		}
	}
	return nil
}

// forgetMail takes somebody out of a mail. What another keeps of it was under the
// key of who goes, and is put under theirs.
func forgetMail(tx Tx, m *outbox.Mail, who id.Person, x *processor.Forgotten) error {
	content := forgets(m, x)
	if err := tx.Outbox().Forget(m.ID, who, content); err != nil || content {
		return err
	}
	now, found, err := tx.Outbox().Get(m.ID)
	if err != nil || !found || now.Person == 0 || slices.Contains(x.People, now.Person) {
		return err
	}
	return tx.Outbox().Entrust(m.ID, x.People, now.Person)
}

// forgets tells whether nothing may be left of what a mail says: it went to an
// address of theirs, or was theirs and nobody knows whose address that was.
func forgets(m *outbox.Mail, x *processor.Forgotten) bool {
	for _, who := range x.People {
		if m.Person == who && m.To == "" {
			return true
		}
	}
	return m.To != "" && x.Owns(m.To)
}

func forgetSubjects(tx Tx, x *processor.Forgotten, _ *processor.Erased) error {
	for _, h := range x.Subjects {
		if err := tx.Consent().Forget(h); err != nil {
			return fmt.Errorf("forget permission: %w", err)
		}
		if err := tx.Audit().Forget(h); err != nil {
			return fmt.Errorf("forget what opens the trail: %w", err)
		}
	}
	return nil
}

// forgetRequests takes away what was noted of what they asked, and ends what waits.
// What the erasure came to is noted behind it.
func forgetRequests(tx Tx, x *processor.Forgotten, _ *processor.Erased) error {
	if err := tx.Rights().Forget(x.People, x.At); err != nil {
		return fmt.Errorf("forget what was noted of requests: %w", err)
	}
	return nil
}

func forgetRejects(tx Tx, x *processor.Forgotten, out *processor.Erased) error {
	for before := int64(0); ; {
		list, err := tx.Ingest().Rejects(ingest.RejectQuery{Before: before, Limit: forgetPage})
		if err != nil {
			return fmt.Errorf("list rejected events: %w", err)
		}
		for _, r := range list {
			before = r.ID
			if !x.Payload(r.Payload) {
				continue
			}
			if _, err := tx.Ingest().DropReject(r.ID); err != nil {
				return fmt.Errorf("forget a rejected event: %w", err)
			}
			out.Rejects++
		}
		if len(list) < forgetPage {
			return nil
		}
	}
}

func forgetAsides(tx Tx, x *processor.Forgotten, out *processor.Erased) error {
	var last processor.Aside
	for {
		list, err := tx.Processor().Asides(last.Lane, last.Pos, forgetPage)
		if err != nil {
			return fmt.Errorf("list what was set aside: %w", err)
		}
		for _, a := range list {
			last = a
			var e event.Event
			if e.Decode(a.Body) == nil && !x.Event(&e) || e.MessageID == x.Request {
				continue // What cannot be read may be about anybody.
			}
			if _, err := tx.Processor().EndAside(a.Lane, a.Pos, true); err != nil {
				return fmt.Errorf("forget what was set aside: %w", err)
			}
			out.Asides++
		}
		if len(list) < forgetPage {
			return nil
		}
	}
}

// tellErasure has every destination be told by which identifiers somebody was known.
func tellErasure(tx Tx, x *processor.Forgotten) (int64, error) {
	there, err := tx.Destination().Standings()
	if err != nil || len(there) == 0 {
		return 0, err
	}
	by := map[string][]string{}
	for _, n := range x.Names {
		by[n.Kind] = append(by[n.Kind], n.Value)
	}
	body, err := json.Marshal(struct {
		Request     string              `json:"request"`
		ID          string              `json:"id"`
		Identifiers map[string][]string `json:"identifiers"`
	}{x.Request, x.People[0].String(), by})
	if err != nil {
		return 0, err
	}
	return tx.Destination().Tell(destination.Item{Kind: destination.Erasure, Name: x.Request, At: x.At, Person: x.People[0], Body: body})
}

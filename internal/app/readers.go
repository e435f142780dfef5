package app

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync/atomic"
	"time"

	"rapport/internal/api/public"
	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/content"
	"rapport/internal/fault"
	"rapport/internal/feedback"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/project"
	"rapport/internal/purpose"
	"rapport/internal/store"
	"rapport/internal/wording"
)

// links makes the links in mails, under the address that the configuration in
// effect names.
type links struct {
	keys [][]byte
	made atomic.Pointer[feedback.Signer]
}

var _ content.Links = (*links)(nil)

func (l *links) use(base string) (*feedback.Signer, error) {
	s, err := feedback.NewSigner(feedback.SignerConfig{Base: base, Keys: l.keys})
	if err == nil {
		l.made.Store(s)
	}
	return s, err
}

// Unsubscribe implements content.Links.
func (l *links) Unsubscribe(m id.Message, address id.Hash, why purpose.Purpose) string {
	return l.made.Load().Unsubscribe(m, address, why)
}

// Preferences implements content.Links.
func (l *links) Preferences(m id.Message, address id.Hash, why purpose.Purpose) string {
	return l.made.Load().Preferences(m, address, why)
}

// Open implements content.Links.
func (l *links) Open(m id.Message) string { return l.made.Load().Open(m) }

// Click implements content.Links.
func (l *links) Click(m id.Message, n int, url string) string { return l.made.Load().Click(m, n, url) }

// mails finds mails for those who answer them.
type mails struct{ state store.State }

var _ feedback.Mails = mails{}

// Mail implements feedback.Mails.
func (f mails) Mail(ctx context.Context, m id.Message) (feedback.Mail, error) {
	var out feedback.Mail
	err := f.state.Read(ctx, func(tx store.Tx) error {
		mail, ok, err := tx.Outbox().Get(m)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "no_such_message", "this mail is not kept any more")
		}
		out = feedback.Mail{
			Person: mail.Person, Purpose: mail.Purpose, Class: mail.Class, Template: mail.Template, Journey: mail.Journey, Step: mail.Step,
		}
		if mail.Person == 0 { // Whose it was was erased: nobody is left to ask or to tell of.
			return nil
		}
		who, _, rec, err := row(tx, mail.Person)
		if err != nil {
			return err
		}
		out.Person = who
		for _, x := range rec.Identifiers {
			out.Names = append(out.Names, feedback.Name{Kind: x.Kind, Hash: x.Hash})
		}
		out.Sent, err = handedOver(tx, m)
		return err
	})
	return out, err
}

// Subject reads it out of the parts that are kept of a mail that was handed over.
func (f mails) Subject(ctx context.Context, m id.Message) (string, error) {
	var parts []byte
	err := f.state.Read(ctx, func(tx store.Tx) (err error) {
		parts, err = tx.Outbox().Parts(m)
		return err
	})
	if err != nil || len(parts) == 0 {
		return "", err
	}
	r, err := content.DecodeParts(parts)
	if err != nil {
		return "", nil //nolint:nilerr // What cannot be read any more is not worth losing the event for.
	}
	return r.Subject, nil
}

func handedOver(tx store.Tx, m id.Message) (time.Time, error) {
	story, err := tx.Outbox().Story(m)
	for _, s := range story {
		if s.State == message.HandingOver {
			return s.At, err
		}
	}
	return time.Time{}, err
}

// readersDoor makes what readers of mails meet: the mails themselves and the
// pages behind their links.
func (h *House) readersDoor(mux *http.ServeMux) error {
	h.links = &links{keys: append([][]byte{h.keys.Token}, h.keys.Former...)}
	signer, err := h.links.use(h.base(h.current.config))
	if err != nil {
		return err
	}
	h.renderer, err = content.New(content.Config{
		People: h.figures, Permission: h.consent, Links: h.links, Hasher: h.hasher, Set: h.current.content,
	})
	if err != nil {
		return err
	}
	desk, err := feedback.New(feedback.Config{
		Signer: signer, Permission: h.consent, Mails: mails{h.state}, Log: (*journal)(h), Now: h.clock.Now,
		Links: h.links.made.Load, Asking: h.asking, Barred: h.barred.Has, Hash: h.hasher.Sum, Rand: rand.Reader, Prove: h.prove, Rights: h.claims(),
	})
	if err != nil {
		return err
	}
	h.desk = desk
	door, err := public.New(public.Config{
		Desk: desk, Name: func() string { return h.edition().config.Workspace.Title }, Logger: h.logger.With("room", "public"),
		Book: func() *wording.Book { return h.edition().book }, Since: func() time.Time { return h.edition().applied },
	})
	if err != nil {
		return err
	}
	door.Register(mux)
	return nil
}

// asking tells how addresses are asked to confirm.
func (h *House) asking() feedback.Asking {
	e := h.edition()
	c := e.config.Workspace.Consent
	t, ok := e.content.Templates[c.ConfirmWith]
	if !ok {
		return feedback.Asking{}
	}
	return feedback.Asking{Template: t.Name, Purpose: t.Purpose, Limits: c.Limits}
}

// prove gives signed receipts of records of permission.
func (h *House) prove(ctx context.Context, subjects []id.Hash, records [][]byte) (*audit.Receipts, error) {
	return h.trail.Receipts(ctx, consent.ChangedAct, subjects, records)
}

// base is the address under which readers reach this house.
func (h *House) base(c *project.Config) string {
	if h.Public != "" {
		return h.Public
	}
	return c.Workspace.BaseURL
}

// Package noted writes the trail: it wraps a State so that each act of the rooms
// has its row in the same transaction, and no room need know that there is a trail.
// What the rows say is made of what is written anyway; they hold keyed references,
// and details only behind a commitment.
package noted

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"rapport/internal/access"
	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/processor"
	"rapport/internal/project"
	"rapport/internal/store"
)

// State is a state store whose writes are noted.
type State struct {
	store.State
	Trail *audit.Trail
	Now   func() time.Time                 // business time
	Hash  func(kind, value string) id.Hash // the workspace's keyed hash
}

var _ store.State = (*State)(nil)

// Write implements store.State.
func (s *State) Write(ctx context.Context, o store.WriteOptions, fn func(store.Tx) error) error {
	return s.State.Write(ctx, o, func(t store.Tx) error { return fn(&tx{t, s}) })
}

// tx is a transaction whose acts are noted.
type tx struct {
	store.Tx
	s *State
}

// person gives the hash that stands for somebody in the trail.
func (t *tx) person(who id.Person) id.Hash { return t.s.Hash(audit.PersonKind, who.String()) }

// note writes an act down; detail is made JSON.
func (t *tx) note(a audit.Act, detail map[string]string) error {
	a.At = t.s.Now()
	if len(detail) > 0 {
		for k, v := range detail {
			if v == "" {
				delete(detail, k)
			}
		}
		a.Detail, _ = json.Marshal(detail) // Texts always marshal, in order of their names.
	}
	return t.s.Trail.Note(t.Tx.Audit(), a)
}

// The rooms that act by themselves, as actors.
const (
	walker   = "house/walk"
	delivery = "house/delivery"
	operator = "house/operator" // a management key or the command line; the row of the request names the key
)

func (t *tx) Consent() consent.Store         { return &permissions{t.Tx.Consent(), t} }
func (t *tx) Outbox() outbox.Store           { return &mails{t.Tx.Outbox(), t} }
func (t *tx) Identity() identity.Store       { return &idents{t.Tx.Identity(), t} }
func (t *tx) Access() access.Store           { return &keys{t.Tx.Access(), t} }
func (t *tx) Project() project.Store         { return &versions{t.Tx.Project(), t} }
func (t *tx) Ingest() ingest.Store           { return &rejects{t.Tx.Ingest(), t} }
func (t *tx) Destination() destination.Store { return &tellings{t.Tx.Destination(), t} }
func (t *tx) Processor() processor.Store     { return &walk{t.Tx.Processor(), t} }

type permissions struct {
	consent.Store
	t *tx
}

func (p *permissions) Append(e consent.Entry) (int64, bool, error) {
	seq, added, err := p.Store.Append(e)
	if err != nil || !added {
		return seq, added, err
	}
	e.Seq = seq
	return seq, true, p.t.note(audit.Act{
		Actor: "source/" + e.Source, What: consent.ChangedAct, Object: string(e.Purpose), Subject: e.Subject, Outcome: e.State.String(),
	}, map[string]string{"record": e.Record, "method": e.Method, "kind": e.Kind, "sha256": audit.Digest(consent.Describe(&e).JSON())})
}

func (p *permissions) PutNotice(n consent.Notice) (bool, error) {
	added, err := p.Store.PutNotice(n)
	if err != nil || !added {
		return added, err
	}
	return true, p.t.note(audit.Act{Actor: operator, What: "notice.published", Object: n.Ref().Name(), Outcome: "sha256:" + n.Digest}, nil)
}

func (p *permissions) PutOptIn(o consent.OptIn) error {
	if err := p.Store.PutOptIn(o); err != nil {
		return err
	}
	return p.t.note(audit.Act{Actor: "house/feedback", What: "confirmation.asked", Object: o.ID.String(), Subject: o.Address}, nil)
}

func (p *permissions) ConfirmOptIn(m id.Message, at time.Time) (bool, error) {
	done, err := p.Store.ConfirmOptIn(m, at)
	if err != nil || !done {
		return done, err
	}
	o, _, err := p.Store.OptIn(m)
	if err != nil {
		return false, err
	}
	return true, p.t.note(audit.Act{Actor: "house/feedback", What: "confirmation.given", Object: m.String(), Subject: o.Address}, nil)
}

func (p *permissions) Suppress(s consent.Suppression) error {
	if err := p.Store.Suppress(s); err != nil {
		return err
	}
	return p.t.note(audit.Act{Actor: "source/" + s.Source, What: "suppression.added", Object: string(s.Purpose), Subject: s.Address, Outcome: string(s.Reason)}, nil)
}

func (p *permissions) Unsuppress(address id.Hash, reason consent.Reason) error {
	if err := p.Store.Unsuppress(address, reason); err != nil {
		return err
	}
	return p.t.note(audit.Act{Actor: operator, What: "suppression.lifted", Subject: address, Outcome: string(reason)}, nil)
}

type mails struct {
	outbox.Store
	t *tx
}

// Move notes where a mail ends, and that nobody knows where.
func (m *mails) Move(x *outbox.Mail, steps ...outbox.Step) error {
	if err := m.Store.Move(x, steps...); err != nil {
		return err
	}
	switch x.State {
	case message.Accepted, message.Failed, message.Skipped, message.Uncertain, message.Resolved:
	default:
		return nil
	}
	outcome := ""
	if n := len(steps); n > 0 {
		outcome = steps[n-1].Reason
	}
	return m.t.note(audit.Act{
		Actor: delivery, What: "mail." + x.State.String(), Object: x.ID.String(), Subject: m.t.person(x.Person), Outcome: outcome,
	}, map[string]string{"template": x.Template, "purpose": string(x.Purpose), "journey": x.Journey, "provider": x.Provider})
}

type idents struct {
	identity.Store
	t *tx
}

func (i *idents) AppendMerge(m identity.Merge) error {
	if err := i.Store.AppendMerge(m); err != nil {
		return err
	}
	what := "person.merged"
	if m.Rule == identity.RuleUnmerge {
		what = "person.parted"
	}
	for _, pair := range [2][2]id.Person{{m.Into, m.From}, {m.From, m.Into}} {
		a := audit.Act{Actor: walker, What: what, Object: pair[0].String(), Subject: i.t.person(pair[0]), Outcome: m.Rule}
		if err := i.t.note(a, map[string]string{"other": pair[1].String()}); err != nil {
			return err
		}
	}
	return nil
}

type keys struct {
	access.Store
	t *tx
}

func (k *keys) InsertKey(x access.Key) error {
	if err := k.Store.InsertKey(x); err != nil {
		return err
	}
	return k.t.note(audit.Act{Actor: operator, What: "key.created", Object: x.ID, Outcome: string(x.Kind)}, map[string]string{"source": x.Source, "name": x.Name})
}

func (k *keys) RevokeKey(name string, at time.Time) (bool, error) {
	found, err := k.Store.RevokeKey(name, at)
	if err != nil || !found {
		return found, err
	}
	return true, k.t.note(audit.Act{Actor: operator, What: "key.revoked", Object: name}, nil)
}

type versions struct {
	project.Store
	t *tx
}

func (v *versions) InsertVersion(x project.Version) error {
	if err := v.Store.InsertVersion(x); err != nil {
		return err
	}
	return v.t.note(audit.Act{Actor: operator, What: "configuration.stored", Object: strconv.Itoa(x.Number)}, map[string]string{"digest": x.Digest})
}

type rejects struct {
	ingest.Store
	t *tx
}

func (r *rejects) MarkResent(n int64) error {
	if err := r.Store.MarkResent(n); err != nil {
		return err
	}
	return r.t.note(audit.Act{Actor: operator, What: "rejected.resent", Object: strconv.FormatInt(n, 10)}, nil)
}

func (r *rejects) DropReject(n int64) (bool, error) {
	found, err := r.Store.DropReject(n)
	if err != nil || !found {
		return found, err
	}
	return true, r.t.note(audit.Act{Actor: operator, What: "rejected.dropped", Object: strconv.FormatInt(n, 10)}, nil)
}

type walk struct {
	processor.Store
	t *tx
}

// Walked implements processor.Witness: a row for each batch, with the digest of
// its records as they stand in the log.
func (w *walk) Walked(lane eventlog.Lane, first, last int64, sum [32]byte) error {
	return w.t.note(audit.Act{
		Actor: walker, What: audit.WalkedAct, Object: fmt.Sprintf("%s/%d-%d", lane, first, last), Outcome: "sha256:" + hex.EncodeToString(sum[:]),
	}, nil)
}

func (w *walk) SetAside(a processor.Aside) error {
	if err := w.Store.SetAside(a); err != nil {
		return err
	}
	return w.t.note(audit.Act{Actor: walker, What: "record.set_aside", Object: place(a.Lane, a.Pos), Outcome: a.Code}, nil)
}

func (w *walk) EndAside(lane eventlog.Lane, pos int64, drop bool) (bool, error) {
	found, err := w.Store.EndAside(lane, pos, drop)
	if err != nil || !found {
		return found, err
	}
	what := "record.resent"
	if drop {
		what = "record.dropped"
	}
	return true, w.t.note(audit.Act{Actor: operator, What: what, Object: place(lane, pos)}, nil)
}

func place(lane eventlog.Lane, pos int64) string { return fmt.Sprintf("%s/%d", lane, pos) }

var _ processor.Witness = (*walk)(nil)

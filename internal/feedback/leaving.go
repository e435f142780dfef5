package feedback

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/purpose"
)

// Leaving is what an unsubscribe link is about.
type Leaving struct {
	Title       string // of the purpose, as the policy has it now; "" for all that one can leave
	Description string
	Possible    bool   // false for what nobody can leave: what a person asked for
	Preferences string // token of the preference page
}

// Leaving reads an unsubscribe link without doing anything.
func (d *Desk) Leaving(token, language string) (Leaving, error) {
	t, err := d.Signer.Verify(UnsubscribeKind, token, "")
	if err != nil {
		return Leaving{}, err
	}
	out := Leaving{Possible: true}
	if def, ok := d.Permission.Policy().Purpose(t.Purpose); ok {
		out.Title, out.Description = def.In(language)
		out.Possible = def.Objectable()
	}
	t.Kind = PreferencesKind
	out.Preferences = d.Signer.Sign(t, "")
	return out, nil
}

// Unsubscribe withdraws the permission for the purpose of a mail, for the
// address it went to. It holds when it returns; doing it again changes nothing.
func (d *Desk) Unsubscribe(ctx context.Context, token string, v Visit) error {
	t, err := d.Signer.Verify(UnsubscribeKind, token, "")
	if err != nil {
		return err
	}
	m, err := d.mail(ctx, t)
	if err != nil {
		return err
	}
	return d.leave(ctx, t, &m, d.meant(t.Purpose), consent.ByLink, v)
}

// mail finds what is known of a token's mail; a mail that is not kept any more
// is an empty one, for the right to withdraw outlives it.
func (d *Desk) mail(ctx context.Context, t Token) (Mail, error) {
	m, err := d.Mails.Mail(ctx, t.Mail)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return Mail{}, fmt.Errorf("find %s: %w", t.Mail, err)
	}
	if err != nil {
		m = Mail{Purpose: t.Purpose}
	}
	return m, nil
}

// meant gives the purposes that leaving one means: itself, or all mail one can
// leave where it is not declared any more.
func (d *Desk) meant(p purpose.Purpose) []*consent.Definition {
	policy := d.Permission.Policy()
	if def, ok := policy.Purpose(p); ok {
		if !def.Objectable() {
			return nil
		}
		return []*consent.Definition{def}
	}
	return d.everyMail()
}

func (d *Desk) everyMail() []*consent.Definition {
	return slices.DeleteFunc(d.Permission.Policy().Purposes(), func(def *consent.Definition) bool {
		return def.Scope != consent.AddressScope || !def.Objectable()
	})
}

// leave says no to purposes of mail, for the address, and tells the log.
func (d *Desk) leave(ctx context.Context, t Token, m *Mail, from []*consent.Definition, method string, v Visit) error {
	now := d.Now()
	var entries []consent.Entry
	for _, def := range from {
		entries = append(entries, consent.Entry{
			Subject: t.Address, Kind: "email", Purpose: def.Name, State: def.No(), Said: now, Method: method, Evidence: evidence(t, v),
			Facts: d.shownWith(t, def, v).JSON(),
		})
	}
	if len(entries) == 0 {
		return nil
	}
	// The first no has a record of its own. A repeated one is the same record for
	// an hour, so that a retry after a failure is complete and a flood is one row.
	record := fmt.Sprintf("unsubscribe/%s/%d", t.Mail, now.UnixMilli())
	if !slices.ContainsFunc(from, func(def *consent.Definition) bool { return !d.Permission.Stands(t.Address, def.Name) }) {
		record = fmt.Sprintf("unsubscribe/%s/again/%d", t.Mail, now.Unix()/3600)
	}
	if d.seen.has(record) {
		return nil
	}
	if err := d.Permission.Submit(ctx, record, Source, entries); err != nil {
		return err
	}
	for _, def := range from {
		if err := d.tellLeft(ctx, t, m, def, now); err != nil {
			return err
		}
	}
	d.seen.add(record)
	return nil
}

// tellLeft writes the Unsubscribed event of a person who is known. The change of
// permission has its own record: this one is for rules and readers.
func (d *Desk) tellLeft(ctx context.Context, t Token, m *Mail, def *consent.Definition, now time.Time) error {
	if m.Person == 0 {
		return nil
	}
	p := about(t, m)
	p.ListID, p.ListName = def.Name, def.Title
	var err error
	if p.Subject, err = d.Mails.Subject(ctx, t.Mail); err != nil {
		return fmt.Errorf("find the subject of %s: %w", t.Mail, err)
	}
	props, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode %s: %w", Left, err)
	}
	ev := &event.Event{
		Type: event.Outcome, Source: Source, Name: Left, Person: int64(m.Person), Time: now, Original: now, Received: now,
		MessageID: fmt.Sprintf("unsubscribed/%s/%s/%d", t.Mail, def.Name, now.Unix()/60), Properties: props,
	}
	if err := d.Log.AppendEvent(ctx, ev); err != nil {
		return fmt.Errorf("log %s: %w", Left, err)
	}
	return nil
}

func evidence(t Token, v Visit) []byte {
	b, err := json.Marshal(map[string]string{"message_id": t.Mail.String(), "user_agent": cut(v.Agent)})
	if err != nil {
		return nil // Strings always marshal.
	}
	return b
}

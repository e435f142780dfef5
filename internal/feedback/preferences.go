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
	"rapport/internal/id"
	"rapport/internal/purpose"
)

// Leaving is what an unsubscribe link is about.
type Leaving struct {
	Title       string // of the purpose, as the policy has it now
	Description string
	Possible    bool   // false for what nobody can leave: what a person asked for
	Preferences string // token of the preference page
}

// Leaving reads an unsubscribe link without doing anything.
func (d *Desk) Leaving(token string) (Leaving, error) {
	t, err := d.Signer.Verify(UnsubscribeKind, token, "")
	if err != nil {
		return Leaving{}, err
	}
	out := Leaving{Title: "All news and offers", Possible: true}
	if def, ok := d.Permission.Policy().Purpose(t.Purpose); ok {
		out.Title, out.Description, out.Possible = def.Title, def.Description, def.Objectable()
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

// Choice is one line of the preference page.
type Choice struct {
	Purpose     purpose.Purpose
	Title       string
	Description string
	On          bool
	Fixed       bool      // nobody can say no to it
	Since       time.Time // of the word that decided, zero for none
	GPC         bool      // it is off because a Global Privacy Control signal is honoured
	Mail        bool      // it is about mail
}

// Preferences reads how each purpose stands for the address of a link and for
// the person behind it. Only a GPC signal of the request itself is written down.
func (d *Desk) Preferences(ctx context.Context, token string, v Visit) ([]Choice, error) {
	t, m, err := d.preferences(ctx, token)
	if err != nil {
		return nil, err
	}
	if v.GPC {
		if err := d.signal(ctx, t, m.Names, d.Now()); err != nil {
			return nil, err
		}
	}
	return d.choices(ctx, t, &m)
}

func (d *Desk) preferences(ctx context.Context, token string) (Token, Mail, error) {
	t, err := d.Signer.Verify(PreferencesKind, token, "")
	if err != nil {
		return t, Mail{}, err
	}
	m, err := d.mail(ctx, t)
	return t, m, err
}

func (d *Desk) choices(ctx context.Context, t Token, m *Mail) ([]Choice, error) {
	shown, err := d.Permission.Show(ctx, hashes(m.Names), t.Address)
	if err != nil {
		return nil, err
	}
	var out []Choice
	for _, s := range shown {
		def := s.Definition
		out = append(out, Choice{
			Purpose: def.Name, Title: def.Title, Description: def.Description, On: s.Decision.Effect == consent.Allow,
			Fixed: !def.Objectable(), Since: s.Since, GPC: s.Method == consent.ByGPC, Mail: def.Scope == consent.AddressScope,
		})
	}
	return out, nil
}

// Save takes what a person chose on the preference page: was is what the page
// showed, want what they left it at. Only what they changed is said, so that two
// open pages do not undo each other. It gives the page as it will stand: a yes
// holds a moment later, once it is walked.
func (d *Desk) Save(ctx context.Context, token string, was, want map[purpose.Purpose]bool, v Visit) ([]Choice, error) {
	t, m, err := d.preferences(ctx, token)
	if err != nil {
		return nil, err
	}
	var left []*consent.Definition
	var entries []consent.Entry
	for _, def := range d.Permission.Policy().Purposes() {
		now, shown := was[def.Name]
		if !shown || def.Hidden || !def.Objectable() || now == want[def.Name] {
			continue
		}
		if !want[def.Name] && def.Scope == consent.AddressScope {
			left = append(left, def)
			continue
		}
		entries = append(entries, d.said(t, &m, def, want[def.Name], v)...)
	}
	if err := d.leave(ctx, t, &m, left, consent.ByPreferences, v); err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		record := fmt.Sprintf("preferences/%s/%d", t.Mail, d.Now().UnixMilli())
		if err := d.Permission.Submit(ctx, record, Source, entries); err != nil {
			return nil, err
		}
	}
	out, err := d.choices(ctx, t, &m)
	for i := range out {
		if w, shown := want[out[i].Purpose]; shown && !out[i].Fixed {
			out[i].On = w
		}
	}
	return out, err
}

// LeaveAll says no to every purpose of mail.
func (d *Desk) LeaveAll(ctx context.Context, token string, v Visit) ([]Choice, error) {
	t, m, err := d.preferences(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := d.leave(ctx, t, &m, d.everyMail(), consent.ByPreferences, v); err != nil {
		return nil, err
	}
	return d.choices(ctx, t, &m)
}

// said makes the statements of one choice. A yes to mail is said of the address,
// and of those names of the person under which a no stands: it is their own
// later word on it. What is about devices is said of all names.
func (d *Desk) said(t Token, m *Mail, def *consent.Definition, yes bool, v Visit) []consent.Entry {
	now := d.Now()
	e := consent.Entry{Subject: t.Address, Kind: "email", Purpose: def.Name, State: def.No(), Said: now, Method: consent.ByPreferences, Evidence: evidence(t, v)}
	if yes {
		e.State = consent.Granted
	}
	out := []consent.Entry{e}
	for _, n := range m.Names {
		if n.Hash == t.Address || def.Scope == consent.AddressScope && !d.Permission.Narrows(n.Hash, def.Name) {
			continue
		}
		e.Subject, e.Kind = n.Hash, n.Kind
		out = append(out, e)
	}
	return out
}

// signal writes down a Global Privacy Control signal that came with a request,
// where it changes anything.
func (d *Desk) signal(ctx context.Context, t Token, names []Name, now time.Time) error {
	if t.Address != (id.Hash{}) && !slices.ContainsFunc(names, func(n Name) bool { return n.Hash == t.Address }) {
		names = append(slices.Clone(names), Name{Kind: "email", Hash: t.Address})
	}
	var entries []consent.Entry
	for _, def := range d.Permission.Policy().Purposes() {
		if !def.GPC || !def.Objectable() {
			continue
		}
		for _, n := range names {
			if !d.Permission.Stands(n.Hash, def.Name) {
				entries = append(entries, consent.Entry{
					Subject: n.Hash, Kind: n.Kind, Purpose: def.Name, State: def.No(), Said: now, Method: consent.ByGPC,
				})
			}
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return d.Permission.Submit(ctx, fmt.Sprintf("gpc/%s/%d", t.Mail, now.UnixMilli()), Source, entries)
}

package feedback

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rapport/internal/consent"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

// shownWith tells on which page a choice was made, and what was shown with it.
func (d *Desk) shownWith(t Token, def *consent.Definition, v Visit) *consent.Facts {
	f := &consent.Facts{Form: "preferences", Served: t.Mail.String(), IP: consent.Network(v.IP), Agent: cut(v.Agent)}
	if t.Kind == UnsubscribeKind {
		f.Form = "unsubscribe"
	}
	if n := d.Permission.Policy().Shown(def, v.Language); n != nil {
		f.Notice = n.Ref()
	}
	return f
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
	Topic       bool      // it is a part of the choice before it
	Notice      *consent.Notice
}

// Preferences reads how each purpose stands for the address of a link and for
// the person behind it. Only a GPC signal of the request itself is written down.
func (d *Desk) Preferences(ctx context.Context, token string, v Visit) ([]Choice, error) {
	t, m, err := d.preferences(ctx, token)
	if err != nil {
		return nil, err
	}
	if v.GPC {
		if err := d.signal(ctx, t, m.Names, v, d.Now()); err != nil {
			return nil, err
		}
	}
	return d.choices(ctx, t, &m, v.Language)
}

func (d *Desk) preferences(ctx context.Context, token string) (Token, Mail, error) {
	t, err := d.Signer.Verify(PreferencesKind, token, "")
	if err != nil {
		return t, Mail{}, err
	}
	m, err := d.mail(ctx, t)
	return t, m, err
}

func (d *Desk) choices(ctx context.Context, t Token, m *Mail, language string) ([]Choice, error) {
	shown, err := d.Permission.Show(ctx, hashes(m.Names), t.Address)
	if err != nil {
		return nil, err
	}
	var out []Choice
	for _, s := range shown {
		def := s.Definition
		title, description := def.In(language)
		out = append(out, Choice{
			Purpose: def.Name, Title: title, Description: description, Notice: d.Permission.Policy().Shown(def, language), On: s.Decision.Effect == consent.Allow,
			Fixed: !def.Objectable(), Since: s.Since, GPC: s.Method == consent.ByGPC, Mail: def.Scope == consent.AddressScope,
		})
	}
	return topics(out), nil
}

// topics puts each choice behind the one it is a part of: marketing.newsletter.books
// is a topic of marketing.newsletter.
func topics(list []Choice) []Choice {
	var out []Choice
	under := func(c *Choice, family purpose.Purpose) bool {
		return strings.HasPrefix(string(c.Purpose), string(family)+".")
	}
	for i := range list {
		if slices.ContainsFunc(list, func(o Choice) bool {
			return under(&list[i], o.Purpose) && o.Mail == list[i].Mail && o.Fixed == list[i].Fixed
		}) {
			continue
		}
		out = append(out, list[i])
		for _, c := range list {
			if under(&c, list[i].Purpose) && c.Mail == list[i].Mail && c.Fixed == list[i].Fixed {
				c.Topic = true
				out = append(out, c)
			}
		}
	}
	return out
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
	out, err := d.choices(ctx, t, &m, v.Language)
	for i := range out {
		w, shown := want[out[i].Purpose]
		if !shown || out[i].Fixed {
			continue
		}
		for family, on := range want { // Who leaves a subject leaves its topics: the narrower of two words holds.
			if w && !on && was[family] && strings.HasPrefix(string(out[i].Purpose), string(family)+".") {
				w = false
			}
		}
		out[i].On = w
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
	return d.choices(ctx, t, &m, v.Language)
}

// said makes the statements of one choice. A yes to mail is said of the address,
// and of those names of the person under which a no stands: it is their own
// later word on it. What is about devices is said of all names.
func (d *Desk) said(t Token, m *Mail, def *consent.Definition, yes bool, v Visit) []consent.Entry {
	now := d.Now()
	e := consent.Entry{Subject: t.Address, Kind: "email", Purpose: def.Name, State: def.No(), Said: now, Method: consent.ByPreferences, Evidence: evidence(t, v)}
	e.Facts = d.shownWith(t, def, v).JSON()
	if yes {
		e.State = consent.Granted
	}
	return d.ofEach(t.Address, m, def, e)
}

// ofEach says a word of an address, and of those names of the person of which it
// must be said too.
func (d *Desk) ofEach(address id.Hash, m *Mail, def *consent.Definition, e consent.Entry) []consent.Entry {
	e.Subject = address
	out := []consent.Entry{e}
	for _, n := range m.Names {
		if n.Hash == address || def.Scope == consent.AddressScope && !d.Permission.Narrows(n.Hash, def.Name) {
			continue
		}
		e.Subject, e.Kind = n.Hash, n.Kind
		out = append(out, e)
	}
	return out
}

// signal writes down a Global Privacy Control signal that came with a request,
// where it changes anything.
func (d *Desk) signal(ctx context.Context, t Token, names []Name, v Visit, now time.Time) error {
	facts := &consent.Facts{IP: consent.Network(v.IP), Agent: cut(v.Agent)}
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
					Subject: n.Hash, Kind: n.Kind, Purpose: def.Name, State: def.No(), Said: now, Method: consent.ByGPC, Facts: facts.JSON(),
				})
			}
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return d.Permission.Submit(ctx, fmt.Sprintf("gpc/%s/%d", t.Mail, now.UnixMilli()), Source, entries)
}

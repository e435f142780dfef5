package feedback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/processor"
	"rapport/internal/purpose"
)

// Asking is how addresses are asked whether they are their owners'.
type Asking struct {
	Template string // of the mail; "": nobody is asked
	Purpose  purpose.Purpose
	Limits   consent.OptInLimits
}

// Wish is what somebody would like an address to get.
type Wish struct {
	Email    string // normal, as ingest.NormalizeAddress gives it
	Purposes []purpose.Purpose
	Language string
	Form     string // on which it was said
	URL      string // of that form
	Network  string // "": that of the visit
}

// Asked is what became of a wish.
type Asked struct {
	Mail  id.Message // the mail with the link, zero where none was sent
	Until time.Time  // the link works until then
	Why   string     // "" or the code for which no mail was sent
}

// Confirmable lists the purposes that somebody can subscribe to.
func (d *Desk) Confirmable() (out []*consent.Definition) {
	if d.Asking == nil || d.Asking().Template == "" {
		return nil
	}
	for _, def := range d.Permission.Policy().Purposes() {
		if def.Scope == consent.AddressScope && def.Basis == purpose.Consent && !def.Hidden {
			out = append(out, def)
		}
	}
	return out
}

// Ask sends the mail that asks whether an address is its owner's. Nothing is
// permitted by it. What is refused for the sake of the address or the network
// (Asked.Why) must not be told to whoever asks: it would tell who is known here.
func (d *Desk) Ask(ctx context.Context, w Wish, v Visit) (Asked, error) {
	how := d.asking()
	if how.Template == "" {
		return Asked{}, fault.New(fault.NotFound, "nobody_is_asked", "the configuration in effect names no template for confirmation mails (consent.confirm_with)")
	}
	policy := d.Permission.Policy()
	can := d.Confirmable()
	for _, p := range w.Purposes {
		if !slices.ContainsFunc(can, func(def *consent.Definition) bool { return def.Name == p }) {
			return Asked{}, fault.New(fault.Invalid, "not_confirmable", "nobody can subscribe to the purpose %q: it is none, or does not rest on consent", p)
		}
	}
	if len(w.Purposes) == 0 {
		return Asked{}, fault.New(fault.Invalid, "no_purpose", "name at least one purpose")
	}
	now := d.Now().UTC().Truncate(time.Millisecond)
	o := consent.OptIn{Address: d.Hash("email", w.Email), Network: w.Network, At: now}
	if d.barred(o.Address) {
		return Asked{Until: now.Add(how.Limits.ValidFor), Why: OfErased}, nil
	}
	if o.Network == "" {
		o.Network = consent.Network(v.IP)
	}
	if _, err := io.ReadFull(d.Rand, o.ID[:]); err != nil {
		return Asked{}, fmt.Errorf("draw a link: %w", err)
	}
	link := d.signer().Confirm(o.ID, o.Address)
	req := processor.SendRequest{Key: "opt-in/" + o.ID.String(), To: w.Email, Template: how.Template, Purpose: how.Purpose, Class: message.Transactional}
	asked := consent.Asked{Purposes: w.Purposes, Language: w.Language, Mail: req.MessageOf(now).String(), Facts: consent.Facts{
		Form: consent.Cut(w.Form), URL: consent.BareURL(consent.Cut(w.URL)), IP: o.Network, Agent: cut(v.Agent),
	}}
	if def, ok := policy.Purpose(w.Purposes[0]); ok {
		if n := policy.Shown(def, w.Language); n != nil {
			asked.Facts.Notice = n.Ref()
		}
	}
	var err error
	if o.Body, err = json.Marshal(asked); err != nil {
		return Asked{}, fmt.Errorf("encode an opt-in: %w", err)
	}
	out := Asked{Mail: req.MessageOf(now), Until: now.Add(how.Limits.ValidFor)}
	if err := d.Permission.AskOptIn(ctx, o, how.Limits); err != nil {
		var f *fault.Error
		if errors.As(err, &f) && (f.Kind == fault.Limited || f.Kind == fault.Denied) {
			return Asked{Until: out.Until, Why: f.Code}, nil
		}
		return Asked{}, err
	}
	req.ValidUntil = out.Until.UnixMilli()
	if req.Data, err = json.Marshal(map[string]any{"confirm_url": link, "language": w.Language, "purposes": d.titles(w)}); err != nil {
		return Asked{}, fmt.Errorf("encode a request to confirm: %w", err)
	}
	ev := &event.Event{Type: event.Send, Source: Source, MessageID: req.Key, Time: now, Received: now, Email: w.Email}
	if ev.Properties, err = json.Marshal(req); err != nil {
		return Asked{}, fmt.Errorf("encode a request to confirm: %w", err)
	}
	if err := d.Log.AppendEvent(ctx, ev); err != nil {
		return Asked{}, fmt.Errorf("log a request to confirm: %w", err)
	}
	return out, nil
}

func (d *Desk) asking() Asking {
	if d.Asking == nil {
		return Asking{}
	}
	return d.Asking()
}

func (d *Desk) barred(address id.Hash) bool { return d.Barred != nil && d.Barred(address) }

func (d *Desk) titles(w Wish) (out []string) {
	for _, p := range w.Purposes {
		if def, ok := d.Permission.Policy().Purpose(p); ok {
			title, _ := def.In(w.Language)
			out = append(out, title)
		}
	}
	return out
}

// Stage is how far a confirmation has come.
type Stage uint8

// The stages.
const (
	Open     Stage = iota // the button may be pressed
	Used                  // it was pressed before
	Over                  // too late
	Gone                  // whoever had the address was erased: nothing is permitted under it
	Declined              // somebody looked at it and did not do it
)

// OfErased is why an address is not asked under which nothing is kept.
const OfErased = "person_erased"

// Confirming is what the link of a confirmation mail is about.
type Confirming struct {
	Stage       Stage
	Language    string
	Purposes    []*consent.Definition
	Preferences string // token of the preference page, once it is confirmed
}

// Confirming reads such a link without doing anything.
func (d *Desk) Confirming(ctx context.Context, token string) (Confirming, error) {
	c, _, _, err := d.confirming(ctx, token)
	return c, err
}

func (d *Desk) confirming(ctx context.Context, token string) (c Confirming, o consent.OptIn, asked consent.Asked, err error) {
	t, err := d.signer().Verify(ConfirmKind, token, "")
	if err != nil {
		return c, o, asked, err
	}
	o, found, err := d.Permission.FindOptIn(ctx, t.Mail)
	if err != nil {
		return c, o, asked, fmt.Errorf("find an opt-in: %w", err)
	}
	if !found || o.Address != t.Address {
		return c, o, asked, ErrToken
	}
	if asked, err = o.Read(); err != nil {
		return c, o, asked, err
	}
	c.Language = asked.Language
	for _, p := range asked.Purposes {
		if def, ok := d.Permission.Policy().Purpose(p); ok {
			c.Purposes = append(c.Purposes, def)
		}
	}
	switch {
	case d.barred(o.Address):
		c.Stage, c.Purposes = Gone, nil
	case !o.Confirmed.IsZero():
		c.Stage = Used
		c.Preferences, err = d.preferencesOf(&o, &asked)
	case !d.Now().Before(o.Expires) || len(c.Purposes) == 0:
		c.Stage = Over
	}
	return c, o, asked, err
}

func (d *Desk) preferencesOf(o *consent.OptIn, asked *consent.Asked) (string, error) {
	mail, err := id.ParseMessage(asked.Mail)
	if err != nil {
		return "", fmt.Errorf("read an opt-in: %w", err)
	}
	return d.signer().Sign(Token{Kind: PreferencesKind, Mail: mail, Address: o.Address, Purpose: asked.Purposes[0]}, ""), nil
}

// Confirm says yes for what was asked: the press of the button, never a GET. The
// link works once; pressed again it changes nothing, also where the person has
// taken the yes back meanwhile.
func (d *Desk) Confirm(ctx context.Context, token string, v Visit) (Confirming, error) {
	c, o, asked, err := d.confirming(ctx, token)
	if err != nil || c.Stage != Open {
		return c, err
	}
	now := d.Now().UTC().Truncate(time.Millisecond)
	m := Mail{}
	if mail, err := id.ParseMessage(asked.Mail); err == nil {
		if m, err = d.mail(ctx, Token{Mail: mail}); err != nil {
			return c, err
		}
	}
	facts := asked.Facts
	facts.Served = asked.Mail
	facts.Confirmation = &consent.Confirmation{
		Token: o.ID.String(), Mail: asked.Mail, Requested: o.At, FromIP: o.Network, Confirmed: now, IP: consent.Network(v.IP),
	}
	facts.IP, facts.Agent = consent.Network(v.IP), cut(v.Agent)
	var entries []consent.Entry
	for _, def := range c.Purposes {
		facts.Notice = nil
		if n := d.Permission.Policy().Shown(def, asked.Language); n != nil {
			facts.Notice = n.Ref()
		}
		e := consent.Entry{Kind: "email", Purpose: def.Name, State: consent.Granted, Said: now, Method: consent.ByOptIn, Facts: facts.JSON()}
		entries = append(entries, d.ofEach(o.Address, &m, def, e)...)
	}
	if err := d.Permission.ConfirmOptIn(ctx, &o, Source, entries); err != nil {
		return c, err
	}
	c.Preferences, err = d.preferencesOf(&o, &asked)
	return c, err
}

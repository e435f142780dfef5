package feedback

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"rapport/internal/audit"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/processor"
	"rapport/internal/purpose"
	"rapport/internal/rights"
)

// Rights is what readers may ask of their data on the pages.
type Rights struct {
	Desk *rights.Desk
	// How tells by which mail a reader proves that the address is theirs.
	How func() Proving
	// Address gives the address of somebody with this hash, "" where they have none such.
	Address func(ctx context.Context, who id.Person, address id.Hash) (string, error)
	// Export writes all that is held about somebody, as JSON or as a page.
	Export func(ctx context.Context, who id.Person, page bool, w io.Writer) error
	// Walk has a record of the house's own carried out, and returns when it is done.
	Walk func(ctx context.Context, e *event.Event) error
	// Restrict has somebody's data kept and not used, or ends that (rights.Lift). Under
	// one record it is said once.
	Restrict func(ctx context.Context, record string, who id.Person, kind rights.Kind) error
	// Traits gives what is held of somebody, in order of name.
	Traits func(ctx context.Context, who id.Person) ([]Held, error)
	// Note writes into the trail that somebody is about to use a right.
	Note func(ctx context.Context, who id.Person, what string) error
}

// Proving is how a reader proves that an address is theirs.
type Proving struct {
	Template string // of the mail with the link; "": nothing can be asked for
	Purpose  purpose.Purpose
	Law      rights.Law
	ValidFor time.Duration
	AtOnce   []string // the traits that readers put right themselves; the rest waits for somebody who looks at it
}

// Actor is who acts, in the trail, where readers use a right on the pages.
const Actor = "house/feedback"

// MostClaims is how many links one person is sent in a day.
const MostClaims = 6

// claimable are the rights that are used on the pages.
var claimable = []rights.Kind{rights.Export, rights.Correct, rights.Restrict, rights.Lift, rights.Erase}

// Claimable tells whether readers may ask for their data on the pages.
func (d *Desk) Claimable() bool { return d.Rights != nil && d.Rights.How().Template != "" }

// claim is what is kept of a request until its link is followed.
type claim struct {
	Until    int64  `json:"until"` // Unix milliseconds
	Language string `json:"language,omitempty"`
	By       string `json:"by"` // "page"
}

// answered is what is kept of a request once its link was used.
type answered struct {
	By   string       `json:"by"` // "page"
	Asks *rights.Asks `json:"asks,omitempty"`
}

func (a answered) json() json.RawMessage {
	a.By = "page"
	b, err := json.Marshal(a)
	if err != nil {
		return nil // Texts, and values that were made here, always marshal.
	}
	return b
}

// Claim sends the link with which a reader gets a copy of their data, says what is
// wrong in them, has them restricted, or is erased.
// many tells that they were sent enough of them today.
func (d *Desk) Claim(ctx context.Context, token string, kind rights.Kind, v Visit) (until time.Time, many bool, err error) {
	if !d.Claimable() || !slices.Contains(claimable, kind) {
		return until, false, ErrToken
	}
	t, m, err := d.preferences(ctx, token)
	if err != nil {
		return until, false, err
	}
	if m.Person == 0 { // They were erased.
		return until, false, ErrToken
	}
	to, err := d.Rights.Address(ctx, m.Person, t.Address)
	if err != nil || to == "" {
		return until, false, orToken(err)
	}
	how, now := d.Rights.How(), d.Now().UTC().Truncate(time.Millisecond)
	until = now.Add(how.ValidFor)
	subject := d.Hash(audit.PersonKind, m.Person.String())
	if many, err = d.enough(ctx, subject, now); err != nil || many {
		return until, many, err
	}
	var name id.Message
	if _, err := io.ReadFull(d.Rand, name[:]); err != nil {
		return until, false, fmt.Errorf("draw a link: %w", err)
	}
	body, err := json.Marshal(claim{until.UnixMilli(), v.Language, "page"})
	if err != nil {
		return until, false, err
	}
	r := rights.Request{ID: claimID(name), Kind: kind, Law: how.Law, Person: m.Person, Subject: subject, Received: now, Body: body}
	if err := d.Rights.Desk.Await(ctx, r, until); err != nil {
		return until, false, err
	}
	return until, false, d.sendClaim(ctx, to, name, t.Address, kind, until, v)
}

func orToken(err error) error {
	if err == nil {
		return ErrToken
	}
	return err
}

func claimID(name id.Message) string { return "own-" + hex.EncodeToString(name[:]) }

func (d *Desk) enough(ctx context.Context, subject id.Hash, now time.Time) (bool, error) {
	list, err := d.Rights.Desk.Requests(ctx, rights.Query{Subject: subject, Limit: MostClaims})
	if err != nil || len(list) < MostClaims {
		return false, err
	}
	return list[MostClaims-1].Received.After(now.AddDate(0, 0, -1)), nil
}

func (d *Desk) sendClaim(ctx context.Context, to string, name id.Message, address id.Hash, kind rights.Kind, until time.Time, v Visit) error {
	how := d.Rights.How()
	link := d.signer().Claim(name, address)
	req := processor.SendRequest{
		Key: message.ClaimKey + name.String(), To: to, Template: how.Template, Purpose: how.Purpose, Class: message.Transactional, ValidUntil: until.UnixMilli(),
	}
	var err error
	if req.Data, err = json.Marshal(map[string]any{"claim_url": link, "claim": kind, "language": v.Language}); err != nil {
		return err
	}
	now := d.Now().UTC().Truncate(time.Millisecond)
	ev := &event.Event{Type: event.Send, Source: Source, MessageID: req.Key, Time: now, Received: now, Email: to}
	if ev.Properties, err = json.Marshal(req); err != nil {
		return err
	}
	if err := d.Log.AppendEvent(ctx, ev); err != nil {
		return fmt.Errorf("log a request to send a link: %w", err)
	}
	return nil
}

// Claiming is what the link in such a mail is about.
type Claiming struct {
	Kind     rights.Kind
	Stage    Stage
	Language string
	Held     []Held  // of a correction: what is held that cannot be changed on the page
	Fields   []Field // and what can
	More     int     // how many more are held than the page shows
	Text     string  // what else is wrong, as it was written
	Trouble  Trouble // why it was not taken
	Waits    bool    // somebody of the house will look at it
	Due      time.Time

	request rights.Request
	address string
}

// Claiming reads such a link without doing anything.
func (d *Desk) Claiming(ctx context.Context, token string) (c Claiming, err error) {
	t, err := d.signer().Verify(ClaimKind, token, "")
	if err != nil || d.Rights == nil {
		return c, orToken(err)
	}
	r, err := d.Rights.Desk.Request(ctx, claimID(t.Mail))
	if fault.KindOf(err) == fault.NotFound {
		return c, ErrToken
	}
	if err != nil {
		return c, err
	}
	c = Claiming{Kind: r.Kind, Due: r.Answer(), request: r}
	switch r.Outcome {
	case rights.Done:
		c.Stage = Used
		return c, nil
	case rights.Refused:
		c.Stage = Declined
		return c, nil
	case rights.Lapsed:
		c.Stage = Over
		return c, nil
	}
	if c.address, err = d.Rights.Address(ctx, r.Person, t.Address); err != nil || c.address == "" || len(r.Body) == 0 {
		return c, orToken(err) // The address is not theirs any more, or they were erased.
	}
	if r.Asked() != nil {
		c.Stage = Used
		return c, nil
	}
	var kept claim
	if err := json.Unmarshal(r.Body, &kept); err != nil {
		return c, fmt.Errorf("read a claim: %w", err)
	}
	if c.Language = kept.Language; !d.Now().Before(time.UnixMilli(kept.Until)) {
		c.Stage = Over
		return c, nil
	}
	if r.Kind == rights.Correct {
		err = d.show(ctx, &c)
	}
	return c, err
}

// Deed is what a reader chose or wrote on the page of a link.
type Deed struct {
	Page  bool              // the copy is to be a page to read
	Was   map[string]string // by trait: what the page showed
	Want  map[string]string // and what the reader left it at
	Text  string            // what else is wrong
	Comma bool              // the page's language has a decimal comma
}

// Fulfil does what was asked, once: the press of the button, never a GET. A copy is
// written to w; begin is called before its first byte.
func (d *Desk) Fulfil(ctx context.Context, token string, deed *Deed, w io.Writer, begin func()) (Claiming, error) {
	c, err := d.Claiming(ctx, token)
	if err != nil || c.Stage != Open {
		return c, err
	}
	if c.Kind != rights.Correct { // Of a correction what they wrote is looked at before.
		_, err = d.Rights.Desk.Prove(ctx, c.request.ID)
	}
	switch {
	case err != nil:
	case c.Kind == rights.Erase:
		return c, d.erase(ctx, &c.request)
	case c.Kind == rights.Correct:
		err = d.correct(ctx, &c, deed)
	case c.Kind == rights.Restrict || c.Kind == rights.Lift:
		err = d.restrict(ctx, &c.request)
	default:
		if err = d.done(ctx, c.request.ID, answered{}); err == nil {
			begin()
			return c, d.Rights.Export(ctx, c.request.Person, deed.Page, w)
		}
	}
	if fault.CodeOf(err) == rights.Closed {
		c.Stage, err = Used, nil // Somebody pressed twice.
	}
	return c, err
}

func (d *Desk) erase(ctx context.Context, r *rights.Request) error {
	if err := d.Rights.Note(ctx, r.Person, "person.erase_asked"); err != nil {
		return err
	}
	now := d.Now().UTC().Truncate(time.Millisecond)
	e, err := processor.EraseEvent(r.ID, r.Person, now, processor.EraseRequest{Law: r.Law, Received: r.Received.UnixMilli(), Note: "asked on the page of preferences"})
	if err != nil {
		return err
	}
	return d.Rights.Walk(ctx, e)
}

// restrict says it before the request is closed: what is said twice is said once, and
// what is closed is done.
func (d *Desk) restrict(ctx context.Context, r *rights.Request) error {
	if err := d.Rights.Note(ctx, r.Person, "person."+string(r.Kind)+"_asked"); err != nil {
		return err
	}
	if err := d.Rights.Restrict(ctx, r.ID, r.Person, r.Kind); err != nil {
		return err
	}
	return d.done(ctx, r.ID, answered{})
}

// done ends a request; nothing of the link stays in it.
func (d *Desk) done(ctx context.Context, name string, a answered) error {
	_, err := d.Rights.Desk.Change(ctx, name, func(r *rights.Request) error {
		r.End(d.Now(), rights.Done)
		r.Body = a.json()
		return nil
	})
	return err
}

// Restricted tells whether whoever a link of preferences belongs to has restricted all
// use of their data.
func (d *Desk) Restricted(ctx context.Context, token string) (bool, error) {
	t, m, err := d.preferences(ctx, token)
	return err == nil && d.Permission.Restricts(append(hashes(m.Names), t.Address)...), err
}

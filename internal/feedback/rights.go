package feedback

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
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
	// Erase carries out a request, and returns when it is done.
	Erase func(ctx context.Context, e *event.Event) error
}

// Proving is how a reader proves that an address is theirs.
type Proving struct {
	Template string // of the mail with the link; "": nothing can be asked for
	Purpose  purpose.Purpose
	Law      rights.Law
	ValidFor time.Duration
}

// MostClaims is how many links one person is sent in a day.
const MostClaims = 3

// Claimable tells whether readers may ask for their data on the pages.
func (d *Desk) Claimable() bool { return d.Rights != nil && d.Rights.How().Template != "" }

// claim is what is kept of a request until its link is followed.
type claim struct {
	Until    int64  `json:"until"` // Unix milliseconds
	Language string `json:"language,omitempty"`
	By       string `json:"by"` // "page"
}

// Claim sends the link with which a reader gets a copy of their data, or is erased.
// many tells that they were sent enough of them today.
func (d *Desk) Claim(ctx context.Context, token string, kind rights.Kind, v Visit) (until time.Time, many bool, err error) {
	if !d.Claimable() || kind != rights.Export && kind != rights.Erase {
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
	if _, err := d.Rights.Desk.Open(ctx, r); err != nil {
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
		Key: "claim/" + name.String(), To: to, Template: how.Template, Purpose: how.Purpose, Class: message.Transactional, ValidUntil: until.UnixMilli(),
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

	request rights.Request
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
	c = Claiming{Kind: r.Kind, request: r}
	if !r.Open() {
		c.Stage = Used
		return c, nil
	}
	var kept claim
	if err := json.Unmarshal(r.Body, &kept); err != nil {
		return c, fmt.Errorf("read a claim: %w", err)
	}
	c.Language = kept.Language
	if to, err := d.Rights.Address(ctx, r.Person, t.Address); err != nil || to == "" {
		return c, orToken(err) // The address is not theirs any more.
	}
	if !d.Now().Before(time.UnixMilli(kept.Until)) {
		c.Stage = Over
	}
	return c, nil
}

// Fulfil does what was asked, once: the press of the button, never a GET. A copy is
// written to w; begin is called before its first byte.
func (d *Desk) Fulfil(ctx context.Context, token string, page bool, w io.Writer, begin func()) (Claiming, error) {
	c, err := d.Claiming(ctx, token)
	if err != nil || c.Stage != Open {
		return c, err
	}
	r := &c.request
	if r.Kind == rights.Erase {
		now := d.Now().UTC().Truncate(time.Millisecond)
		e, err := processor.EraseEvent(r.ID, r.Person, now, processor.EraseRequest{Law: r.Law, Received: r.Received.UnixMilli(), Note: "asked on the page of preferences"})
		if err != nil {
			return c, err
		}
		return c, d.Rights.Erase(ctx, e)
	}
	if _, err := d.Rights.Desk.Close(ctx, r.ID, "done", json.RawMessage(`{"by":"page"}`)); err != nil {
		if fault.KindOf(err) == fault.Conflict {
			c.Stage, err = Used, nil // Somebody pressed twice.
		}
		return c, err
	}
	begin()
	return c, d.Rights.Export(ctx, r.Person, page, w)
}

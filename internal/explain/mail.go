package explain

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"rapport/internal/consent"
	"rapport/internal/content"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/journey"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/processor"
	"rapport/internal/purpose"
)

// Mail is one mail in a list.
type Mail struct {
	ID        string          `json:"id"`
	Person    string          `json:"person"`
	Template  string          `json:"template"`
	Purpose   purpose.Purpose `json:"purpose"`
	Class     string          `json:"class"`
	State     string          `json:"state"`
	Reason    string          `json:"reason,omitempty"`
	Journey   string          `json:"journey,omitempty"`
	Step      string          `json:"step,omitempty"`
	Provider  string          `json:"provider,omitempty"`
	Subject   string          `json:"subject,omitempty"`
	Decided   time.Time       `json:"decided"`
	Due       time.Time       `json:"due"`
	Attempts  int             `json:"attempts"`
	Duplicate bool            `json:"duplicate_possible,omitempty"`
}

// MailStory is the whole story of one mail.
type MailStory struct {
	Mail
	Key       string `json:"key"`
	Cause     string `json:"cause"` // message id of the event that led to it
	MessageID string `json:"message_id,omitempty"`
	Version   int    `json:"config_version"`
	Story     []Step `json:"story"`
	Parts     *Parts `json:"parts,omitempty"`
}

// Parts is what was, or would be, read: both bodies and the headers, without
// addresses.
type Parts struct {
	Subject   string      `json:"subject"`
	Preheader string      `json:"preheader,omitempty"`
	Headers   [][2]string `json:"headers"`
	Text      string      `json:"text"`
	HTML      string      `json:"html,omitempty"`
}

// partsOf unpacks what was kept of a mail, nil for nothing and for what cannot
// be read any more: the story is worth telling without it.
func partsOf(kept []byte) *Parts {
	r, err := content.DecodeParts(kept)
	if err != nil {
		return nil
	}
	return &Parts{Subject: r.Subject, Preheader: r.Preheader, Headers: r.Headers, Text: string(r.Text), HTML: string(r.HTML)}
}

// Step is one state of a mail with its time.
type Step struct {
	State  string          `json:"state"`
	At     time.Time       `json:"at"`
	Reason string          `json:"reason,omitempty"`
	Detail json.RawMessage `json:"detail,omitempty"`
}

func mailOf(m *outbox.Mail, story []outbox.Step, parts []byte) Mail {
	out := Mail{
		ID: m.ID.String(), Person: m.Person.String(), Template: m.Template, Purpose: m.Purpose, Class: m.Class.String(), State: m.State.String(),
		Journey: m.Journey, Step: m.Step, Provider: m.Provider, Decided: m.Decided, Due: m.Due, Attempts: m.Attempts, Duplicate: m.Duplicate,
	}
	if n := len(story); n > 0 {
		out.Reason = story[n-1].Reason
	}
	if p := partsOf(parts); p != nil {
		out.Subject = p.Subject
	}
	return out
}

// Message tells the whole story of one mail: why it was decided, every state
// with its time, the parts. A purpose is told of mails that were made for one that
// sees no more than itself.
func (r *Reader) Message(ctx context.Context, m id.Message, why purpose.Purpose) (*MailStory, error) {
	var out *MailStory
	v := r.Version()
	sees := v.Purview.For(why)
	err := r.Keeper.Read(ctx, func(b processor.Books) error {
		mail, ok, err := b.Outbox.Get(m)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "no_such_message", "there is no message %s; one that was just asked for appears once its request is walked", m)
		}
		if err := r.permitted(b, v, mail.Person, why); err != nil {
			return err
		}
		if !sees.Serves(mail.Purpose) {
			return outside("the mail", m.String(), why)
		}
		story, err := b.Outbox.Story(m)
		if err != nil {
			return err
		}
		parts, err := b.Outbox.Parts(m)
		if err != nil {
			return err
		}
		out = &MailStory{Mail: mailOf(&mail, story, parts), Key: mail.Key, Cause: mail.Cause, MessageID: mail.MessageID, Version: mail.Version, Story: []Step{}}
		for _, s := range story {
			out.Story = append(out.Story, Step{s.State.String(), s.At, s.Reason, s.Detail})
		}
		out.Parts = partsOf(parts)
		return nil
	})
	return out, err
}

// permitted says no where somebody does not permit a purpose; without one it is the
// operator who asks.
func (r *Reader) permitted(b processor.Books, v *processor.Version, who id.Person, why purpose.Purpose) error {
	if why == "" {
		return nil
	}
	f, err := load(b, who)
	if err != nil {
		return err
	}
	_, err = r.scope(b, v, f, why)
	return err
}

// Mails lists those of the newest mails in a person's story that a purpose may see,
// newest first.
func (r *Reader) Mails(ctx context.Context, who id.Person, why purpose.Purpose, limit int) ([]Mail, error) {
	out := []Mail{}
	v := r.Version()
	sees := v.Purview.For(why)
	err := r.Keeper.Read(ctx, func(b processor.Books) error {
		if err := r.permitted(b, v, who, why); err != nil {
			return err
		}
		mails, err := b.Outbox.OfPerson(who, limit)
		if err != nil {
			return err
		}
		mails = slices.DeleteFunc(mails, func(m outbox.Mail) bool { return !sees.Serves(m.Purpose) })
		return appendMails(&out, b, mails)
	})
	return out, err
}

// Newest lists mails below an id (zero: from the newest) in a state (zero: in
// any), newest first.
func (r *Reader) Newest(ctx context.Context, s message.State, before id.Message, limit int) ([]Mail, error) {
	out := []Mail{}
	err := r.Keeper.Read(ctx, func(b processor.Books) error {
		mails, err := b.Outbox.Newest(s, before, limit)
		if err != nil {
			return err
		}
		return appendMails(&out, b, mails)
	})
	return out, err
}

func appendMails(out *[]Mail, b processor.Books, mails []outbox.Mail) error {
	for i := range mails {
		story, err := b.Outbox.Story(mails[i].ID)
		if err != nil {
			return err
		}
		parts, err := b.Outbox.Parts(mails[i].ID)
		if err != nil {
			return err
		}
		*out = append(*out, mailOf(&mails[i], story, parts))
	}
	return nil
}

// States gives the number of mails in each state.
func (r *Reader) States(ctx context.Context) (map[string]int64, error) {
	out := map[string]int64{}
	err := r.Keeper.Read(ctx, func(b processor.Books) error {
		counts, err := b.Outbox.Counts()
		for s, n := range counts {
			out[s.String()] = n
		}
		return err
	})
	return out, err
}

// Journey is why somebody did, or did not, get the mails of a journey.
type Journey struct {
	Journey string              `json:"journey"`
	Person  string              `json:"person"`
	Inside  bool                `json:"inside"`
	At      time.Time           `json:"at"`
	Why     journey.Explanation `json:"why"`
	Text    string              `json:"text"` // the same for a terminal
	Mails   []Mail              `json:"mails"`
}

// Journey explains each gate with value and time.
func (r *Reader) Journey(ctx context.Context, name string, who id.Person, why purpose.Purpose) (*Journey, error) {
	v := r.Version()
	if v.Journeys.Definition(name) == nil && len(v.Journeys.Versions(name)) == 0 {
		return nil, fault.New(fault.NotFound, "no_such_journey", "there is no journey %q in configuration %d", name, v.Number)
	}
	sees := v.Purview.For(why)
	if !serves(sees, v, name) {
		return nil, outside("the journey", name, why)
	}
	var out *Journey
	err := r.Keeper.Read(ctx, func(b processor.Books) error {
		f, err := load(b, who)
		if err != nil {
			return err
		}
		if _, err := r.scope(b, v, f, why); err != nil {
			return err
		}
		now := r.Now()
		asked := &asking{subject: subject{f, v}, r: r, b: b}
		var t journey.Turn
		t.Begin(asked, &f.jour, now.UnixMilli())
		out = &Journey{Journey: name, Person: f.id.String(), At: now, Why: v.Journeys.Explain(name, &t), Mails: []Mail{}}
		out.Text = out.Why.String()
		for i := range f.jour.Places {
			out.Inside = out.Inside || f.jour.Places[i].Journey == name
		}
		mails, err := b.Outbox.OfPerson(f.id, 200)
		if err != nil {
			return err
		}
		var own []outbox.Mail
		for _, m := range mails {
			if m.Journey == name && sees.Serves(m.Purpose) {
				own = append(own, m)
			}
		}
		return appendMails(&out.Mails, b, own)
	})
	return out, err
}

// Journeys lists all journeys.
func (r *Reader) Journeys() []JourneyLine {
	v := r.Version()
	out := []JourneyLine{}
	for _, name := range v.Journeys.Names() {
		d := v.Journeys.Definition(name)
		kind, about := d.Trigger()
		words := map[journey.TriggerKind]string{journey.OnNamedEvent: "event", journey.OnEnter: "enters", journey.OnLeave: "leaves", journey.OnDate: "date", journey.OnRequest: "api"}
		out = append(out, JourneyLine{Name: name, Trigger: strings.TrimSpace(words[kind] + " " + about), Purpose: d.Purpose(), Stopped: d.Stopped(), Steps: d.Steps()})
	}
	return out
}

// TakesRequests tells whether there is a journey, and whether it is begun by
// requests.
func (r *Reader) TakesRequests(name string) (known, takes bool) {
	d := r.Version().Journeys.Definition(name)
	if d == nil {
		return false, false
	}
	kind, _ := d.Trigger()
	return true, kind == journey.OnRequest
}

// JourneyLine is one journey in a list.
type JourneyLine struct {
	Name    string          `json:"name"`
	Trigger string          `json:"trigger"`
	Purpose purpose.Purpose `json:"purpose"`
	Steps   int             `json:"steps"`
	Stopped bool            `json:"stopped,omitempty"`
}

// asking is a person whom a journey's explanation asks, gates included.
type asking struct {
	subject
	r *Reader
	b processor.Books
}

// Permit implements journey.Person.
func (a *asking) Permit(p purpose.Purpose) (bool, string) {
	subjects, address := a.r.subjects(a.f)
	d := a.r.Consent.DecideIn(a.b.Consent, consent.Question{
		Subjects: subjects, Address: address, Operation: consent.Enter, Purpose: p, Channel: purpose.Email, At: a.r.Now(),
	})
	return d.Effect == consent.Allow, d.Reason
}

var _ journey.Person = (*asking)(nil)

// Owed is a mail that is owed under a key.
type Owed struct {
	ID    id.Message
	Cause string // message id of the record that asked for it
	State string
}

// Keys gives hashes of the keys that stand in the outbox, in order, after one.
func (r *Reader) Keys(ctx context.Context, after id.Hash, limit int) (out []id.Hash, err error) {
	err = r.Keeper.Read(ctx, func(b processor.Books) error {
		out, err = b.Outbox.Keys(after, limit)
		return err
	})
	return out, err
}

// ByKey finds the mail of a key, false when none was walked under it.
func (r *Reader) ByKey(ctx context.Context, key string) (out Owed, found bool, err error) {
	err = r.Keeper.Read(ctx, func(b processor.Books) error {
		if out.ID, found, err = b.Outbox.ByKey(key); err != nil || !found {
			return err
		}
		mail, ok, err := b.Outbox.Get(out.ID)
		out.Cause, out.State, found = mail.Cause, mail.State.String(), ok
		return err
	})
	return out, found, err
}

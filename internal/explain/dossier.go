package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/purpose"
	"rapport/internal/scan"
)

// Dossier is all that stands in a person's own row and in the ledger of
// permission. Their timeline and mails, which may be of any size, are read apart.
type Dossier struct {
	*Person
	Traits   []Trait           `json:"traits"`
	Segments []InSegment       `json:"segments"`
	Said     []Said            `json:"permission_history"`
	Heads    []profile.Pointer `json:"-"` // where the timeline begins
}

// Trait is one trait with where it comes from.
type Trait struct {
	Name   string          `json:"name"`
	Value  json.RawMessage `json:"value"`
	At     time.Time       `json:"at"`               // when it was written last
	Source string          `json:"source,omitempty"` // whose event wrote it; missing where retention has taken that
}

// InSegment is a segment somebody is in, with the rule that put them there.
type InSegment struct {
	Membership
	Rule string `json:"rule"`
}

// Said is one row of the ledger of permission.
type Said struct {
	Purpose    purpose.Purpose `json:"purpose"`
	State      string          `json:"state"`
	At         time.Time       `json:"at"`
	Method     string          `json:"method"`
	Source     string          `json:"source"`
	Identifier string          `json:"identifier"` // the kind under which it was said
	Record     string          `json:"record"`
	Evidence   json.RawMessage `json:"evidence,omitempty"`
}

// Dossier reads it.
func (r *Reader) Dossier(ctx context.Context, who id.Person) (*Dossier, error) {
	p, err := r.Person(ctx, who, "")
	if err != nil {
		return nil, err
	}
	out := &Dossier{Person: p, Traits: []Trait{}, Segments: []InSegment{}, Said: []Said{}}
	v := r.Version()
	for _, m := range p.Segments {
		s := InSegment{Membership: m}
		if def, ok := v.Segments.Definition(m.Segment); ok {
			s.Rule = def.Rule.String()
		}
		out.Segments = append(out.Segments, s)
	}
	err = r.Keeper.Read(ctx, func(b processor.Books) error {
		f, err := load(b, who)
		if err != nil {
			return err
		}
		out.Heads = append(out.Heads[:0], f.prof.Heads...)
		out.Traits = out.Traits[:0]
		f.prof.View("", nil).Each(func(name string, value []byte, at int64) {
			out.Traits = append(out.Traits, Trait{Name: strings.Clone(name), Value: append(json.RawMessage(nil), value...), At: utc(at)})
		})
		out.Said, err = r.said(b, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, r.sources(ctx, out)
}

// said lists what stands in the ledger under each identifier.
func (r *Reader) said(b processor.Books, f *figure) ([]Said, error) {
	out := []Said{}
	for _, h := range f.ident.Subjects() {
		rows, err := b.Consent.Ledger(h)
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		from := len(out)
		for i := range rows {
			out = append(out, saidOf(&rows[i]))
		}
		for _, x := range r.Consent.Policy().Expiries(rows, r.Now()) {
			for _, p := range x.Purposes {
				out = append(out, Said{
					Purpose: p, State: "expired", At: x.At.UTC(), Method: consent.ByTerm, Identifier: x.Of.Kind, Record: x.Record(),
				})
			}
		}
		slices.SortStableFunc(out[from:], func(x, y Said) int { return x.At.Compare(y.At) })
	}
	return out, nil
}

func saidOf(e *consent.Entry) Said {
	return Said{
		Purpose: e.Purpose, State: e.State.String(), At: e.At.UTC(), Method: e.Method, Source: e.Source, Identifier: e.Kind, Record: e.Record,
		Evidence: append(json.RawMessage(nil), e.Evidence...),
	}
}

// historyPage is how many entries of a timeline one transaction reads.
const historyPage = 500

// sources finds in the timeline whose event wrote each trait last.
func (r *Reader) sources(ctx context.Context, d *Dossier) error {
	missing := map[string]*Trait{}
	for i := range d.Traits {
		missing[d.Traits[i].Name] = &d.Traits[i]
	}
	return r.eachEntry(ctx, d.Heads, func(e *event.Event) {
		settle := func(name string) {
			if t := missing[name]; t != nil && e.Time.UnixMilli() == t.At.UnixMilli() {
				t.Source = strings.Clone(e.Source)
				delete(missing, name)
			}
		}
		switch {
		case len(missing) == 0:
		case e.Type == event.Identify:
			members(e.Traits, func(name string) { settle(profile.Canonical(name)) })
		case e.Email != "":
			settle("email")
		}
	}, func() error { return nil })
}

// members calls fn for the name of each member of a JSON object.
func members(raw []byte, fn func(name string)) {
	for m := scan.MembersOf(raw); ; {
		key, _, ok := m.Next()
		if !ok {
			return
		}
		fn(string(key))
	}
}

// eachEntry reads a timeline to its end, newest first, some entries a
// transaction, so that it may be of any size. after is called when one is over.
func (r *Reader) eachEntry(ctx context.Context, heads []profile.Pointer, fn func(e *event.Event), after func() error) error {
	for rest := heads; len(rest) > 0; {
		err := r.Keeper.Read(ctx, func(b processor.Books) (err error) {
			n := 0
			rest, err = profile.HistoryFrom(b.History, rest, func(_ profile.Pointer, e *event.Event) (bool, error) {
				if n == historyPage {
					return false, nil
				}
				n++
				fn(e)
				return true, nil
			})
			return err
		})
		if err == nil {
			err = after()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// EachEvent reads the timeline of a dossier, newest first. fn may be slow: no
// transaction waits for it.
func (r *Reader) EachEvent(ctx context.Context, d *Dossier, fn func(Event) error) error {
	var page []Event
	return r.eachEntry(ctx, d.Heads, func(e *event.Event) { page = append(page, eventOf(e)) }, func() error {
		for i := range page {
			if err := fn(page[i]); err != nil {
				return err
			}
		}
		page = page[:0]
		return nil
	})
}

// mailsAtOnce is how many mails are listed at once.
const mailsAtOnce = 500

// EachMail reads the mails in a person's story with all that was in them, newest
// first and page by page.
func (r *Reader) EachMail(ctx context.Context, d *Dossier, fn func(*MailStory) error) error {
	var before id.Message
	for n := mailsAtOnce; n == mailsAtOnce; {
		var ids []id.Message
		err := r.Keeper.Read(ctx, func(b processor.Books) error {
			mails, err := b.Outbox.OfPersonBefore(d.Person.ID, before, mailsAtOnce)
			for i := range mails {
				ids = append(ids, mails[i].ID)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("list mails: %w", err)
		}
		n = len(ids)
		for _, m := range ids {
			story, err := r.Message(ctx, m, "")
			if err != nil {
				return err
			}
			if err := fn(story); err != nil {
				return err
			}
			before = m
		}
	}
	return nil
}

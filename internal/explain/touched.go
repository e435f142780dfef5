package explain

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"rapport/internal/audit"
	"rapport/internal/breach"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/plan"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/purpose"
)

// Search says whom a breach may concern.
type Search struct {
	Scope   breach.Scope
	Keys    []string        // ids of management keys: whom they reached stands in the trail
	Sources map[string]bool // whose events count
	// Wants tells whether a destination of the scope may have been told of an event.
	Wants func(e *event.Event) bool
	Plans *plan.Set
	Rows  func(ctx context.Context, q audit.Query) ([]audit.Entry, error)
	Size  func(ctx context.Context) (int64, error) // of the trail
	Hash  func(kind, value string) id.Hash
}

// Touched finds everybody within a scope, each once, in order of their numbers, and
// counts them. fn may be nil; it may be slow.
func (r *Reader) Touched(ctx context.Context, s *Search, sum *breach.Sum, fn func(*breach.Touched) error) error {
	t := &touching{r: r, s: s, sum: sum, fn: fn, who: map[id.Person]breach.Kind{}, whole: s.Scope.Everything}
	if err := t.byKeys(ctx); err != nil {
		return err
	}
	for _, n := range s.Scope.Destinations {
		if n != "" {
			sum.AtMost()
		}
	}
	if t.whole || len(s.Sources) > 0 || len(s.Scope.Destinations) > 0 {
		return t.everybody(ctx)
	}
	ids := make([]id.Person, 0, len(t.who))
	for who := range t.who {
		ids = append(ids, who)
	}
	slices.Sort(ids)
	for list := range slices.Chunk(ids, touchedAtOnce) {
		if err := t.page(ctx, list); err != nil {
			return err
		}
	}
	return nil
}

// touchedAtOnce is how many people one transaction reads.
const touchedAtOnce = 50

// touching is one search.
type touching struct {
	r     *Reader
	s     *Search
	sum   *breach.Sum
	fn    func(*breach.Touched) error
	who   map[id.Person]breach.Kind // whom keys reached
	whole bool                      // all of everybody
}

// byKeys reads in the trail whom the keys reached.
func (t *touching) byKeys(ctx context.Context) error {
	if len(t.s.Keys) == 0 {
		return nil
	}
	size, err := t.s.Size(ctx)
	if err != nil {
		return err
	}
	subjects := map[id.Hash]breach.Kind{}
	mails := map[id.Message]breach.Kind{}
	for _, key := range t.s.Keys {
		q := audit.Query{Actor: "key/" + key, Since: t.s.Scope.From, Until: t.s.Scope.Until, Limit: 1000}
		for q.Before = size; q.Before > 0; {
			rows, err := t.s.Rows(ctx, q)
			if err != nil {
				return fmt.Errorf("read what the key %s did: %w", key, err)
			}
			for i := range rows {
				t.act(&rows[i], subjects, mails)
			}
			if len(rows) == q.Limit {
				q.Before = rows[len(rows)-1].N
			} else {
				q.Before -= audit.SearchedRows
			}
		}
	}
	if err := t.ofMails(ctx, mails); err != nil {
		return err
	}
	return t.resolve(ctx, subjects)
}

// act notes what one row says.
func (t *touching) act(e *audit.Entry, subjects map[id.Hash]breach.Kind, mails map[id.Message]breach.Kind) {
	if m, err := id.ParseMessage(e.Object); err == nil && e.Subject == "" {
		if kind, _ := breach.Touch(e.What, true); kind != 0 {
			mails[m] |= kind
			t.sum.Act(e.What, true)
			return
		}
	}
	kind, unnamed := breach.Touch(e.What, e.Subject != "")
	if unnamed {
		t.sum.Act(e.What, false)
		t.whole = t.whole || e.What == breach.Everybody
	}
	if kind == 0 {
		return
	}
	raw, err := hex.DecodeString(e.Subject)
	if err != nil || len(raw) != len(id.Hash{}) {
		return
	}
	subjects[id.Hash(raw)] |= kind
	t.sum.Act(e.What, true)
}

// ofMails finds whose mails were read.
func (t *touching) ofMails(ctx context.Context, mails map[id.Message]breach.Kind) error {
	for m, kind := range mails {
		err := t.r.Keeper.Read(ctx, func(b processor.Books) error {
			x, found, err := b.Outbox.Get(m)
			if err == nil && found {
				err = t.reach(b, x.Person, kind)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reach notes that a person was reached, whoever they are by now.
func (t *touching) reach(b processor.Books, who id.Person, kind breach.Kind) error {
	f, err := load(b, who)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		t.sum.Gone()
		return nil
	case err != nil:
		return err
	}
	t.who[f.id] |= kind
	return nil
}

// resolve finds who stands behind keyed hashes: of an identifier, or of a person's number.
func (t *touching) resolve(ctx context.Context, subjects map[id.Hash]breach.Kind) error {
	hashes := make([]id.Hash, 0, len(subjects))
	for h := range subjects {
		hashes = append(hashes, h)
	}
	slices.SortFunc(hashes, func(a, b id.Hash) int { return strings.Compare(string(a[:]), string(b[:])) })
	for list := range slices.Chunk(hashes, 500) {
		err := t.r.Keeper.Read(ctx, func(b processor.Books) error {
			who := make([]id.Person, len(list))
			if err := b.Identity.Lookup(list, who); err != nil {
				return err
			}
			for i, w := range who {
				if w == 0 {
					continue
				}
				if err := t.reach(b, w, subjects[list[i]]); err != nil {
					return err
				}
				delete(subjects, list[i])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(subjects) == 0 {
		return nil
	}
	err := t.eachNumber(ctx, func(b processor.Books, list []id.Person) error {
		for _, who := range list {
			h := t.s.Hash(audit.PersonKind, who.String())
			kind, ok := subjects[h]
			if !ok {
				continue
			}
			if err := t.reach(b, who, kind); err != nil {
				return err
			}
			delete(subjects, h)
		}
		return nil
	})
	for range subjects {
		t.sum.Gone()
	}
	return err
}

// eachNumber calls fn for the numbers of all people, some at a time.
func (t *touching) eachNumber(ctx context.Context, fn func(b processor.Books, list []id.Person) error) error {
	for after := id.Person(0); ; {
		var list []id.Person
		err := t.r.Keeper.Read(ctx, func(b processor.Books) (err error) {
			if list, err = b.Persons.After(after, touchedAtOnce); err != nil {
				return err
			}
			return fn(b, list)
		})
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1]
	}
}

// everybody looks at all people.
func (t *touching) everybody(ctx context.Context) error {
	for after := id.Person(0); ; {
		var list []id.Person
		err := t.r.Keeper.Read(ctx, func(b processor.Books) (err error) {
			list, err = b.Persons.After(after, touchedAtOnce)
			return err
		})
		if err != nil || len(list) == 0 {
			return err
		}
		if err := t.page(ctx, list); err != nil {
			return err
		}
		after = list[len(list)-1]
	}
}

// page looks at some people, and tells of those who are concerned when the
// transaction is over.
func (t *touching) page(ctx context.Context, list []id.Person) error {
	var found []*breach.Touched
	err := t.r.Keeper.Read(ctx, func(b processor.Books) error {
		found = found[:0]
		for _, who := range list {
			f, err := load(b, who)
			if fault.KindOf(err) == fault.NotFound || err == nil && f.id != who {
				continue // They were erased, or are counted as who they became.
			}
			if err != nil {
				return err
			}
			x, err := t.look(b, f)
			if err != nil {
				return fmt.Errorf("look at %s: %w", who, err)
			}
			if x != nil {
				found = append(found, x)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, x := range found {
		t.sum.Add(x)
		if t.fn == nil {
			continue
		}
		if err := t.fn(x); err != nil {
			return err
		}
	}
	return nil
}

// look tells what of one person is concerned; nil: nothing.
func (t *touching) look(b processor.Books, f *figure) (*breach.Touched, error) {
	x := &breach.Touched{Person: f.id.String(), Kinds: t.who[f.id], Records: map[purpose.Class]int64{}}
	if t.whole {
		x.Kinds |= breach.Whole
	}
	all := x.Kinds&breach.Traits != 0
	traits := map[string]bool{}
	if err := t.history(b, f, x, traits); err != nil || x.Kinds == 0 {
		return nil, err
	}
	if x.Kinds&breach.Traits != 0 {
		f.prof.View("", nil).Each(func(name string, _ []byte, _ int64) {
			if all || traits[profile.Canonical(name)] {
				x.Names = append(x.Names, strings.Clone(name))
				x.Records[t.s.Plans.Class(event.Identify, "", name)]++
			}
		})
	}
	if x.Kinds&breach.Identifiers != 0 {
		for _, i := range f.ident.Identifiers {
			x.Records[purpose.Personal]++
			if name := "identifier " + i.Kind; !slices.Contains(x.Names, name) {
				x.Names = append(x.Names, name)
			}
		}
	}
	if x.Kinds&breach.Mails != 0 {
		mails, err := b.Outbox.OfPerson(f.id, processor.MaxParted)
		if err != nil {
			return nil, err
		}
		x.Mails = int64(len(mails))
		x.Records[purpose.Personal] += x.Mails
	}
	x.Address = f.ident.Address(f.prof.Text("email"))
	return x, nil
}

// history counts the events that were within reach: all of whoever's timeline was,
// else those of the sources and for the destinations of the scope, by when they came.
func (t *touching) history(b processor.Books, f *figure, x *breach.Touched, traits map[string]bool) error {
	all := x.Kinds&breach.Events != 0
	if !all && len(t.s.Sources) == 0 && t.s.Wants == nil {
		return nil
	}
	return profile.History(b.History, f.prof.Heads, func(_ profile.Pointer, e *event.Event) (bool, error) {
		if !all && e.Received.Before(t.s.Scope.From) {
			return false, nil
		}
		within := !e.Received.Before(t.s.Scope.From) && (t.s.Scope.Until.IsZero() || e.Received.Before(t.s.Scope.Until))
		hit := within && (t.s.Sources[e.Source] || t.s.Wants != nil && t.s.Wants(e))
		if hit {
			x.Kinds |= breach.Events | breach.Identifiers
			if e.Type == event.Identify {
				x.Kinds |= breach.Traits
				members(e.Traits, func(name string) { traits[profile.Canonical(name)] = true })
			}
		}
		if all || hit {
			x.Events++
			x.Records[t.class(e)]++
		}
		return true, nil
	})
}

// class gives the highest class of what an event says.
func (t *touching) class(e *event.Event) (out purpose.Class) {
	members(e.Properties, func(name string) { out = max(out, t.s.Plans.Class(e.Type, e.Name, name)) })
	members(e.Traits, func(name string) { out = max(out, t.s.Plans.Class(event.Identify, "", name)) })
	return out
}

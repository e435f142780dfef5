package app

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/plan"
	"rapport/internal/profile"
	"rapport/internal/project"
	"rapport/internal/purpose"
	"rapport/internal/store"
)

// kept is how long a configuration keeps what: by its tracking plans, and by class
// and purpose.
type kept struct {
	plan  *profile.Terms
	mails map[purpose.Purpose]time.Duration
	all   time.Duration // of mails of purposes that nobody declares any more
	limit *project.Retention
}

func keptBy(c *project.Config) *kept {
	r := &c.Workspace.Retention
	k := &kept{plan: profile.TermsOf(c.Plans, r.Limits), mails: map[purpose.Purpose]time.Duration{}, all: r.Mails, limit: r}
	for name, use := range c.Computed { // What is made of data is kept no longer than data of their class and purposes.
		k.plan.Limit(name, r.Of(plan.Attribute{Class: use.Class, Purposes: use.Purposes}))
	}
	if c.Policy != nil {
		for _, p := range c.Policy.Purposes() {
			if term := r.OfMail(p.Name); term > 0 {
				k.mails[p.Name] = term
			}
		}
	}
	return k
}

// mail gives how long is kept what was in a mail of a purpose.
func (k *kept) mail(p purpose.Purpose) time.Duration { return k.limit.OfMail(p) }

// ofMails tells whether a term may be that of a mail.
func (k *kept) ofMails(term time.Duration) bool {
	return term == k.all || slices.Contains(slices.Collect(maps.Values(k.limit.Purposes)), term)
}

// each calls fn for everything that has a term.
func (k *kept) each(fn func(what, name string, term time.Duration)) {
	for n, t := range k.plan.Events {
		t.Each(func(path string, term time.Duration) {
			switch {
			case path == "":
				fn(n.Type.String(), n.Name, term)
			case n.Type == event.Identify:
				fn("trait", path, term)
			case n.Type == event.Group:
				fn("group trait", path, term)
			default:
				fn("property", propertyOf(n, path), term)
			}
		})
	}
	for p, term := range k.mails {
		fn("mail", string(p), term)
	}
	if k.all > 0 {
		fn("mail", "", k.all)
	}
}

func propertyOf(n plan.EventName, path string) string {
	return cmp.Or(n.Name, n.Type.String()) + ": " + path
}

// terms lists all that there are.
func (k *kept) terms() []time.Duration {
	all := map[time.Duration]bool{}
	k.each(func(_, _ string, term time.Duration) { all[term] = true })
	return slices.Sorted(maps.Keys(all))
}

// of names what has a term.
func (k *kept) of(term time.Duration) (names []string) {
	k.each(func(what, name string, t time.Duration) {
		if t == term {
			names = append(names, what+" "+name)
		}
	})
	return names
}

func (k *kept) list() []Term {
	list := []Term{}
	k.each(func(what, name string, term time.Duration) {
		list = append(list, Term{what, name, int(term / (24 * time.Hour))})
	})
	slices.SortFunc(list, func(a, b Term) int { return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Name, b.Name)) })
	return list
}

// Sizes of the search for mails: how many one transaction looks at, and how many that
// have not ended yet are remembered before it waits for them.
const (
	mailsAtOnce = 200
	mailsLeft   = 1000
)

// mailsPlace says how far one term has come in what was in mails.
type mailsPlace struct {
	After id.Message   `json:"after"`
	Left  []id.Message `json:"left,omitempty"` // before it, that have not ended yet
}

// retainMails takes what was in mails of one term, counted from when they were
// decided. That there was one, to whom, what became of it and what permitted it stays.
func (h *House) retainMails(ctx context.Context, k *kept, term time.Duration, now time.Time, done *Retention) error {
	key := metaRetention + "/mails/" + strconv.FormatInt(int64(term/time.Second), 10) + "/" + namesOf(k.of(term))
	var place mailsPlace
	if err := h.place(ctx, key, &place); err != nil {
		return err
	}
	again := place.Left
	for n := mailsAtOnce; n == mailsAtOnce && ctx.Err() == nil; again = nil {
		if again == nil && len(place.Left) >= mailsLeft {
			break
		}
		next, emptied := place, int64(0)
		err := h.state.Write(ctx, store.WriteOptions{Priority: store.Idle}, func(tx store.Tx) error {
			next, emptied = mailsPlace{After: place.After}, 0
			mails, err := tx.Outbox().Older(place.After, now.Add(-term), mailsAtOnce)
			if err != nil {
				return err
			}
			if n = len(mails); n > 0 {
				next.After = mails[n-1].ID
			}
			if again == nil {
				next.Left = slices.Clone(place.Left)
			}
			for _, m := range again {
				mail, found, err := tx.Outbox().Get(m)
				if err != nil {
					return err
				}
				if found {
					mails = append(mails, mail)
				}
			}
			for i := range mails {
				if k.mail(mails[i].Purpose) != term {
					continue
				}
				if !ended(mails[i].State) {
					next.Left = append(next.Left, mails[i].ID)
					continue
				}
				had, err := empty(tx, &mails[i])
				if err != nil {
					return fmt.Errorf("take what was in a mail: %w", err)
				}
				if had {
					emptied++
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		place = next
		done.Mails += emptied
		if err := h.setPlace(ctx, key, place); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// ended tells whether nothing more is done with a mail, so that nobody needs what is
// in it.
func ended(s message.State) bool {
	switch s {
	case message.Accepted, message.Failed, message.Skipped, message.Resolved:
		return true
	}
	return false
}

// empty takes what was in a mail, and tells whether there was anything.
func empty(tx store.Tx, m *outbox.Mail) (bool, error) {
	parts, err := tx.Outbox().Parts(m.ID)
	if err != nil || m.Data == nil && parts == nil {
		return false, err
	}
	return true, tx.Outbox().Rewrite(m.ID, m.To, nil, nil)
}

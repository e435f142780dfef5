package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rapport/internal/event"
	"rapport/internal/outbox"
	"rapport/internal/profile"
	"rapport/internal/store"
)

// packsAtOnce is how many packs of history one transaction of retention looks at:
// the walk waits behind it.
const packsAtOnce = 64

const metaRetention = "retention"

// Retention is what was taken because it is kept no longer.
type Retention struct {
	At      time.Time `json:"at"`      // when it was last looked for
	Taken   int64     `json:"taken"`   // events, since the house began
	Trimmed int64     `json:"trimmed"` // events of which properties or traits were taken
	Mails   int64     `json:"mails"`   // mails of which what was in them was taken
}

// retained says how far one term has come.
type retained struct {
	Next int64 `json:"next"` // the pack to go on with
}

// retain takes what is kept no longer out of everybody's history and mails. Each term
// has a place of its own up to which it has come, so that a pack, or a mail, is
// looked at once for each.
func (h *House) retain(ctx context.Context) error {
	k := h.edition().kept
	now := h.clock.Now()
	var done Retention
	for _, term := range k.terms() {
		err := h.retainTerm(ctx, k, term, now, &done)
		if err == nil && k.ofMails(term) {
			err = h.retainMails(ctx, k, term, now, &done)
		}
		if err != nil {
			return fmt.Errorf("retention: %w", errors.Join(err, h.noteRetained(ctx, now, &done)))
		}
	}
	return h.noteRetained(ctx, now, &done)
}

// noteRetained adds what was done to what was done before.
func (h *House) noteRetained(ctx context.Context, now time.Time, done *Retention) error {
	r, err := h.Retention(ctx)
	if err != nil {
		return err
	}
	r.At, r.Taken, r.Trimmed, r.Mails = now.UTC(), r.Taken+done.Taken, r.Trimmed+done.Trimmed, r.Mails+done.Mails
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if done.Taken+done.Trimmed+done.Mails > 0 {
		h.logger.Info("what is kept no longer was taken", "events", done.Taken, "parts_of_events", done.Trimmed, "mails", done.Mails)
	}
	return h.state.SetMeta(ctx, metaRetention, raw)
}

// retainTerm takes events and their properties of one term.
func (h *House) retainTerm(ctx context.Context, k *kept, term time.Duration, now time.Time, done *Retention) error {
	key := metaRetention + "/" + strconv.FormatInt(int64(term/time.Second), 10) + "/" + namesOf(k.of(term))
	var place retained
	if err := h.place(ctx, key, &place); err != nil {
		return err
	}
	for ctx.Err() == nil {
		before := place.Next
		var out profile.Tidied
		err := h.state.Write(ctx, store.WriteOptions{Priority: store.Idle}, func(tx store.Tx) (err error) {
			out, err = profile.Tidy(tx.Profile(), before, packsAtOnce, now.Add(-term), func(e *event.Event) profile.Fate { return k.fate(e, term) })
			return err
		})
		if err != nil {
			return err
		}
		place.Next, done.Taken, done.Trimmed = out.Next, done.Taken+int64(out.Gone), done.Trimmed+int64(out.Shorter)
		if err := h.setPlace(ctx, key, place); err != nil {
			return err
		}
		if place.Next-before < packsAtOnce {
			return nil
		}
	}
	return ctx.Err()
}

// fate tells what becomes of an event that is so old.
func (k *kept) fate(e *event.Event, age time.Duration) profile.Fate {
	n, gone := k.plan.Cut(e, age)
	switch {
	case gone:
		return profile.Gone
	case e.Type == event.Outcome:
		why := outbox.PurposeOf(e)
		if term := k.mail(why); term > 0 && term <= age && outbox.Unnamed(e) {
			n++
		}
	}
	if n > 0 {
		return profile.Shorter
	}
	return profile.Stays
}

// place reads how far a term has come.
func (h *House) place(ctx context.Context, key string, into any) error {
	raw, err := h.state.Meta(ctx, key)
	if err != nil || raw == nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func (h *House) setPlace(ctx context.Context, key string, place any) error {
	raw, err := json.Marshal(place)
	if err != nil {
		return err
	}
	return h.state.SetMeta(ctx, key, raw)
}

// namesOf stands for what has a term: where others get it, what is kept is looked
// through from its beginning.
func namesOf(names []string) string {
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// Retention tells what was taken so far.
func (h *House) Retention(ctx context.Context) (r Retention, err error) {
	return r, h.place(ctx, metaRetention, &r)
}

// Term is something that is kept for a while only.
type Term struct {
	What string `json:"what"` // "trait", "mail", the type of an event, or "property" of one
	Name string `json:"name"`
	Days int    `json:"days"`
}

// terms tells what is kept for a term, and what was taken.
func (h *House) terms(ctx context.Context) (any, error) {
	r, err := h.Retention(ctx)
	if err != nil {
		return nil, err
	}
	return struct {
		Terms  []Term        `json:"terms"`
		Traits int64         `json:"traits_expired"` // since the start
		Events Retention     `json:"events"`
		Log    time.Duration `json:"log_seconds"` // how long walked records stay in the log
	}{h.edition().kept.list(), h.walker.Stats().Expired, r, h.edition().config.Workspace.Events.KeepLog / time.Second}, nil
}

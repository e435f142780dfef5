package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"rapport/internal/event"
	"rapport/internal/plan"
	"rapport/internal/profile"
	"rapport/internal/store"
)

// packsAtOnce is how many packs of history one transaction of retention looks at:
// the walk waits behind it.
const packsAtOnce = 64

const metaRetention = "retention"

// Retention is what was taken because it is kept no longer.
type Retention struct {
	At    time.Time `json:"at"`    // when it was last looked for
	Taken int64     `json:"taken"` // events, since the house began
}

// retained says how far one term has come.
type retained struct {
	Next int64 `json:"next"` // the pack to go on with
}

// retain takes events out of everybody's history whose term, by the tracking plan, is
// over. Each term has a place of its own up to which it has come, so that a pack is
// read once for each.
func (h *House) retain(ctx context.Context) error {
	terms := h.edition().config.Plans.EventTerms()
	now := h.clock.Now()
	taken := int64(0)
	for _, term := range slices.Compact(slices.Sorted(maps.Values(terms))) {
		n, err := h.retainTerm(ctx, terms, term, now)
		taken += n
		if err != nil {
			return fmt.Errorf("retention: %w", err)
		}
	}
	r, err := h.Retention(ctx)
	if err != nil {
		return err
	}
	r.At, r.Taken = now.UTC(), r.Taken+taken
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if taken > 0 {
		h.logger.Info("events were taken that are kept no longer", "events", taken)
	}
	return h.state.SetMeta(ctx, metaRetention, raw)
}

// retainTerm does so for events of one term.
func (h *House) retainTerm(ctx context.Context, terms map[plan.EventName]time.Duration, term time.Duration, now time.Time) (taken int64, err error) {
	of := func(e *event.Event) bool { return plan.EventName{Type: e.Type, Name: e.Name}.Of(terms) == term }
	key := metaRetention + "/" + strconv.FormatInt(int64(term/time.Second), 10) + "/" + namesOf(terms, term)
	var place retained
	raw, err := h.state.Meta(ctx, key)
	if err != nil {
		return 0, err
	}
	if raw != nil {
		if err := json.Unmarshal(raw, &place); err != nil {
			return 0, err
		}
	}
	for ctx.Err() == nil {
		before, n := place.Next, 0
		err := h.state.Write(ctx, store.WriteOptions{Priority: store.Idle}, func(tx store.Tx) (err error) {
			place.Next, n, err = profile.Tidy(tx.Profile(), before, packsAtOnce, now.Add(-term), of)
			return err
		})
		if err != nil {
			return taken, err
		}
		taken += int64(n)
		if raw, err = json.Marshal(place); err != nil {
			return taken, err
		}
		if err := h.state.SetMeta(ctx, key, raw); err != nil {
			return taken, err
		}
		if place.Next-before < packsAtOnce {
			return taken, nil
		}
	}
	return taken, ctx.Err()
}

// namesOf stands for the events of a term: where others get it, what is kept is
// looked through from its beginning.
func namesOf(terms map[plan.EventName]time.Duration, term time.Duration) string {
	var names []string
	for n, t := range terms {
		if t == term {
			names = append(names, n.Type.String()+" "+n.Name)
		}
	}
	slices.Sort(names)
	sum := sha256.New()
	for _, n := range names {
		_, _ = sum.Write(append([]byte(n), 0)) // A hash never fails to be written to.
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// Retention tells what was taken so far.
func (h *House) Retention(ctx context.Context) (r Retention, err error) {
	raw, err := h.state.Meta(ctx, metaRetention)
	if err != nil || raw == nil {
		return r, err
	}
	return r, json.Unmarshal(raw, &r)
}

// Term is something that is kept for a while only.
type Term struct {
	What string `json:"what"` // "trait" or the type of an event
	Name string `json:"name"`
	Days int    `json:"days"`
}

// terms tells what the tracking plan in effect keeps for a term, and what was taken.
func (h *House) terms(ctx context.Context) (any, error) {
	r, err := h.Retention(ctx)
	if err != nil {
		return nil, err
	}
	list := []Term{}
	plans := h.edition().config.Plans
	for name, t := range plans.Terms() {
		list = append(list, Term{"trait", name, int(t / (24 * time.Hour))})
	}
	for n, t := range plans.EventTerms() {
		list = append(list, Term{n.Type.String(), n.Name, int(t / (24 * time.Hour))})
	}
	slices.SortFunc(list, func(a, b Term) int { return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Name, b.Name)) })
	return struct {
		Terms  []Term        `json:"terms"`
		Traits int64         `json:"traits_expired"` // since the start
		Events Retention     `json:"events"`
		Log    time.Duration `json:"log_seconds"` // how long walked records stay in the log
	}{list, h.walker.Stats().Expired, r, h.edition().config.Workspace.Events.KeepLog / time.Second}, nil
}

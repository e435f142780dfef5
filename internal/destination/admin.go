package destination

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"rapport/internal/fault"
)

// Line is how a destination does.
type Line struct {
	Name     string           `json:"name"`
	State    string           `json:"state"` // "telling", "waiting", "down", "disabled" or "unusable"
	Reason   string           `json:"reason,omitempty"`
	Since    time.Time        `json:"since,omitzero"` // disabled since
	Until    time.Time        `json:"until,omitzero"` // waiting or down: nothing is tried before
	Behind   int64            `json:"behind"`         // items between the newest and how far it has come, those that others want among them
	Waiting  int64            `json:"waiting"`        // items that are held and tried again
	Dead     int64            `json:"dead"`
	Last     string           `json:"last,omitempty"` // reason of the last attempt, "delivered" where it worked
	Status   int              `json:"last_status,omitempty"`
	At       time.Time        `json:"last_at,omitzero"`
	Counts   map[string]int64 `json:"counts"` // since the start: delivered, failed, dead, and dropped by its reason
	Purpose  string           `json:"purpose"`
	Attempts int              `json:"max_attempts"`

	seq int64
}

// publish lets others see how the destination does.
func (c *clerk) publish() {
	now := c.o.Now()
	l := Line{Name: c.def.Name, State: "telling", Purpose: string(c.def.Purpose), Attempts: MaxAttempts, Last: c.lasts.reason, Status: c.lasts.status, At: c.lastAt}
	if c.lasts.verdict == delivered {
		l.Last = Delivered
	}
	rests, open := c.breaker.rests(now)
	switch {
	case c.def.Unusable != "":
		l.State, l.Reason = "unusable", c.def.Unusable
	case c.gone != "":
		l.State, l.Reason, l.Since = "disabled", c.gone, c.since
	case c.breaker.open():
		l.State, l.Reason = "down", c.lasts.reason
		if open {
			l.Until = rests
		}
	case c.hold.After(now):
		l.State, l.Reason, l.Until = "waiting", reasonWait, c.hold
	}
	l.seq, l.Waiting = c.seq, int64(c.held)
	if len(c.window) > 0 {
		l.seq = c.window[0].seq - 1
	}
	c.mu.Lock()
	c.line = l
	c.mu.Unlock()
}

// Lines tells how each destination of the configuration does, in order of name.
func (o *Office) Lines(ctx context.Context) ([]Line, error) {
	set := o.defs.Load()
	if set == nil {
		return []Line{}, nil
	}
	out := make([]Line, 0, len(*set))
	live := map[string]Line{}
	o.each(func(c *clerk) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.line.Name != "" {
			live[c.def.Name] = c.line
		}
	})
	counted := o.Counts()
	err := o.Keeper.Read(ctx, func(s Store) error {
		out = out[:0]
		last, err := s.Last()
		if err != nil {
			return err
		}
		standings, err := s.Standings()
		if err != nil {
			return err
		}
		for i := range *set {
			l, ok := live[(*set)[i].Name]
			if !ok {
				l = resting(&(*set)[i], standings)
			}
			l.Behind = max(last-l.seq, 0)
			waiting, dead, err := s.CountHeld(l.Name)
			if err != nil {
				return err
			}
			if l.Dead = dead; !ok { // Whoever is at work knows what is not written yet.
				l.Waiting = waiting
			}
			l.Counts = map[string]int64{}
			for k, n := range counted {
				if k.Destination == l.Name {
					l.Counts[k.Outcome] += n
					if k.Reason != "" {
						l.Counts[k.Outcome+"."+k.Reason] += n
					}
				}
			}
			out = append(out, l)
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Line) int { return cmp.Compare(a.Name, b.Name) })
	return out, err
}

// resting is how a destination does that nobody tells yet: the house has just begun.
func resting(d *Definition, standings []Standing) Line {
	l := Line{Name: d.Name, State: "waiting", Reason: "starting", Purpose: string(d.Purpose), Attempts: MaxAttempts}
	for _, k := range standings {
		if k.Name == d.Name {
			l.seq = k.Seq
			if k.Disabled != "" {
				l.State, l.Reason, l.Since = "disabled", k.Disabled, k.Since
			}
		}
	}
	return l
}

// find gives a definition by its name.
func (o *Office) find(name string) (*Definition, error) {
	if set := o.defs.Load(); set != nil {
		for i := range *set {
			if (*set)[i].Name == name {
				return &(*set)[i], nil
			}
		}
	}
	return nil, fault.New(fault.NotFound, "no_such_destination", "the configuration in effect has no destination %q", name)
}

// Line tells how one destination does.
func (o *Office) Line(ctx context.Context, name string) (Line, error) {
	if _, err := o.find(name); err != nil {
		return Line{}, err
	}
	lines, err := o.Lines(ctx)
	for _, l := range lines {
		if l.Name == name {
			return l, err
		}
	}
	return Line{}, err
}

// Trial is what came of trying a destination.
type Trial struct {
	Delivered bool   `json:"delivered"`
	Status    int    `json:"status,omitempty"`
	Reason    string `json:"reason,omitempty"`
	ID        string `json:"webhook_id"`
}

// Try sends a destination a message of the type destination.test, once, whatever
// else it is told. Nothing is written down.
func (o *Office) Try(ctx context.Context, name string) (Trial, error) {
	d, err := o.find(name)
	if err != nil {
		return Trial{}, err
	}
	if d.Unusable != "" {
		return Trial{}, fault.New(fault.Conflict, "destination_unusable", "the destination %q cannot be told: %s", name, d.Unusable)
	}
	body, err := json.Marshal(map[string]string{"destination": name})
	if err != nil {
		return Trial{}, err
	}
	it := Item{Kind: trial, Name: name, At: o.Wall(), Body: body, Seq: int64(o.Rand() * (1 << 53))}
	if body, err = envelope(&it, nil, nil, &Definition{}, nil); err != nil {
		return Trial{}, err
	}
	t := Trial{ID: idOf(&it)}
	got := post(ctx, d, t.ID, it.At, body)
	t.Delivered, t.Status, t.Reason = got.verdict == delivered, got.status, got.reason
	return t, ctx.Err()
}

// Letter is a dead letter, without what it says.
type Letter struct {
	Seq      int64     `json:"seq"`
	ID       string    `json:"webhook_id"`
	Type     string    `json:"type"`
	Name     string    `json:"name,omitempty"`
	Person   string    `json:"person,omitempty"`
	At       time.Time `json:"at"`
	Died     time.Time `json:"died"`
	Attempts int       `json:"attempts"`
	Reason   string    `json:"reason"`
	Status   int       `json:"status,omitempty"`
}

// Dead lists dead letters of a destination after a number, oldest first.
func (o *Office) Dead(ctx context.Context, name string, behind int64, limit int) ([]Letter, error) {
	if _, err := o.find(name); err != nil {
		return nil, err
	}
	out := []Letter{}
	var held []Held
	var items []Item
	err := o.Keeper.Read(ctx, func(s Store) (err error) {
		if held, err = s.Held(name, true, behind, limit); err != nil {
			return err
		}
		var seqs []int64
		for _, h := range held {
			seqs = append(seqs, h.Seq)
		}
		items, err = s.Items(seqs)
		return err
	})
	if err != nil {
		return nil, err
	}
	by := map[int64]*Item{}
	for i := range items {
		by[items[i].Seq] = &items[i]
	}
	for _, h := range held {
		l := Letter{Seq: h.Seq, Died: h.Due, Attempts: h.Attempts, Reason: h.Reason, Status: h.Status}
		if it := by[h.Seq]; it != nil {
			l.ID, l.Name, l.At, l.Type = idOf(it), it.Name, it.At, it.typeAlone()
			if it.Person != 0 {
				l.Person = it.Person.String()
			}
		}
		out = append(out, l)
	}
	return out, nil
}

// Redrive has dead letters told again, through the filters and the permission of
// today: those of some numbers, or with nil all. It tells how many.
func (o *Office) Redrive(ctx context.Context, name string, seqs []int64) (n int64, err error) {
	if _, err := o.find(name); err != nil {
		return 0, err
	}
	err = o.with(ctx, name, func(c *clerk) error {
		if err := o.ledger.flush(ctx); err != nil { // What has just died is written, and what was delivered is not held any more.
			return err
		}
		err := o.Keeper.Write(ctx, true, func(s Store) (err error) {
			n, err = s.Redrive(name, seqs, o.Now())
			return err
		})
		if err != nil || c == nil {
			return err
		}
		return o.Keeper.Read(ctx, c.load)
	})
	return n, err
}

// Enable lets a destination go on that was disabled, or whose breaker is open. It
// begins where it stopped.
func (o *Office) Enable(ctx context.Context, name string) error {
	if _, err := o.find(name); err != nil {
		return err
	}
	return o.with(ctx, name, func(c *clerk) error {
		if err := o.ledger.flush(ctx); err != nil {
			return err
		}
		err := o.Keeper.Write(ctx, true, func(s Store) error { return s.Enable(name) })
		if err == nil && c != nil {
			c.gone, c.since, c.hold, c.breaker = "", time.Time{}, time.Time{}, breaker{}
			c.recovered(o.Now())
		}
		return err
	})
}

// with runs fn in the clerk's own goroutine, or with nil where none works. One
// that is about to be replaced is waited for.
func (o *Office) with(ctx context.Context, name string, fn func(*clerk) error) error {
	for range busyTries {
		c, err := o.withNone(name, fn)
		if c == nil {
			return err
		}
		done := make(chan error, 1)
		select {
		case c.asks <- func(context.Context) { done <- fn(c) }:
			return <-done
		case <-ctx.Done():
			return ctx.Err()
		case <-c.over:
			o.pause(ctx, busyPause)
		}
	}
	return fault.New(fault.Unavailable, "destination_busy", "the destination is about to begin or to stop; ask again")
}

// withNone runs fn where no clerk works, and keeps one from beginning meanwhile;
// else it gives the clerk.
func (o *Office) withNone(name string, fn func(*clerk) error) (*clerk, error) {
	o.hiring.Lock()
	defer o.hiring.Unlock()
	o.mu.Lock()
	c := o.clerks[name]
	o.mu.Unlock()
	if c != nil {
		return c, nil
	}
	return nil, fn(nil)
}

// How long an operator's wish waits for a clerk, in machine time.
const (
	busyTries = 60
	busyPause = 50 * time.Millisecond
)

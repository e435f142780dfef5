package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/message"
	"rapport/internal/source"
	"rapport/internal/store"
)

// Playback plays a file back on business time: events in order of time, each at
// its instant, and in between everything that becomes due, at its own.
type Playback struct {
	House  *House
	Source string
	Format *source.Format
	// Progress is told how many events of how many are walked, and business time.
	Progress func(done, total int64, now time.Time)
}

// Played is what came of it.
type Played struct {
	Lines, Bad int64
	Events     int64
	Mails      map[string]int64 // accepted, by journey
	Rows       []string         // "person,YYYY-MM-DD,journey", sorted
	Digest     string           // "sha256:" and the hash over the rows, each with a line feed
}

// Run plays one file. The house's clock must be moved by hand and nothing else
// may use the house.
func (p *Playback) Run(ctx context.Context, name string, r io.Reader) (*Played, error) {
	out := &Played{Mails: map[string]int64{}}
	sorter := source.NewSorter(p.House.Data)
	defer func() { _ = sorter.Close() }() // Temporary files go with the data folder at the latest.
	err := p.Format.Read(ctx, name, r, func(l source.Line) error {
		out.Lines++
		if l.Err != nil {
			out.Bad++
			return nil //nolint:nilerr // A line that cannot be read is counted, and the others are played.
		}
		for i := range l.Events {
			e := &l.Events[i]
			e.Source, e.Received = p.Source, e.Time
			if err := sorter.Add(e); err != nil {
				return err
			}
			out.Events++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := p.play(ctx, sorter, out); err != nil {
		return nil, err
	}
	return out, p.count(ctx, out)
}

// play gives the house one instant after the other.
func (p *Playback) play(ctx context.Context, sorter *source.Sorter, out *Played) error {
	var instant, done int64
	var bodies [][]byte
	flush := func() error {
		if len(bodies) == 0 {
			return nil
		}
		if err := p.reach(ctx, time.UnixMilli(instant)); err != nil {
			return err
		}
		pos, _, err := p.House.log.Append(ctx, eventlog.Live, bodies)
		if err != nil {
			return err
		}
		done += int64(len(bodies))
		bodies = bodies[:0]
		if p.Progress != nil {
			p.Progress(done, out.Events, time.UnixMilli(instant).UTC())
		}
		return p.settle(ctx, pos)
	}
	err := sorter.Each(func(at int64, body []byte) error {
		if at != instant || len(bodies) == maxInstant {
			if err := flush(); err != nil {
				return err
			}
			instant = at
		}
		bodies = append(bodies, append([]byte(nil), body...))
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	if p.Format.Until.IsZero() {
		return nil
	}
	return p.reach(ctx, p.Format.Until)
}

// maxInstant is how many events of one instant are appended at once.
const maxInstant = 2000

// reach moves business time to an instant, with all that is due before it.
func (p *Playback) reach(ctx context.Context, at time.Time) error {
	for {
		if reached, err := p.House.Advance(ctx, at); err != nil || !reached.Before(at) {
			return err
		}
	}
}

// settle waits until the walk has passed a position and every mail that is due
// has come to its end.
func (p *Playback) settle(ctx context.Context, pos int64) error {
	if err := p.House.walker.Wait(ctx, eventlog.Live, pos); err != nil {
		return err
	}
	return p.House.sent(ctx)
}

// count reads what was accepted from the ledger.
func (p *Playback) count(ctx context.Context, out *Played) error {
	for after := id.Person(0); ; {
		n := 0
		err := p.House.state.Read(ctx, func(tx store.Tx) error {
			ids, err := tx.Persons().After(after, 500)
			if err != nil {
				return err
			}
			for n = range len(ids) {
				if err := out.add(tx, ids[n]); err != nil {
					return err
				}
			}
			if n = len(ids); n > 0 {
				after = ids[n-1]
			}
			return nil
		})
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	slices.Sort(out.Rows)
	h := sha256.New()
	for _, row := range out.Rows {
		_, _ = io.WriteString(h, row+"\n") // A hash never fails to be written to.
	}
	out.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return nil
}

func (out *Played) add(tx store.Tx, who id.Person) error {
	mails, err := tx.Outbox().OfPerson(who, 10_000)
	if err != nil || len(mails) == 0 {
		return err
	}
	_, _, rec, err := row(tx, who)
	if err != nil {
		return err
	}
	user, _ := rec.First(identity.UserID)
	for _, m := range mails {
		if m.State == message.Accepted {
			out.Mails[m.Journey]++
			out.Rows = append(out.Rows, fmt.Sprintf("%s,%s,%s", user.Value, m.Decided.UTC().Format(time.DateOnly), m.Journey))
		}
	}
	return nil
}

// Journeys lists the journeys that mailed, sorted.
func (out *Played) Journeys() []string { return slices.Sorted(maps.Keys(out.Mails)) }

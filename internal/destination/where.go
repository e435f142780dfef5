package destination

import (
	"context"
	"time"
)

// Reached is how far one destination is with one item.
type Reached struct {
	Destination string    `json:"destination"`
	State       string    `json:"state"` // "told", "waiting", "retrying", "failed" or "disabled"
	Attempts    int       `json:"attempts,omitempty"`
	Reason      string    `json:"reason,omitempty"` // of the last attempt
	Status      int       `json:"status,omitempty"` // that was answered to it
	Next        time.Time `json:"next,omitzero"`    // attempt
}

// Where tells how far each destination is with an item.
func (o *Office) Where(ctx context.Context, seq int64) (out []Reached, err error) {
	err = o.Keeper.Read(ctx, func(s Store) error {
		out = out[:0]
		list, err := s.Standings()
		if err != nil {
			return err
		}
		for _, d := range list {
			r := Reached{Destination: d.Name, State: "waiting"}
			switch {
			case d.Disabled != "":
				r.State, r.Reason = "disabled", d.Disabled
			case d.Seq >= seq:
				r.State = "told"
			}
			for _, dead := range []bool{false, true} {
				held, err := s.Held(d.Name, dead, seq-1, 1)
				if err != nil {
					return err
				}
				if len(held) == 0 || held[0].Seq != seq {
					continue
				}
				r.State, r.Attempts, r.Reason, r.Status, r.Next = "retrying", held[0].Attempts, held[0].Reason, held[0].Status, held[0].Due
				if dead {
					r.State, r.Next = "failed", time.Time{}
				}
			}
			out = append(out, r)
		}
		return nil
	})
	return out, err
}

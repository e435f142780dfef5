package noted

import (
	"strconv"
	"time"

	"rapport/internal/audit"
	"rapport/internal/destination"
)

// teller is the room that tells other systems, as an actor.
const teller = "house/destination"

type tellings struct {
	destination.Store
	t *tx
}

// Move notes that a destination was told, once a second at most and with how
// much: who was told what each time would be more rows than there are events.
func (d *tellings) Move(name string, seq, told int64) error {
	if err := d.Store.Move(name, seq, told); err != nil || told == 0 {
		return err
	}
	return d.t.note(audit.Act{Actor: teller, What: "destination.told", Object: name, Outcome: strconv.FormatInt(told, 10)}, nil)
}

func (d *tellings) Hold(name string, h destination.Held) error {
	if err := d.Store.Hold(name, h); err != nil || !h.Dead {
		return err
	}
	return d.t.note(audit.Act{Actor: teller, What: "destination.gave_up", Object: name + "/" + strconv.FormatInt(h.Seq, 10), Outcome: h.Reason}, nil)
}

func (d *tellings) Disable(name, why string, at time.Time) error {
	if err := d.Store.Disable(name, why, at); err != nil {
		return err
	}
	return d.t.note(audit.Act{Actor: teller, What: "destination.disabled", Object: name, Outcome: why}, nil)
}

func (d *tellings) Enable(name string) error {
	if err := d.Store.Enable(name); err != nil {
		return err
	}
	return d.t.note(audit.Act{Actor: operator, What: "destination.enabled", Object: name}, nil)
}

func (d *tellings) Redrive(name string, seqs []int64, due time.Time) (int64, error) {
	n, err := d.Store.Redrive(name, seqs, due)
	if err != nil || n == 0 {
		return n, err
	}
	return n, d.t.note(audit.Act{Actor: operator, What: "destination.redriven", Object: name, Outcome: strconv.FormatInt(n, 10)}, nil)
}

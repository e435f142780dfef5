package processor

import (
	"context"
	"fmt"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/rule"
	"rapport/internal/timer"
)

// RunAlarms appends a record for everybody whose instant has come, until the
// context ends.
func (w *Walker) RunAlarms(ctx context.Context) error {
	for {
		wait, err := w.Ring(ctx)
		if err != nil && ctx.Err() == nil {
			w.Logger.Warn("ringing alarms failed, trying again", "error", err)
		}
		if err != nil {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.armed:
		case <-w.Clock.After(wait):
		}
	}
}

// longestWait bounds how long the scanner sleeps, so that a step of the clock
// is noticed.
const longestWait = time.Second

// Ring appends records for the alarms whose instant lies before now and says
// how long until the next one. An alarm of this very millisecond waits: an event
// at an equal instant goes first.
func (w *Walker) Ring(ctx context.Context) (time.Duration, error) {
	for {
		now := w.Clock.Now()
		w.mu.Lock()
		after := w.rung
		w.behind = rule.Never
		w.mu.Unlock()
		var due []timer.Alarm
		var next timer.Alarm
		var any bool
		err := w.Keeper.Read(ctx, func(b Books) error {
			var err error
			if due, err = b.Timer.DueBy(now.UnixMilli()-1, after, alarmsAtOnce); err != nil || len(due) > 0 {
				return err
			}
			next, any, err = b.Timer.Next()
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("read alarms: %w", err)
		}
		if len(due) == 0 {
			if !any || next.Due < now.UnixMilli() {
				return longestWait, nil
			}
			return min(longestWait, time.UnixMilli(next.Due+1).Sub(now)), nil
		}
		if err := w.appendAlarms(ctx, due, now); err != nil {
			return 0, err
		}
		w.mu.Lock()
		if w.rung == after {
			w.rung = due[len(due)-1]
			w.noteArmed(w.behind) // what was armed since the look may lie behind
		}
		w.mu.Unlock()
	}
}

const alarmsAtOnce = 500

func (w *Walker) appendAlarms(ctx context.Context, due []timer.Alarm, now time.Time) error {
	bodies := make([][]byte, 0, len(due))
	for _, a := range due {
		e := event.Event{
			Type: event.Alarm, Source: reserved, MessageID: fmt.Sprintf("alarm/%d/%d", a.Who, a.Due),
			Person: int64(a.Who), Due: time.UnixMilli(a.Due), Time: time.UnixMilli(a.Due), Received: now,
		}
		bodies = append(bodies, e.Append(nil))
	}
	if _, _, err := w.Log.Append(ctx, eventlog.Live, bodies); err != nil {
		return fmt.Errorf("append alarms: %w", err)
	}
	return nil
}

package sim

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// shopper is one person as they know themselves: the house must find out.
type shopper struct {
	user    string
	address string
	devices []string
	said    bool // consent was given and not taken back: whoever mails otherwise breaks the promise
}

// sent is one event on its way.
type sent struct{ id, body string }

// act is one thing that happens.
func (w *world) act(ctx context.Context) error {
	s := w.shoppers[w.r.IntN(len(w.shoppers))]
	switch n := w.r.IntN(100); {
	case n < 40:
		return w.collect(ctx, w.life, w.some(s, 1+w.r.IntN(6)), nil)
	case n < 50:
		return w.again(ctx)
	case n < 58:
		return w.grant(ctx, s)
	case n < 66:
		return w.withdraw(ctx, s)
	case n < 84:
		return w.forward(ctx, w.pause())
	case n < 92:
		return w.storm(ctx)
	case n < 95 && !w.Plain:
		return w.apply(ctx)
	case n < 97:
		return w.restart(ctx)
	}
	return w.told(ctx)
}

// pause is how far business time goes: mostly minutes, sometimes days at once.
func (w *world) pause() time.Duration {
	switch w.r.IntN(10) {
	case 0:
		return time.Duration(1+w.r.IntN(4*24)) * time.Hour
	case 1, 2, 3:
		return time.Duration(1+w.r.IntN(8*3600_000)) * time.Millisecond
	}
	return time.Duration(1+w.r.IntN(30*60_000)) * time.Millisecond
}

func (w *world) some(s *shopper, n int) []sent {
	var out []sent
	for range n {
		if w.r.IntN(3) == 0 {
			s = w.shoppers[w.r.IntN(len(w.shoppers))]
		}
		out = append(out, w.event(s))
	}
	return out
}

// event is something that a shopper does, under some of their names, perhaps
// long ago.
func (w *world) event(s *shopper) sent {
	w.serial++
	id := fmt.Sprintf("m%d", w.serial)
	at := w.clock.Now()
	if w.r.IntN(4) == 0 {
		at = at.Add(-time.Duration(w.r.IntN(3*24*3600_000)) * time.Millisecond)
	}
	device := s.devices[w.r.IntN(len(s.devices))]
	if w.r.IntN(12) == 0 {
		device = fmt.Sprintf("shared-%d", w.r.IntN(3))
	}
	who := ""
	switch w.r.IntN(5) {
	case 0:
		who = fmt.Sprintf(`"anonymousId":%q`, device)
	case 1:
		who = fmt.Sprintf(`"userId":%q`, s.user)
	default:
		who = fmt.Sprintf(`"userId":%q,"anonymousId":%q`, s.user, device)
	}
	common := fmt.Sprintf(`"messageId":%q,"timestamp":%q,%s`, id, at.UTC().Format("2006-01-02T15:04:05.000Z"), who)
	properties := fmt.Sprintf(`"properties":{"ref":%q,"value":%d}`, id, w.r.IntN(100))
	body := ""
	switch n := w.r.IntN(20); {
	case n < 7:
		body = `"type":"track","event":"Product Added",` + properties
	case n < 12:
		body = `"type":"track","event":"Order Completed",` + properties
	case n < 15:
		body = `"type":"track","event":"Page Seen",` + properties
	case n < 17:
		plan := [...]string{`"pro"`, `"free"`, `null`}[w.r.IntN(3)]
		body = fmt.Sprintf(`"type":"identify","traits":{"plan":%s,"score":%d}`, plan, w.r.IntN(9))
	case n < 19:
		common = fmt.Sprintf(`"messageId":%q,"timestamp":%q,"userId":%q`, id, at.UTC().Format("2006-01-02T15:04:05.000Z"), s.user)
		body = fmt.Sprintf(`"type":"identify","traits":{"email":%q}`, s.address)
	default:
		former := device
		if w.r.IntN(3) == 0 {
			former = w.shoppers[w.r.IntN(len(w.shoppers))].user
		}
		common = fmt.Sprintf(`"messageId":%q,"timestamp":%q,"userId":%q`, id, at.UTC().Format("2006-01-02T15:04:05.000Z"), s.user)
		body = fmt.Sprintf(`"type":"alias","previousId":%q`, former)
	}
	return sent{id, "{" + common + "," + body + "}"}
}

// again sends something that was acknowledged within the window of duplicates
// once more.
func (w *world) again(ctx context.Context) error {
	w.gate.Lock()
	var fresh []offer
	for _, o := range w.bodies {
		if w.clock.Now().Sub(o.at) < 23*time.Hour {
			fresh = append(fresh, o)
		}
	}
	w.gate.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	body := `{"batch":[` + fresh[w.r.IntN(len(fresh))].body + "," + fresh[w.r.IntN(len(fresh))].body + `]}`
	if code, answer := w.post(ctx, "/v1/batch", w.ingest, body, nil); code != 200 {
		return fmt.Errorf("a duplicate was refused: %d %s", code, answer)
	}
	return nil
}

func (w *world) statement(s *shopper, yes bool) sent {
	w.serial++
	id := fmt.Sprintf("m%d", w.serial)
	return sent{id, fmt.Sprintf(`{"type":"track","event":"Banner Closed","messageId":%q,"userId":%q,"context":{"traits":{"email":%q},"consent":{"categoryPreferences":{"marketing":%t}}}}`,
		id, s.user, s.address, yes)}
}

// grant says yes: from now on mails may come.
func (w *world) grant(ctx context.Context, s *shopper) error {
	w.gate.Lock()
	s.said = true
	w.gate.Unlock()
	return w.collect(ctx, w.life, []sent{w.statement(s, true)}, nil)
}

// withdraw says no, one way or another: after the answer, and what is on the
// wire by then, no mail may come, whatever happens to the house.
func (w *world) withdraw(ctx context.Context, s *shopper) error {
	if err := w.told(ctx); err != nil {
		return err
	}
	w.report.Withdrawals++
	never := func() {
		w.gate.Lock()
		defer w.gate.Unlock()
		s.said = false
	}
	var err error
	switch w.r.IntN(3) {
	case 0:
		err = w.collect(ctx, w.life, []sent{w.statement(s, false)}, nil)
	case 1:
		code, answer := w.post(ctx, "/v1/consent", w.manage, fmt.Sprintf(`{"subject":"user_id:%s","purpose":"marketing.newsletter","state":"withdrawn"}`, s.user), nil)
		if code != 200 {
			err = fmt.Errorf("a withdrawal was refused: %d %s", code, answer)
		}
	default:
		w.serial++
		id := fmt.Sprintf("m%d", w.serial)
		e := sent{id, fmt.Sprintf(`{"type":"track","event":"Page Seen","messageId":%q,"userId":%q}`, id, s.user)}
		err = w.collect(ctx, w.life, []sent{e}, map[string]string{"Sec-GPC": "1"})
	}
	if err != nil {
		return err
	}
	if w.r.IntN(3) == 0 {
		return w.crash(ctx, never)
	}
	if err := w.told(ctx); err != nil {
		return err
	}
	never()
	return nil
}

// storm is many callers at once, and the power fails among them.
func (w *world) storm(ctx context.Context) error {
	var group sync.WaitGroup
	l := w.life
	for range 1 + w.r.IntN(5) {
		events := w.some(w.shoppers[w.r.IntN(len(w.shoppers))], 1+w.r.IntN(4))
		group.Go(func() { _ = w.collect(ctx, l, events, nil) }) // refusals of a dead house count for nothing
	}
	w.yield()
	if w.r.IntN(3) > 0 {
		w.clock.Set(w.clock.Now().Add(time.Duration(w.r.IntN(90)) * time.Minute))
	}
	w.yield()
	// The handler must not be asked of a house that is gone.
	err := w.crashAmong(ctx, &group)
	if err != nil {
		return err
	}
	return w.forward(ctx, w.pause())
}

// crashAmong takes the power away while callers are still at the door.
func (w *world) crashAmong(ctx context.Context, group *sync.WaitGroup) error {
	defer group.Wait()
	return w.crash(ctx, group.Wait)
}

func (w *world) apply(ctx context.Context) error {
	w.version++
	c, err := load(w.version)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := w.life.house.Apply(limited, c.Files, 0); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	w.report.Applied++
	if w.r.IntN(2) == 0 {
		w.yield()
		return w.crash(ctx, nil) // perhaps in the middle of the backfill
	}
	return nil
}

func (w *world) restart(ctx context.Context) error {
	dir := w.life.dir
	if err := w.stop(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	w.report.Restarts++
	if err := w.open(ctx, dir, nil); err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	return w.told(ctx)
}

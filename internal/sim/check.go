package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"rapport/internal/app"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/journey"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/person"
	"rapport/internal/profile"
	"rapport/internal/project"
	"rapport/internal/rule"
	"rapport/internal/segment"
	"rapport/internal/store"
	"rapport/internal/store/sqlitestore"
)

// finish lets everything come to its end and holds the house to its promises.
func (w *world) finish(ctx context.Context) error {
	// An odd millisecond, at which nothing becomes due.
	if err := w.forward(ctx, 49*time.Hour+7*time.Millisecond); err != nil {
		return err
	}
	if err := w.forward(ctx, 49*time.Hour+3*time.Millisecond); err != nil {
		return err
	}
	if err := w.kept(); err != nil {
		return err
	}
	w.report.Merges = int(w.life.house.Stats().Merges)
	dir := w.life.dir
	if err := w.stop(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	seen, err := w.inspect(ctx, dir)
	if err != nil {
		return err
	}
	w.report.People = len(seen.people)
	w.report.Acked = len(w.acked)
	if err := errors.Join(w.checkEvents(seen), w.checkPeople(seen), w.checkMails(seen)); err != nil {
		return err
	}
	return w.checkReplay(ctx, dir, seen)
}

// figure is one person's row taken apart.
type figure struct {
	id     id.Person
	ident  identity.Record
	prof   profile.Profile
	seg    segment.State
	jour   journey.State
	events []event.Event
	fresh  profile.Profile // tallies counted anew
	body   []byte
}

// inspection is what a data folder holds.
type inspection struct {
	people   []*figure // who are themselves
	counts   map[string]int64
	mails    []outbox.Mail
	stories  map[id.Message][]outbox.Step
	versions []project.Version
	asides   int
	reason   string
	segments *segment.Catalog
}

func (w *world) inspect(ctx context.Context, dir string) (*inspection, error) {
	state, err := app.FolderState(dir, app.RootKey{})
	if err != nil {
		return nil, err
	}
	out := &inspection{stories: map[id.Message][]outbox.Step{}}
	err = state.Read(ctx, func(tx store.Tx) error { return out.read(tx) })
	return out, errors.Join(err, state.Close())
}

func (s *inspection) read(tx store.Tx) error {
	latest, _, err := tx.Project().LatestVersion()
	if err != nil {
		return err
	}
	for n := 1; n <= latest.Number; n++ {
		v, ok, err := tx.Project().Version(n)
		if err != nil {
			return err
		}
		if ok {
			s.versions = append(s.versions, v)
		}
	}
	m, err := reload(latest)
	if err != nil {
		return err
	}
	if s.segments, err = segment.Compile(m.Segments); err != nil {
		return err
	}
	if s.counts, err = tx.Segment().Counts(); err != nil {
		return err
	}
	asides, err := tx.Processor().Asides(eventlog.Live, 0, 100)
	if err != nil {
		return err
	}
	if s.asides = len(asides); s.asides > 0 {
		s.reason = asides[0].Error
	}
	if err := s.readPeople(tx); err != nil {
		return err
	}
	return s.readMails(tx)
}

func (s *inspection) readPeople(tx store.Tx) error {
	ids, err := tx.Persons().After(0, 100_000)
	if err != nil {
		return err
	}
	schema := profile.NewSchema(s.segments.Tallies)
	for _, who := range ids {
		f := &figure{id: who}
		err := tx.Persons().Load([]id.Person{who}, func(_ id.Person, body []byte) error {
			f.body = append(f.body, body...)
			return nil
		})
		if err != nil {
			return err
		}
		if err := f.decode(); err != nil {
			return err
		}
		if f.ident.MergedInto != 0 {
			continue
		}
		err = profile.History(tx.Profile(), f.prof.Heads, func(_ profile.Pointer, e *event.Event) (bool, error) {
			f.events = append(f.events, *e)
			return true, nil
		})
		if err != nil {
			return err
		}
		f.fresh.Heads = f.prof.Heads
		if err := f.fresh.Recount(tx.Profile(), schema); err != nil {
			return err
		}
		s.people = append(s.people, f)
	}
	return nil
}

func (f *figure) decode() error {
	row, err := person.Decode(f.id, f.body)
	if err != nil {
		return err
	}
	return errors.Join(f.ident.Decode(row.Identity), f.prof.Decode(row.Profile), f.seg.Decode(row.Segment), f.jour.Decode(row.Journey))
}

func (s *inspection) readMails(tx store.Tx) error {
	for before := (id.Message{}); ; {
		page, err := tx.Outbox().Newest(0, before, 200)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, m := range page {
			s.mails = append(s.mails, m)
			if s.stories[m.ID], err = tx.Outbox().Story(m.ID); err != nil {
				return err
			}
		}
		before = page[len(page)-1].ID
	}
}

// checkEvents holds that every acknowledged event was applied exactly once, and
// none that was never sent.
func (w *world) checkEvents(s *inspection) error {
	applied := map[string]int{}
	for _, f := range s.people {
		if n := int64(len(f.events)); n != f.prof.Events {
			return fmt.Errorf("%s counts %d events, the timeline has %d", f.id, f.prof.Events, n)
		}
		for i := range f.events {
			if e := &f.events[i]; e.Source == "shop" {
				applied[e.MessageID]++
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.acked)) {
		if applied[name] != 1 {
			return fmt.Errorf("acknowledged event %s was applied %d times (%d set aside, last: %s)", name, applied[name], s.asides, s.reason)
		}
	}
	for name, n := range applied {
		if n > 1 || !w.offered[name] {
			return fmt.Errorf("event %s was applied %d times", name, n)
		}
	}
	if s.asides > 0 {
		return fmt.Errorf("%d records were set aside, last: %s", s.asides, s.reason)
	}
	return nil
}

// counted is a person as counted anew from the timeline.
type counted struct {
	f     *figure
	c     *segment.Catalog
	state segment.State
}

func (c *counted) Trait(path string) ([]byte, bool)       { return c.f.prof.Trait(path) }
func (c *counted) Tally(n uint32) (rule.TallyState, bool) { return c.f.fresh.Tally(n) }
func (c *counted) Member(name string) bool                { return c.c.Member(&c.state, name) }
func (c *counted) Property(string) ([]byte, bool)         { return nil, false }

// checkPeople holds that tallies, traits, memberships and the sizes of segments
// equal what the timelines say.
func (w *world) checkPeople(s *inspection) error {
	now := w.clock.Now().UnixMilli()
	sizes := map[string]int64{}
	for _, f := range s.people {
		for i := range f.fresh.Tallies {
			want := &f.fresh.Tallies[i]
			got, ok := f.prof.Tally(want.ID)
			if !ok || got.Count != want.Count || got.First != want.First || !slices.Equal(got.Times[:min(len(got.Times), len(want.Times))], want.Times) {
				return fmt.Errorf("%s: tally %d is %+v, the timeline says %+v", f.id, want.ID, got, want.TallyState)
			}
		}
		c := &counted{f: f, c: s.segments}
		var work segment.Work
		s.segments.All(&c.state, c, now, false, &work)
		for _, name := range s.segments.Names() {
			got, want := s.segments.Member(&f.seg, name), s.segments.Member(&c.state, name)
			if got != want {
				return fmt.Errorf("%s: member of %s is %t, the timeline says %t", f.id, name, got, want)
			}
			if got {
				sizes[name]++
			}
		}
		if err := f.checkTraits("plan", "score"); err != nil {
			return err
		}
		if due := f.seg.NextDue(); due < now {
			return fmt.Errorf("%s: something was due at %d, it is %d", f.id, due, now)
		}
	}
	for _, name := range s.segments.Names() {
		if sizes[name] != s.counts[name] {
			return fmt.Errorf("segment %s holds %d people, its size says %d", name, sizes[name], s.counts[name])
		}
	}
	return nil
}

// checkTraits holds that the last writer by event time has won.
func (f *figure) checkTraits(names ...string) error {
	for _, name := range names {
		var last int64
		values := map[string]bool{}
		for i := range f.events {
			e := &f.events[i]
			if e.Type != event.Identify {
				continue
			}
			var p profile.Profile
			var change profile.Change
			p.Fold(e, nil, profile.NewSchema(nil), nil, &change)
			for _, t := range p.Traits {
				switch {
				case t.Name != name || t.At < last:
				case t.At > last:
					last, values = t.At, map[string]bool{string(t.Value): true}
				default:
					values[string(t.Value)] = true
				}
			}
		}
		got, _ := f.prof.Trait(name)
		if len(values) > 0 && !values[string(got)] {
			return fmt.Errorf("%s: trait %s is %q, the timeline says %v", f.id, name, got, slices.Collect(maps.Keys(values)))
		}
	}
	return nil
}

// checkMails holds that every mail has an end or an explanation, and that the
// ledger knows of everything the wire took.
func (w *world) checkMails(s *inspection) error {
	known := map[string]bool{}
	for _, m := range s.mails {
		known[m.ID.String()] = true
		story := s.stories[m.ID]
		if len(story) == 0 {
			return fmt.Errorf("mail %s has no story", m.ID)
		}
		last := story[len(story)-1]
		taken := w.taken[m.ID.String()]
		switch {
		case !m.State.Final():
			return fmt.Errorf("mail %s (%s, decided %s) is still %s: %s", m.ID, m.Key, m.Decided, m.State, last.Reason)
		case m.State == message.Skipped && last.Reason == "":
			return fmt.Errorf("mail %s was skipped, and nobody says why", m.ID)
		case m.State == message.Accepted && taken == 0:
			return fmt.Errorf("mail %s counts as accepted, the wire never took it", m.ID)
		case m.State == message.Skipped && taken > 0:
			return fmt.Errorf("mail %s counts as skipped, the wire took it", m.ID)
		}
	}
	for name := range w.taken {
		if len(name) == len("msg_")+26 && !known[name] {
			return fmt.Errorf("the wire took %s, the ledger does not know it", name)
		}
	}
	return nil
}

// checkReplay walks the log from its start into a new state and holds that it
// comes to the same people.
func (w *world) checkReplay(ctx context.Context, dir string, want *inspection) error {
	next := filepath.Join(w.Dir, "replay")
	if err := os.Mkdir(next, 0o700); err != nil {
		return err
	}
	if err := others(dir, next); err != nil {
		return err
	}
	for _, name := range []string{"log.db", "log.db-wal", "keys.db", "keys.db-wal"} {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(next, name), body, 0o600); err != nil {
			return err
		}
	}
	if err := errors.Join(unmark(ctx, next), keepVersions(ctx, next, want.versions)); err != nil {
		return err
	}
	house, err := app.Open(ctx, app.Options{Data: next, Clock: w.clock}, nil)
	if err != nil {
		return fmt.Errorf("open for a replay: %w", err)
	}
	err = errors.Join(house.Replay(ctx), house.Close())
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	got, err := w.inspect(ctx, next)
	if err != nil {
		return err
	}
	if len(got.people) != len(want.people) {
		return fmt.Errorf("replay: %d people, want %d", len(got.people), len(want.people))
	}
	for i, f := range want.people {
		denied := f.denied() || got.people[i].denied()
		a, b := f.digest(want.segments, w.Plain, denied), got.people[i].digest(got.segments, w.Plain, denied)
		if noWords(a) != noWords(b) {
			return fmt.Errorf("replay: %s differs:\n was %s\n  is %s\n was %v\n  is %v", f.id, a, b, f.story(), got.people[i].story())
		}
	}
	return nil
}

// story names a person's events, newest first.
func (f *figure) story() (out []string) {
	for i := range f.events {
		e := &f.events[i]
		out = append(out, fmt.Sprintf("%s %s %s", e.Name, e.MessageID, e.Received.Format(time.RFC3339Nano)))
	}
	return out
}

// noWords makes one of the words for "no": which of them a refused entry noted
// depends on whether the door or the walk was first to write the ledger.
func noWords(s string) string {
	return regexp.MustCompile(`.(marketing\.newsletter: )(withdrawn|refused)`).ReplaceAllString(s, "$1")
}

// denied tells whether the journey that greets was once refused for permission,
// or because a backfill came before the event.
func (f *figure) denied() bool {
	for _, r := range f.jour.Records {
		for _, n := range r.Notes {
			if r.Journey == "welcome" && n.Kind == journey.NoteRefused && (n.Step == journey.RefusedPurpose || n.Step == journey.RefusedInitial) {
				return true
			}
		}
	}
	return false
}

// digest is what must be equal after a replay. Where history stands depends on
// how batches fell. Where configurations changed, so does the instant at which
// somebody was brought to the new one, and with it whether an entry was initial.
//
// Who says no is heard at the door, before what they did is walked: an event
// that was waiting then begins no journey, while a replay comes to the event
// first and to the no afterwards. So for whom the journey that greets was
// refused, what it sets is left out.
func (f *figure) digest(c *segment.Catalog, whole, denied bool) string {
	if whole {
		f.prof.Heads = nil
		return fmt.Sprintf("%x %q %x %q", f.ident.Append(nil), f.prof.Append(nil), f.seg.Append(nil), f.jour.Append(nil))
	}
	out := fmt.Sprintf("%x", f.ident.Append(nil))
	for _, t := range f.prof.Traits {
		if t.Name == "greeted" && denied {
			continue
		}
		out += fmt.Sprintf(" %s=%s@%d", t.Name, t.Value, t.At)
	}
	for _, m := range c.In(&f.seg) {
		if m.Segment == "greeted" && denied {
			continue
		}
		out += " " + m.Segment
	}
	return out
}

// unmark makes the log forget how far a state has walked it: this one begins.
func unmark(ctx context.Context, dir string) error {
	log, err := sqlitestore.OpenLog(sqlitestore.LogConfig{Path: filepath.Join(dir, "log.db")})
	if err != nil {
		return err
	}
	return errors.Join(log.Mark(ctx, eventlog.Live, 0), log.Mark(ctx, eventlog.Bulk, 0), log.Close())
}

func keepVersions(ctx context.Context, dir string, versions []project.Version) error {
	state, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(dir, "state.db")})
	if err != nil {
		return err
	}
	err = state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) error {
		for _, v := range versions {
			if err := tx.Project().InsertVersion(v); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, state.Close())
}

package processor

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/journey"
	"rapport/internal/message"
	"rapport/internal/profile"
	"rapport/internal/purpose"
	"rapport/internal/rule"
	"rapport/internal/segment"
	"rapport/internal/timer"
)

// derived is an event that the walk itself made, with what journeys must know
// of it.
type derived struct {
	event   event.Event
	about   string // the segment, or "" for traits
	reason  string // of an exit
	initial bool
}

// name is how an error calls it.
func (d *derived) name() string {
	if d.event.Name == "" {
		return "set in " + d.about
	}
	return d.event.Name + " " + d.about
}

// audience is the properties object of Segment's Audience Entered and Exited
// (segment-docs, Engage: using Engage data).
func derivedAudience(t segment.Transition, cause string) derived {
	at := time.UnixMilli(t.At).UTC()
	key, _ := json.Marshal(t.Segment) // A string always marshals.
	props := fmt.Appendf(nil, `{"audience_key":%s,%s:%t`, key, key, t.Entered)
	if t.Initial {
		props = append(props, `,"initial":true`...)
	}
	if t.Reason != "" {
		props = fmt.Appendf(props, `,"reason":%q`, t.Reason)
	}
	name := journey.AudienceExited
	if t.Entered {
		name = journey.AudienceEntered
	}
	return derived{about: t.Segment, initial: t.Initial, reason: t.Reason, event: event.Event{
		Type: event.Track, Name: name, Time: at, Received: at, Previous: cause, Properties: append(props, '}'),
	}}
}

// journeyEvent gives an event to the journeys.
func (w *Walker) journeyEvent(f *figure, e *event.Event, now int64, initial bool) error {
	ev := journey.Event{
		Type: e.Type, Name: profile.NameOf(e), Time: e.Time.UnixMilli(), MessageID: e.MessageID, Properties: e.Properties, Initial: initial,
	}
	if e.Source == reserved && (e.Name == journey.AudienceEntered || e.Name == journey.AudienceExited) {
		ev.Segment, _ = unquoted(w.props.Get("audience_key"))
	}
	if len(f.jour.Places) == 0 && !w.version.Journeys.Begins(&ev) && e.Type != event.Outcome {
		return nil
	}
	w.turn.Begin(&w.subject, &f.jour, now)
	w.version.Journeys.OnEvent(&w.turn, &ev)
	return w.effects(f, now)
}

func unquoted(raw []byte, ok bool) (string, bool) {
	var s string
	if !ok || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// journeyTime lets journeys do what is due at an instant.
func (w *Walker) journeyTime(f *figure, due int64) error {
	w.turn.Begin(&w.subject, &f.jour, due)
	w.version.Journeys.OnTime(&w.turn)
	return w.effects(f, due)
}

// effects carries out what a turn decided, and goes on with the turn while it
// waits for what it set.
func (w *Walker) effects(f *figure, now int64) error {
	for range maxRounds {
		if w.turn.Changed {
			w.set.touch(f)
		}
		set := false
		for i := range w.turn.Effects {
			ef := &w.turn.Effects[i]
			switch ef.Kind {
			case journey.Send:
				if err := w.owe(f, w.modest(f, ef, now), now); err != nil {
					return err
				}
			case journey.Set:
				set = true
				w.setTraits(f, ef)
			}
		}
		again := w.turn.Again
		w.turn.Rewind()
		if !again {
			return nil
		}
		if set {
			if err := w.settle(f, fmt.Sprintf("set/%d/%d", f.id, now), false); err != nil {
				return err
			}
		}
		w.turn.Begin(&w.subject, &f.jour, now)
		w.version.Journeys.OnTime(&w.turn)
	}
	return nil
}

// modest gives the mail of an effect without what its purpose may not see of what
// began the journey: that does not go into the outbox.
func (w *Walker) modest(f *figure, ef *journey.Effect, now int64) message.Intent {
	in := ef.Intent
	if w.version.Purview == nil || ef.Trigger == "" && ef.Trait == "" {
		return in
	}
	switch sees := w.scope(f, in.Purpose, now); {
	case ef.Trigger != "":
		in.Data = sees.Named(ef.Trigger, in.Data)
	case !sees.Trait(ef.Trait):
		in.Data = nil
	}
	return in
}

// setTraits makes the identify that a set step stands for.
func (w *Walker) setTraits(f *figure, ef *journey.Effect) {
	at := time.UnixMilli(ef.At).UTC()
	w.queue = append(w.queue, derived{about: ef.Journey, event: event.Event{
		Type: event.Identify, Time: at, Received: at, Traits: ef.Traits,
	}})
}

// owe puts a mail into the outbox.
func (w *Walker) owe(f *figure, in message.Intent, now int64) error {
	in.Person = f.id
	in.Version = w.version.Number
	if in.Decided.IsZero() {
		in.Decided = time.UnixMilli(now).UTC()
	}
	if in.Due.IsZero() {
		in.Due = in.Decided
	}
	in.ID = id.NewMessage(in.Decided, in.Key)
	got, added, err := w.p.books.Outbox.Insert(in, time.UnixMilli(now).UTC())
	if err != nil {
		return fmt.Errorf("owe a mail: %w", err)
	}
	if added {
		w.p.owed = append(w.p.owed, got)
	}
	return nil
}

// ID implements journey.Person.
func (s *subject) ID() id.Person { return s.f.id }

// Permit implements journey.Person: the gate at a journey's entry.
func (s *subject) Permit(p purpose.Purpose) (bool, string) {
	q := consent.Question{
		Subjects: s.f.ident.Subjects(), Operation: consent.Enter, Purpose: p, Channel: purpose.Email, At: time.UnixMilli(s.w.now).UTC(),
	}
	if email := s.f.ident.Address(s.f.prof.Text("email")); email != "" {
		q.Address = s.w.Resolver.Hash(identity.Email, email)
	}
	d := s.w.Consent.DecideIn(s.w.p.books.Consent, q)
	return d.Effect == consent.Allow, d.Reason
}

var (
	_ journey.Person = (*subject)(nil)
	_ rule.Subject   = (*subject)(nil)
)

// ring applies an alarm: it says only that somebody may have something due. What
// is due is what their segments and journeys have armed, whenever the alarm
// itself was set: where batches fell differently, as in a replay, it may have
// been set for another instant.
func (w *Walker) ring(e *event.Event) error {
	armed := timer.Alarm{Who: id.Person(e.Person), Due: e.Due.UnixMilli()}
	if err := w.p.books.Timer.Disarm(armed); err != nil {
		return fmt.Errorf("disarm: %w", err)
	}
	// A load that ended early may have left them out; figure would follow a merge.
	if err := w.set.load([]id.Person{armed.Who}, nil); err != nil {
		return err
	}
	f, ok := w.set.figures[armed.Who]
	if !ok {
		return nil
	}
	f.used = true
	if f.alarm == armed.Due {
		f.alarm = 0
		w.set.touch(f)
	}
	if f.ident.MergedInto != 0 || f.erased != 0 {
		return nil
	}
	return w.ready(f, w.now)
}

// arm moves a person's alarm where what is due next comes before it. An alarm
// that would only ring early stays: moving it costs two pages for each event.
func (s *workingSet) arm(f *figure) error {
	if f.ident.MergedInto != 0 || f.erased != 0 {
		return nil
	}
	next := min(f.seg.NextDue(), f.jour.NextDue(), f.prof.NextExpiry(s.w.version.Terms))
	if next == rule.Never || (f.alarm != 0 && f.alarm <= next) {
		return nil
	}
	if f.alarm != 0 {
		if err := s.books.Timer.Disarm(timer.Alarm{Who: f.id, Due: f.alarm}); err != nil {
			return fmt.Errorf("disarm: %w", err)
		}
	}
	f.alarm = next
	s.w.p.armed = min(s.w.p.armed, next)
	if err := s.books.Timer.Arm(timer.Alarm{Who: f.id, Due: next}); err != nil {
		return fmt.Errorf("arm: %w", err)
	}
	return nil
}

// disarm has nothing wake somebody any more.
func (s *workingSet) disarm(f *figure) error {
	if f.alarm == 0 {
		return nil
	}
	if err := s.books.Timer.Disarm(timer.Alarm{Who: f.id, Due: f.alarm}); err != nil {
		return fmt.Errorf("disarm: %w", err)
	}
	f.alarm = 0
	return nil
}

// merge joins one person into another: identifiers have moved already.
func (w *Walker) merge(m identity.Merge) error {
	into, ok := w.set.figures[m.Into]
	if !ok {
		return fmt.Errorf("merge: %s is not loaded", m.Into)
	}
	from, ok := w.set.figures[m.From]
	if !ok {
		return fmt.Errorf("merge: %s is not loaded", m.From)
	}
	w.set.touch(into) // both are at this instant already: identity has seen to it
	w.set.touch(from)
	m.At = time.UnixMilli(w.now).UTC()
	if err := w.p.books.Identity.AppendMerge(m); err != nil {
		return fmt.Errorf("write the merge log: %w", err)
	}
	if err := w.p.books.Outbox.Reassign(m.From, m.Into); err != nil {
		return fmt.Errorf("hand mails over: %w", err)
	}
	for _, in := range w.version.Segments.In(&from.seg) {
		if !w.version.Segments.Member(&into.seg, in.Segment) {
			continue // it moves with the membership
		}
		w.counts[in.Segment]-- // both were in: one of them goes
	}
	groups, err := unitedGroups(into, from)
	if err != nil {
		return err
	}
	into.prof.Merge(&from.prof, w.version.Schema, &w.change)
	w.p.refused += int64(w.change.Refused)
	if len(groups) > 0 {
		w.setGroups(into, groups)
	}
	into.seg.Merge(&from.seg)
	w.subject.f, w.subject.props = into, nil
	w.turn.Begin(&w.subject, &into.jour, w.now)
	w.version.Journeys.Merge(&w.turn, &from.jour)
	if err := w.effects(into, w.now); err != nil {
		return err
	}
	if err := w.keepApart(into, from); err != nil {
		return err
	}
	from.prof, from.seg, from.jour = profile.Profile{Version: from.prof.Version}, segment.State{}, journey.State{}
	w.p.merges++
	if err := w.everySegment(into, w.now, false, m.Cause); err != nil {
		return err
	}
	if err := w.settle(into, "merge/"+m.Cause, false); err != nil {
		return err
	}
	// What either of them waited for may have come to the other.
	if err := w.journeyTime(into, w.now); err != nil {
		return err
	}
	return w.settle(into, "merge/"+m.Cause+"/then", false)
}

// aliasOf settles what an alias's previous id is: a device, or the former user
// id of the same person, under which somebody may already be known.
func (w *Walker) aliasOf(it *item) ([]identity.Identifier, error) {
	who, err := w.set.Who(it.prev.Hash)
	if err != nil || who == 0 {
		return it.ids, err
	}
	ids := make([]identity.Identifier, 0, len(it.ids))
	for _, x := range it.ids {
		if x.Kind != identity.Anonymous || x.Value != it.e.Previous {
			ids = append(ids, x)
		}
	}
	return append(ids, it.prev), nil
}

// SendRequest is what the log holds of a request for one mail.
type SendRequest struct {
	Key        string          `json:"key"`
	To         string          `json:"to,omitempty"`
	Template   string          `json:"template"`
	Purpose    purpose.Purpose `json:"purpose"`
	Class      message.Class   `json:"class"`
	Provider   string          `json:"provider,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	ValidUntil int64           `json:"valid_until,omitempty"` // Unix milliseconds
}

// MessageOf gives the id of the mail that a request leads to.
func (r *SendRequest) MessageOf(received time.Time) id.Message { return id.NewMessage(received, r.Key) }

// send turns a request into an owed mail.
func (w *Walker) send(it *item) error {
	var req SendRequest
	if err := json.Unmarshal(it.e.Properties, &req); err != nil {
		return fault.Wrap(err, fault.Invalid, "bad_send", "the request to send cannot be read")
	}
	f, err := w.whom(it)
	if err != nil || f == nil {
		return err
	}
	in := message.Intent{
		Key: req.Key, To: req.To, Template: req.Template, Purpose: req.Purpose, Class: req.Class, Provider: req.Provider,
		Cause: it.e.MessageID, Data: req.Data, Decided: it.e.Received,
	}
	if req.ValidUntil != 0 {
		in.ValidUntil = time.UnixMilli(req.ValidUntil).UTC()
	}
	if err := w.asked(f, &it.e, req.Template); err != nil {
		return err
	}
	return w.owe(f, in, w.now)
}

// asked writes into a person's history that somebody asked for something, by
// which identifier and for what, but not what it was to say.
func (w *Walker) asked(f *figure, e *event.Event, what string) error {
	note := *e
	note.Name, note.Properties, note.Context = what, nil, nil
	w.set.touch(f)
	w.props.Reset(nil)
	f.prof.Fold(&note, &w.props, w.version.Schema, nil, &w.change)
	return w.remember(f, &note)
}

// trigger begins a journey that somebody asked for.
func (w *Walker) trigger(it *item) error {
	f, err := w.whom(it)
	if err != nil || f == nil {
		return err
	}
	e := &it.e
	if err := w.asked(f, e, e.Name); err != nil {
		return err
	}
	w.props.Reset(e.Properties)
	w.subject.f, w.subject.props = f, &w.props
	w.turn.Begin(&w.subject, &f.jour, w.now)
	w.version.Journeys.OnEvent(&w.turn, &journey.Event{
		Type: e.Type, Name: e.Name, Time: e.Time.UnixMilli(), MessageID: e.MessageID, Properties: e.Properties,
	})
	if err := w.effects(f, w.now); err != nil {
		return err
	}
	return w.settle(f, e.MessageID, false)
}

func versionNumber(e *event.Event) (int, error) {
	n, err := strconv.Atoi(e.Name)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.Internal, "bad_version", "the configuration record names no version")
	}
	return n, nil
}

// applyConfig writes that a version is in effect and that everybody who is
// there must be brought to it. The version itself was compiled before the
// transaction began.
func (w *Walker) applyConfig(e *event.Event) error {
	number, err := versionNumber(e)
	if err != nil || number != w.version.Number {
		return err // an older version than the one in effect changes nothing
	}
	last, err := w.p.books.Identity.LastPerson()
	if err != nil {
		return err
	}
	w.pending = segment.Backfill{Version: number, Last: int64(last), Done: last == 0}
	return w.p.books.Segment.SaveBackfill(w.pending)
}

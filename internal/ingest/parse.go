package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/event"
	"rapport/internal/scan"
)

// sound checks that one raw value is JSON that may be kept: within the limits,
// every key once, every number a number. f is what measuring it has found. Text that is no text (invalid UTF-8,
// lone surrogates, NUL) is mended once, here, into a copy; what comes back is
// then valid for every later reader.
func (in *Ingest) sound(raw []byte, f scan.Facts) (good []byte, mended bool, _ problem) {
	if len(raw) > in.limits.EventBytes {
		return raw, false, problem{CodeEventTooLarge, fmt.Sprintf("the event has more than %d bytes", in.limits.EventBytes)}
	}
	switch {
	case f.Depth > in.limits.Depth:
		return raw, false, problem{CodeTooDeep, fmt.Sprintf("it is nested deeper than %d levels", in.limits.Depth)}
	case f.Keys > in.limits.Keys:
		return raw, false, problem{CodeTooManyKeys, fmt.Sprintf("it has more than %d keys", in.limits.Keys)}
	case f.Beyond:
		return raw, false, problem{CodeNumberRange, "a number is larger than can be kept"}
	}
	if f.NUL {
		raw, mended = mend(raw), true
	}
	if jsontext.Value(raw).IsValid() {
		return raw, mended, problem{}
	}
	if other := mend(raw); !bytes.Equal(other, raw) {
		if jsontext.Value(other).IsValid() {
			return other, true, problem{}
		}
		raw = other
	}
	if !jsontext.Value(raw).IsValid(jsontext.AllowDuplicateNames(true)) {
		return raw, false, problem{CodeJSON, "it is not valid JSON"}
	}
	return raw, false, problem{CodeDuplicateKey, "a key stands twice in one object"}
}

// Sound gives a JSON value that may be kept as part of an event, mended where its texts
// are none, for what comes in by a form or a call of an operator; false where an event
// that brings it would be rejected.
func Sound(raw []byte) ([]byte, bool) {
	in := Ingest{limits: Limits{}.withDefaults()}
	_, f, closed := scan.Measure(raw, 0, in.limits.Depth)
	if !closed {
		return nil, false
	}
	good, _, p := in.sound(raw, f)
	return good, p.ok()
}

// errMessageID tells parse's caller that an id could not be made.
var errMessageID = errors.New("make a message id")

// parse reads one raw item. A problem is the sender's; an error is ours.
func (in *Ingest) parse(w *work, it *item, e *event.Event) (problem, error) {
	mended := false
	if !it.checked {
		good, touched, p := in.sound(it.all(), it.facts)
		if !p.ok() {
			return p, nil
		}
		if !isObject(good) {
			return problem{CodeJSON, "it is not a JSON object"}, nil
		}
		if mended = touched; mended {
			in.metrics.Mended.Inc()
		}
		var located item
		located.locate(good)
		it = &located
	}
	// What is sent again is as old as it was: a yes in it stays older than a later no.
	*e = event.Event{Type: w.call.Type, Source: w.call.Source.Name, Received: w.arrived}
	if p := in.typeOf(it, e); !p.ok() {
		return p, nil
	}
	if p := in.identifiers(it, e, mended); !p.ok() {
		return p, nil
	}
	if p := in.shape(it, e); !p.ok() {
		return p, nil
	}
	if p := in.readContext(w, it, e, mended); !p.ok() {
		return p, nil
	}
	e.Integrations = w.integrations(it.raw(fIntegrations))
	if e.UserID == "" && e.Anonymous == "" {
		return problem{CodeNoUser, `neither "userId" nor "anonymousId" is there`}, nil
	}
	if e.Nameless() {
		return problem{CodeNoUser, `its identifiers are values that broken programs send for everybody, such as "null" or "000"`}, nil
	}
	if p := in.times(w, it, e); !p.ok() {
		return p, nil
	}
	return in.identify(w, e)
}

// identify sees to the message id. What is sent again has the one that it had,
// and where it never had one always the same: sending it once more must not make
// another event of it.
func (in *Ingest) identify(w *work, e *event.Event) (problem, error) {
	if kept := w.call.kept; kept != nil {
		if e.MessageID != "" && e.MessageID != kept.MessageID {
			return problem{CodeOtherMessageID, `"messageId" is not the one that the event was kept with: leave it out, or as it was`}, nil
		}
		e.MessageID = kept.MessageID
		return problem{}, nil
	}
	if e.MessageID == "" && w.call.resent > 0 {
		// A number that was dropped may be given again: the instant keeps the two apart.
		e.MessageID = fmt.Sprintf("resent-%d-%d-%d", w.call.resent, w.call.arrived.UnixMilli(), len(w.events)-1)
	}
	if e.MessageID == "" {
		id, err := in.messageID()
		if err != nil {
			return problem{}, fmt.Errorf("%w: %w", errMessageID, err)
		}
		e.MessageID = id
	}
	return problem{}, nil
}

// typeOf settles the type: the route's, else the item's own.
func (in *Ingest) typeOf(it *item, e *event.Event) problem {
	if e.Type != event.Unknown {
		return problem{}
	}
	name, ok := text(it.raw(fType))
	if !ok || name == "" {
		return problem{CodeTypeUnknown, `"type" is missing or not a string`}
	}
	if e.Type, ok = event.ParseType(name); !ok {
		return problem{CodeTypeUnknown, `"type" is none of track, identify, page, screen, group, alias`}
	}
	return problem{}
}

func (in *Ingest) identifiers(it *item, e *event.Event, mended bool) (p problem) {
	id, ok := text(it.raw(fMessageID))
	switch {
	case !ok:
		return problem{CodeIDNotString, `"messageId" is not a string`}
	case utf8.RuneCountInString(id) > in.limits.MessageID:
		return problem{CodeMessageIDLong, fmt.Sprintf(`"messageId" has more than %d characters`, in.limits.MessageID)}
	case !cleanID(id, mended):
		return problem{CodeIDText, `"messageId" holds control characters or unreadable text`}
	}
	e.MessageID = id
	if e.UserID, p = in.identifier(it.raw(fUserID), "userId", mended); !p.ok() {
		return p
	}
	if e.Anonymous, p = in.identifier(it.raw(fAnonymous), "anonymousId", mended); !p.ok() {
		return p
	}
	if e.Type == event.Alias {
		if e.Previous, p = in.identifier(it.raw(fPrevious), "previousId", mended); !p.ok() {
			return p
		}
		if e.Previous == "" || e.UserID == "" {
			return problem{CodeIDRequired, `an alias needs "previousId" and "userId"`}
		}
	}
	if e.GroupID, p = in.identifier(it.raw(fGroup), "groupId", mended); !p.ok() {
		return p
	}
	if e.Type == event.Group && e.GroupID == "" {
		return problem{CodeIDRequired, `a group needs "groupId"`}
	}
	return problem{}
}

// shape checks what is particular to a type, and takes properties and traits.
func (in *Ingest) shape(it *item, e *event.Event) problem {
	switch e.Type {
	case event.Track:
		name, ok := text(it.raw(fEvent))
		switch {
		case !ok:
			return problem{CodeEventNotString, `"event" is not a string`}
		case name == "":
			return problem{CodeEventMissing, `a track needs "event"`}
		}
		e.Name = name
	case event.Page, event.Screen:
		raw := it.raw(fName)
		if absent(raw) && isObject(it.raw(fProperties)) {
			raw, _ = scan.Find(it.raw(fProperties), "name") // Jitsu's SDK says it there alone, Segment's at both places.
			if said, ok := text(raw); !ok || len(said) > in.limits.Name {
				raw = nil // A property may be anything.
			}
		}
		name, ok := text(raw)
		if !ok {
			return problem{CodeNameNotString, `"name" is not a string`}
		}
		if _, ok := text(it.raw(fCategory)); !ok {
			return problem{CodeCategory, `"category" is not a string`}
		}
		e.Name = name
	}
	if len(e.Name) > in.limits.Name {
		return problem{CodeNameTooLong, fmt.Sprintf("the name has more than %d bytes", in.limits.Name)}
	}
	if !absent(it.raw(fProperties)) {
		if !isObject(it.raw(fProperties)) {
			return problem{CodeProperties, `"properties" is not an object`}
		}
		e.Properties = it.raw(fProperties)
	}
	if (e.Type == event.Page || e.Type == event.Screen) && !absent(it.raw(fCategory)) {
		e.Properties = withMember(e.Properties, "category", it.raw(fCategory))
	}
	if !absent(it.raw(fTraits)) {
		if !isObject(it.raw(fTraits)) {
			return problem{CodeTraits, `"traits" is not an object`}
		}
		if e.Type == event.Identify || e.Type == event.Group {
			e.Traits = it.raw(fTraits)
		}
	}
	return problem{}
}

// withMember adds a member to an object unless it is there.
func withMember(object []byte, name string, value []byte) []byte {
	if _, there := scan.Find(object, name); there {
		return object
	}
	out := make([]byte, 0, len(object)+len(name)+len(value)+6)
	return appendMember(append(out, openObject(object)...), name, value, '}')
}

// times corrects the sender's clock by ours.
func (in *Ingest) times(w *work, it *item, e *event.Event) problem {
	raw := it.raw(fOriginal)
	if absent(raw) {
		raw = it.raw(fTimestamp)
	}
	original, ok := instant(raw)
	if !ok {
		return problem{CodeTimestamp, `"timestamp" is not a time in ISO 8601`}
	}
	if kept := w.call.kept; kept != nil && stays(kept, original) {
		e.Time, e.Original = kept.Time, kept.Original
		return problem{}
	}
	sentAt := it.raw(fSentAt)
	if absent(sentAt) {
		sentAt = w.sentAt
	}
	sent, ok := instant(sentAt)
	if !ok {
		in.metrics.BadSentAt.Inc() // It only serves to correct; without it the sender's clock is trusted.
	}
	if unusable(raw, original, sent) {
		in.metrics.BadTimestamp.Inc()
	}
	e.Original = original
	e.Time = correct(w.arrived, sent, original)
	return problem{}
}

package ingest

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/plan"
	"rapport/internal/scan"
)

// Kept is an event that was taken when it came and could then not be walked.
type Kept struct {
	Event  *event.Event // as it was taken
	Bulk   bool         // it stands in the bulk lane
	Mended []byte       // one event, a JSON object, that is sent in its place; nil: none
	DryRun bool         // only say what would become of it
}

// TakeKept takes an event again that was taken before. It asks for permission
// anew, and else the event is what it was: its times, its trust, its context, and
// its message id, so that it is applied once. A mend goes through the gates of
// today, and what it does not speak of stays. What is malformed is an Invalid
// fault, and is not kept anew.
func (in *Ingest) TakeKept(ctx context.Context, k Kept) (Receipt, error) {
	src, err := in.sourceAgain(k.Event.Source)
	if err != nil {
		return Receipt{}, err
	}
	c := Call{
		Source: src, Bulk: k.Bulk, GPC: k.Event.Flags&event.GPC != 0, Path: "/v1/batch", Strict: true,
		arrived: k.Event.Received, resent: -1, kept: k.Event, dry: k.DryRun,
	}
	if k.Mended != nil {
		if c.Body, err = over(k.Event, k.Mended); err != nil {
			return Receipt{}, err
		}
		return in.Take(ctx, c)
	}
	if src.Disabled {
		return Receipt{}, in.disabled(src.Name)
	}
	w := in.pool.Get().(*work)
	defer in.release(w)
	w.begin(in, &c)
	// What it says on permission was made durable before it was taken, and the walk
	// will weigh it by when it came. Said once more at the door it would take back
	// what the person has granted since.
	w.events = append(w.events, *k.Event)
	if src.Plan != nil {
		v := src.Plan.Judge(&w.events[0], in.hash)
		if v.Effect > plan.Strip {
			return Receipt{}, fault.New(fault.Invalid, v.Code, "%s", v.Detail)
		}
		w.judged = append(w.judged, judged{item: -1, verdict: v})
	}
	if c.dry {
		var r Receipt
		in.admit(w, &r)
		return r, nil
	}
	return in.commit(ctx, w)
}

// over lays a mend over the event that was kept, as an item of a batch lies over
// what its batch says for all of its items. Of a context the mend speaks for
// traits and external ids alone, since whoever mends is shown them: what is
// missing there was taken out.
func over(kept *event.Event, mended []byte) ([]byte, error) {
	mended = bytes.TrimSpace(mended)
	if v := jsontext.Value(mended); !v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) || v.Kind() != '{' {
		return nil, fault.New(fault.Invalid, "bad_event", "what is sent in its place is one event, a JSON object")
	}
	below := kept.Context
	if own, _ := scan.Find(mended, "context"); isObject(own) {
		below = without(below, "traits", "externalIds")
	}
	body := []byte{'{'}
	if len(below) > 0 {
		body = append(append(append(body, `"context":`...), below...), ',')
	}
	if len(kept.Integrations) > 0 {
		body = append(append(append(body, `"integrations":`...), kept.Integrations...), ',')
	}
	return append(append(append(body, `"batch":[`...), mended...), "]}"...), nil
}

// without copies an object but for some of its members.
func without(object []byte, names ...string) []byte {
	out := []byte{'{'}
	for m := scan.MembersOf(object); ; {
		key, value, ok := m.Next()
		switch {
		case !ok:
			return append(out, '}')
		case slices.Contains(names, string(key)):
			continue
		case len(out) > 1:
			out = append(out, ',')
		}
		out, _ = jsontext.AppendQuote(out, string(key)) // Keys have been through sound and are UTF-8.
		out = append(append(out, ':'), value...)
	}
}

// trust gives the marks of an event that is sent again mended. They are those
// that it came with: a mend is no proof of anything, and the signature that it
// may have come with was for one user id.
func trust(kept, e *event.Event) event.Flag {
	if kept.Flags&event.Verified != 0 && e.UserID != kept.UserID {
		return kept.Flags&^event.Verified | event.FromBrowser
	}
	return kept.Flags
}

// stays tells whether a mend leaves the time of its event alone: it says none,
// or one of those that the event has.
func stays(kept *event.Event, said time.Time) bool {
	return said.IsZero() || said.UnixMilli() == kept.Time.UnixMilli() ||
		!kept.Original.IsZero() && said.UnixMilli() == kept.Original.UnixMilli()
}

package ingest

import (
	"context"
	"strconv"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/scan"
)

// Resend takes a reject again, as it was kept or with a mended payload, as if
// it had come from its source when it first came. It is all or nothing; when it
// is still malformed, an Invalid fault says why and the reject stays as it was.
// Sending again what was taken already is a Conflict. With dry it only says what
// would become of it.
func (in *Ingest) Resend(ctx context.Context, id int64, mended []byte, dry bool) (Receipt, error) {
	r, err := in.Reject(ctx, id)
	if err != nil {
		return Receipt{}, err
	}
	if r.Sent {
		return Receipt{}, fault.New(fault.Conflict, "already_sent", "reject %d has been sent again and taken", id)
	}
	a := Again{Source: r.Source, Path: r.Path, Body: r.Payload, Arrived: r.At, Bulk: r.Path == ImportPath, DryRun: dry, reject: id}
	if mended != nil {
		a.Body = mended
	}
	receipt, err := in.TakeAgain(ctx, a)
	if err != nil || dry {
		return receipt, err
	}
	// A crash before this line lets it be sent once more; its message id stays
	// the same, so that it is applied once.
	err = in.keeper.Write(ctx, func(st Store) error { return st.MarkResent(id) })
	if err != nil {
		return receipt, unavailable(err, "reject "+strconv.FormatInt(id, 10)+" was taken but could not be marked")
	}
	return receipt, nil
}

// Again is something that came before and could not be taken, or not be walked.
type Again struct {
	Source  string // its source's name
	Path    string // the route it came by
	Body    []byte
	Arrived time.Time // when it first came
	Bulk    bool      // it came in the bulk lane
	DryRun  bool      // only say what would become of it
	// Kept is the event that it once was; what the body does not say is as it was
	// then. Nil: it was none.
	Kept   *event.Event
	reject int64 // of this reject
}

// ImportPath is the route of imports, which go to the bulk lane.
const ImportPath = "/v1/import"

// TakeAgain takes what came before through the gates of today, as if it came
// from its source when it first came. It is all or nothing; what is still
// malformed is an Invalid fault, and is not kept anew.
func (in *Ingest) TakeAgain(ctx context.Context, a Again) (Receipt, error) {
	src, err := in.source(a.Source)
	if err != nil {
		return Receipt{}, err
	}
	t, ok := RouteType(a.Path)
	if !ok {
		return Receipt{}, fault.New(fault.Internal, "unknown_route", "it came by a route that is not known")
	}
	c := Call{
		Source: src, Browser: src.Browser, Bulk: a.Bulk, Path: a.Path, Type: t, Body: a.Body,
		Strict: true, arrived: a.Arrived, resent: a.reject, kept: a.Kept, dry: a.DryRun,
	}
	if k := a.Kept; k != nil {
		c.resent = -1 // It is kept elsewhere.
		c.Browser = c.Browser || k.Flags&event.FromBrowser != 0
		c.GPC = k.Flags&event.GPC != 0
	}
	return in.Take(ctx, c)
}

func (in *Ingest) source(name string) (Source, error) {
	src, ok := in.sources(name)
	if !ok {
		return src, fault.New(fault.Conflict, CodeUnknownSource, "the source %q that it came from is no longer configured", name)
	}
	return src, nil
}

// carry gives an event that is taken again in other words what they do not say:
// its id, its own clock's time, and that it was signed if it is about the same
// user. It is never believed more than it was.
func carry(e, kept *event.Event) {
	if e.MessageID == "" {
		e.MessageID = kept.MessageID
	}
	if e.Time.Equal(kept.Time) {
		e.Original = kept.Original
	}
	if signed := kept.Flags&event.Verified != 0 && e.UserID == kept.UserID; signed {
		e.Flags = e.Flags&^event.FromBrowser | event.Verified
	}
}

// TakeWhole takes an event again that was taken before: as it was, through
// today's permission.
func (in *Ingest) TakeWhole(ctx context.Context, e *event.Event, bulk, dry bool) (Receipt, error) {
	src, err := in.source(e.Source)
	if err != nil {
		return Receipt{}, err
	}
	if src.Disabled {
		return Receipt{}, fault.New(fault.Denied, CodeSourceDisabled, "the source is disabled; enable it in its file")
	}
	w := in.pool.Get().(*work)
	defer in.release(w)
	w.begin(in, &Call{Source: src, Bulk: bulk, resent: -1})
	w.events = append(w.events[:0], *e)
	if said, ok := scan.Find(e.Context, "consent"); ok {
		if p := w.readConsent(said); !p.ok() {
			return Receipt{}, fault.New(fault.Internal, p.code, "%s", p.detail)
		}
	}
	if e = &w.events[0]; len(w.prefs) > 0 || consent.Speaks(e) {
		w.said = append(w.said, Statement{Event: e, Preferences: w.prefs, GPC: e.Flags&event.GPC != 0})
	}
	if dry {
		var r Receipt
		in.admit(w, &r)
		return r, nil
	}
	return in.commit(ctx, w)
}

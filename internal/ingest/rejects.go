package ingest

import (
	"context"
	"strconv"
	"time"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/scan"
)

// keep writes the rejects of a call down, durably, in one transaction. More
// than the allowed number a second are only counted, so that a broken or
// hostile sender cannot keep the state store busy.
func (in *Ingest) keep(ctx context.Context, w *work) error {
	if err := in.room(); err != nil {
		return unavailable(err, "there is no room")
	}
	source := w.call.Source.Name
	for _, r := range w.rejected {
		in.metrics.reject(source, r.Code, 1)
	}
	if w.call.resent != 0 {
		return nil // It is kept already.
	}
	if ok, _ := in.pace.Allow(source, float64(len(w.rejected))); !ok {
		in.metrics.Unkept.Add(float64(len(w.rejected)))
		return nil
	}
	err := in.keeper.Write(ctx, func(st Store) error {
		var last int64
		for i := range w.rejected {
			r := &w.rejected[i]
			if w.payloads[i].refused {
				continue
			}
			id, err := st.AppendReject(Reject{
				At: w.received, Source: source, Path: w.call.Path, Code: r.Code, Detail: r.Detail,
				Payload: in.kept(w, r.Index, w.payloads[i]),
			})
			if err != nil {
				return err
			}
			r.ID, last = id, id
		}
		if first := last - int64(len(w.rejected)); last > 0 && last/dropEvery != first/dropEvery {
			_, err := st.DropRejects(in.limits.KeptRejects)
			return err
		}
		return nil
	})
	if err != nil {
		return unavailable(err, "what was malformed could not be kept")
	}
	return nil
}

// dropEvery is how many rejects come in before the oldest are looked for.
const dropEvery = 256

// kept gives what is kept of a rejected item: nothing where it names somebody who was
// erased. That it was rejected, and why, is kept all the same.
func (in *Ingest) kept(w *work, index int, p payload) []byte {
	out := in.payload(w, index, p)
	if in.erased(p.raw) || in.erased(out) { // What it is cut to may end within a name.
		return []byte{}
	}
	return out
}

// payload gives what is kept of a rejected item: a body for the same path. An
// item of a batch takes along what the batch said for all of its items. What is
// too large is cut, and then cannot be sent again as it is.
func (in *Ingest) payload(w *work, index int, p payload) []byte {
	raw := p.raw
	if p.treated && w.call.Type != event.Unknown {
		return raw
	}
	if len(raw) > in.limits.EventBytes {
		raw = raw[:in.limits.EventBytes]
	} else if index >= 0 && w.call.Type == event.Unknown {
		b := []byte{'{'}
		if w.sentAt != nil {
			b = append(append(append(b, `"sentAt":`...), w.sentAt...), ',')
		}
		if w.context != nil && !p.treated {
			b = append(append(append(b, `"context":`...), w.context...), ',')
		}
		if w.allowed != nil {
			b = append(append(append(b, `"integrations":`...), w.allowed...), ',')
		}
		return append(append(append(b, `"batch":[`...), withoutKey(raw)...), "]}"...)
	}
	return withoutKey(raw)
}

// withoutKey copies an object and empties its writeKey: a key that a sender
// carries in the body is a secret, and nobody who reads rejects needs it.
func withoutKey(raw []byte) []byte {
	out := append([]byte(nil), raw...)
	for m := scan.MembersOf(raw); ; {
		key, value, more := m.Next()
		if !more {
			return out
		}
		if string(key) == "writeKey" {
			begin := len(out) - (len(raw) - m.At()) - len(value)
			out = append(out[:begin], append([]byte(`""`), raw[m.At():]...)...)
		}
	}
}

// RejectQuery selects rejects, newest first.
type RejectQuery struct {
	Code   string    // "": any
	Source string    // "": any
	Since  time.Time // only those that came then or later; zero: any
	Until  time.Time // only those that came earlier; zero: any
	Before int64     // only ids below; zero: from the newest
	Limit  int       // at most 1,000; zero: 50
}

// Rejects lists what is kept.
func (in *Ingest) Rejects(ctx context.Context, q RejectQuery) ([]Reject, error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	q.Limit = min(q.Limit, 1000)
	var out []Reject
	err := in.keeper.Read(ctx, func(st Store) (err error) {
		out, err = st.Rejects(q)
		return err
	})
	return out, err
}

// RejectCounts counts what is kept, by code.
func (in *Ingest) RejectCounts(ctx context.Context) (map[string]int64, error) {
	var out map[string]int64
	err := in.keeper.Read(ctx, func(st Store) (err error) {
		out, err = st.RejectCounts()
		return err
	})
	return out, err
}

// Reject reads one; a NotFound fault when it is not kept.
func (in *Ingest) Reject(ctx context.Context, id int64) (Reject, error) {
	var (
		out   Reject
		found bool
	)
	err := in.keeper.Read(ctx, func(st Store) (err error) {
		out, found, err = st.Reject(id)
		return err
	})
	if err == nil && !found {
		err = fault.New(fault.NotFound, "no_such_reject", "no reject %d is kept", id)
	}
	return out, err
}

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
	if len(r.Payload) == 0 && mended == nil {
		return Receipt{}, fault.New(fault.Conflict, "payload_not_kept", "of reject %d only the reason is kept, for it was empty, was turned away unread, or named somebody who was erased; give what is to be sent", id)
	}
	src, err := in.sourceAgain(r.Source)
	if err != nil {
		return Receipt{}, err
	}
	t, ok := RouteType(r.Path)
	if !ok {
		return Receipt{}, fault.New(fault.Internal, "unknown_route", "it came by a route that is not known")
	}
	c := Call{
		Source: src, Browser: src.Browser && !imported(r.Path), Bulk: imported(r.Path), Path: r.Path, Type: t, Body: r.Payload,
		Strict: true, arrived: r.At, resent: id, dry: dry,
	}
	if mended != nil {
		c.Body = mended
	}
	receipt, err := in.Take(ctx, c)
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

// DropReject forgets one; a NotFound fault when it is not kept.
func (in *Ingest) DropReject(ctx context.Context, id int64) error {
	found := false
	err := in.keeper.Write(ctx, func(st Store) (err error) {
		found, err = st.DropReject(id)
		return err
	})
	if err == nil && !found {
		err = fault.New(fault.NotFound, "no_such_reject", "no reject %d is kept", id)
	}
	return err
}

// sourceAgain finds the source of what came before.
func (in *Ingest) sourceAgain(name string) (Source, error) {
	src, ok := in.sources(name)
	if !ok {
		return Source{}, fault.New(fault.Conflict, CodeUnknownSource, "the source %q that it came from is no longer configured", name)
	}
	return src, nil
}

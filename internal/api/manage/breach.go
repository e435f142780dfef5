package manage

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"rapport/internal/access"
	"rapport/internal/breach"
	"rapport/internal/fault"
)

// Breaches is the register of breaches of personal data.
type Breaches interface {
	Open(ctx context.Context, b breach.Breach) (breach.Breach, error)
	Change(ctx context.Context, id string, c breach.Change) (breach.Breach, error)
	Close(ctx context.Context, id, outcome, reason string) (breach.Breach, error)
	Breach(ctx context.Context, id string) (breach.Breach, error)
	Breaches(ctx context.Context, open bool, limit int) ([]breach.Breach, error)
}

var _ Breaches = (*breach.Register)(nil)

// Affected finds whom a scope concerns: keys are those of it that read, sources those
// of it and those for which its other keys write. fn may be nil.
type Affected func(ctx context.Context, s *breach.Scope, keys, sources []string, fn func(*breach.Touched) error) (breach.Affected, error)

// maxBreachBody has room for all texts of a breach.
const maxBreachBody = 64 << 10

// breachView is a breach as the API tells it.
type breachView struct {
	breach.Breach
	Overdue bool `json:"overdue"`
}

func (h *Handler) breachView(b *breach.Breach) breachView {
	return breachView{*b, b.Open() && b.Authority.IsZero() && b.Late(h.Now())}
}

// affected counts whom a scope concerns, or tells of each. It may take long, and so
// may whoever is told.
func (h *Handler) affected(w http.ResponseWriter, r *http.Request, s *breach.Scope, fn func(*breach.Touched) error) (breach.Affected, error) {
	if err := s.Check(h.Now()); err != nil {
		return breach.Affected{}, err
	}
	keys, sources := []string{}, slices.Clone(s.Sources)
	for _, id := range s.Keys {
		at := slices.IndexFunc(h.Keys.List(), func(k access.Key) bool { return k.ID == id })
		if at < 0 {
			return breach.Affected{}, wrong("/scope/keys", "no_such_key", "there is and was no key of this id; rapport key list shows them")
		}
		if k := h.Keys.List()[at]; k.Kind == access.Manage {
			keys = append(keys, id)
		} else { // It writes and reads nothing: what it may have brought is its source's.
			sources = append(sources, k.Source)
		}
	}
	for _, name := range s.Sources {
		if !h.Sources(name) {
			return breach.Affected{}, wrong("/scope/sources", "no_such_source", "the configuration in effect has no source %q", name)
		}
	}
	for _, name := range s.Destinations {
		if !h.KnowsDestination(name) {
			return breach.Affected{}, wrong("/scope/destinations", "no_such_destination", "the configuration in effect has no destination %q", name)
		}
	}
	unhurried(w)
	return h.Affected(r.Context(), s, keys, sources, fn)
}

// postBreach takes a breach down, with whom it concerns as far as is known now; with
// dry_run it only counts.
func (h *Handler) postBreach(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "dry_run")
	dry := q.flag("dry_run")
	if q.err != nil {
		return q.err
	}
	var in struct {
		Aware time.Time    `json:"aware_at"`
		Scope breach.Scope `json:"scope"`
		breach.Texts
	}
	if err := h.decode(r, maxBreachBody, &in); err != nil {
		return err
	}
	found, err := h.affected(w, r, &in.Scope, nil)
	if err != nil {
		return err
	}
	if dry {
		return h.answer(w, r, http.StatusOK, map[string]any{"affected": found})
	}
	b, err := h.Breaches.Open(r.Context(), breach.Breach{
		ID: "breach-" + h.random.name(), Aware: in.Aware, Scope: in.Scope, Texts: in.Texts, Affected: found, Counted: h.Now().UTC().Truncate(time.Millisecond),
	})
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusCreated, h.breachView(&b))
}

func (h *Handler) getBreaches(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "open", "limit")
	open, limit := q.flag("open"), int(q.number("limit", 100, breach.MaxListed))
	if q.err != nil {
		return q.err
	}
	list, err := h.Breaches.Breaches(r.Context(), open, limit)
	if err != nil {
		return err
	}
	out := []breachView{}
	for i := range list {
		out = append(out, h.breachView(&list[i]))
	}
	return h.answer(w, r, http.StatusOK, map[string]any{"breaches": out})
}

func (h *Handler) getBreach(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	b, err := h.Breaches.Breach(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, h.breachView(&b))
}

// changeBreach notes what was found out. A scope, or count, has people counted anew.
func (h *Handler) changeBreach(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	var in struct {
		Authority time.Time     `json:"authority_told_at"`
		People    time.Time     `json:"people_told_at"`
		Scope     *breach.Scope `json:"scope"`
		Count     bool          `json:"count"`
		breach.Texts
	}
	if err := h.decode(r, maxBreachBody, &in); err != nil {
		return err
	}
	b, err := h.Breaches.Breach(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	c := breach.Change{Texts: in.Texts, Authority: in.Authority, People: in.People, Scope: in.Scope}
	if in.Count || in.Scope != nil {
		if in.Scope == nil {
			in.Scope = &b.Scope
		}
		found, err := h.affected(w, r, in.Scope, nil)
		if err != nil {
			return err
		}
		c.Affected = &found
	}
	if b, err = h.Breaches.Change(r.Context(), b.ID, c); err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, h.breachView(&b))
}

func (h *Handler) closeBreach(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	var in struct {
		Outcome string `json:"outcome"`
		Reason  string `json:"reason"`
	}
	if err := h.decode(r, maxBreachBody, &in); err != nil {
		return err
	}
	b, err := h.Breaches.Close(r.Context(), r.PathValue("id"), in.Outcome, in.Reason)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, h.breachView(&b))
}

// getBreachPeople lists whom a breach concerns, so that they can be told, one JSON
// object a line. What fails on the way breaks the connection.
func (h *Handler) getBreachPeople(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	b, err := h.Breaches.Breach(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	type line struct {
		Person  string   `json:"person"`
		Address string   `json:"email,omitempty"`
		Kinds   []string `json:"kinds"`
	}
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	began := false
	_, err = h.affected(w, r, &b.Scope, func(t *breach.Touched) error {
		if !began {
			began = true
			w.Header()["Content-Type"] = []string{"application/x-ndjson"}
			w.Header()["Cache-Control"] = noStore
		}
		return enc.Encode(line{t.Person, t.Address, t.Kinds.Names()})
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil && began {
		h.Logger.Warn("a list of people was not written to its end", "code", fault.CodeOf(err))
		cut()
	}
	return err
}

// getBreachReport writes the draft of what authority and people are told.
func (h *Handler) getBreachReport(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	b, err := h.Breaches.Breach(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header()["Content-Type"] = []string{"text/markdown; charset=utf-8"}
	w.Header()["Cache-Control"] = noStore
	return b.Report(w, h.House(), h.Now())
}

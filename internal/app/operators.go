package app

import (
	"context"
	"crypto/rand"
	"maps"
	"net/http"
	"slices"
	"time"

	"rapport/internal/api/manage"
	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/ratelimit"
	"rapport/internal/store"
)

// operatorsDoor opens the management API.
func (h *House) operatorsDoor(mux *http.ServeMux) error {
	limit := h.current.config.Workspace.Limits.ManagePerSecond
	limits, err := ratelimit.NewKeyed(ratelimit.Config{
		PerSecond: or(limit, manage.DefaultPerSecond), Burst: 2 * or(limit, manage.DefaultPerSecond), Now: time.Now,
	})
	if err != nil {
		return err
	}
	door, err := manage.New(manage.Config{
		Keys: h.access, Limits: limits, Log: h.log, Walk: h.walker, Reader: h.reader, Rejects: h.ingest, Asides: asides{h}, Destinations: h.office, Alerts: h.board.Open, Doors: h.reached, Consent: h.consent, Trail: h.trail, Desk: h.desk, Keyring: keyringDoor{h}, Hash: h.resolver.Hash,
		Rights: h.requests(), Told: h.mayBeTold, Barred: h.barred.Has, Breaches: h.breaches(), Affected: h.affected, KnowsDestination: h.knowsDestination,
		Templates: func(name string) (manage.Template, bool) {
			t, ok := h.edition().content.Templates[name]
			if !ok {
				return manage.Template{}, false
			}
			return manage.Template{Purpose: t.Purpose, Class: t.Class}, true
		},
		Providers:     func(name string) bool { _, ok := h.edition().config.Provider(name); return ok },
		Sources:       func(name string) bool { _, ok := h.edition().config.Source(name); return ok },
		House:         func() string { return h.edition().config.Workspace.Title },
		Configuration: h.configuration,
		Plan:          func(ctx context.Context, files map[string][]byte) (any, error) { return h.Plan(ctx, files) },
		Apply: func(ctx context.Context, files map[string][]byte, expect int) (any, error) {
			return h.Apply(ctx, files, expect)
		},
		Backup: h.Backup, Retention: h.terms,
		Survey: func(ctx context.Context, source string, since time.Time, most int64) (any, error) {
			return h.survey(ctx, source, since, most)
		},
		Import: h.importBatch, ImportConsent: h.importConsent,
		Duplicates: func(ctx context.Context) (n int64, err error) {
			err = h.state.Read(ctx, func(tx store.Tx) error {
				n, err = tx.Outbox().Duplicates()
				return err
			})
			return n, err
		},
		Now: h.clock.Now, Machine: utcNow, Rand: rand.Reader, Build: h.Build, Logger: h.logger.With("room", "manage"),
	})
	if err != nil {
		return err
	}
	door.Register(mux)
	return nil
}

func (h *House) configuration() manage.Configuration {
	e := h.edition()
	return manage.Configuration{Version: e.number, Digest: e.config.Digest, Applied: e.applied, Files: slices.Sorted(maps.Keys(e.config.Files))}
}

// How far the walk of the bulk lane may be behind before an import waits for it,
// and how long a batch waits at most: an import that ran away would take from
// live events the processor's time and, in the end, the disk. Where no live event
// has come of late there is nobody to take time from.
const (
	bulkBehind  = 20_000
	bulkAlone   = 250_000
	liveOfLate  = 2 * time.Second
	bulkPatient = 5 * time.Second
)

// mayBeBehind gives how far that is, so long after the last live event.
func mayBeBehind(since time.Duration) int64 {
	if since < liveOfLate {
		return bulkBehind
	}
	return bulkAlone
}

// importBatch takes a batch into the bulk lane: beside live events as fast as that
// is walked, else sooner.
func (h *House) importBatch(ctx context.Context, name string, body []byte) (ingest.Receipt, error) {
	src, ok := h.source(name)
	if !ok {
		return ingest.Receipt{}, fault.New(fault.NotFound, "no_such_source", "the configuration in effect has no source %q", name)
	}
	h.paceImport(ctx)
	return h.ingest.Take(ctx, ingest.Call{Source: src, Bulk: true, Path: ingest.ImportPath(name), Type: event.Unknown, Body: body})
}

// paceImport waits while the walk of the bulk lane is far behind.
func (h *House) paceImport(ctx context.Context) {
	tail, _ := h.log.Tail(eventlog.Bulk)
	_, live := h.log.Tail(eventlog.Live)
	if most := mayBeBehind(h.clock.Now().Sub(live)); tail > most {
		patient, done := context.WithTimeout(ctx, bulkPatient)
		_ = h.walker.Wait(patient, eventlog.Bulk, tail-most) // Time running out ends the waiting, not the import.
		done()
	}
}

// importConsent writes words on permission that were given elsewhere into the
// bulk lane. What narrows is durable and holds before it is in the log.
func (h *House) importConsent(ctx context.Context, source string, said []manage.ImportedConsent) (int64, error) {
	if len(said) == 0 {
		return 0, nil
	}
	h.paceImport(ctx)
	at := h.clock.Now().UTC().Truncate(time.Millisecond)
	var narrow []consent.Entry
	bodies := make([][]byte, 0, len(said))
	for _, s := range said {
		for i := range s.Entries {
			e := &s.Entries[i]
			e.Record, e.Source, e.At = source+"/"+s.Record, source, at
			if e.Said.IsZero() {
				e.Said = at
			}
			if e.State > consent.Granted {
				narrow = append(narrow, *e)
			}
		}
		ev, err := consent.ChangeEvent(s.Record, source, at, s.Entries)
		if err != nil {
			return 0, err
		}
		ev.Flags |= event.Bulk
		bodies = append(bodies, ev.Append(nil))
	}
	if err := h.consent.Narrow(ctx, narrow); err != nil {
		return 0, err
	}
	if err := h.space.room(); err != nil { // What narrows stands by now.
		return 0, err
	}
	first, _, err := h.log.Append(ctx, eventlog.Bulk, bodies)
	return first + int64(len(bodies)) - 1, err
}

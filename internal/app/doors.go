package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rapport/internal/access"
	"rapport/internal/api"
	"rapport/internal/api/collect"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/processor"
	"rapport/internal/project"
	"rapport/internal/ratelimit"
	"rapport/internal/store"
)

// buildDoors makes the rooms at which callers knock.
func (h *House) buildDoors(ctx context.Context) error {
	var err error
	if h.access, err = access.New(ctx, access.Config{Keeper: accessKeeper{h.state}, Now: utcNow}); err != nil {
		return err
	}
	h.declareKeys(h.current.config)
	limits := h.current.config.Workspace.Limits
	if h.limits, err = ratelimit.NewKeyed(ratelimit.Config{
		PerSecond: or(limits.EventsPerSecond, collect.DefaultPerSecond), Burst: float64(or(limits.Burst, collect.DefaultBurst)), Now: time.Now,
	}); err != nil {
		return err
	}
	look := h.Space
	if look == nil {
		look = func() (free, total int64, err error) { return diskSpace(h.Data) }
	}
	h.space = newSpace(&space{look: look, least: int64(limits.FreeDisk), now: time.Now, logger: h.logger})
	may := &permit{consent: h.consent, resolver: h.resolver, barred: &h.barred, logger: h.logger}
	h.ingest, err = ingest.New(ingest.Config{
		Log: h.log, Room: h.space.room, Permit: may, Erased: may.erased,
		Keeper: ingestKeeper{h.state}, Sources: h.source, Now: h.clock.Now, Machine: time.Now,
		Hash:    func(kind, value string) string { return h.hasher.Sum("personal."+kind, value).String() },
		Metrics: ingest.NewMetrics(h.Metrics), Logger: h.logger.With("room", "ingest"),
		Limits: ingest.Limits{
			EventBytes: limits.EventBytes, BatchBytes: limits.BatchBytes, BatchItems: limits.BatchEvents, Keys: limits.JSONKeys, KeptRejects: limits.RejectsKept,
		},
	})
	if err != nil {
		return err
	}
	h.onClose(func() error { return h.ingest.Flush(context.WithoutCancel(ctx)) })
	mux := http.NewServeMux()
	door, err := collect.New(collect.Config{
		Ingest: h.ingest, Keys: h.access, Sources: h.source, Origins: h.origins, Limits: h.limits, Waiter: waiter{h},
		PublicURL: h.Public, Logger: h.logger.With("room", "collect"), Metrics: h.Metrics,
	})
	if err != nil {
		return err
	}
	door.Register(mux)
	if err := h.readersDoor(mux); err != nil {
		return err
	}
	if err := h.operatorsDoor(mux); err != nil {
		return err
	}
	mux.HandleFunc("GET /healthz", h.healthy)
	mux.HandleFunc("GET /readyz", h.ready)
	h.doors = mux
	return h.registerMetrics()
}

func utcNow() time.Time { return time.Now().UTC() }

func or[T int | float64](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

func (h *House) healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // The caller has gone.
}

// ready tells whether events are taken and walked: the log accepts, there is
// room on the disk, and the walk is not far behind.
func (h *House) ready(w http.ResponseWriter, r *http.Request) {
	if err := h.space.room(); err != nil {
		api.WriteProblem(w, r, nil, err)
		return
	}
	tail, _ := h.log.Tail(eventlog.Live)
	if lag := tail - h.walker.Walked(eventlog.Live); lag > maxLag {
		api.WriteProblem(w, r, nil, fault.New(fault.Unavailable, "walk_behind", "the walk is %d records behind (more than %d)", lag, maxLag))
		return
	}
	h.healthy(w, r)
}

const maxLag = 1_000_000

// source gives a source to the doors.
func (h *House) source(name string) (ingest.Source, bool) {
	s, ok := h.edition().config.Source(name)
	if !ok {
		return ingest.Source{}, false
	}
	out := ingest.Source{Name: s.Name, Purpose: s.Purpose, Basis: s.Basis, Browser: s.Kind == project.BrowserSource, PerSecond: s.PerSec}
	out.Plan = h.edition().config.Plans.For(name)
	if !s.UserHash.IsZero() {
		if secret, err := h.Secrets.Resolve(s.UserHash); err == nil {
			out.UserHash = []byte(secret)
		}
	}
	return out, true
}

func (h *House) origins(name string) []string {
	s, _ := h.edition().config.Source(name)
	return s.Origins
}

// declareKeys makes the keys known that a configuration names.
func (h *House) declareKeys(c *project.Config) {
	if h.access == nil {
		return
	}
	var keys []access.Key
	for _, s := range c.Sources {
		kind := access.Ingest
		if s.Kind == project.BrowserSource {
			kind = access.Browser
		}
		for _, ref := range s.Keys {
			hash, err := h.keyHash(ref)
			if err != nil {
				h.logger.Error("a key of a source cannot be read", "source", s.Name, "error", err)
				continue
			}
			keys = append(keys, access.Declared(kind, s.Name, hash))
		}
	}
	h.access.Declare(keys)
}

func (h *House) keyHash(ref project.Ref) ([32]byte, error) {
	if ref.Kind == "sha256" {
		raw, err := hex.DecodeString(ref.Value)
		if err != nil || len(raw) != 32 {
			return [32]byte{}, errors.New("sha256: wants 64 hexadecimal digits")
		}
		return [32]byte(raw), nil
	}
	secret, err := h.Secrets.Resolve(ref)
	if err != nil {
		return [32]byte{}, err
	}
	return access.HashOf(strings.TrimSpace(secret)), nil
}

// waiter lets a caller wait until their event is walked.
type waiter struct{ h *House }

// WaitPosition implements collect.Waiter.
func (w waiter) WaitPosition(ctx context.Context, lane eventlog.Lane, pos int64) (string, error) {
	if err := w.h.walker.Wait(ctx, lane, pos); err != nil {
		return "", err
	}
	state := collect.Processed
	err := w.h.state.Read(ctx, func(tx store.Tx) error {
		_, aside, err := tx.Processor().Aside(lane, pos)
		if aside {
			state = collect.SetAside
		}
		return err
	})
	return state, err
}

var _ collect.Waiter = waiter{}

// accessKeeper and ingestKeeper join the state store to rooms that keep a few rows.
type accessKeeper struct{ state store.State }

func (k accessKeeper) Write(ctx context.Context, fn func(access.Store) error) error {
	return k.state.Write(ctx, store.WriteOptions{Priority: store.Urgent, Durable: true}, func(tx store.Tx) error { return fn(tx.Access()) })
}

func (k accessKeeper) Read(ctx context.Context, fn func(access.Store) error) error {
	return k.state.Read(ctx, func(tx store.Tx) error { return fn(tx.Access()) })
}

type ingestKeeper struct{ state store.State }

func (k ingestKeeper) Write(ctx context.Context, fn func(ingest.Store) error) error {
	return k.state.Write(ctx, store.WriteOptions{Priority: store.Normal, Durable: true}, func(tx store.Tx) error { return fn(tx.Ingest()) })
}

func (k ingestKeeper) Read(ctx context.Context, fn func(ingest.Store) error) error {
	return k.state.Read(ctx, func(tx store.Tx) error { return fn(tx.Ingest()) })
}

// Stats tells what the walk has done since the house was opened.
func (h *House) Stats() processor.Stats { return h.walker.Stats() }

// ManageKey gives the management key of the data folder's own file, and makes
// key and file when there are none.
func (h *House) ManageKey(ctx context.Context) (string, error) {
	path := manageKeyPath(h.Data)
	if secret, ok := readSecret(path); ok {
		if _, known := h.access.Find(secret); known {
			return secret, nil
		}
	}
	secret, _, err := h.access.Create(ctx, access.Request{Kind: access.Manage, Name: "this machine"})
	if err != nil {
		return "", fmt.Errorf("make a management key: %w", err)
	}
	return secret, writeSecret(path, []byte(secret+"\n"))
}

package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"rapport/internal/audit"
	"rapport/internal/fault"
	"rapport/internal/project"
	"rapport/internal/store"
	"rapport/internal/store/noted"
)

// keepTrail has every act noted from here on, in its own transaction.
func (h *House) keepTrail() error {
	var err error
	h.trail, err = audit.New(audit.Config{
		Keeper: trailKeeper{h.state}, Key: h.keys.Trail, Now: h.clock.Now, Rand: rand.Reader, Logger: h.logger.With("room", "audit"),
	}, h.keys.TrailPublic)
	if err != nil {
		return err
	}
	h.state = &noted.State{State: h.state, Trail: h.trail, Now: h.clock.Now, Hash: h.hasher.Sum}
	return nil
}

// trailKeeper joins the state store to the trail.
type trailKeeper struct{ state store.State }

func (k trailKeeper) Write(ctx context.Context, durable bool, fn func(audit.Store) error) error {
	return k.state.Write(ctx, store.WriteOptions{Priority: store.Idle, Durable: durable}, func(tx store.Tx) error { return fn(tx.Audit()) })
}

func (k trailKeeper) Hurry(ctx context.Context, fn func(audit.Store) error) error {
	return k.state.Write(ctx, store.WriteOptions{Priority: store.Narrowing}, func(tx store.Tx) error { return fn(tx.Audit()) })
}

func (k trailKeeper) Read(ctx context.Context, fn func(audit.Store) error) error {
	return k.state.Read(ctx, func(tx store.Tx) error { return fn(tx.Audit()) })
}

// useTrail follows a configuration.
func (h *House) useTrail(c *project.Config) {
	t := c.Workspace.Trail
	var to []audit.Leaver
	if t.File != "" {
		to = append(to, fileLeaver(t.File))
	}
	if t.Webhook != "" {
		to = append(to, webhookLeaver(t.Webhook))
	}
	h.trail.Use(t.Every, to...)
}

// fileLeaver puts checkpoints at the end of a file, one a line.
type fileLeaver string

// Name implements audit.Leaver.
func (f fileLeaver) Name() string { return "file:" + string(f) }

// Leave implements audit.Leaver.
func (f fileLeaver) Leave(_ context.Context, p *audit.Parcel) (err error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(string(f), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := out.Write(append(raw, '\n')); err != nil {
		return err
	}
	return out.Sync()
}

// webhookLeaver posts checkpoints.
type webhookLeaver string

// Name implements audit.Leaver.
func (w webhookLeaver) Name() string {
	u, err := url.Parse(string(w))
	if err != nil {
		return "webhook"
	}
	return "webhook:" + u.Host // The rest may be a secret.
}

// leaving gives up soon: what could not leave is tried again with the next round.
var leaving = &http.Client{
	Timeout:       10 * time.Second, // machine time
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Leave implements audit.Leaver.
func (w webhookLeaver) Leave(ctx context.Context, p *audit.Parcel) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, string(w), bytes.NewReader(raw))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := leaving.Do(r)
	if err != nil {
		var says *url.Error // It names the whole address.
		if errors.As(err, &says) {
			err = says.Err
		}
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection may serve again
	_ = answer.Body.Close()                                         // It was read.
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fault.New(fault.Unavailable, "checkpoint_refused", "it was answered %d", answer.StatusCode)
	}
	return nil
}

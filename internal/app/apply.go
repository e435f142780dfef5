package app

import (
	"context"
	"fmt"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/project"
	"rapport/internal/store"
)

// Plan is what applying a folder would change, or has changed.
type Plan struct {
	Version  int               `json:"version"` // in effect when it was planned, or made
	DryRun   bool              `json:"dry_run"`
	Digest   string            `json:"digest"`
	Changes  []project.Change  `json:"changes"`
	Moves    map[string]Moved  `json:"moves"`
	Mails24h int64             `json:"mails_24h"`
	Problems []project.Problem `json:"problems,omitempty"` // warnings
}

// Moved is how many people enter and leave a segment.
type Moved struct {
	Enter int64 `json:"enter"`
	Leave int64 `json:"leave"`
}

// Plan says what a folder would change: files, memberships, and mails of the
// next 24 hours.
func (h *House) Plan(ctx context.Context, files map[string][]byte) (*Plan, error) {
	next, plan, err := h.compare(ctx, files)
	if err != nil || len(plan.Changes) == 0 {
		return plan, err
	}
	plan.DryRun = true
	f := &forecast{house: h, next: next, plan: plan}
	if err := f.run(ctx); err != nil {
		return nil, fmt.Errorf("forecast what would change: %w", err)
	}
	return plan, nil
}

// compare checks a folder and holds it against the configuration in effect.
func (h *House) compare(ctx context.Context, files map[string][]byte) (*edition, *Plan, error) {
	number, err := h.nextNumber(ctx)
	if err != nil {
		return nil, nil, err
	}
	config, problems, err := h.editions.after(ctx, number, files)
	if err != nil {
		return nil, nil, err
	}
	if config == nil {
		return nil, nil, badConfiguration("the configuration does not hold together", problems)
	}
	now := h.edition()
	next, err := build(now.number+1, config)
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Invalid, "bad_configuration", "%s", err.Error())
	}
	if _, _, err := h.waysOut(config); err != nil {
		return nil, nil, fault.Wrap(err, fault.Invalid, "bad_configuration", "%s", err.Error())
	}
	if missing := config.CheckSecrets(h.Secrets); project.Errors(missing) > 0 {
		return nil, nil, badConfiguration("secrets of the configuration cannot be read by the server", missing)
	}
	if err := h.checkNotices(config); err != nil {
		return nil, nil, err
	}
	changes := project.Diff(now.config, config)
	problems = append(problems, atNextStart(now.config, config)...)
	return next, &Plan{Version: now.number, Digest: config.Digest, Changes: changes, Moves: map[string]Moved{}, Problems: problems}, nil
}

// checkNotices refuses a text that changed under a version people may have agreed to.
func (h *House) checkNotices(config *project.Config) error {
	if len(config.Notices) == 0 {
		return nil
	}
	return h.state.Read(context.Background(), func(tx store.Tx) error { return consent.CheckNotices(tx.Consent(), config.Notices) })
}

// badConfiguration names every mistake with its place.
func badConfiguration(what string, problems []project.Problem) error {
	e := fault.New(fault.Invalid, "bad_configuration", "%s: %d mistakes", what, project.Errors(problems))
	for _, p := range problems {
		e.Fields = append(e.Fields, fault.Field{Pointer: fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column), Detail: p.Message + "; " + p.Hint})
	}
	return e
}

// atNextStart warns of settings that a running server does not change.
func atNextStart(was, next *project.Config) []project.Problem {
	a, b := was.Workspace, next.Workspace
	if a.Limits == b.Limits && a.Events.DedupeWindow == b.Events.DedupeWindow {
		return nil
	}
	return []project.Problem{{
		File: "rapport.yaml", Severity: project.Warning,
		Message: "other limits and another dedupe_window take effect at the next start of the server",
		Hint:    "everything else takes effect at once",
	}}
}

// Apply lets a folder be in effect, as one version or not at all. expect is the
// version that the caller has seen, 0 for any. It returns once the walk has
// taken the version up.
func (h *House) Apply(ctx context.Context, files map[string][]byte, expect int) (*Plan, error) {
	h.applying.Lock()
	defer h.applying.Unlock()
	_, plan, err := h.compare(ctx, files)
	if err != nil || len(plan.Changes) == 0 {
		return plan, err
	}
	if expect != 0 && expect != plan.Version {
		return nil, fault.New(fault.Conflict, "version_moved", "version %d is in effect by now, not %d: look at the changes again", plan.Version, expect)
	}
	number, err := h.nextNumber(ctx)
	if err != nil {
		return nil, err
	}
	v := project.Version{Number: number, Applied: h.clock.Now(), Digest: plan.Digest, Files: files}
	if err := h.storeVersion(ctx, v); err != nil {
		return nil, err
	}
	pos, err := h.announce(ctx, number)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "not_in_the_log_yet",
			"version %d is stored but could not be written to the log: it takes effect at the next start, or apply the folder again", number)
	}
	if err := h.walker.Wait(ctx, eventlog.Live, pos); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "not_walked_yet", "version %d is stored and in the log; the walk has not come to it yet", number)
	}
	plan.Version = number
	return plan, nil
}

func (h *House) nextNumber(ctx context.Context) (int, error) {
	number := 1
	err := h.state.Read(ctx, func(tx store.Tx) error {
		latest, ok, err := tx.Project().LatestVersion()
		if ok {
			number = latest.Number + 1
		}
		return err
	})
	return number, err
}

// announce writes the record with which a version takes effect.
func (h *House) announce(ctx context.Context, number int) (int64, error) {
	now := h.clock.Now()
	e := event.Event{
		Type: event.Config, Source: house, MessageID: fmt.Sprintf("config/%d", number), Name: fmt.Sprint(number), Time: now, Received: now,
	}
	pos, _, err := h.log.Append(ctx, eventlog.Live, [][]byte{e.Append(nil)})
	if err != nil {
		return 0, fmt.Errorf("announce configuration %d: %w", number, err)
	}
	return pos, nil
}

// house is the source name of the house's own records.
const house = "rapport"

// Begin takes up what is stored but not in effect: the first configuration of a
// new folder, one whose record a crash kept out of the log, and a folder that
// differs from what is in effect. Run must have begun.
func (h *House) Begin(ctx context.Context, config *project.Config) error {
	var latest project.Version
	err := h.state.Read(ctx, func(tx store.Tx) (err error) {
		latest, _, err = tx.Project().LatestVersion()
		return err
	})
	if err != nil {
		return err
	}
	if h.walker.Version().Number < latest.Number {
		pos, err := h.announce(ctx, latest.Number)
		if err != nil {
			return err
		}
		if err := h.walker.Wait(ctx, eventlog.Live, pos); err != nil {
			return err
		}
	}
	if config == nil || config.Digest == h.edition().config.Digest {
		return nil
	}
	if now := h.edition(); now.number > 1 {
		h.logger.Warn("the configuration folder differs from the version in effect and replaces it", "version", now.number)
	}
	began := time.Now()
	plan, err := h.Apply(ctx, config.Files, 0)
	if err != nil {
		return fmt.Errorf("apply the configuration folder: %w", err)
	}
	h.logger.Info("configuration applied", "version", plan.Version, "changes", len(plan.Changes), "took", time.Since(began).String())
	return nil
}

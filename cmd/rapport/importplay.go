package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"rapport/internal/app"
	"rapport/internal/fault"
	"rapport/internal/telemetry"
)

// playedAnswer is what --json prints of a simulation.
type playedAnswer struct {
	Lines  int64            `json:"lines"`
	Bad    int64            `json:"bad_lines"`
	Events int64            `json:"events"`
	Mails  map[string]int64 `json:"mails"`
	Digest string           `json:"digest,omitempty"`
	Took   string           `json:"took"`
	Data   string           `json:"data,omitempty"`
}

func (c *console) simulate(ctx context.Context, fl importFlags, m *mapped, name string, in io.Reader) (err error) {
	began := time.Now()
	dir, err := os.MkdirTemp("", "rapport-simulate-")
	if err != nil {
		return fmt.Errorf("make a data folder: %w", err)
	}
	if !fl.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	logger, err := telemetry.NewLogger(telemetry.LogConfig{Out: c.err, Level: 4})
	if err != nil {
		return err
	}
	first := time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	house, err := app.Open(ctx, app.Options{Data: dir, Database: fl.database, Clock: app.NewClock(first, 0), Logger: logger, Secrets: c.secrets(fl.folder), Root: c.root()}, m.config)
	if fault.CodeOf(err) == "keys_missing" { // The folder is new, so it is the database that is not.
		return fault.New(fault.Conflict, "database_used",
			"the database holds a workspace already, and a file is played back into an empty one only: name another database")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, house.Close()) }()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- house.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	if err := house.Begin(ctx, m.config); err != nil {
		return err
	}
	play := app.Playback{House: house, Source: m.source, Format: m.format, Progress: c.progress()}
	played, err := play.Run(ctx, filepath.Base(name), in)
	if err != nil {
		return err
	}
	return c.played(fl, played, dir, time.Since(began))
}

// progress gives a line that is written over again, where somebody watches.
func (c *console) progress() func(done, total int64, now time.Time) {
	if !c.asks {
		return nil
	}
	last := time.Time{}
	return func(done, total int64, now time.Time) {
		if t := c.now(); t.Sub(last) > 100*time.Millisecond || done == total {
			last = t
			_, _ = fmt.Fprintf(c.err, "\r%s of %s events, %s ", thousands(done), thousands(total), now.Format(time.DateOnly))
			if done == total {
				_, _ = fmt.Fprintln(c.err)
			}
		}
	}
}

func (c *console) played(fl importFlags, p *app.Played, dir string, took time.Duration) (err error) {
	a := playedAnswer{Lines: p.Lines, Bad: p.Bad, Events: p.Events, Mails: p.Mails, Took: took.Round(10 * time.Millisecond).String()}
	if fl.digest {
		a.Digest = p.Digest
	}
	if fl.keep {
		a.Data = dir
	}
	if a.Lines > 0 && a.Bad == a.Lines {
		defer func() { err = errors.Join(err, errAllBad) }()
	}
	if c.json {
		return c.printJSON(a)
	}
	c.printf("%s lines, %s bad, %s events in %s\n", thousands(a.Lines), thousands(a.Bad), thousands(a.Events), a.Took)
	for _, j := range p.Journeys() {
		c.printf("%-20s %8s mails\n", j, thousands(p.Mails[j]))
	}
	if a.Digest != "" {
		c.printf("%s\n", a.Digest)
	}
	if a.Data != "" {
		c.printf("data folder: %s\n", a.Data)
	}
	return nil
}

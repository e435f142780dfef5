package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rapport/examples/shop"
	"rapport/internal/app"
	"rapport/internal/demo"
	"rapport/internal/project"
	"rapport/internal/telemetry"
)

type demoFlags struct {
	visitors, days int
	seed           uint64
	took           time.Duration
	speed          float64
	listen         string
	keep, once     bool
}

func demoCommand(c *console) *cobra.Command {
	var fl demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Open a shop with visitors and mails, to look around in",
		Long: `Demo opens the example shop on this machine, with a data folder of its own, and
lets nine weeks of visitors in within about a minute. They look around, sign up,
order or leave a full basket behind, read their mails, click, come back weeks
later, unsubscribe. All they do goes through the public HTTP API, as from a real
site, and every mail goes to an inbox that you open in the browser; nothing
leaves this machine. Then it says what happened and why, and stays open: walk
through the shop yourself and watch your own mails arrive.

The same seed gives the same visitors. Ctrl-C ends it and leaves nothing, unless
--keep was given.`,
		Example: `  rapport demo
  rapport demo --visitors 2000 --took 0
  rapport demo --once --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case fl.visitors < 1 || fl.visitors > 20_000:
				return usagef("--visitors is a number from 1 to 20000")
			case fl.days < 1 || fl.days > 365:
				return usagef("--days is a number from 1 to 365")
			case fl.speed < 0.001 || fl.speed > 100_000:
				return usagef("--speed is a number from 0.001 to 100000")
			case fl.took < 0:
				return usagef("--took must not be negative")
			}
			if fl.once && !cmd.Flags().Changed("took") {
				fl.took = 0
			}
			return c.demo(cmd.Context(), fl)
		},
	}
	f := cmd.Flags()
	f.IntVar(&fl.visitors, "visitors", 300, "how many visitors come")
	f.Uint64Var(&fl.seed, "seed", 1, "who they are and what they do; the same seed gives the same")
	f.IntVar(&fl.days, "days", 63, "how many days of business time they come for")
	f.DurationVar(&fl.took, "took", 40*time.Second, "how long that takes on the wall; 0: as long as it needs (with --once)")
	f.Float64Var(&fl.speed, "speed", 600, "how fast business time runs afterwards; 1 is real time")
	f.StringVar(&fl.listen, "listen", "127.0.0.1:8420", "address of shop, inbox and API; when it is taken, a free port")
	f.BoolVar(&fl.once, "once", false, "end after the summary, for scripts")
	f.BoolVar(&fl.keep, "keep", false, "keep the folder with data and configuration, and say where it is")
	return cmd
}

// stage is a demo that is set up.
type stage struct {
	house      *app.House
	config     *project.Config
	listener   net.Listener
	base, dir  string
	start      time.Time
	storefront *demo.Storefront
	inbox      http.Handler
	browser    string
	server     string
}

func (c *console) demo(ctx context.Context, fl demoFlags) (err error) {
	dir, err := os.MkdirTemp("", "rapport-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	if !fl.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	s, err := c.setUp(ctx, fl, dir)
	if err != nil {
		return err
	}
	defer s.storefront.Close()
	doors := app.Doors{Listener: s.listener, Handler: s.storefront.Around(s.house.Handler(), s.inbox)}
	opened := make(chan struct{})
	doors.Open = func(string, string) { close(opened) }
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- s.house.Serve(serving, doors, s.config) }()
	select {
	case <-opened:
		err = c.perform(ctx, fl, s, ended)
	case err = <-ended:
		ended <- nil
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // Somebody pressed Ctrl-C: that is how it ends.
	}
	stop()
	err = errors.Join(err, <-ended, s.house.Close())
	if ctx.Err() != nil && !fl.once {
		c.say("\nThe shop is closed.%s\n", map[bool]string{false: " Nothing is left of it."}[fl.keep])
	}
	return err
}

// say tells something to whoever watches; what scripts read stays clean.
func (c *console) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, format, args...) // Nobody may be watching.
}

// setUp makes folder, house, keys and pages.
func (c *console) setUp(ctx context.Context, fl demoFlags, dir string) (_ *stage, err error) {
	s := &stage{dir: dir}
	if s.listener, err = listenSomewhere(ctx, fl.listen); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && s.house == nil {
			err = errors.Join(err, s.listener.Close())
		}
	}()
	s.base = "http://" + s.listener.Addr().String()
	if s.listener.Addr().String() != fl.listen && !strings.HasSuffix(fl.listen, ":0") {
		c.say("%s is taken, so the shop opens at %s\n", fl.listen, s.base)
	}
	folder := filepath.Join(dir, "config")
	if err := shop.Write(folder, s.base); err != nil {
		return nil, fmt.Errorf("write the shop's configuration: %w", err)
	}
	var problems []project.Problem
	if s.config, problems, err = c.load(folder); err != nil {
		return nil, err
	}
	if s.config == nil {
		return nil, c.report(folder, nil, problems, false)
	}
	logger, err := telemetry.NewLogger(telemetry.LogConfig{Out: c.err, Level: slog.LevelError})
	if err != nil {
		return nil, err
	}
	c.url, c.data, c.env = s.base, filepath.Join(dir, "data"), without(c.env, "RAPPORT_KEY")
	s.start = c.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -fl.days)
	house, err := app.Open(ctx, app.Options{
		Data: c.data, Clock: app.NewClock(s.start, 0), Logger: logger, Secrets: c.secrets(folder), Public: s.base, Build: versionText(),
	}, s.config)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx, house); err != nil {
		return nil, errors.Join(err, house.Close())
	}
	s.house = house
	return s, nil
}

// without hides a variable: a key in it is for another server.
func without(env func(string) (string, bool), hidden string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if name == hidden {
			return "", false
		}
		return env(name)
	}
}

// open makes the keys and the pages.
func (s *stage) open(ctx context.Context, house *app.House) (err error) {
	if _, err = house.ManageKey(ctx); err != nil {
		return err
	}
	if s.browser, err = house.SourceKey(ctx, "storefront", "the shop's pages"); err != nil {
		return err
	}
	if s.server, err = house.SourceKey(ctx, "checkout", "the shop's server"); err != nil {
		return err
	}
	s.inbox = house.Inbox().Handler()
	s.storefront, err = demo.NewStorefront(s.base, s.browser, s.server, shop.Pages(), rand.Text)
	return err
}

// listenSomewhere takes an address, or a free port beside it.
func listenSomewhere(ctx context.Context, address string) (net.Listener, error) {
	if err := isAddress("--listen", address); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err == nil {
		return l, nil
	}
	host, _, serr := net.SplitHostPort(address)
	if serr != nil {
		return nil, usagef("--listen is host:port, not %q", address)
	}
	l, again := lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if again != nil {
		return nil, fmt.Errorf("listen: %w", errors.Join(err, again))
	}
	return l, nil
}

// perform lets the visitors in, tells what came of it, and stays until the end.
func (c *console) perform(ctx context.Context, fl demoFlags, s *stage, ended chan error) error {
	purposes := map[string]string{}
	for name := range s.config.Templates {
		purposes[name] = string(s.config.Templates[name].Purpose)
	}
	show, finish := c.demoProgress()
	d, err := demo.New(demo.Config{
		Base: s.base, Browser: s.browser, Server: s.server, Pages: shop.Pages(), Purposes: purposes,
		Stage: s.house, Inbox: s.house.Inbox(), Start: s.start, Days: fl.days, Visitors: fl.visitors, Seed: fl.seed, Took: fl.took,
		Machine: time.Now, Progress: show,
	})
	if err != nil {
		return err
	}
	c.say("%s\n\n  the shop   %s\n  the inbox  %s\n\n", c.bold("Kestrel Coffee is open."), s.base+"/", s.base+"/inbox/")
	c.say("%s in %d days of business time; no mail leaves this machine.\n", count(int64(fl.visitors), "visitor", "visitors"), fl.days)
	began := time.Now()
	tally, err := d.Run(ctx)
	finish()
	if err == nil {
		err = s.house.Told(ctx)
	}
	if err != nil {
		return err
	}
	sum, err := c.summary(ctx, fl, s, tally, d.Notable())
	if err != nil {
		return err
	}
	sum.Seconds = time.Since(began).Round(10 * time.Millisecond).Seconds()
	if c.json {
		err = c.printJSON(sum)
	} else {
		err = c.tellDemo(ctx, sum)
	}
	if err != nil || fl.once {
		return err
	}
	s.house.Clock().Release(fl.speed)
	c.invite(fl, s)
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		ended <- nil
		return err
	}
}

// invite says where to go on.
func (c *console) invite(fl demoFlags, s *stage) {
	c.say("\n%s Business time goes on: %s.\nOpen the shop, sign up with any address, and watch your mails arrive:\n\n  the shop   %s\n  the inbox  %s\n",
		c.bold("Your turn."), pace(fl.speed), s.base+"/", s.base+"/inbox/")
	c.say("\nIn another terminal, every command speaks to this shop:\n\n  export RAPPORT_URL=%s RAPPORT_DATA=%s\n", s.base, c.data)
	c.say("  rapport segment list\n  rapport message list --person you@mail.example\n")
	c.say("  rapport apply %s --dry-run    # after you changed a file there\n", filepath.Join(s.dir, "config"))
	if fl.keep {
		c.say("\nCtrl-C closes the shop; %s stays. Open it again with\n  rapport serve --data %s\n", s.dir, c.data)
		return
	}
	c.say("\nCtrl-C closes the shop and removes %s.\n", s.dir)
}

// pace says how fast business time runs.
func pace(speed float64) string {
	if speed == 1 {
		return "at real speed"
	}
	unit, name := 1.0, "seconds"
	switch {
	case speed >= 3600:
		unit, name = 3600, "hours"
	case speed >= 60:
		unit, name = 60, "minutes"
	}
	return fmt.Sprintf("a second here is %.3g %s there", speed/unit, name)
}

// demoProgress gives a line that is written over again on a terminal, and one
// for each tenth elsewhere.
func (c *console) demoProgress() (show func(time.Time, float64, demo.Tally), finish func()) {
	terminal := false
	if f, ok := c.err.(*os.File); ok {
		terminal = isTerminal(f)
	}
	line := func(now time.Time, share float64, t demo.Tally) string {
		done := int(share * 24)
		return fmt.Sprintf("%s %s%s %3.0f %%  %s · %s · %s", now.Format("2 Jan 2006"), strings.Repeat("█", done), strings.Repeat("░", 24-done), 100*share,
			count(int64(t.Requests), "event", "events"), count(int64(t.Orders), "order", "orders"), count(int64(t.Mails), "mail", "mails"))
	}
	if terminal {
		var last time.Time
		return func(now time.Time, share float64, t demo.Tally) {
			if wall := c.now(); wall.Sub(last) > 80*time.Millisecond || share >= 1 {
				last = wall
				c.say("\r\x1b[K%s", line(now, share, t))
			}
		}, func() { c.say("\n") }
	}
	tenth := 0
	return func(now time.Time, share float64, t demo.Tally) {
		if at := int(share * 10); at > tenth {
			tenth = at
			c.say("%s\n", line(now, share, t))
		}
	}, func() {}
}

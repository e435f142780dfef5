package main

import (
	"context"
	"log/slog"
	"net"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"rapport/internal/app"
	"rapport/internal/fault"
	"rapport/internal/project"
	"rapport/internal/store"
	"rapport/internal/telemetry"
)

func serveCommand(c *console) *cobra.Command {
	var folder, database, listen, admin, smtp, public, level string
	var logJSON bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Serve opens a data folder, makes it if there is none, and takes events, walks
them, and sends mails until it is told to stop (SIGINT or SIGTERM). It then
finishes what callers have begun and waits up to 30 seconds for mails that are
on the wire.

With --config the folder is checked first; where it differs from the version in
effect it is applied as one version. Without it the server goes on with what the
data folder knows. The first start writes a management key for this machine to
manage.key in the data folder, readable by its owner only.

Log and state are files in the data folder, or, with --database, two schemas in
PostgreSQL; the data folder then holds the workspace's keys only.`,
		Example: `  rapport serve --config shop --data /var/lib/rapport
  RAPPORT_LISTEN=127.0.0.1:9000 rapport serve --config shop
  RAPPORT_DATABASE=postgres://rapport@db.example/rapport rapport serve --config shop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			for _, a := range [][2]string{{"--listen", listen}, {"--admin", admin}, {"--inbox-smtp", smtp}} {
				if err := isAddress(a[0], a[1]); err != nil {
					return err
				}
			}
			var lv slog.Level
			if err := lv.UnmarshalText([]byte(level)); err != nil {
				return usagef("--log-level is debug, info, warn or error, not %q", level)
			}
			logger, err := telemetry.NewLogger(telemetry.LogConfig{Out: c.err, Level: lv, JSON: logJSON})
			if err != nil {
				return err
			}
			if _, set := c.env("GOGC"); !set {
				// Most of the heap is frames and batches that are garbage at once:
				// collecting twice as often costs little and halves what it takes.
				debug.SetGCPercent(50)
			}
			cores := runtime.GOMAXPROCS(0)
			if _, set := c.env("GOMAXPROCS"); !set {
				// Threads that wait for the disk keep their place among those
				// that may run Go code: with as many places as cores, requests
				// wait for each fsync although a core is idle. From here on a
				// CPU limit that changes is seen at the next start only.
				runtime.GOMAXPROCS(2 * cores)
			}
			o := app.Options{Data: c.data, Database: database, Cores: cores, Logger: logger, Secrets: c.secrets(folder), Public: public}
			for {
				o.Metrics = telemetry.NewRegistry()
				err := c.serve(ctx, o, folder, app.Doors{Listen: listen, Admin: admin, SMTP: smtp})
				if fault.CodeOf(err) != store.CodeRewound || ctx.Err() != nil {
					return err
				}
				logger.Warn("the database has crashed and taken its last commits back; opening it again and walking from there")
			}
		},
	}
	f := cmd.Flags()
	f.StringVar(&folder, "config", "", "configuration folder to check and apply")
	f.StringVar(&database, "database", "", "address of a PostgreSQL database for log and state (postgres://USER@HOST/NAME); a password belongs into RAPPORT_DATABASE or PGPASSWORD, not on the command line")
	f.StringVar(&listen, "listen", "127.0.0.1:8420", "address of every door")
	f.StringVar(&admin, "admin", "127.0.0.1:8421", "loopback address of metrics, profiles and the development inbox (/inbox/); empty: none")
	f.StringVar(&smtp, "inbox-smtp", "", "loopback address at which the development inbox takes mail by SMTP")
	f.StringVar(&public, "public-url", "", "address under which callers reach this server, where it is another")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	f.BoolVar(&logJSON, "log-json", false, "log lines of JSON")
	return cmd
}

func (c *console) serve(ctx context.Context, o app.Options, folder string, d app.Doors) error {
	var config *project.Config
	if folder != "" {
		loaded, problems, err := c.load(folder)
		if err != nil {
			return err
		}
		if config = loaded; config == nil {
			return c.report(folder, nil, problems, false)
		}
		for _, p := range append(problems, config.CheckSecrets(o.Secrets)...) {
			o.Logger.Warn("configuration", "file", p.File, "line", p.Line, "problem", p.Message)
		}
	}
	house, err := app.Open(ctx, o, config)
	if err != nil {
		return err
	}
	_, err = house.ManageKey(ctx)
	if err == nil {
		d.Open = func(address, admin string) {
			said := []any{"address", "http://" + address, "metrics", admin, "version", house.Version()}
			if admin != "" && house.ShowsInbox() {
				said = append(said, "inbox", "http://"+admin+"/inbox/")
			}
			o.Logger.Info("serving", said...)
		}
		err = house.Serve(ctx, d, config)
	}
	if cerr := house.Close(); err == nil {
		err = cerr
	}
	return err
}

// isAddress refuses what cannot be an address to listen on; "" is none.
func isAddress(flag, address string) error {
	if address == "" && flag != "--listen" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return usagef("%s takes a host and a port, such as 127.0.0.1:8420, not %q", flag, address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return usagef("%s takes a port from 0 to 65535, not %q", flag, port)
	}
	return nil
}

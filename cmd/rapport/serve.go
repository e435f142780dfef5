package main

import (
	"context"
	"log/slog"
	"net"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"rapport/internal/app"
	"rapport/internal/cert"
	"rapport/internal/fault"
	"rapport/internal/project"
	"rapport/internal/store"
	"rapport/internal/telemetry"
)

func serveCommand(c *console) *cobra.Command {
	var folder, database, listen, plainListen, admin, smtp, public, rootKey, level string
	var logJSON, plain, unsealed bool
	var tls cert.Config
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
PostgreSQL; the data folder then holds the workspace's keys only.

Others than this machine are served under TLS: with --tls-cert and --tls-key,
whose files are read again when they change, or with --acme-domain, for which an
authority is asked (docs/tls.md). With --listen-http :80 plain HTTP leads there.
Behind a proxy that ends TLS, --plain-http.

What is stored is sealed under keys in the data folder (docs/keys.md). Where
keyset.json is to have a passphrase, RAPPORT_KEYS_PASSPHRASE or a file that is
named in RAPPORT_KEYS_PASSPHRASE_FILE gives it. With --root-key the first start
puts the root key into a key management service instead.`,
		Example: `  rapport serve --config shop --data /var/lib/rapport
  RAPPORT_LISTEN=127.0.0.1:9000 rapport serve --config shop
  rapport serve --config shop --listen :443 --acme-domain mail.shop.example
  RAPPORT_DATABASE=postgres://rapport@db.example/rapport rapport serve --config shop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			for _, a := range [][2]string{{"--listen", listen}, {"--listen-http", plainListen}, {"--admin", admin}, {"--inbox-smtp", smtp}} {
				if err := isAddress(a[0], a[1]); err != nil {
					return err
				}
			}
			doors := app.Doors{Listen: listen, HTTP: plainListen, Admin: admin, SMTP: smtp, Plain: plain}
			if tls.Folder = filepath.Join(c.data, app.AcmeFolder); tls.Wanted() {
				doors.TLS = &tls
			}
			if err := doors.Check(); err != nil { // before anything is opened, or made
				return &exitError{code: exitUsage, err: err}
			}
			var lv slog.Level
			if err := lv.UnmarshalText([]byte(level)); err != nil {
				return usagef("--log-level is debug, info, warn or error, not %q", level)
			}
			logger, err := telemetry.NewLogger(telemetry.LogConfig{Out: c.err, Level: lv, JSON: logJSON})
			if err != nil {
				return err
			}
			if _, set := c.env("GOGC"); !set && database == "" {
				// Most of the heap is frames and batches that are garbage at once:
				// collecting twice as often costs little and halves what it takes. Over
				// PostgreSQL, which shares the cores and keeps the pages that files are
				// kept in here, the cores are dearer than the memory.
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
			o := app.Options{Data: c.data, Database: database, Cores: cores, Logger: logger, Secrets: c.secrets(folder), Public: public, Root: c.root()}
			o.Root.Off, o.Root.Address = unsealed, rootKey
			for {
				o.Metrics = telemetry.NewRegistry()
				err := c.serve(ctx, o, folder, doors)
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
	f.StringVar(&plainListen, "listen-http", "", "address of plain HTTP beside TLS, such as :80: it sends who looks to https, and proves names to authorities; empty: none")
	f.StringVar(&admin, "admin", "127.0.0.1:8421", "loopback address of metrics, profiles and the development inbox (/inbox/); empty: none")
	f.StringVar(&smtp, "inbox-smtp", "", "loopback address at which the development inbox takes mail by SMTP")
	f.StringVar(&tls.CertFile, "tls-cert", "", "file of the certificate, in PEM with those between it and its root; read again when it changes")
	f.StringVar(&tls.KeyFile, "tls-key", "", "file of the certificate's key, in PEM")
	f.StringSliceVar(&tls.Names, "acme-domain", nil, "host names for which an authority is asked for certificates, with commas between; its terms are agreed to")
	f.StringVar(&tls.Email, "acme-email", "", "where the authority may write to")
	f.StringVar(&tls.Directory, "acme-directory", cert.LetsEncrypt, "directory of the authority")
	f.StringVar(&tls.RootsFile, "acme-roots", "", "file of certificates, in PEM, with which the directory's own is checked, for an authority of one's own")
	f.BoolVar(&plain, "plain-http", false, "serve others than this machine without TLS: only behind a proxy that ends it")
	f.StringVar(&public, "public-url", "", "address under which callers reach this server, where it is another")
	rootKeyFlag(f, &rootKey)
	f.BoolVar(&unsealed, "unsealed", false, "leave what is stored readable to whoever has the files; for a data folder that was not sealed yet")
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
			said := []any{"address", d.Scheme() + "://" + address, "metrics", admin, "version", house.Version()}
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

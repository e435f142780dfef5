package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/app"
)

func migrateStoreCommand(c *console) *cobra.Command {
	var from, to string
	var reopen bool
	cmd := &cobra.Command{
		Use:   "migrate-store",
		Short: "Carry a house from files to PostgreSQL, or back",
		Long: `Everything is carried in the order of its keys: the log of events, people and
their history, permission, mails and what waits. Then both sides are read again
and compared by counts and digests, table by table; only if they are the same
does the target serve, and the source no more. Stop the server first. What was
interrupted goes on when the same command is given again.

A database is served beside a data folder that holds the workspace's keys:
--data names it. The keys, the list of who was erased and certificates are
carried with the house. What stays behind is yours to delete, and is named at
the end: it holds everybody, and no erasure reaches it any more.`,
		Example: `  rapport migrate-store --from data --to postgres://rapport@db.example/rapport
  rapport migrate-store --from postgres://rapport@db.example/rapport --data data --to data-2
  rapport migrate-store --from data --reopen`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case from == "" || to == "" == !reopen:
				return usagef("migrate-store needs --from and --to, each a data folder or postgres://…, or --from and --reopen")
			case reopen:
				return app.Reopen(cmd.Context(), from, c.data, slog.New(slog.DiscardHandler))
			}
			show := newMoving(c)
			out, err := app.MoveStore(cmd.Context(), app.MoveOptions{From: from, To: to, Data: c.data, Root: c.root(), Logger: slog.New(slog.DiscardHandler), Told: show.at})
			show.end()
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(out)
			}
			var rows [][]string
			for _, s := range out.To.Tables {
				rows = append(rows, []string{s.Name, thousands(s.Rows), s.Digest[:16], c.green("same")})
			}
			c.table([]string{"TABLE", "ROWS", "DIGEST", "BOTH"}, rows)
			c.printf("both hold sha256:%s\n\nOnce the new place serves and is backed up, delete what is left behind, with its -wal and -shm if it is a file.\nIt holds everybody, and no erasure reaches it any more:\n", out.To.Digest)
			for _, what := range out.Left {
				c.printf("- %s\n", what)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "what is moved: a data folder, or postgres://USER@HOST/NAME")
	f.StringVar(&to, "to", "", "where to: an empty folder or database")
	f.BoolVar(&reopen, "reopen", false, "let a house that was moved away serve again, without what happened since")
	return cmd
}

func digestCommand(c *console) *cobra.Command {
	var of string
	cmd := &cobra.Command{
		Use:   "digest",
		Short: "Sum up what a data folder or a database holds",
		Long: `Counts and digests of every table and of the log, over the rows in order of
their keys, written the same way whatever the store: two stores with the same
digest hold the same. The server must be stopped.`,
		Example: `  rapport digest --data data
  rapport digest --of postgres://rapport@db.example/rapport`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if of == "" {
				of = c.data
			}
			sums, err := app.DigestStore(cmd.Context(), of, c.data, c.root(), slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(sums)
			}
			var rows [][]string
			for _, s := range sums.Tables {
				rows = append(rows, []string{s.Name, thousands(s.Rows), s.Digest})
			}
			c.table([]string{"TABLE", "ROWS", "DIGEST"}, rows)
			c.printf("sha256:%s\n", sums.Digest)
			return nil
		},
	}
	cmd.Flags().StringVar(&of, "of", "", "a data folder or postgres://USER@HOST/NAME; --data if left out")
	return cmd
}

// moving shows how far a move is where somebody watches.
type moving struct {
	c     *console
	last  time.Time
	drawn bool
}

func newMoving(c *console) *moving { return &moving{c: c} }

func (m *moving) at(doing, table string, rows int64) {
	if now := m.c.now(); m.c.watched && now.Sub(m.last) >= 100*time.Millisecond {
		m.last, m.drawn = now, true
		_, _ = fmt.Fprintf(m.c.err, "\r\x1b[K%s %s: %s rows", doing, table, thousands(rows)) // Progress nobody sees stops nothing.
	}
}

func (m *moving) end() {
	if m.drawn {
		_, _ = fmt.Fprint(m.c.err, "\r\x1b[K") // As above.
	}
}

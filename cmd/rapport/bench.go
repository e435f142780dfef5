package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	measure "rapport/bench"
)

func benchCommand(c *console) *cobra.Command {
	var o measure.Options
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what this machine can do",
		Long: `Bench starts a server of its own with a data folder that it makes and removes,
a load client and an SMTP sink, all on this machine and on the loopback, and
measures rates, latencies and CPU per item, with the machine's own floors beside
them. The full run takes about fifteen minutes.

Scenarios: ` + strings.Join(measure.Names(), ", ") + `.`,
		Example: `  rapport bench
  rapport bench --only track,email --people 10000 --seen 0 --duration 5s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			o.Program, o.Out = program, c.err
			report, err := measure.Run(cmd.Context(), o)
			if report != nil && len(report.Results) > 0 {
				if c.json {
					err = firstOf(err, c.printJSON(report))
				} else {
					err = firstOf(err, report.Table(c.out))
				}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.People, "people", 100_000, "known people")
	f.IntVar(&o.Seen, "seen", 10_000_000, "ids in the duplicate window; below 0 for none")
	f.IntVar(&o.Rows, "rows", 1_000_000, "rows of the file that is imported")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "of each scenario")
	f.DurationVar(&o.Sustained, "sustained", time.Minute, "of the walked scenario")
	f.StringSliceVar(&o.Only, "only", nil, "scenarios to run; all if left out")
	f.StringVar(&o.Database, "database", "", "a PostgreSQL on which each server gets a new database (postgres://USER@HOST/postgres); the embedded store if left out")
	f.StringVar(&o.Profile, "profile", "", "folder for CPU profiles of the server")
	f.StringVar(&o.Dir, "dir", "", "where to make data folders; a temporary folder if left out")
	return cmd
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

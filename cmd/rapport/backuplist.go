package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/backup"
	"rapport/internal/fault"
)

func backupListCommand(c *console) *cobra.Command {
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "list PLACE",
		Short: "List the copies in a folder or a bucket",
		Long: `List tells what the names of the copies at a place tell: whose they are, of which
kind, when they were made, and how large they are, the newest first. It opens none.
With --within it fails where the newest copy of a house and kind that lies there is
older, or where none lies there at all: for whoever watches over backups.`,
		Example: `  rapport backup list /backups
  rapport backup list s3://backups.example/rapport --within 26h`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.backupList(cmd.Context(), args[0], within) },
	}
	cmd.Flags().DurationVar(&within, "within", 0, "fail where the newest copy is older")
	return cmd
}

func (c *console) backupList(ctx context.Context, where string, within time.Duration) error {
	p, name, err := c.place(where, false)
	if err != nil {
		return err
	}
	if name != "" {
		return usagef("%s is no folder: name a folder, or s3://BUCKET/PREFIX", where)
	}
	list, err := backup.Copies(ctx, p)
	if err != nil {
		return err
	}
	if c.json {
		if err := c.printJSON(map[string]any{"copies": append([]backup.Copy{}, list...)}); err != nil {
			return err
		}
	} else {
		var rows [][]string
		for _, x := range list {
			rows = append(rows, []string{x.Name, string(x.Kind), x.House, c.time(x.Made), thousands(x.Size)})
		}
		c.table([]string{"NAME", "KIND", "HOUSE", "MADE", ">BYTES"}, rows)
	}
	if within <= 0 {
		return nil
	}
	return tooOld(list, within, c.now())
}

// tooOld fails for the newest copies of a house and kind that are older than they may be.
func tooOld(list []backup.Copy, within time.Duration, now time.Time) error {
	if len(list) == 0 {
		return fault.New(fault.NotFound, "no_backup", "no copy lies there: see why `rapport backup` wrote none")
	}
	seen := map[string]bool{}
	for _, x := range list {
		of := fmt.Sprintf("%s of %s", x.Kind, x.House)
		if age := now.Sub(x.Made); !seen[of] && age > within {
			return fault.New(fault.Conflict, "backup_old", "the newest copy of the %s is %s old: see why `rapport backup` wrote none since", of, age.Round(time.Minute))
		}
		seen[of] = true
	}
	return nil
}

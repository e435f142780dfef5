package main

import (
	"github.com/spf13/cobra"

	"rapport/internal/alert"
)

func alertCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alert",
		Short: "See what is wrong with the running server",
		Long: `Alerts are what is wrong with the house, such as a provider that takes no mail or
a disk that is nearly full. Each is told once when it begins and once when it ends,
in the log, by mail and to other systems: docs/alerts.md.`,
		Example: `  rapport alert list`,
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List what is wrong now, and what to do about it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), c, "/v1/alerts", nil, func(a alertsAnswer) {
				if len(a.Alerts) == 0 {
					c.printf("nothing is wrong\n")
				}
				for i := range a.Alerts {
					c.alert(&a.Alerts[i])
				}
			})
		},
	})
	return cmd
}

func (c *console) alert(a *alert.Alert) {
	name := a.Name
	if a.About != "" {
		name += " " + a.About
	}
	word := c.yellow(string(a.Severity))
	if a.Severity == alert.Danger {
		word = c.red(string(a.Severity))
	}
	c.printf("%s  %s  since %s\n  %s\n  %s\n", word, c.bold(name), c.time(a.Since), clean(a.Text), clean(a.Do))
}

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"rapport/internal/project"
)

func applyCommand(c *console) *cobra.Command {
	var yes, dry bool
	var threshold int64
	cmd := &cobra.Command{
		Use:   "apply DIR",
		Short: "Change the configuration of a running server",
		Long: `Apply checks a configuration folder, asks the server what it would change, how
many people would enter and leave each segment, and how many mails that would
send in the next 24 hours, prints it, and then applies the folder as one
version: all of it or nothing. When more people would be mailed or moved than
the threshold allows, it asks first; where nobody can answer, say --yes.

Secrets stay where they are: references such as env:NAME and file:PATH are
looked up by the server.`,
		Example: `  rapport apply shop --dry-run
  rapport apply shop --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, problems, err := c.load(args[0])
			if err != nil {
				return err
			}
			if config == nil {
				return c.report(args[0], config, problems, false)
			}
			if !c.json {
				c.problems(args[0], problems)
			}
			return c.apply(cmd.Context(), config, dry, yes, threshold)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print what would change and stop")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().Int64Var(&threshold, "threshold", 100, "ask when more people than this would be mailed, or ten times as many moved")
	return cmd
}

func (c *console) apply(ctx context.Context, config *project.Config, dry, yes bool, threshold int64) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	files := make(map[string]string, len(config.Files))
	for p, b := range config.Files {
		files[p] = base64.StdEncoding.EncodeToString(b)
	}
	body := map[string]any{"files": files}
	var raw json.RawMessage
	if err := cl.do(ctx, "POST", "/v1/config?dry_run=true", nil, body, &raw); err != nil {
		return err
	}
	var plan applyAnswer
	if err := json.Unmarshal(raw, &plan); err != nil {
		return fmt.Errorf("understand the plan: %w", err)
	}
	if !c.json {
		c.plan(plan)
	}
	if dry || len(plan.Changes) == 0 {
		if c.json {
			return c.printJSON(raw)
		}
		return nil
	}
	if !yes && plan.needsAsking(threshold) {
		question := fmt.Sprintf("Apply this, and mail %s?", count(plan.Mails24h, "person", "people"))
		if !c.ask(question) {
			return &exitError{code: exitDeclined, err: fmt.Errorf("not applied: %s would be mailed and %s moved; say --yes if that is meant",
				count(plan.Mails24h, "person", "people"), count(plan.moved(), "person", "people"))}
		}
	}
	// The server refuses when its version is no longer the one that was shown.
	header := map[string]string{"If-Match": fmt.Sprintf("%q", fmt.Sprint(plan.Version))}
	if err := cl.do(ctx, "POST", "/v1/config?dry_run=false", header, body, &raw); err != nil {
		return err
	}
	return present(c, raw, func(a applyAnswer) {
		c.printf("%s\n", c.green(fmt.Sprintf("applied as version %d", a.Version)))
	})
}

// moved counts everybody who would enter or leave a segment.
func (a applyAnswer) moved() int64 {
	var n int64
	for _, m := range a.Moves {
		n += m.Enter + m.Leave
	}
	return n
}

func (a applyAnswer) needsAsking(threshold int64) bool {
	return a.Mails24h > threshold || a.moved() > 10*threshold
}

// plan prints what would change.
func (c *console) plan(a applyAnswer) {
	if len(a.Changes) == 0 {
		c.printf("nothing changes: version %d is this folder\n", a.Version)
		return
	}
	signs := map[string]string{project.Added: c.green("+"), project.Removed: c.red("-"), project.Changed: c.yellow("~"), project.Reworded: c.dim("·")}
	for _, ch := range a.Changes {
		name := ch.Kind
		if ch.Name != "" {
			name += " " + c.bold(ch.Name)
		}
		c.printf("%s %s %s\n", signs[ch.Action], name, c.dim(ch.Action))
		if ch.Detail != "" {
			c.printf("    %s\n", clean(ch.Detail))
		}
	}
	if len(a.Moves) > 0 {
		c.printf("\n")
		var rows [][]string
		for _, name := range slices.Sorted(maps.Keys(a.Moves)) {
			rows = append(rows, []string{name, thousands(a.Moves[name].Enter), thousands(a.Moves[name].Leave)})
		}
		c.table([]string{"SEGMENT", ">ENTER", ">LEAVE"}, rows)
	}
	c.printf("\n%s in the next 24 hours because of this\n", count(a.Mails24h, "mail", "mails"))
}

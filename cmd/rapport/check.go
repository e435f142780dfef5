package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"rapport/internal/project"
)

// checked is what `check --json` prints.
type checked struct {
	OK       bool              `json:"ok"`
	Digest   string            `json:"digest,omitempty"`
	Errors   int               `json:"errors"`
	Warnings int               `json:"warnings"`
	Problems []project.Problem `json:"problems"`
}

func checkCommand(c *console) *cobra.Command {
	var secrets, strict bool
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Name every mistake in a configuration folder",
		Long: `Check reads a configuration folder and names every mistake at once: the file,
the line, what is wrong, and what to write instead; also across files, and what
will surprise although it is allowed (warnings). Nothing is changed or sent.`,
		Example: `  rapport check shop
  rapport check shop --secrets        # also look whether each env: and file: is there
  rapport check shop --json | jq '.problems[].file'`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			config, problems, err := c.load(args[0])
			if err != nil {
				return err
			}
			if secrets && config != nil {
				problems = append(problems, config.CheckSecrets(c.secrets(args[0]))...)
			}
			return c.report(args[0], config, problems, strict)
		},
	}
	cmd.Flags().BoolVar(&secrets, "secrets", false, "also look whether every secret that is pointed at is there")
	cmd.Flags().BoolVar(&strict, "strict", false, "count warnings as mistakes")
	return cmd
}

// load reads a folder from disk.
func (c *console) load(dir string) (*project.Config, []project.Problem, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return nil, nil, fmt.Errorf("%s is a file; name the folder it stands in: a configuration is checked and applied as a whole", dir)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("there is no folder %s; make one with `rapport init %s`", dir, dir)
	}
	config, problems := project.Load(os.DirFS(dir))
	return config, problems, nil
}

// secrets looks references up in the environment and in the folder.
func (c *console) secrets(dir string) project.Secrets {
	return project.Secrets{Env: c.env, File: func(p string) ([]byte, error) {
		if filepath.IsAbs(p) {
			return os.ReadFile(p) //nolint:gosec // The configuration names the file.
		}
		return fs.ReadFile(os.DirFS(dir), p)
	}}
}

// report prints what was found and fails when it stops the folder from being used.
func (c *console) report(dir string, config *project.Config, problems []project.Problem, strict bool) error {
	out := checked{Errors: project.Errors(problems), Problems: problems}
	out.Warnings = len(problems) - out.Errors
	out.OK = out.Errors == 0 && (!strict || out.Warnings == 0)
	if config != nil {
		out.Digest = config.Digest
	}
	if c.json {
		if out.Problems == nil {
			out.Problems = []project.Problem{}
		}
		if err := c.printJSON(out); err != nil {
			return err
		}
	} else {
		c.problems(dir, problems)
		c.printf("%s\n", c.verdict(dir, config, out))
	}
	if out.OK {
		return nil
	}
	return &exitError{code: exitProblems, err: fmt.Errorf("%s has mistakes", dir), said: true}
}

// problems prints each problem with what to write instead below it.
func (c *console) problems(dir string, problems []project.Problem) {
	for _, p := range problems {
		place := filepath.Join(dir, p.File)
		if p.Line > 0 {
			place += fmt.Sprintf(":%d", p.Line)
		}
		if p.Column > 0 {
			place += fmt.Sprintf(":%d", p.Column)
		}
		severity := c.red(string(p.Severity))
		if p.Severity == project.Warning {
			severity = c.yellow(string(p.Severity))
		}
		c.printf("%s: %s: %s\n", c.bold(place), severity, clean(p.Message))
		if p.Hint != "" {
			c.printf("    %s %s\n", c.dim("→"), clean(p.Hint))
		}
	}
	if len(problems) > 0 {
		c.printf("\n")
	}
}

func (c *console) verdict(dir string, config *project.Config, out checked) string {
	warnings := ""
	if out.Warnings > 0 {
		warnings = ", " + c.yellow(count(int64(out.Warnings), "warning", "warnings"))
	}
	if config == nil || out.Errors > 0 {
		return fmt.Sprintf("%s: %s%s", dir, c.red(count(int64(out.Errors), "mistake", "mistakes")), warnings)
	}
	return fmt.Sprintf("%s: %s%s (%s)", dir, c.green("no mistakes"), warnings, contents(config))
}

// contents counts what a configuration holds.
func contents(config *project.Config) string {
	return fmt.Sprintf("%s, %s, %s, %s, %s",
		count(int64(len(config.Sources)), "source", "sources"),
		count(int64(len(config.Segments)), "segment", "segments"),
		count(int64(len(config.Journeys)), "journey", "journeys"),
		count(int64(len(config.Templates)), "template", "templates"),
		count(int64(len(config.Providers)), "provider", "providers"))
}

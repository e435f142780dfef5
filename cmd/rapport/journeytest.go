package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/project"
	"rapport/internal/scenario"
)

type testFlags struct {
	folder, junit string
	verbose       bool
}

func journeyTestCommand(c *console) *cobra.Command {
	var fl testFlags
	cmd := &cobra.Command{
		Use:   "test FILE…",
		Short: "Play scripts of events on business time and compare every mail that leaves",
		Long: `Test plays each scenario of a script in a house of its own: the real walk, real
permission, real templates, on business time, with a wire that only remembers.
Every mail that leaves must be expected and every expected mail must leave, to
the second, to the same reader. Nothing is sent and no server is needed.

The configuration is the folder that the script names (config:), else the
nearest folder above the script that has a rapport.yaml.`,
		Example: `  rapport journey test shop/tests/*.yaml
  rapport journey test shop/tests/cart.yaml -v
  rapport journey test shop/tests/*.yaml --junit report.xml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.testJourneys(cmd.Context(), fl, args) },
	}
	f := cmd.Flags()
	f.StringVar(&fl.folder, "config", "", "configuration folder, instead of the one the script names")
	f.StringVar(&fl.junit, "junit", "", "also write the results as JUnit XML to this file")
	f.BoolVarP(&fl.verbose, "verbose", "v", false, "show every mail that left")
	return cmd
}

// testedScenario and testedMail are what --json prints.
type testedScenario struct {
	File   string   `json:"file"`
	Name   string   `json:"name"`
	Passed bool     `json:"passed"`
	Error  string   `json:"error,omitempty"`
	Diff   []string `json:"diff,omitempty"`
	Mails  []string `json:"mails"`
}

func (c *console) testJourneys(ctx context.Context, fl testFlags, files []string) error {
	var suites []scenario.Suite
	var shown []testedScenario
	total, failed := 0, 0
	for _, file := range files {
		suite, err := c.testFile(ctx, fl, file)
		if err != nil {
			return err
		}
		suites = append(suites, *suite)
		for _, r := range suite.Results {
			total++
			if !r.Passed() {
				failed++
			}
			shown = append(shown, tested(file, r))
		}
	}
	if fl.junit != "" {
		report, err := scenario.JUnit(suites)
		if err != nil {
			return fmt.Errorf("write the JUnit report: %w", err)
		}
		if err := os.WriteFile(fl.junit, report, 0o600); err != nil {
			return fmt.Errorf("write the JUnit report: %w", err)
		}
	}
	switch {
	case c.json:
		if err := c.printJSON(shown); err != nil {
			return err
		}
	case failed == 0:
		c.printf("%s\n", c.green(count(int64(total), "scenario", "scenarios")+" passed"))
	default:
		c.printf("%s of %s\n", c.red(fmt.Sprintf("%d failed", failed)), count(int64(total), "scenario", "scenarios"))
	}
	if failed == 0 {
		return nil
	}
	return &exitError{code: exitFailure, err: fmt.Errorf("%d scenarios failed", failed), said: true}
}

func tested(file string, r *scenario.Result) testedScenario {
	out := testedScenario{File: file, Name: r.Name, Passed: r.Passed(), Mails: []string{}}
	if r.Err != nil {
		out.Error = r.Err.Error()
	}
	for i := range r.Diffs {
		for _, l := range r.Diffs[i].Lines() {
			out.Diff = append(out.Diff, string(l.Mark)+" "+l.Text)
		}
	}
	for i := range r.Mails {
		out.Mails = append(out.Mails, r.Mails[i].Line())
	}
	return out
}

// testFile runs the scenarios of one script, one after the other.
func (c *console) testFile(ctx context.Context, fl testFlags, file string) (*scenario.Suite, error) {
	raw, err := os.ReadFile(file) //nolint:gosec // The path is the user's own choice.
	if err != nil {
		return nil, fmt.Errorf("read the script: %w", err)
	}
	script, err := scenario.Parse(file, raw)
	if err != nil {
		return nil, err
	}
	folder := fl.folder
	if folder == "" {
		if folder, err = scriptFolder(file, script.Config); err != nil {
			return nil, err
		}
	}
	config, err := c.sound(folder)
	if err != nil {
		return nil, err
	}
	runner := scenario.Runner{Config: config, Secrets: c.secrets(folder), Load: func(dir string) (*project.Config, error) {
		return c.sound(filepath.Join(filepath.Dir(file), dir))
	}}
	suite := &scenario.Suite{Name: file}
	for i := range script.Scenarios {
		began := time.Now()
		r, err := runOne(ctx, runner, &script.Scenarios[i])
		if err != nil {
			return nil, err
		}
		suite.Results, suite.Took = append(suite.Results, r), append(suite.Took, time.Since(began))
		if !c.json {
			c.testResult(fl, file, r)
		}
	}
	return suite, nil
}

// runOne gives a scenario a data folder for as long as it runs.
func runOne(ctx context.Context, runner scenario.Runner, s *scenario.Scenario) (_ *scenario.Result, err error) {
	if runner.Dir, err = os.MkdirTemp("", "rapport-test-"); err != nil {
		return nil, fmt.Errorf("make a data folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(runner.Dir)) }()
	return runner.Run(ctx, s), ctx.Err()
}

// scriptFolder finds the configuration that a script is about.
func scriptFolder(file, named string) (string, error) {
	dir := filepath.Dir(file)
	if named != "" {
		return filepath.Join(dir, named), nil
	}
	at, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the configuration: %w", err)
	}
	for up := at; ; up = filepath.Dir(up) {
		if _, err := os.Stat(filepath.Join(up, "rapport.yaml")); err == nil {
			return up, nil
		}
		if up == filepath.Dir(up) {
			return "", usagef("no folder above %s has a rapport.yaml: write config: DIR into the script, or give --config", file)
		}
	}
}

// sound reads a configuration without mistakes.
func (c *console) sound(dir string) (*project.Config, error) {
	config, problems, err := c.load(dir)
	if err == nil && config == nil {
		err = c.report(dir, nil, problems, false)
	}
	return config, err
}

func (c *console) testResult(fl testFlags, file string, r *scenario.Result) {
	verdict := c.green("pass")
	if !r.Passed() {
		verdict = c.red("FAIL")
	}
	c.printf("%s %s: %s\n", verdict, file, clean(r.Name))
	if r.Err != nil {
		c.printf("     could not be run: %s\n", clean(r.Err.Error()))
	}
	for i := range r.Diffs {
		for _, l := range r.Diffs[i].Lines() {
			text := fmt.Sprintf("%c %s", l.Mark, clean(l.Text))
			switch l.Mark {
			case '-':
				text = c.red(text)
			case '+':
				text = c.green(text)
			}
			c.printf("     %s\n", text)
		}
	}
	if fl.verbose {
		for i := range r.Mails {
			c.printf("     %s %s\n", c.dim("left"), clean(r.Mails[i].Line()))
		}
	}
}

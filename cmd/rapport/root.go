package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes. They are part of what scripts may rely on.
const (
	exitOK       = 0
	exitFailure  = 1 // it was tried and did not work
	exitUsage    = 2 // the command line makes no sense
	exitProblems = 3 // the configuration has mistakes
	exitNotFound = 4 // there is no such person, segment, mail …
	exitDeclined = 5 // somebody was asked and did not say yes
	exitPartly   = 6 // an import is done, but for lines that are bad
)

// exitError is an error that knows its exit code. Said is true when everything
// about it has been printed already.
type exitError struct {
	code int
	err  error
	said bool
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// Where a server and its data are found when nobody says otherwise.
const (
	defaultURL  = "http://127.0.0.1:8420"
	defaultData = "data"
)

const rootHelp = `Rapport turns what people do into the right email, for the right person, with
their permission, within milliseconds. One binary: the server and its tools.

Begin with:
  rapport demo              a shop with visitors and mails, to look around in
  rapport init DIR          a commented configuration folder of your own
  rapport check DIR         name every mistake in it
  rapport serve --config DIR

Every flag can be set in the environment as RAPPORT_ and its name in capitals:
RAPPORT_URL, RAPPORT_DATA, RAPPORT_CONFIG, RAPPORT_LISTEN, RAPPORT_JSON=true …;
a flag on the command line wins. The management key comes from RAPPORT_KEY, or
from the file manage.key in the data folder, which the first serve writes.

PERSON is an identifier with its kind: user_id:42, email:ann@shop.example,
anonymous_id:…, id:per_7, or any kind of context.externalIds. Without a kind,
what has an @ is an email, what begins with per_ is an id, the rest a user_id.

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 the configuration has
mistakes · 4 not found · 5 asked and not confirmed · 6 imported
but for bad lines.`

// run executes one command line and gives its exit code.
func run(ctx context.Context, c *console, args []string) int {
	root := newRoot(c)
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var known *exitError
	code := exitFailure
	if errors.As(err, &known) {
		code = known.code
	}
	if known == nil || !known.said {
		c.fail(err)
	}
	return code
}

// keepOrder lists commands in the order in which they are met, not by letter.
var keepOrder = sync.OnceFunc(func() { cobra.EnableCommandSorting = false })

// newRoot makes the command tree.
func newRoot(c *console) *cobra.Command {
	root := &cobra.Command{
		Use:           "rapport",
		Short:         "Real-time personalised email",
		Long:          rootHelp,
		Version:       versionText(),
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd.Flags(), c.env); err != nil {
				return err
			}
			if err := cmd.ValidateRequiredFlags(); err != nil {
				return usagef("%s lacks %s\nUsage: %s", cmd.CommandPath(), missingFlags(cmd), cmd.UseLine())
			}
			return nil
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w\nSee `%s --help`.", err, cmd.CommandPath())
	})
	f := root.PersistentFlags()
	f.BoolVar(&c.json, "json", false, "print JSON instead of text")
	f.StringVar(&c.url, "url", defaultURL, "address of the running server")
	f.StringVar(&c.data, "data", defaultData, "data folder of the server, where its management key is")
	root.AddGroup(
		&cobra.Group{ID: "begin", Title: "Begin:"},
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "ask", Title: "Ask a running server:"},
	)
	keepOrder()
	for _, g := range commands(c) {
		for _, cmd := range g.list {
			cmd.GroupID = g.id
			root.AddCommand(cmd)
		}
	}
	root.InitDefaultCompletionCmd()
	if shells, _, err := root.Find([]string{"completion"}); err == nil {
		shells.GroupID = "begin"
	}
	c.completions(root)
	return strict(root)
}

// strict makes wrong arguments and unknown sub-commands errors of usage.
func strict(cmd *cobra.Command) *cobra.Command {
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
	cmd.SuggestionsMinimumDistance = 2
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			meant := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				meant = fmt.Sprintf("; did you mean %q?", near[0])
			}
			return usagef("%s has no sub-command %q%s\nSee `%s --help`.", cmd.CommandPath(), args[0], meant, cmd.CommandPath())
		}
		return cmd
	}
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%s\nUsage: %s", argumentHint(cmd, args, err), cmd.UseLine())
		}
		return nil
	}
	return cmd
}

// argumentHint says which of the arguments of the usage line are missing, or
// which there are too many.
func argumentHint(cmd *cobra.Command, args []string, err error) string {
	// Flags stand behind the arguments, if there are any.
	wanted := strings.Fields(cmd.Use)[1:]
	if i := slices.IndexFunc(wanted, func(w string) bool { return strings.HasPrefix(w, "-") || strings.HasPrefix(w, "[") }); i >= 0 {
		wanted = wanted[:i]
	}
	switch {
	case len(args) < len(wanted):
		return cmd.CommandPath() + " lacks " + strings.Join(wanted[len(args):], " and ")
	case len(args) > len(wanted):
		return fmt.Sprintf("%s does not take %q", cmd.CommandPath(), args[len(wanted)])
	}
	return err.Error()
}

// missingFlags lists the flags that a command cannot do without.
func missingFlags(cmd *cobra.Command) string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if len(f.Annotations[cobra.BashCompOneRequiredFlag]) > 0 && !f.Changed {
			names = append(names, "--"+f.Name+" "+strings.ToUpper(f.Name))
		}
	})
	return strings.Join(names, " and ")
}

// valueHint says what a flag of a kind takes, in words.
func valueHint(f *pflag.Flag, v string) string {
	takes := map[string]string{
		"bool": "true or false", "int": "a whole number", "int64": "a whole number", "float64": "a number", "duration": "a duration such as 30s or 24h",
	}[f.Value.Type()]
	if takes == "" {
		takes = "what --" + f.Name + " takes"
	}
	return fmt.Sprintf("it takes %s, not %q", takes, v)
}

// hasVariable tells whether a flag can be set from the environment. RAPPORT_KEY is the
// management key, and not the public key that --key takes.
func hasVariable(f *pflag.Flag) bool {
	return f.Name != "help" && f.Name != "version" && f.Name != "key"
}

// ofEnvironment marks a flag that the environment has set: its variable.
const ofEnvironment = "rapport_variable"

// fromEnvironment sets every flag that is not on the command line from its
// RAPPORT_ variable.
func fromEnvironment(flags *pflag.FlagSet, env func(string) (string, bool)) error {
	var first error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || !hasVariable(f) {
			return
		}
		name := "RAPPORT_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v, ok := env(name)
		if !ok || v == "" {
			return
		}
		if err := flags.Set(f.Name, v); err != nil && first == nil {
			first = usagef("environment variable %s: %s", name, valueHint(f, v))
		}
		if f.Annotations == nil {
			f.Annotations = map[string][]string{}
		}
		f.Annotations[ofEnvironment] = []string{name}
	})
	return first
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func manCommand(c *console) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "man --dir DIR",
		Short:   "Write the manual pages",
		Long:    "Man writes one manual page for each command, in section 1, into a folder.",
		Example: "  rapport man --dir /usr/local/share/man/man1 && man rapport-import",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // Everybody may read a manual.
				return fmt.Errorf("make the folder of the manual: %w", err)
			}
			n := int64(0)
			for _, sub := range everyCommand(cmd.Root()) {
				file := filepath.Join(dir, pageName(sub)+".1")
				if err := os.WriteFile(file, []byte(manPage(sub)), 0o644); err != nil { //nolint:gosec // As above.
					return fmt.Errorf("write the manual: %w", err)
				}
				n++
			}
			c.printf("%s written to %s\n", count(n, "page", "pages"), dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "where the pages are written (required)")
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err) // The flag is defined one line above.
	}
	return cmd
}

// everyCommand lists a command and all below it, as far as people call them.
func everyCommand(root *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{root}
	for _, sub := range root.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			out = append(out, everyCommand(sub)...)
		}
	}
	return out
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// roff makes text safe for troff, and keeps its line breaks.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

// manPage writes one page.
func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	f := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	f(".TH %s 1 \"\" rapport Rapport\n.nh\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(pageName(cmd))), roff(pageName(cmd)), roff(cmd.Short))
	f(".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	f(".SH DESCRIPTION\n.nf\n%s\n.fi\n", roff(longOf(cmd)))
	options(&b, "OPTIONS", cmd.NonInheritedFlags())
	options(&b, "OPTIONS OF ALL COMMANDS", cmd.InheritedFlags())
	if cmd.Example != "" {
		f(".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	var also []string
	if cmd.HasParent() {
		also = append(also, pageName(cmd.Parent()))
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			also = append(also, pageName(sub))
		}
	}
	for i, name := range also {
		also[i] = ".BR " + roff(name) + " (1)"
	}
	if len(also) > 0 {
		f(".SH SEE ALSO\n%s\n", strings.Join(also, ",\n"))
	}
	return b.String()
}

func longOf(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

func options(b *strings.Builder, heading string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", heading)
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(flagForm(f)), roff(f.Usage))
		}
	})
}

// flagForm writes a flag with what it takes and what it is without.
func flagForm(f *pflag.Flag) string {
	s := "--" + f.Name
	if f.Shorthand != "" {
		s = "-" + f.Shorthand + ", " + s
	}
	if kind := f.Value.Type(); kind != "bool" {
		s += " " + kind
	}
	switch f.DefValue {
	case "", "false", "[]":
		return s
	}
	return s + " (" + f.DefValue + ")"
}

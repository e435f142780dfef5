package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// completions lets the shell complete names: where an argument or a flag takes
// the name of a thing of the configuration folder, the folder is looked into. It
// never asks a server: a shell must answer at once.
func (c *console) completions(root *cobra.Command) {
	folders := map[string]string{"SEGMENT": "segments", "JOURNEY": "journeys", "DESTINATION": "destinations"}
	flags := map[string]string{"source": "sources", "template": "templates", "journey": "journeys", "segment": "segments", "provider": "providers"}
	for _, cmd := range everyCommand(root) {
		for name, folder := range flags {
			if cmd.LocalNonPersistentFlags().Lookup(name) == nil {
				continue
			}
			err := cmd.RegisterFlagCompletionFunc(name, func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
				return c.namesIn(cmd, folder, typed), cobra.ShellCompDirectiveNoFileComp
			})
			if err != nil {
				panic(err) // Each flag is registered once.
			}
		}
		wanted := strings.Fields(cmd.Use)[1:]
		if cmd.ValidArgsFunction != nil || !slices.ContainsFunc(wanted, func(w string) bool { return folders[w] != "" }) {
			continue
		}
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) < len(wanted) && folders[wanted[len(args)]] != "" {
				return c.namesIn(cmd, folders[wanted[len(args)]], typed), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
}

// namesIn lists the names in one of the folder's parts. The folder is that of
// --config or RAPPORT_CONFIG, else the one the shell stands in.
func (c *console) namesIn(cmd *cobra.Command, part, typed string) []string {
	dir := "."
	if given, ok := c.env("RAPPORT_CONFIG"); ok && given != "" {
		dir = given
	}
	if f := cmd.Flags().Lookup("config"); f != nil && f.Value.String() != "" {
		dir = f.Value.String()
	}
	entries, err := os.ReadDir(filepath.Join(dir, part))
	if err != nil {
		return nil // Nothing to complete is no failure.
	}
	var names []string
	for _, e := range entries {
		name, file := strings.CutSuffix(e.Name(), ".yaml")
		if (file || e.IsDir()) && strings.HasPrefix(name, typed) && !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names
}

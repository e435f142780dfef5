package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"rapport/internal/schema"
)

func schemaCommand(c *console) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "schema [NAME]",
		Short: "Print the JSON Schema of a configuration file",
		Long: `Schema prints what may stand in a kind of configuration file as a JSON Schema
(draft 2020-12), for editors; without NAME it lists the kinds. rapport init puts
the schemas into the folder's .schema, where editors with a YAML language server
find them; --dir writes them anew there after an update of rapport.`,
		Example: `  rapport schema journey
  rapport schema --dir shop/.schema`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case dir != "":
				return c.writeSchemas(dir)
			case len(args) == 0:
				return c.listSchemas()
			}
			f, ok := schema.Find(args[0])
			if !ok {
				return &exitError{code: exitNotFound, err: fmt.Errorf("there is no schema %q; choose of %s", args[0], strings.Join(schemaNames(), ", "))}
			}
			c.printf("%s", f.JSON())
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions(schemaNames(), cobra.ShellCompDirectiveNoFileComp),
	}
	cmd.Flags().StringVar(&dir, "dir", "", "write all schemas into this folder")
	return cmd
}

func schemaNames() []string {
	var names []string
	for _, f := range schema.Files() {
		names = append(names, f.Name)
	}
	return names
}

func (c *console) listSchemas() error {
	if c.json {
		return c.printJSON(schemaNames())
	}
	var rows [][]string
	for _, f := range schema.Files() {
		rows = append(rows, []string{f.Name, f.Path, f.Title})
	}
	c.table([]string{"NAME", "FILE", "WHAT IT SAYS"}, rows)
	return nil
}

func (c *console) writeSchemas(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make the folder of the schemas: %w", err)
	}
	for _, f := range schema.Files() {
		if err := os.WriteFile(filepath.Join(dir, f.Name+".json"), f.JSON(), 0o600); err != nil {
			return fmt.Errorf("write the schema %s: %w", f.Name, err)
		}
	}
	return nil
}

// editorFiles are what a new folder gets so that editors complete and check its
// files: the schemas, and which file has which.
func editorFiles() map[string][]byte {
	out, of := map[string][]byte{}, map[string]string{}
	for _, f := range schema.Files() {
		p := ".schema/" + f.Name + ".json"
		out[p] = f.JSON()
		if strings.HasSuffix(f.Path, ".yaml") {
			of["./"+p] = strings.ReplaceAll(f.Path, "NAME", "*")
		}
	}
	b, _ := json.MarshalIndent(map[string]any{"yaml.schemas": of}, "", "  ") // Texts always marshal.
	out[".vscode/settings.json"] = append(b, '\n')
	return out
}

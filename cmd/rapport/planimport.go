package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rapport/internal/fault"
	"rapport/internal/plan"
)

func planImport(c *console) *cobra.Command {
	var name, only, into string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Turn a plan of Segment Protocols or RudderStack into one of ours",
		Long: `Import reads what Segment's Public API or Config API answers to the rules of a
tracking plan (draft-07), or RudderStack's Tracking Plan or Data Catalog API to
its events, or a folder with the YAML of RudderStack's CLI (kinds tracking-plan,
events, properties and custom-types), and prints the same as a file for plan/. A
folder may hold several plans: --plan names one, --into writes each to a file of
its own. What could not be taken over is told on the standard error.`,
		Example: `  curl -H "Authorization: Bearer $TOKEN" https://api.segmentapis.com/tracking-plans/$ID/rules > segment.json
  rapport plan import segment.json > shop/plan/website.yaml
  rapport plan import rudder-project --plan web_app > shop/plan/website.yaml
  rapport plan import rudder-project --into shop/plan`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			docs, notes, err := c.foreignPlans(args[0], name)
			for _, n := range notes {
				_, _ = fmt.Fprintf(c.err, "note: %s\n", clean(n)) // Nobody is left to tell if this fails.
			}
			if err != nil {
				return fmt.Errorf("import %s: %w", args[0], err)
			}
			if only != "" {
				docs = slices.DeleteFunc(docs, func(d *plan.Document) bool { return d.Name != only && d.Name != plan.Slug(only) })
			}
			switch {
			case len(docs) == 0:
				return &exitError{code: exitNotFound, err: fmt.Errorf("none of the plans in %s is %q", args[0], only)}
			case into != "":
				return c.writePlans(into, docs)
			case len(docs) > 1:
				var names []string
				for _, d := range docs {
					names = append(names, d.Name)
				}
				return usagef("%s holds several plans: choose one with --plan, or write all with --into DIR; they are %s", args[0], strings.Join(names, ", "))
			}
			return c.printPlan(docs[0])
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the name of a plan that is in one JSON file; without it the file's")
	cmd.Flags().StringVar(&only, "plan", "", "the id of the one plan that is wanted of a folder")
	cmd.Flags().StringVar(&into, "into", "", "folder into which each plan is written as ID.yaml; files that are there stay")
	return cmd
}

// foreignPlans reads a file of JSON, or YAML of RudderStack's CLI: a file or a folder.
func (c *console) foreignPlans(path, name string) ([]*plan.Document, []string, error) {
	info, err := os.Stat(path)
	folder := err == nil && info.IsDir()
	if folder || isYAML(path) {
		files, err := specFiles(path)
		if err != nil {
			return nil, nil, err
		}
		return plan.ImportSpecs(files)
	}
	b, err := c.readAll(path)
	if err != nil {
		return nil, nil, err
	}
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	d, notes, err := plan.Import(name, b)
	if err != nil {
		return nil, notes, err
	}
	return []*plan.Document{d}, notes, nil
}

func isYAML(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".yaml" || ext == ".yml"
}

// specFiles reads the YAML files of a folder and those below it, hidden ones left
// out, or one file.
func specFiles(path string) (out []plan.SpecFile, err error) {
	err = filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if at != path && strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() || !isYAML(at) {
			return nil
		}
		b, err := os.ReadFile(at) //nolint:gosec // The user's own folder.
		if err != nil {
			return err
		}
		name, err := filepath.Rel(path, at)
		if err != nil || name == "." {
			name = filepath.Base(at)
		}
		out = append(out, plan.SpecFile{Name: filepath.ToSlash(name), Data: b})
		return nil
	})
	return out, err
}

// writePlans writes each plan into a file of its own; one that is there is not
// written over, and then none is written.
func (c *console) writePlans(dir string, docs []*plan.Document) error {
	paths := make([]string, len(docs))
	for i, d := range docs {
		paths[i] = filepath.Join(dir, d.Name+".yaml")
		if _, err := os.Stat(paths[i]); !errors.Is(err, fs.ErrNotExist) {
			return fault.New(fault.Conflict, "file_exists", "%s is there already; move it away, or choose another folder", paths[i])
		}
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for i, d := range docs {
		text, err := plan.Write(d)
		if err != nil {
			return err
		}
		if err := os.WriteFile(paths[i], text, 0o600); err != nil {
			return err
		}
		c.printf("%s\n", paths[i])
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sort"

	"github.com/spf13/cobra"

	"rapport/internal/project"
)

func initCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Make a commented configuration folder",
		Long: `Init writes a small configuration folder that works as it stands: a website as
source, the purposes for which personal data is used, two segments, a welcome
journey with its mail, and an inbox of its own as provider, so that nothing
leaves the machine before you say so. Every file says in comments what else it
can hold; with a YAML language server, editors complete the keys and say what
they mean. Files that exist are never overwritten.`,
		Example: "  rapport init shop && rapport check shop",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			written, err := writeScaffold(args[0])
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(map[string]any{"folder": args[0], "files": written})
			}
			for _, p := range written {
				c.printf("  %s\n", filepath.Join(args[0], p))
			}
			c.printf("\n%s written. Next:\n  rapport check %s\n  rapport serve --config %s --data %s\n",
				count(int64(len(written)), "file", "files"), args[0], args[0], defaultData)
			return nil
		},
	}
}

// writeScaffold writes the files of a new folder; it writes none when one of
// them is there already.
func writeScaffold(dir string) ([]string, error) {
	files := project.Scaffold()
	maps.Copy(files, editorFiles())
	paths := make([]string, 0, len(files))
	for p := range files {
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(p))); err == nil {
			return nil, fmt.Errorf("%s is there already; choose a folder that does not exist yet", filepath.Join(dir, p))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for %s: %w", p, err)
		}
		paths = append(paths, p)
	}
	sort.Strings(paths)
	for _, p := range paths {
		to := filepath.Join(dir, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return nil, fmt.Errorf("make the folder of %s: %w", p, err)
		}
		if err := os.WriteFile(to, files[p], 0o600); err != nil {
			return nil, fmt.Errorf("write %s: %w", p, err)
		}
	}
	return paths, nil
}

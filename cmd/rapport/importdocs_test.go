package main

import (
	"os"
	"strings"
	"testing"
)

// TestManualOfImport holds what docs/import.md shows against the example's files
// and against what the command says of them.
func TestManualOfImport(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	manual := read("../../docs/import.md")
	const folder = "../../examples/shop/import/"
	b := setup(t, nil)
	code := b.run(t, "import", "--dry-run", "--map", folder+"customers.yaml", "--source", "checkout", folder+"customers.csv")
	if code != exitPartly {
		t.Errorf("exit %d: %s", code, b.err.String())
	}
	for what, text := range map[string]string{
		"the list":    "```csv\n" + read(folder+"customers.csv") + "```\n",
		"the mapping": "```yaml\n" + read(folder+"customers.yaml") + "```\n",
		"the dry run": "```\n" + b.out.String() + "```\n",
	} {
		if !strings.Contains(manual, text) {
			t.Errorf("the manual does not show %s as it is:\n%s", what, text)
		}
	}
}

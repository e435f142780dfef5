package project

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"rapport/internal/purpose"
	"rapport/internal/purview"
)

// TestWhatCannotBeReadServesNothing: of a stored folder which this program does not
// read any more, what its journeys computed of something may be used for nothing; what
// is wrong elsewhere in it changes nothing, and neither does a folder whose plan said
// nothing. Where not even names can be read, that is an error that says what to do.
func TestWhatCannotBeReadServesNothing(t *testing.T) {
	t.Parallel()
	base := func() map[string][]byte {
		files := Scaffold()
		for name := range files {
			if strings.HasPrefix(name, "journeys/") {
				delete(files, name)
			}
		}
		files["plan/people.yaml"] = []byte("traits:\n  secret_note: {type: string, purposes: [service]}\n")
		files["journeys/help.yaml"] = []byte("purpose: service\ntrigger: {event: Asked}\nsteps:\n  - if: {trait: colour, exists: true}\n    then:\n" +
			"      - set: {copied: \"{{ person.secret_note }}\", plain: \"{{ person.colour }}\", asked: true}\n")
		return files
	}
	for _, row := range []struct {
		name   string
		change func(files map[string][]byte)
		former string
		want   string
	}{
		{"it is read", func(map[string][]byte) {}, "", "copied: service"},
		{"a template is not read", func(f map[string][]byte) { f["templates/odd/template.yaml"] = []byte("what: {\n") }, "", "copied: service"},
		{"a journey is not read", func(f map[string][]byte) {
			f["journeys/help.yaml"] = append(f["journeys/help.yaml"], "of_then: true\n"...)
		}, "", "copied: no purpose, plain: no purpose"},
		{"the plan is not read", func(f map[string][]byte) {
			f["plan/people.yaml"] = append(f["plan/people.yaml"], "of_then: true\n"...)
		}, "", "copied: no purpose, plain: no purpose"},
		{"purposes are not read", func(f map[string][]byte) { f["purposes.yaml"] = []byte("purposes: [\n") }, "", "copied: no purpose, plain: no purpose"},
		{"and no plan said anything", func(f map[string][]byte) {
			f["plan/people.yaml"] = []byte("traits:\n  secret_note: string\nof_then: true\n")
		}, "", ""},
		{"but one before it did", func(f map[string][]byte) {
			f["plan/people.yaml"] = []byte("traits:\n  secret_note: string\nof_then: true\n")
		}, "copied", "before: service, copied: no purpose, plain: no purpose"},
		{"no YAML", func(f map[string][]byte) { f["journeys/help.yaml"] = []byte("purpose: {\n") }, "", "error"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			files := base()
			row.change(files)
			var former map[string]purview.Use
			if row.former != "" {
				former = map[string]purview.Use{"before": {Purposes: purpose.Set{"service"}}, "copied": {Purposes: purpose.Set{"service"}}}
			}
			got, err := ComputedIn(files, former)
			if row.want == "error" {
				if err == nil || !strings.Contains(err.Error(), "serve this house with the version") {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var list []string
			for _, name := range slices.Sorted(maps.Keys(got)) {
				list = append(list, fmt.Sprint(name, ": ", got[name].Purposes))
			}
			if is := strings.Join(list, ", "); is != row.want {
				t.Errorf("got %s, want %s", is, row.want)
			}
		})
	}
}

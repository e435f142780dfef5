package project

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"rapport/internal/source"
)

// TestManualExamples loads the files that the manual of the folder shows, and
// maps the line that stands above the mapping.
func TestManualExamples(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	fsys := minimal()
	shown := 0
	for _, m := range regexp.MustCompile("(?ms)^```yaml\n# (\\S+\\.yaml)(.*?)^```").FindAllStringSubmatch(string(b), -1) {
		fsys[m[1]] = &fstest.MapFile{Data: []byte("# " + m[1] + m[2])}
		shown++
	}
	if shown == 0 {
		t.Fatal("the manual shows no file")
	}
	c, problems := Load(fsys)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	s, ok := c.Source("orders")
	if !ok || s.File == nil {
		t.Fatalf("no mapping in %+v", s)
	}
	const file = "day;customer;mail;total\n2026-02-27;42;ann@shop.example;39.50\n"
	if !strings.Contains(string(b), "#   "+strings.ReplaceAll(strings.TrimSpace(file), "\n", "\n#   ")) {
		t.Error("the manual shows another file")
	}
	n := 0
	err = s.File.Read(t.Context(), "orders.csv", strings.NewReader(file), func(l source.Line) error {
		n++
		want := time.Date(2026, 2, 26, 23, 0, 0, 0, time.UTC) // midnight in Berlin
		if len(l.Events) != 1 || l.Err != nil {
			t.Fatalf("line %d: %v, %d events", l.Number, l.Err, len(l.Events))
		}
		if e := l.Events[0]; e.Name != "Order Completed" || e.UserID != "42" || e.Email != "ann@shop.example" ||
			string(e.Properties) != `{"total":39.5}` || !e.Time.Equal(want) {
			t.Errorf("line %d: %+v with %s", l.Number, e, e.Properties)
		}
		return nil
	})
	if err != nil || n != 1 {
		t.Errorf("%d lines, %v", n, err)
	}
}

func TestFileSourceNeedsMapping(t *testing.T) {
	t.Parallel()
	fsys := minimal()
	fsys["sources/orders.yaml"] = &fstest.MapFile{Data: []byte("kind: file\npurpose: service\nbasis: contract\n")}
	_, problems := Load(fsys)
	if len(problems) != 1 || problems[0].File != "sources/orders.yaml" || problems[0].Line != 1 || !strings.Contains(problems[0].Hint, "`file:`") {
		t.Errorf("problems: %v", problems)
	}
}

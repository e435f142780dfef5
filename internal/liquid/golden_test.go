package liquid

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// goldenCase is one case of the suite golden-liquid.
type goldenCase struct {
	Name      string            `json:"name"`
	Template  string            `json:"template"`
	Data      json.RawMessage   `json:"data"`
	Templates map[string]string `json:"templates"`
	Result    *string           `json:"result"`
	Results   []string          `json:"results"`
	Invalid   bool              `json:"invalid"`
	Tags      []string          `json:"tags"`
}

// testData returns the folder of data that is not kept in the repository.
func testData(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("RAPPORT_TESTDATA")
	if dir != "" {
		return dir
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("RAPPORT_TESTDATA must name the folder that holds golden-liquid.json")
	}
	t.Skip("skipped: set RAPPORT_TESTDATA to a folder that holds golden-liquid.json to run the conformance suite")
	return ""
}

func TestGoldenLiquid(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(testData(t), "golden-liquid.json"))
	if err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Tests []goldenCase `json:"tests"`
	}
	if err := json.Unmarshal(raw, &suite); err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, c := range suite.Tests {
		if t.Run(c.Name, func(t *testing.T) { c.run(t) }) {
			passed++
		}
	}
	t.Logf("%d of %d cases pass", passed, len(suite.Tests))
	if len(suite.Tests) == 0 {
		t.Fatal("the suite holds no cases")
	}
}

func (c *goldenCase) run(t *testing.T) {
	data := Nil
	if len(bytes.TrimSpace(c.Data)) > 0 {
		var err error
		if data, err = FromJSON(c.Data); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Partials: c.Templates, CoreOnly: true, Strict: slices.Contains(c.Tags, "strict"), Strict2: slices.Contains(c.Tags, "strict2")}
	tpl, err := Compile(c.Template, o)
	if c.Invalid {
		if err == nil {
			var out []byte
			out, _, err = tpl.Render(context.Background(), nil, data, RenderOptions{})
			if err == nil {
				t.Errorf("%q gave %q, want an error", c.Template, out)
			}
		}
		return
	}
	if err != nil {
		t.Fatalf("%q: %v", c.Template, err)
	}
	out, _, err := tpl.Render(context.Background(), nil, data, RenderOptions{
		InlineErrors: true, Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	})
	if err != nil {
		t.Fatalf("%q: %v", c.Template, err)
	}
	want := c.Results
	if c.Result != nil {
		want = []string{*c.Result}
	}
	if !slices.Contains(want, string(out)) {
		t.Errorf("%q with %s\n got %q\nwant %q", c.Template, c.Data, out, want)
	}
}

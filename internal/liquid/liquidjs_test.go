package liquid

import (
	"cmp"
	"encoding/json"
	"os"
	"testing"
)

// TestLiquidJS holds random templates against what liquidjs makes of them. The templates keep to what both define alike;
// docs/liquid.md lists where they differ by design. A sample is kept in testdata; for more of them:
//
//	cd bench/liquid/oracle && npm install && node generate.mjs 2 20000 > cases.jsonl
//	LIQUIDJS_CASES=$PWD/cases.jsonl go test -run LiquidJS ../../../internal/liquid
func TestLiquidJS(t *testing.T) {
	t.Parallel()
	type jsCase struct {
		Template string
		Data     json.RawMessage // in the first line, for all
		Want     *string
		Error    *string
	}
	var data Value
	for i, c := range readLines[jsCase](t, cmp.Or(os.Getenv("LIQUIDJS_CASES"), "testdata/liquidjs.jsonl")) {
		if c.Data != nil {
			data = mustJSON(t, string(c.Data))
		}
		if (c.Want == nil) == (c.Error == nil) {
			t.Fatalf("line %d says neither what comes out nor that nothing does, or both", i+1)
		}
		tpl, err := Compile(c.Template, Options{Strict: true, CoreOnly: true})
		var out []byte
		if err == nil {
			out, _, err = tpl.Render(t.Context(), nil, data, RenderOptions{})
		}
		switch {
		case (err != nil) != (c.Error != nil):
			t.Errorf("line %d: %s\n got %v", i+1, c.Template, err)
		case c.Want != nil && string(out) != *c.Want:
			t.Errorf("line %d: %s\n got %q\nwant %q", i+1, c.Template, out, *c.Want)
		}
	}
}

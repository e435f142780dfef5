package liquid

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"testing"

	"rapport/internal/liquid"
)

// TestLiquidJS compares our engine with liquidjs on random templates. The templates keep to what both define alike;
// docs/liquid.md lists where they differ by design. To run it:
//
//	cd oracle && npm install && node generate.mjs 1 20000 > cases.jsonl
//	LIQUIDJS_CASES=oracle/cases.jsonl go test -run LiquidJS .
func TestLiquidJS(t *testing.T) {
	name := os.Getenv("LIQUIDJS_CASES")
	if name == "" {
		t.Skip("skipped: LIQUIDJS_CASES names no file; see the comment of this test")
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // Nothing was written.
	var data liquid.Value
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<22)
	n := 0
	for lines.Scan() {
		var c struct {
			Template string
			Data     json.RawMessage
			Want     *string
			Error    *string
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if c.Data != nil {
			if data, err = liquid.FromJSON(c.Data); err != nil {
				t.Fatal(err)
			}
		}
		n++
		tpl, err := liquid.Compile(c.Template, liquid.Options{Strict: true, CoreOnly: true})
		var out []byte
		if err == nil {
			out, _, err = tpl.Render(context.Background(), nil, data, liquid.RenderOptions{})
		}
		switch {
		case (err != nil) != (c.Error != nil):
			t.Errorf("%s\n got %v", c.Template, err)
		case c.Want != nil && string(out) != *c.Want:
			t.Errorf("%s\n got %q\nwant %q", c.Template, out, *c.Want)
		}
	}
	if err := lines.Err(); err != nil || n == 0 {
		t.Fatalf("read %d cases: %v", n, err)
	}
	t.Logf("%d templates compared", n)
}

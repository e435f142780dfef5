package plan

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var schemas = []string{
	`{"type":"object","properties":{"a":{"type":"string","enum":["x","y"]},"b":{"type":"integer","minimum":0,"maximum":10},"c":{"type":["number","null"]}},"required":["a"]}`,
	`{"type":"object","properties":{"l":{"type":"array","items":{"type":"object","properties":{"s":{"type":"string","minLength":1,"maxLength":3}},"required":["s"],"additionalProperties":false},"minItems":1}}}`,
	`{"properties":{"e":{"format":"email"},"d":{"format":"date-time"},"u":{"format":"uuid"},"p":{"pattern":"^a+$"},"t":true}}`,
	`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"type":"boolean"}},"required":["a","z"]}`,
	`{"$schema":"http://json-schema.org/draft-04/schema#","type":"object","properties":{"b":{"type":"integer"}}}`,
}

// FuzzShape holds the quick way against the library: what it accepts is valid.
func FuzzShape(f *testing.F) {
	var forms []*form
	for _, s := range schemas {
		var doc map[string]any
		if err := json.Unmarshal([]byte(s), &doc); err != nil {
			f.Fatal(err)
		}
		one, err := compileForm(1, doc)
		if err != nil || one.shape == nil {
			f.Fatalf("%s has no shape: %v", s, err)
		}
		forms = append(forms, one)
	}
	for _, s := range []string{`{"a":"x","b":3,"c":null}`, `{"l":[{"s":"ab"}]}`, `{"e":"a@b.example","d":"2026-11-27T00:00:00Z","u":"5f3c2b1a-7d6e-4f8a-9b0c-000000000001","p":"aa","t":[]}`, `{"a":true,"z":1}`, `{"b":1.0}`, `{"a":"\u0078"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !jsontext.Value(raw).IsValid() {
			return
		}
		raw = bytes.TrimSpace(raw)
		for i, one := range forms {
			if !one.shape.accepts(raw) {
				continue
			}
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			if err := one.schema.Validate(doc); err != nil {
				t.Fatalf("%q was accepted for %s: %v", raw, schemas[i], err)
			}
		}
	})
}

// TestShapeAccepts sees to it that the quick way is the common one.
func TestShapeAccepts(t *testing.T) {
	t.Parallel()
	for i, raw := range []string{
		`{"a":"y","b":3,"c":1.5,"more":[1]}`, `{"l":[{"s":"ab"},{"s":"c"}]}`, `{"e":"a@b.example","d":"2026-11-27T00:00:00Z","u":"5f3c2b1a-7d6e-4f8a-9b0c-000000000001","p":"aa","t":[]}`, `{"z":{},"a":false}`, `{"b":7}`,
	} {
		var doc map[string]any
		if err := json.Unmarshal([]byte(schemas[i]), &doc); err != nil {
			t.Fatal(err)
		}
		f, err := compileForm(1, doc)
		if err != nil {
			t.Fatal(err)
		}
		if !f.shape.accepts([]byte(raw)) {
			t.Errorf("%s is not accepted for %s", raw, schemas[i])
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMending(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		payload, patch string
		set            []string
		want           string // "": refused
	}{
		"set text":              {payload: `{"type":"track"}`, set: []string{"userId=u1"}, want: `{"type":"track","userId":"u1"}`},
		"set a number and text": {payload: `{}`, set: []string{"a=7", `b="7"`}, want: `{"a":7,"b":"7"}`},
		"inside a list":         {payload: `{"batch":[{"event":1}]}`, set: []string{"batch.0.event=Order"}, want: `{"batch":[{"event":"Order"}]}`},
		"objects are made":      {payload: `{}`, set: []string{"properties.total.net=1"}, want: `{"properties":{"total":{"net":1}}}`},
		"one in a batch":        {payload: `{"sentAt":1,"batch":[{"userId":"u1"}]}`, set: []string{"event=Order"}, want: `{"batch":[{"event":"Order","userId":"u1"}],"sentAt":1}`},
		"one of two":            {payload: `{"batch":[{},{}]}`, set: []string{"batch.1.event=Order"}, want: `{"batch":[{},{"event":"Order"}]}`},
		"patch one in a batch":  {payload: `{"batch":[{"a":1,"b":1}]}`, patch: `{"a":null}`, want: `{"batch":[{"b":1}]}`},
		"patch the batch":       {payload: `{"batch":[{"a":1}]}`, patch: `{"batch":[{"b":2}]}`, want: `{"batch":[{"b":2}]}`},
		"digits stay":           {payload: `{"n":12345678901234567890.10}`, set: []string{"a=1"}, want: `{"a":1,"n":12345678901234567890.10}`},
		"patch":                 {payload: `{"a":1,"b":{"c":2,"d":3}}`, patch: `{"a":null,"b":{"c":"<x>"}}`, want: `{"b":{"c":"<x>","d":3}}`},
		"patch, then set":       {payload: `{"a":1}`, patch: `{"a":2,"b":2}`, set: []string{"a=3"}, want: `{"a":3,"b":2}`},
		"no such item":          {payload: `{"batch":[]}`, set: []string{"batch.0.a=1"}},
		"through a plain value": {payload: `{"a":1}`, set: []string{"a.b=1"}},
		"no value":              {payload: `{}`, set: []string{"a"}},
		"payload is no JSON":    {payload: `{"a":`, set: []string{"a=1"}},
		"something behind it":   {payload: `{} {}`, set: []string{"a=1"}},
		"patch is no JSON":      {payload: `{}`, patch: `{`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mending{set: row.set}
			if row.patch != "" {
				m.patch = filepath.Join(t.TempDir(), "patch.json")
				if err := os.WriteFile(m.patch, []byte(row.patch), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := m.apply(&console{}, []byte(row.payload))
			if (err != nil) != (row.want == "") {
				t.Fatalf("error is %v, want %q", err, row.want)
			}
			if string(got) != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

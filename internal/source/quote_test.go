package source

import (
	"bytes"
	"encoding/csv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzQuotes holds the closer of quotes to the standard reader: what that reads
// without a word of complaint must come through unchanged.
func FuzzQuotes(f *testing.F) {
	for _, s := range []string{"a,b\n", "\"a\nb\",c\r\n\r\nd", "\"a\"\"b\",\"\"\n\"", "a\"b,\"c\"d\n", "x,\"\n2,\"\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		plain := csv.NewReader(bytes.NewReader(file))
		plain.FieldsPerRecord = -1
		want, err := plain.ReadAll()
		if err != nil {
			t.Skip()
		}
		c := newCloser(bytes.NewReader(file), ',')
		r := csv.NewReader(c)
		r.FieldsPerRecord = -1
		got, err := r.ReadAll()
		if err != nil || len(c.shut) > 0 {
			t.Fatalf("%v, closed %v", err, c.shut)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

package identity

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/id"
)

// TestApartRoundTrip: who is kept apart from others is written in the second
// format, everybody else as before.
func TestApartRoundTrip(t *testing.T) {
	t.Parallel()
	plain := Record{Created: 5, Identifiers: []Identifier{{Kind: UserID, Value: "ann", Hash: id.Hash{1}, First: 7}}}
	if b := plain.Append(nil); b[0] != recordFormat {
		t.Errorf("somebody who was never parted is written in format %d", b[0])
	}
	parted := plain
	parted.Apart = []id.Person{3, 900}
	b := parted.Append(nil)
	var got Record
	if err := got.Decode(b); err != nil || b[0] != apartFormat {
		t.Fatal(err, b[0])
	}
	if diff := cmp.Diff(parted, got); diff != "" {
		t.Error(diff)
	}
	for n := range b {
		var cut Record
		if cut.Decode(bytes.Clone(b[:n])) == nil && n > 0 {
			t.Errorf("%d bytes of %d are read", n, len(b))
		}
	}
	if err := got.Decode(plain.Append(nil)); err != nil || len(got.Apart) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

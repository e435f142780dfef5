package app

import (
	"encoding/json"
	"testing"

	"rapport/internal/id"
)

// TestReadErasures reads a line as long as a house with many erased people writes
// that has lost its file, once and again, and takes one out who was admitted.
func TestReadErasures(t *testing.T) {
	t.Parallel()
	many := make([]id.Hash, 40_000)
	for i := range many {
		many[i] = id.Hash{1, byte(i >> 8), byte(i)}
	}
	var raw []byte
	for _, e := range []erasure{{Barred: hexes(many)}, {Barred: hexes(many[:2])}, {Admitted: hexes(many[:1])}} {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(append(raw, line...), '\n')
	}
	barred, err := readErasures(append(raw, `{"cut`...))
	if err != nil || len(barred) != len(many)-1 || barred[0] != many[1] {
		t.Errorf("%d are barred of %d, %v", len(barred), len(many), err)
	}
	for _, bad := range []string{"{\n", `{"barred":["0011"]}` + "\n", `{"barred":["00112233445566778899aabbccddeeff0011"]}` + "\n"} {
		if _, err := readErasures([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

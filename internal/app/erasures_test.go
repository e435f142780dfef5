package app

import (
	"encoding/json"
	"testing"

	"rapport/internal/eventlog"
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
	for _, e := range []erasure{{Barred: hexes(many)}, {Barred: hexes(many[:2])}, {Admitted: hexes(many[:1])}, {Admitted: hexes(many[1:2]), Lane: eventlog.Bulk, Record: 7}} {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(append(raw, line...), '\n')
	}
	for walked, want := range map[int64]int{6: 1, 7: 2} {
		list, err := readErasures(append(raw, `{"cut`...), func(eventlog.Lane) int64 { return walked })
		if err != nil || len(list.barred) != len(many)-want || list.barred[0] != many[want] {
			t.Errorf("walked up to %d: %d are barred of %d, %v", walked, len(list.barred), len(many), err)
		}
	}
	for _, bad := range []string{"{\n", `{"barred":["0011"]}` + "\n", `{"barred":["00112233445566778899aabbccddeeff0011"]}` + "\n"} {
		if _, err := readErasures([]byte(bad), func(eventlog.Lane) int64 { return 0 }); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// TestJoinErasures joins lists of which one has not heard of the last erasure yet, in
// both ways, and keeps what is written twice.
func TestJoinErasures(t *testing.T) {
	t.Parallel()
	name := id.Hash{1}.String()
	first, back, last := `{"at":"2026-03-01T00:00:00Z","barred":["`+name+`"]}`+"\n",
		`{"at":"2026-03-02T00:00:00Z","admitted":["`+name+`"],"record":5}`+"\n", `{"at":"2026-03-03T00:00:00Z","barred":["`+name+`"]}`+"\n"
	for _, lists := range [][2]string{{first + back + last, first + back}, {first + back, first + back + last}, {first + last, back}, {back, first + last}} {
		if got := string(joinedErasures([]byte(lists[0]), []byte(lists[1]+`{"cut`))); got != first+back+last {
			t.Errorf("%q joined with %q is %q", lists[0], lists[1], got)
		}
	}
	// All in one instant, as where the clock is set by hand.
	again := first + `{"at":"2026-03-01T00:00:00Z","admitted":["` + name + `"]}` + "\n"
	for _, lists := range [][2]string{{again + first, again}, {again, again + first}} {
		if got := string(joinedErasures([]byte(lists[0]), []byte(lists[1]))); got != again+first {
			t.Errorf("%q joined with %q is %q", lists[0], lists[1], got)
		}
	}
}

package feedback

import (
	"encoding/json"
	"fmt"
	"testing"
)

// TestNumbersAreReadAsTheyAreMeant: in the page's language, and not at all where they may
// mean a thousand times as much, or are larger than an event may bring.
func TestNumbersAreReadAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ want, point, comma string }{
		{"2.5", "2.5", "2.5"}, {"2,5", "", "2.5"}, {"1,235", "", "1.235"}, {"1.235", "1.235", ""}, {"-12.500", "-12.500", ""}, {"0.125", "0.125", "0.125"},
		{"1.2345", "1.2345", "1.2345"}, {"1.234,5", "", ""}, {"1,234.5", "", ""}, {"1,2,3", "", ""}, {"1235", "1235", "1235"}, {"1e999", "", ""}, {"-1e999", "", ""},
		{"1e3", "1e3", "1e3"}, {"many", "", ""}, {"[1]", "", ""}, {"07", "", ""},
	} {
		for i, want := range []string{row.point, row.comma} {
			f := Field{Shape: Number, Want: row.want}
			raw, ok := f.value(i == 1)
			if ok != (want != "") || ok && string(raw) != want {
				t.Errorf("%s, decimal comma %v: %s %v, want %q", row.want, i == 1, raw, ok, want)
			}
		}
	}
}

// TestNumbersAreShownAsTheyAreRead: a number that is shown and comes back means the same.
func TestNumbersAreShownAsTheyAreRead(t *testing.T) {
	t.Parallel()
	for _, was := range []string{"2.125", "1000", "-0.5", "1.5e3"} {
		c := Claiming{Fields: []Field{{Shape: Number, Was: was, Want: was}}}
		c.Localise(true)
		if raw, ok := c.Fields[0].value(true); !ok || string(raw) != was {
			t.Errorf("%s is shown as %s, which is %s %v", was, c.Fields[0].Want, raw, ok)
		}
	}
}

// TestWhatThePageHasNoRoomForIsCounted.
func TestWhatThePageHasNoRoomForIsCounted(t *testing.T) {
	t.Parallel()
	var c Claiming
	var list []Held
	for i := range 2*MostFields + 7 {
		list = append(list, Held{Name: fmt.Sprintf("t%d", i), Value: json.RawMessage("1")})
	}
	c.lay(list)
	if len(c.Fields) != MostFields || len(c.Held) != MostFields || c.More != 7 {
		t.Errorf("%d fields, %d others, and %d more", len(c.Fields), len(c.Held), c.More)
	}
}

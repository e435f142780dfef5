package person_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rapport/internal/person"
)

func TestARowComesBackOrIsRefused(t *testing.T) {
	t.Parallel()
	want := person.Row{ID: 7, Alarm: -5, Identity: []byte("who"), Segment: []byte{1}, Journey: []byte("j")}
	body := want.Append(nil)
	got, err := person.Decode(7, body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for cut := range body {
		if _, err := person.Decode(7, body[:cut]); err == nil {
			t.Errorf("a row cut to %d bytes was taken", cut)
		}
	}
	for name, b := range map[string][]byte{"another format": append([]byte{9}, body[1:]...), "sealed": append([]byte{1, 3}, body[2:]...), "something behind": append(append([]byte(nil), body...), 0)} {
		if _, err := person.Decode(7, b); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

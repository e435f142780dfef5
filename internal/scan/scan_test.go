package scan_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/scan"
)

func TestWalks(t *testing.T) {
	t.Parallel()
	type pair struct{ Key, Value string }
	var got []pair
	for m := scan.MembersOf([]byte(` {"a" : 1.5e3, "b\u0063":"x\"}", "n":null,"list":[1,{"}":"]"}, "s"] }`)); ; {
		key, value, ok := m.Next()
		if !ok {
			break
		}
		got = append(got, pair{string(key), string(value)})
	}
	want := []pair{{"a", "1.5e3"}, {"bc", `"x\"}"`}, {"n", "null"}, {"list", `[1,{"}":"]"}, "s"]`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members differ (-want +got):\n%s", diff)
	}
	var elements []string
	for e := scan.ElementsOf([]byte(want[3].Value)); ; {
		value, ok := e.Next()
		if !ok {
			break
		}
		elements = append(elements, string(value))
	}
	if diff := cmp.Diff([]string{"1", `{"}":"]"}`, `"s"`}, elements); diff != "" {
		t.Errorf("elements differ (-want +got):\n%s", diff)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ object, want string }{
		"there":         {`{"b":1,"a":[2]}`, "[2]"},
		"missing":       {`{"b":1}`, ""},
		"only deeper":   {`{"b":{"a":1}}`, ""},
		"not an object": {`["a",1]`, ""},
		"cut short":     {`{"a":[1,`, ""},
		"nothing":       {``, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := scan.Find([]byte(tt.object), "a")
			if string(got) != tt.want || ok != (tt.want != "") {
				t.Errorf("found %q, %v; want %q", got, ok, tt.want)
			}
		})
	}
}

// FuzzWalk holds that any bytes end the walk without a panic, and that of a
// valid object every member is found.
func FuzzWalk(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":{"b":[1,2,{}]},"c":"\u0000"}`, `[1,[2],"]"]`, `{`, `{"a`, `{"a":}`, `{,}`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		members, elements := 0, 0
		for m := scan.MembersOf(b); ; members++ {
			if _, _, ok := m.Next(); !ok {
				break
			}
		}
		for e := scan.ElementsOf(b); ; elements++ {
			if _, ok := e.Next(); !ok {
				break
			}
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(b, &object) == nil && members < len(object) {
			t.Fatalf("%d of %d members of %q", members, len(object), b)
		}
		var list []json.RawMessage
		if json.Unmarshal(b, &list) == nil && elements != len(list) {
			t.Fatalf("%d of %d elements of %q", elements, len(list), b)
		}
	})
}

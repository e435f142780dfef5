package ingest

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/scan"
)

// checked runs the fast check over one event.
func checked(raw []byte) (it item, ok bool) {
	c := checker{b: raw, maxDepth: 32, maxKeys: 1000}
	end, ok := c.event(0, &it)
	it.whole = span{From: 0, To: uint32(end)}
	return it, ok && end == len(raw)
}

// agree holds the fast check to the slow one: what it accepts is sound, and
// every member stands where the slow one finds it.
func agree(t *testing.T, raw []byte) bool {
	t.Helper()
	if len(raw) == 0 || raw[0] != '{' {
		return false
	}
	fast, ok := checked(raw)
	if !ok {
		return false
	}
	end, f, closed := scan.Measure(raw, 0, 32)
	if !closed || end != len(raw) || f.Depth > 32 || f.Keys > 1000 || f.NUL || f.Beyond {
		t.Fatalf("measured otherwise: %d %+v %v: %q", end, f, closed, raw)
	}
	if !jsontext.Value(raw).IsValid() {
		t.Fatalf("not valid: %q", raw)
	}
	var slow item
	slow.locate(raw)
	for i := range fields {
		if a, b := fast.raw(i), slow.raw(i); string(a) != string(b) {
			t.Fatalf("field %d is %q, want %q in %q", i, a, b, raw)
		}
	}
	return true
}

func TestCheckerKnowsTheCommonCase(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{
		`{}`: true,
		`{"userId":"u","context":{"ip":"x","traits":{"email":"a"}},"properties":{"a":[1,-2.5,true,false,null,{"b":{}}]}}`: true,
		" \t{}":                           false,
		`{"a":"\u00e9\n\"\\\/é€😀"}`:       true,
		`{ "a" : [ ] , "b" : [ 1 , 2 ] }`: true,
		`{"context":7,"traits":null}`:     true,
		`{"a":1,"a":2}`:                   false,
		`{"a":{"b":1,"b":2}}`:             false,
		`{"a":1,"b":{"a":1}}`:             true,
		`{"\u0061":1}`:                    false,
		`{"a":"\u0000"}`:                  false,
		`{"a":"\ud83d"}`:                  false,
		`{"a":"\ud83d\ude00"}`:            false, // The slow code takes it.
		"{\"a\":\"\xff\"}":                false,
		"{\"a\":\"\x01\"}":                false,
		"{\"a\":\"12345678\x1f\"}":        false,
		`{"a":01}`:                        false,
		`{"a":1.}`:                        false,
		`{"a":-}`:                         false,
		`{"a":+1}`:                        false,
		`{"a":1e5}`:                       false,
		`{"a":tru}`:                       false,
		`{"a":1,}`:                        false,
		`{"a":[1,]}`:                      false,
		`{"a" 1}`:                         false,
		`{"a":1`:                          false,
		`{"a":"1`:                         false,
		strings.Repeat(`{"a":`, 31) + `{}` + strings.Repeat(`}`, 31): true,
		strings.Repeat(`{"a":`, 32) + `{}` + strings.Repeat(`}`, 32): false,
	} {
		if got := agree(t, []byte(raw)); got != want {
			t.Errorf("%s: got %v, want %v", raw, got, want)
		}
	}
}

func FuzzChecker(f *testing.F) {
	for _, s := range []string{
		`{"userId":"u","context":{"ip":"x","traits":{"email":"a"}},"properties":{"a":[1,-2.5,true,false,null,{"b":{}}]}}`,
		`{"a":"\u00e9\n\"\\é€😀 and more than eight bytes of it"}`, `{"a":1,"a":2}`, `{"a":1e400}`, "{\"abcdefgh\":\"\x1f\"}", `{"context":{"context":{}},"a":01}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { agree(t, raw) })
}

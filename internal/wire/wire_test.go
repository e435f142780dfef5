package wire_test

import (
	"testing"

	"rapport/internal/wire"
)

func TestFieldsComeBack(t *testing.T) {
	t.Parallel()
	b := wire.AppendBytes(wire.AppendString([]byte{7}, "ada"), []byte{1, 2})
	r := wire.Reader{Rest: b}
	if got := r.Byte(); got != 7 {
		t.Errorf("byte: got %d", got)
	}
	if got := r.Alias(); got != "ada" {
		t.Errorf("string: got %q", got)
	}
	if got := r.Bytes(); len(got) != 2 || !r.Done() {
		t.Errorf("bytes: got %v, done %t", got, r.Done())
	}
}

func TestWhatIsMalformedStaysSo(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(*wire.Reader){
		"a length beyond the end": func(r *wire.Reader) { r.Bytes() },
		"more than is there":      func(r *wire.Reader) { r.Take(100) },
		"less than nothing":       func(r *wire.Reader) { r.Take(-1) },
		"a count of what is not":  func(r *wire.Reader) { r.Count() },
	} {
		r := wire.Reader{Rest: []byte{200, 1, 5}}
		read(&r)
		if !r.Bad || r.Done() || r.Uvarint() != 0 || r.Varint() != 0 || r.Byte() != 0 || r.String() != "" || r.Alias() != "" || !r.Bad {
			t.Errorf("%s: not noticed", name)
		}
	}
	endless := wire.Reader{Rest: []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}}
	if endless.Uvarint(); !endless.Bad {
		t.Error("a number without an end was taken")
	}
}

package backup_test

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"rapport/internal/audit"
	"rapport/internal/backup"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/store/move"
)

// small writes a copy of three rows in two chunks, three frames and a file.
func small(t testing.TB) []byte {
	t.Helper()
	secret, public, err := audit.MakeKey(rand.Reader, "rapport-0a0b0c0d")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := backup.NewWriter(&out, backup.Head{
		Kind: backup.Data, House: "0a0b0c0d", Made: noon, Key: public, Lanes: []backup.Lane{{Lane: 0, Walked: 2}, {Lane: 1}},
		Tables: []backup.Table{
			{Name: "t", Columns: []move.Column{{Name: "n", Kind: move.Int}, {Name: "s", Kind: move.Text}, {Name: "b", Kind: move.Blob}}, Key: []int{0}},
			{Name: "none", Columns: []move.Column{{Name: "n", Kind: move.Int}}, Key: []int{0}},
		},
	}, func(lines []string) (string, error) { return audit.CertifyWith(secret, lines) })
	if err != nil {
		t.Fatal(err)
	}
	w.Table("t")
	errs := []error{w.Rows([]move.Row{{int64(-1), "a", []byte{}}, {int64(2), "", []byte("b")}}), w.Rows([]move.Row{{int64(3), nil, nil}})}
	w.Table("none")
	w.Lane(0)
	frame := func(first int64) eventlog.Frame {
		return eventlog.Frame{First: first, Count: 2, At: noon, Body: []byte("f")}
	}
	errs = append(errs, w.Frames([]eventlog.Frame{frame(1), frame(3)}), w.Frames([]eventlog.Frame{frame(5)}))
	w.Lane(1)
	errs = append(errs, w.File("erasures.jsonl", []byte("{}\n")))
	_, err = w.Close()
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// entry is one of a tar.
type entry struct {
	name string
	body []byte
}

func entries(t testing.TB, raw []byte) (out []entry) {
	t.Helper()
	for in := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, entry{h.Name, body})
	}
}

func packed(t testing.TB, list []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range list {
		err := w.WriteHeader(&tar.Header{Name: e.name, Size: int64(len(e.body)), Mode: 0o600})
		if err == nil {
			_, err = w.Write(e.body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestRead gives what was written, and nothing of a copy from which anything was taken,
// to which anything was added, or in which anything stands elsewhere.
func TestRead(t *testing.T) {
	t.Parallel()
	raw := small(t)
	var rows []move.Row
	var frames []int64
	m, err := backup.Read(bytes.NewReader(raw), backup.Taker{
		Rows: func(_ *backup.Table, list []move.Row) error {
			rows = append(rows, list...)
			return nil
		},
		Frames: func(list []eventlog.Frame) error {
			for _, f := range list {
				frames = append(frames, f.First)
			}
			return nil
		},
	})
	if err != nil || len(rows) != 3 || rows[0][0] != int64(-1) || rows[2][1] != nil || !slices.Equal(frames, []int64{1, 3, 5}) || m.Rows() != 6 || m.Last[0].Walked != 6 {
		t.Fatalf("%v, rows %v, frames %v, %+v", err, rows, frames, m)
	}
	find := func(list []entry, name string) int {
		return slices.IndexFunc(list, func(e entry) bool { return e.name == name })
	}
	for name, change := range map[string]func([]entry) []entry{
		"a chunk less": func(l []entry) []entry {
			return slices.Delete(l, find(l, "table/t/00000002"), find(l, "table/t/00000002")+1)
		},
		"a chunk twice":            func(l []entry) []entry { return slices.Insert(l, 2, l[1]) },
		"chunks the other way":     func(l []entry) []entry { l[1], l[2] = l[2], l[1]; return l },
		"another value":            func(l []entry) []entry { l[1].body[len(l[1].body)-1] ^= 1; return l },
		"no head":                  func(l []entry) []entry { return l[1:] },
		"no manifest":              func(l []entry) []entry { return slices.Delete(l, find(l, "manifest.json"), find(l, "manifest.json")+1) },
		"no signature":             func(l []entry) []entry { return l[:len(l)-1] },
		"something behind it":      func(l []entry) []entry { return append(l, entry{"file/more", nil}) },
		"something before its end": func(l []entry) []entry { return slices.Insert(l, len(l)-1, entry{"file/more", nil}) },
		"a file that is not named": func(l []entry) []entry { return slices.Insert(l, len(l)-2, entry{"file/more", nil}) },
		"a table that is not named": func(l []entry) []entry {
			return slices.Insert(l, len(l)-2, entry{"table/x/00000001", []byte{1, 2}})
		},
		"a path out of it": func(l []entry) []entry { return slices.Insert(l, 1, entry{"../keys.json", nil}) },
		"another head": func(l []entry) []entry {
			l[0].body = bytes.Replace(l[0].body, []byte("0a0b0c0d"), []byte("0a0b0c0e"), 1)
			return l
		},
		"another manifest": func(l []entry) []entry {
			i := find(l, "manifest.json")
			l[i].body = bytes.Replace(l[i].body, []byte(`"rows":3`), []byte(`"rows":4`), 1)
			return l
		},
		"another's signature": func(l []entry) []entry {
			other := entries(t, small(t))
			l[len(l)-1] = other[len(other)-1]
			return l
		},
		"of a later format": func(l []entry) []entry {
			l[0].body = bytes.Replace(l[0].body, []byte(`"format":1`), []byte(`"format":2`), 1)
			return l
		},
	} {
		if _, err := backup.Read(bytes.NewReader(packed(t, change(entries(t, raw)))), backup.Taker{}); fault.CodeOf(err) != "backup_broken" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPeek reads the head alone, and gives back all of it.
func TestPeek(t *testing.T) {
	t.Parallel()
	raw := small(t)
	head, whole, err := backup.Peek(bytes.NewReader(raw))
	if err != nil || head.House != "0a0b0c0d" {
		t.Fatal(head, err)
	}
	again, err := io.ReadAll(whole)
	if err != nil || !bytes.Equal(again, raw) {
		t.Errorf("%d bytes of %d, %v", len(again), len(raw), err)
	}
	if _, _, err := backup.Peek(strings.NewReader("no copy")); fault.CodeOf(err) != "backup_broken" {
		t.Error(err)
	}
}

// FuzzRead: bytes of any quality are refused or are a whole copy, and nothing panics.
func FuzzRead(f *testing.F) {
	raw := small(f)
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	list := entries(f, raw)
	f.Add(packed(f, list[:3]))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := backup.Read(bytes.NewReader(raw), backup.Taker{})
		if err != nil && m != nil {
			t.Error("refused, and a manifest")
		}
		if err == nil {
			if _, err := json.Marshal(m); err != nil {
				t.Error(err)
			}
		}
	})
}

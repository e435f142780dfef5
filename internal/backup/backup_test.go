package backup_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"rapport/internal/backup"
	"rapport/internal/fault"
)

func sign(lines []string) (string, error) { return strings.Join(lines, "\n"), nil }

func signed(raw []byte) ([]string, error) { return strings.Split(string(raw), "\n"), nil }

func written(t testing.TB, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := backup.NewWriter(&out, backup.Manifest{Part: backup.Data, Made: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), House: "h"})
	for i := 0; i+1 < len(files); i += 2 {
		if err := w.Add(files[i], int64(len(files[i+1])), strings.NewReader(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(sign); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestRead: what was written is read, and nothing that is not whole.
func TestRead(t *testing.T) {
	t.Parallel()
	raw := written(t, "state.db", "the state", "log.db", strings.Repeat("log", 1000))
	got := map[string]string{}
	put := func(name string, r io.Reader) error {
		b, err := io.ReadAll(r)
		got[name] = string(b)
		return err
	}
	m, err := backup.Read(bytes.NewReader(raw), put, signed)
	if err != nil || len(m.Files) != 2 || got["state.db"] != "the state" || len(got["log.db"]) != 3000 {
		t.Fatalf("%+v, %v, %v", m, got, err)
	}
	for n := range len(raw) - 1024 { // Behind the last file stand zeros only.
		if n%97 != 0 {
			continue
		}
		if _, err := backup.Read(bytes.NewReader(raw[:n]), put, signed); n < len(raw)-1536 && err == nil {
			t.Fatalf("%d of %d bytes are taken for a backup", n, len(raw))
		}
	}
	if _, err := backup.Read(bytes.NewReader(raw), put, func([]byte) ([]string, error) { return []string{"backup sha256:00"}, nil }); fault.CodeOf(err) != "backup_forged" {
		t.Errorf("another manifest: %v", err)
	}
	if _, err := backup.Read(bytes.NewReader(written(t, "../state.db", "x")), put, signed); fault.CodeOf(err) != "backup_broken" {
		t.Errorf("a way out of the folder: %v", err)
	}
}

// FuzzRead: whatever stands in a backup, only plain names reach the folder.
func FuzzRead(f *testing.F) {
	f.Add(written(f, "state.db", "the state"))
	f.Add([]byte("no backup"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = backup.Read(bytes.NewReader(raw), func(name string, r io.Reader) error {
			if strings.ContainsAny(name, "/\\") || name == "" || name[0] == '.' {
				t.Errorf("the name %q", name)
			}
			_, err := io.Copy(io.Discard, r)
			return err
		}, signed)
	})
}

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// imported runs an import and gives its exit code, what it printed, and the
// message ids that were sent.
func imported(t *testing.T, answer, in string, args ...string) (int, string, []string) {
	t.Helper()
	b := setup(t, map[string]string{"POST /v1/import/purchases": answer})
	b.console.in = strings.NewReader(in)
	code := b.run(t, append([]string{"import", "--config", "../../examples/cdnow"}, args...)...)
	var ids []string
	for _, a := range b.asked {
		var body struct {
			Batch []struct {
				MessageID string `json:"messageId"`
			} `json:"batch"`
		}
		if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
			t.Fatal(err)
		}
		for _, e := range body.Batch {
			ids = append(ids, e.MessageID)
		}
	}
	return code, b.out.String() + b.err.String(), ids
}

func TestImportOfTwoFilesIsTwo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const one, two = " 00001 19970101  1   11.77\n 00002 19970112  1   12.00\n", " 00003 19970101  1   11.77\n"
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(one))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	first, other, again := write("one.txt", one), write("two.txt", two), write("again.txt.gz", packed.String())

	const taken = `{"accepted":2,"denied":0,"rejected":0,"position":7}`
	code, text, ids := imported(t, taken, "", first)
	if code != 0 || len(ids) != 2 || ids[0] == ids[1] || !strings.HasSuffix(ids[0], "-1") || len(ids[0]) != len("0a1b2c3d4e5f-1") ||
		!strings.Contains(text, "2 lines: 2 accepted, 0 refused for permission, 0 rejected (see `rapport rejected list`), 0 bad") {
		t.Fatalf("exit %d, %q, %v", code, text, ids)
	}
	if _, _, same := imported(t, taken, "", again); cmp.Diff(ids, same) != "" {
		t.Errorf("the same file, packed, has other ids: %v, %v", ids, same)
	}
	if _, _, others := imported(t, taken, "", other); len(others) != 1 || others[0] == ids[0] {
		t.Errorf("another file has the same ids: %v, %v", ids, others)
	}

	// What can be read only once is known by its name and its beginning.
	if code, text, ids := imported(t, taken, one, "-"); code != exitUsage || !strings.Contains(text, "--name") || ids != nil {
		t.Errorf("standard input without a name: exit %d, %q, %v", code, text, ids)
	}
	_, _, piped := imported(t, taken, one, "-", "--name", "monday", "--progress-file", filepath.Join(dir, "p"))
	_, _, samePipe := imported(t, taken, one, "-", "--name", "monday", "--progress-file", filepath.Join(dir, "p"))
	_, _, otherPipe := imported(t, taken, one, "-", "--name", "tuesday", "--progress-file", filepath.Join(dir, "p"))
	if len(piped) != 2 || cmp.Diff(piped, samePipe) != "" || len(otherPipe) != 2 || otherPipe[0] == piped[0] {
		t.Errorf("piped %v, the same %v, another name %v", piped, samePipe, otherPipe)
	}
}

func TestImportFailsWhenNothingIsTaken(t *testing.T) {
	t.Parallel()
	const good, bad = " 00001 19970101  1   11.77\n", " 00001 19971341  1   11.77\n"
	for name, tt := range map[string]struct {
		in, answer string
		code       int
		want       string
	}{
		"every line bad":      {bad + bad, "", exitFailure, "2 lines: 0 accepted, 0 refused for permission, 0 rejected (see `rapport rejected list`), 2 bad"},
		"every line rejected": {good, `{"rejected":1}`, exitFailure, "1 line: 0 accepted, 0 refused for permission, 1 rejected"},
		"bad and rejected":    {good + bad, `{"rejected":1}`, exitFailure, "nothing was taken"},
		"one was taken":       {good + bad, `{"accepted":1}`, exitPartly, "2 lines: 1 accepted"},
		"permission forbids":  {good, `{"denied":1}`, 0, "1 refused for permission"},
		"an empty file":       {"", "", 0, "0 lines"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, text, _ := imported(t, tt.answer, tt.in, "-", "--name", "x", "--bad", filepath.Join(t.TempDir(), "bad.csv"), "--progress-file", filepath.Join(t.TempDir(), "progress"))
			if code != tt.code || !strings.Contains(text, tt.want) {
				t.Errorf("exit %d, %q", code, text)
			}
		})
	}
}

// TestImportAllBad fails, sent or played back, when every line is bad.
func TestImportAllBad(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bad.txt")
	if err := os.WriteFile(file, []byte(" 00001 1997xxxx  1   11.77\n 00002 nonsense  1   12.00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, how := range [][]string{{file}, {"--simulate", file}} {
		code, text, ids := imported(t, `{"accepted":0}`, "", how...)
		if code != exitFailure || len(ids) > 0 || !strings.Contains(text, "2 lines") || !strings.Contains(text, "nothing was taken") {
			t.Errorf("%v: exit code %d, sent %v: %s", how, code, ids, text)
		}
	}
}

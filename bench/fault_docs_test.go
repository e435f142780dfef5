package bench

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every fault that is promised has a line in docs/faults.md, and every test that
// a line names is in the tree.
func TestTheTableOfFaultsIsTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	number := regexp.MustCompile(`^\| (\d+) \|`)
	listed := map[int]bool{}
	rows := 0
	for line := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| # |") || strings.HasPrefix(line, "| Trouble |") {
			continue
		}
		rows++
		if m := number.FindStringSubmatch(line); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			listed[n] = true
		}
		namesTests(t, line)
	}
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 40, 41, 47, 49, 50} {
		if !listed[n] {
			t.Errorf("fault %d is not in the table", n)
		}
	}
	if rows < 26 {
		t.Errorf("%d rows: the table was not read", rows)
	}
}

// namesTests looks whether a row names tests, and all of them are in the tree.
func namesTests(t *testing.T, line string) {
	t.Helper()
	found := named.FindAllStringSubmatch(line, -1)
	if len(found) == 0 {
		t.Errorf("no test is named: %s", line)
	}
	for _, m := range found {
		source := testsOf(t, filepath.Join("..", m[1]))
		for name := range strings.SplitSeq(strings.TrimSuffix(m[2], ", "), ", ") {
			if !strings.Contains(source, "func "+name+"(t *testing.T)") {
				t.Errorf("%s has no %s", m[1], name)
			}
		}
	}
}

// Every test that the page of claims names is in the tree, and every claim names one.
func TestTheClaimsOfSecurityAreTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	claims := 0
	for line := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| claim |") {
			continue
		}
		claims++
		namesTests(t, line)
	}
	if claims < 30 {
		t.Errorf("%d claims: the page was not read", claims)
	}
}

// Each gate of the page of permission names tests, and they are in the tree.
func TestTheTableOfGatesIsTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/privacy.md")
	if err != nil {
		t.Fatal(err)
	}
	gates := 0
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "| G") {
			gates++
			namesTests(t, line)
		}
	}
	if gates != 9 {
		t.Errorf("%d gates, want 9", gates)
	}
}

// named finds a room and tests of it.
var named = regexp.MustCompile("`([a-z/]+)` ((?:Test[A-Za-z0-9]+(?:, )?)+)")

// testsOf gives the text of a folder's tests.
func testsOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests (%v)", dir, err)
	}
	var out strings.Builder
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(raw)
	}
	return out.String()
}

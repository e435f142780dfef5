package project

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"rapport/internal/spelling"
)

// Severity says whether a problem stops the folder from being used.
type Severity string

// The severities. An error stops; a warning tells of what will surprise.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one thing that is wrong with the folder or will surprise: where it
// stands, what it is, and what to write instead.
type Problem struct {
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// String gives the form that editors and terminals make clickable:
// "file:line:column: error: message".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	fmt.Fprintf(&b, ": %s: %s", p.Severity, p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Errors counts the problems that stop the folder from being used.
func Errors(problems []Problem) int {
	n := 0
	for _, p := range problems {
		if p.Severity == Error {
			n++
		}
	}
	return n
}

// sortProblems orders by file, line, column and text, and drops repeats.
func sortProblems(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(problems)
}

// didYouMean gives a hint that names the nearest of the words that would have
// been right, or all of them when none is near and they are few.
func didYouMean(word string, right []string) string {
	if near, ok := nearest(word, right); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(right) == 0 || len(right) > 24 {
		return ""
	}
	sorted := slices.Sorted(slices.Values(right))
	return "use one of: " + strings.Join(sorted, ", ")
}

// nearest finds the word that needs the fewest edits, if it is near enough to
// be what was meant.
func nearest(word string, right []string) (string, bool) {
	best, at := 1+len(word)/3, -1
	folded := strings.ToLower(strings.NewReplacer("-", "_", " ", "_").Replace(word))
	for i, r := range right {
		d := spelling.Distance(folded, strings.ToLower(strings.ReplaceAll(r, "-", "_")), best+1)
		if d < best || d == best && at < 0 {
			best, at = d, i
		}
	}
	if at >= 0 {
		return right[at], true
	}
	longer := slices.DeleteFunc(slices.Clone(right), func(r string) bool { return len(word) < 3 || !strings.HasPrefix(r, word) })
	if len(longer) == 1 {
		return longer[0], true
	}
	return "", false
}

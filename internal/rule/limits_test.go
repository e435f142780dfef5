package rule

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestLimits goes to each limit, which is allowed, and one beyond it, which is
// refused with the limit's name and value.
func TestLimits(t *testing.T) {
	t.Parallel()
	list := func(n int, item string) string { return "[" + strings.Repeat(item+", ", n-1) + item + "]" }
	for _, test := range []struct {
		limit string
		value int
		rule  func(n int) string
	}{
		{"max_depth", MaxDepth, func(n int) string {
			return strings.Repeat("{not: ", n-1) + "{did: A}" + strings.Repeat("}", n-1)
		}},
		{"max_nodes", MaxNodes, func(n int) string { return list(n-1, "{did: A}") }},
		{"max_list", MaxList, func(n int) string { return "{trait: a, in: " + list(n, "x") + "}" }},
		{"max_where", MaxWhere, func(n int) string { return "{did: A, where: " + list(n, "{a: 1}") + "}" }},
		{"max_count", MaxCount, func(n int) string { return fmt.Sprintf("{did: A, count: {exactly: %d}}", n) }},
		{"max_text", MaxText, func(n int) string { return "{did: " + strings.Repeat("x", n) + "}" }},
		{"max_text", MaxText, func(n int) string { return "{trait: a, is: " + strings.Repeat("x", n) + "}" }},
		{"max_text", MaxText, func(n int) string { return "{trait: a, is: " + strings.Repeat("9", n) + "}" }},
		{"max_path", MaxPath, func(n int) string { return "{trait: " + strings.Repeat("x", n) + ", is: 1}" }},
		{"max_path", MaxPath, func(n int) string { return "{did: A, where: {? " + strings.Repeat("x", n) + " : 1}}" }},
		{"max_steps", MaxSteps, func(n int) string { return "{trait: a" + strings.Repeat(".b", n-1) + ", is: 1}" }},
		{"max_duration", 3660, func(n int) string { return fmt.Sprintf("{did: A, within: %dd}", n) }},
	} {
		t.Run(test.limit, func(t *testing.T) {
			t.Parallel()
			if _, problems := load(t, test.rule(test.value), Context{}); len(problems) > 0 {
				t.Errorf("at the limit: %v", problems)
			}
			_, problems := load(t, test.rule(test.value+1), Context{})
			if want := fmt.Sprintf("%s = %d", test.limit, test.value); len(problems) != 1 || !strings.Contains(problems[0].Message, want) {
				t.Errorf("beyond the limit: got %v, want one problem with %q", problems, want)
			}
		})
	}
}

// TestManyMistakes makes more mistakes than are worth reading, in lists that refer
// to each other so often that they could never be walked through.
func TestManyMistakes(t *testing.T) {
	t.Parallel()
	_, problems := load(t, strings.Repeat("- {}\n", MaxProblems+50), Context{})
	if len(problems) != MaxProblems || !strings.Contains(problems[MaxProblems-1].Message, "max_problems = 100") {
		t.Errorf("got %d problems, the last %v", len(problems), problems[len(problems)-1])
	}
	var b strings.Builder
	b.WriteString("- &a0 [{did: A}]\n")
	for i := 1; i < 15; i++ {
		fmt.Fprintf(&b, "- &a%d [%s*a%d]\n", i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	_, problems = load(t, b.String(), Context{})
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "max_nodes") {
		t.Errorf("got %v, want one problem with max_nodes", problems)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"30s": "30s", "60s": "1m", "15m": "15m", "60m": "1h", "1h": "1h", "24h": "24h", "48h": "48h", "72h": "3d", "1d": "24h", "7d": "7d", "2w": "14d", "90s": "90s",
	} {
		millis, err := ParseDuration(text)
		if err != nil || FormatDuration(millis) != want {
			t.Errorf("%s: got %s, %v, want %s", text, FormatDuration(millis), err, want)
		}
	}
	for _, text := range []string{"", "h", "24", "-1h", "+1h", "1.5h", "1h30m", "1 h", "1H", "1y", "0s", "00s", "99999999999999999999s", "9223372036854775807w", "３h"} {
		if millis, err := ParseDuration(text); err == nil {
			t.Errorf("%q was read as %s", text, FormatDuration(millis))
		}
	}
}

// TestNumbersAreExact compares numbers that floats cannot tell apart.
func TestNumbersAreExact(t *testing.T) {
	t.Parallel()
	ordered := []string{
		"-1e999999999999999999999", "-1e400", "-9007199254740993", "-9007199254740992.5", "-9007199254740992", "-1", "-0.1", "-1e-400", "0",
		"1e-999999999999999999", "1e-400", "0.09999999999999999999", "0.1", "0.10000000000000000001", "1", "999999999999999999", "1000000000000000000",
		"9223372036854775807", "9223372036854775808", "18446744073709551615.5", "18446744073709551616", "1e400",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			n, ok := numberOf(b)
			if !ok {
				t.Fatalf("%s is no number", b)
			}
			if got, ok := compareNumber([]byte(a), &n); !ok || got != cmp.Compare(i, j) {
				t.Errorf("%s against %s: got %d, want %d", a, b, got, cmp.Compare(i, j))
			}
		}
	}
	for _, same := range [][2]string{{"100", "1e2"}, {"1.0", "1"}, {"-0", "0.00e5"}, {"0.5", "5E-1"}, {"1200e-2", "12"}, {"0.00120", "12e-4"}} {
		n, _ := numberOf(same[1])
		if got, ok := compareNumber([]byte(same[0]), &n); !ok || got != 0 {
			t.Errorf("%s against %s: got %d", same[0], same[1], got)
		}
	}
	for _, text := range []string{"", "-", "1.", ".5", "1e", "1e+", "0x1", "1_0", "NaN", "true", `"1"`, "1 ", "--1"} {
		if _, ok := numberOf(text); ok {
			t.Errorf("%q was read as a number", text)
		}
	}
}

// TestMoments reads dates and refuses what only looks like one.
func TestMoments(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]instant{
		"1970-01-01": {}, "2024-02-29": {sec: 1709164800}, "0000-03-01": {sec: -62162035200}, "1969-12-31T23:59:59.5Z": {sec: -1, nano: 500_000_000},
		"2026-01-01T01:30:00+01:30": {sec: 1767225600}, "2026-01-01 00:00:00.1234567899z": {sec: 1767225600, nano: 123456789},
		"2016-12-31T23:59:60Z": {sec: 1483228800},
	} {
		if got, ok := parseInstant(text); !ok || got != want {
			t.Errorf("%s: got %v %t, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "2026", "2026-1-1", "2026-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "2026-01-01T", "2026-01-01T00:00Z", "2026-01-01T00:00:00",
		"2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00+0100", "2026-01-01x",
		"2026-01-01T00:00:00ZZ",
	} {
		if got, ok := parseInstant(text); ok {
			t.Errorf("%q was read as %v", text, got)
		}
	}
	for raw, want := range map[string]instant{
		"0": {}, "-1.5": {sec: -2, nano: 500_000_000}, "1767225600": {sec: 1767225600}, "1767225600123": {sec: 1767225600, nano: 123_000_000},
		"1.7672256e9": {sec: 1767225600}, "1767225600123.5": {sec: 1767225600, nano: 123_500_000}, "1e-9": {nano: 1}, "99999999999": {sec: 99999999999},
		"1e18": {sec: math.MaxInt64}, "-1e400": {sec: math.MinInt64}, "-1767225600123": {sec: -1767225601, nano: 877_000_000},
	} {
		if got, ok := instantOf([]byte(raw)); !ok || got != want {
			t.Errorf("%s: got %v %t, want %v", raw, got, ok, want)
		}
	}
	for _, raw := range []string{"true", "null", "{}", `"soon"`, "1x"} {
		if got, ok := instantOf([]byte(raw)); ok {
			t.Errorf("%s was read as %v", raw, got)
		}
	}
}

package journey

import (
	"strconv"
	"strings"

	"rapport/internal/rule"
)

// span writes a length of time as the language does.
func span(ms int64) string {
	if ms == 0 {
		return "0s"
	}
	var b strings.Builder
	if ms < 0 {
		b.WriteByte('-')
		ms = -ms
	}
	for _, u := range [...]struct {
		name string
		ms   int64
	}{{"d", day}, {"h", 3_600_000}, {"m", 60_000}, {"s", 1000}, {"ms", 1}} {
		if n := ms / u.ms; n > 0 {
			b.WriteString(strconv.FormatInt(n, 10))
			b.WriteString(u.name)
			ms -= n * u.ms
		}
	}
	return b.String()
}

// summary says in one line what a rule was decided by: those of its conditions
// that carry the answer, with what was seen.
func summary(e rule.Explanation) string {
	var b strings.Builder
	summarize(&b, &e, e.Truth)
	return b.String()
}

func summarize(b *strings.Builder, e *rule.Explanation, truth bool) {
	if b.Len() > MaxNote {
		return
	}
	if len(e.Children) == 0 {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(e.Text)
		if e.Note != "" {
			b.WriteString(" (" + e.Note + ")")
		}
		return
	}
	for i := range e.Children {
		k := &e.Children[i]
		if e.Text == "not" {
			summarize(b, k, !truth)
		} else if k.Truth == e.Truth {
			summarize(b, k, truth)
		}
	}
}

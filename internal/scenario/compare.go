package scenario

import (
	"fmt"
	"strings"
	"time"
)

// Diff is one mail that is not as expected: one of Expected and Got may be nil.
type Diff struct {
	Expected *Expected
	At       time.Time // when it was expected
	Got      *Mail
	Fields   []Field // what differs, where there are both
}

// Field is one thing that differs.
type Field struct{ Name, Expected, Got string }

// compare holds what left against what was expected, exactly: each mail goes
// with one expectation. What fits in everything is paired first; of the rest,
// what is most alike, so that a difference names what to look at.
func compare(want []Expected, at []time.Time, got []Mail) []Diff {
	var out []Diff
	usedWant, usedGot := make([]bool, len(want)), make([]bool, len(got))
	pair := func(most int) {
		for i := range want {
			best, least := -1, most+1
			for k := range got {
				if usedWant[i] || usedGot[k] {
					continue
				}
				if d := distance(&want[i], at[i], &got[k]); d < least {
					best, least = k, d
				}
			}
			if best < 0 {
				continue
			}
			usedWant[i], usedGot[best] = true, true
			if fields := differences(&want[i], at[i], &got[best]); len(fields) > 0 {
				out = append(out, Diff{Expected: &want[i], At: at[i].In(got[best].At.Location()), Got: &got[best], Fields: fields})
			}
		}
	}
	for most := range akin + 1 {
		pair(most)
	}
	for i := range want {
		if !usedWant[i] {
			out = append(out, Diff{Expected: &want[i], At: at[i]})
		}
	}
	for k := range got {
		if !usedGot[k] {
			out = append(out, Diff{Got: &got[k]})
		}
	}
	return out
}

// akin is how unlike a mail may be and still be taken for the expected one.
const akin = 5

// distance tells how unlike a mail is what was expected; 0 is alike.
func distance(e *Expected, at time.Time, m *Mail) int {
	d := 0
	for _, f := range differences(e, at, m) {
		switch f.Name {
		case "to", "template":
			d += 3
		case "at":
			d += 2
		default:
			d++
		}
	}
	return d
}

// differences lists what is not as expected. Times are compared to the second:
// what is due at an instant leaves in the millisecond after it.
func differences(e *Expected, at time.Time, m *Mail) []Field {
	var out []Field
	if !m.At.Truncate(time.Second).Equal(at.Truncate(time.Second)) {
		out = append(out, Field{"at", at.In(m.At.Location()).Format(time.RFC3339), m.At.Truncate(time.Second).Format(time.RFC3339)})
	}
	for _, f := range [...]Field{
		{"to", e.To, m.To}, {"template", e.Template, m.Template}, {"journey", e.Journey, m.Journey}, {"step", e.Step, m.Step}, {"subject", e.Subject, m.Subject},
	} {
		if f.Expected != "" && f.Expected != f.Got && (f.Name != "to" || !strings.EqualFold(f.Expected, f.Got)) {
			out = append(out, f)
		}
	}
	out = holds(out, "text", e.Text, m.Text)
	out = holds(out, "html", e.HTML, m.HTML)
	for _, needle := range e.Without {
		for _, part := range [...]string{m.Text, m.HTML, m.Subject} {
			if strings.Contains(flat(part), flat(needle)) {
				out = append(out, Field{"without", fmt.Sprintf("nowhere %q", needle), around(part, needle)})
				break
			}
		}
	}
	return out
}

func holds(out []Field, name string, needles []string, part string) []Field {
	for _, needle := range needles {
		if !strings.Contains(flat(part), flat(needle)) {
			out = append(out, Field{name, fmt.Sprintf("somewhere %q", needle), cut(flat(part))})
		}
	}
	return out
}

// flat writes white space as single spaces: where lines break is nobody's wish.
func flat(s string) string { return strings.Join(strings.Fields(s), " ") }

// around shows a text in the words that stand beside it.
func around(s, needle string) string {
	s, needle = flat(s), flat(needle)
	i := strings.Index(s, needle)
	from, to := max(0, i-20), min(len(s), i+len(needle)+20)
	return strings.ToValidUTF8("…"+s[from:to]+"…", "")
}

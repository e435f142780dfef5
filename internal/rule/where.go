package rule

import "strings"

// Where is a conjunction of comparisons on the properties of an event. It is
// immutable and safe for use by many goroutines; nil matches every event.
type Where struct {
	terms []comparison
	text  string
}

// newWhere makes a Where of comparisons in whatever order.
func newWhere(terms []comparison) *Where {
	w := &Where{terms: sortComparisons(terms)}
	w.text = w.write()
	return w
}

// Match says whether an event with these properties counts. It allocates nothing.
func (w *Where) Match(props *Object) bool {
	if w == nil {
		return true
	}
	for i := range w.terms {
		c := &w.terms[i]
		if raw, ok := props.Get(c.path); !c.match(raw, ok) {
			return false
		}
	}
	return true
}

// Reads gives the paths of the properties that are compared, sorted; those of the
// objects of a list behind the list's own.
func (w *Where) Reads() []string {
	if w == nil {
		return nil
	}
	var out []string
	for i := range w.terms {
		c := &w.terms[i]
		if out = append(out, c.path); c.more != nil && c.more.items != nil {
			for _, below := range c.more.items.Reads() {
				out = append(out, c.path+"."+below)
			}
		}
	}
	return sortUnique(out)
}

// String gives the canonical text, which two Wheres share when they ask the
// same; "" for nil.
func (w *Where) String() string {
	if w == nil {
		return ""
	}
	return w.text
}

// write gives a mapping from paths to comparisons; where a path meets the same
// operator twice, a list of mappings.
func (w *Where) write() string {
	var maps [][]comparison
next:
	for _, c := range w.terms {
		for i, m := range maps {
			if last := m[len(m)-1]; last.path != c.path || last.op != c.op && last.folds() == c.folds() {
				maps[i] = append(m, c)
				continue next
			}
		}
		maps = append(maps, []comparison{c})
	}
	var b strings.Builder
	if len(maps) > 1 {
		b.WriteByte('[')
	}
	for i, m := range maps {
		if i > 0 {
			b.WriteString(", ")
		}
		writeTerms(&b, m)
	}
	if len(maps) > 1 {
		b.WriteByte(']')
	}
	return b.String()
}

// writeTerms writes one mapping. The terms of one path stand together.
func writeTerms(b *strings.Builder, terms []comparison) {
	b.WriteByte('{')
	for i := 0; i < len(terms); {
		j := i + 1
		for j < len(terms) && terms[j].path == terms[i].path {
			j++
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoteText(terms[i].path))
		b.WriteString(": ")
		if j == i+1 && terms[i].op == opIs && !terms[i].folds() {
			b.WriteString(terms[i].yaml)
		} else {
			b.WriteByte('{')
			writeOperators(b, terms[i:j])
			b.WriteByte('}')
		}
		i = j
	}
	b.WriteByte('}')
}

// writeOperators writes the comparisons of one path behind each other.
func writeOperators(b *strings.Builder, terms []comparison) {
	for i := range terms {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(terms[i].String())
	}
	if len(terms) > 0 && terms[0].folds() {
		b.WriteString(", " + ignoreCase + ": true")
	}
}

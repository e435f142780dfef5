package project

import (
	"rapport/internal/source"
)

// ReadMapping reads a mapping file that stands for itself: what elsewhere is the
// `file` section of a source. Every mistake is named at once.
func ReadMapping(name string, data []byte) (*source.Format, []Problem) {
	r := &report{}
	f := parse(name, data, r)
	if f.root == nil {
		return nil, sortProblems(r.problems)
	}
	format, problems := source.Parse(f.root)
	f.rule(problems)
	return format, sortProblems(r.problems)
}

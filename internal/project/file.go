package project

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Limits on what a folder may hold, so that reading one is always quick.
const (
	maxFileBytes = 1 << 20
	maxFiles     = 5000
	maxDepth     = 64
)

// file is one YAML file while it is being read. Everything that is wrong with
// it lands in the report it shares with the other files.
type file struct {
	path   string
	report *report
	root   *yaml.Node // the document's content, nil when the file cannot be read
}

// report gathers problems of all files.
type report struct {
	problems []Problem
}

func (r *report) add(p Problem) { r.problems = append(r.problems, p) }

// errorf adds an error at a node; the hint may be empty.
func (f *file) errorf(n *yaml.Node, hint, format string, args ...any) {
	f.problem(n, Error, hint, format, args...)
}

// warnf adds a warning at a node; the hint may be empty.
func (f *file) warnf(n *yaml.Node, hint, format string, args ...any) {
	f.problem(n, Warning, hint, format, args...)
}

func (f *file) problem(n *yaml.Node, s Severity, hint, format string, args ...any) {
	p := Problem{File: f.path, Severity: s, Message: fmt.Sprintf(format, args...), Hint: hint}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	f.report.add(p)
}

// parse reads a file's bytes into nodes. What YAML itself forbids, and what we
// forbid because it makes files hard to read (anchors, repeated keys, several
// documents), is reported here, so that no room has to.
func parse(path string, data []byte, r *report) *file {
	f := &file{path: path, report: r}
	switch {
	case len(data) > maxFileBytes:
		f.errorf(nil, "split it into several files", "the file has %d bytes, at most %d are read", len(data), maxFileBytes)
		return f
	case !utf8.Valid(data):
		f.errorf(nil, "save it as UTF-8", "the file is not UTF-8 text")
		return f
	}
	var doc yaml.Node
	if err := yaml.Load(data, &doc); err != nil {
		f.syntax(err)
		return f
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		f.errorf(nil, "write at least one key, or remove the file", "the file is empty")
		return f
	}
	root := doc.Content[0]
	if f.sound(root, 0) {
		f.root = root
	}
	return f
}

// syntax turns a parser's error into a problem.
func (f *file) syntax(err error) {
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		f.errorf(nil, "", "this is not YAML: %v", err)
		return
	}
	switch {
	case strings.Contains(le.Message, "no documents in stream"):
		f.errorf(nil, "write at least one key, or remove the file", "the file is empty")
		return
	case strings.Contains(le.Message, "found multiple"):
		f.errorf(nil, "remove the line ---, or make two files", "the file holds more than one YAML document")
		return
	}
	at := &yaml.Node{Line: le.Mark.Line, Column: le.Mark.Column}
	hint := ""
	if strings.Contains(le.Message, "cannot start any token") {
		hint = "indent with spaces, not tabs, and put quotes around values that begin with a special sign"
	}
	f.errorf(at, hint, "this is not YAML: %s", le.Message)
}

// sound refuses anchors, aliases, merge keys, repeated keys, keys that are not
// plain text, and nesting beyond reason.
func (f *file) sound(n *yaml.Node, depth int) bool {
	if depth > maxDepth {
		f.errorf(n, "", "nested deeper than %d levels", maxDepth)
		return false
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		f.errorf(n, "write the value out", "anchors and aliases (& and *) are not read")
		return false
	}
	ok := true
	if n.Kind == yaml.MappingNode {
		seen := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode {
				f.errorf(key, "put quotes around it", "a key must be plain text")
				ok = false
				continue
			}
			if line, twice := seen[key.Value]; twice {
				f.errorf(key, "keep one of them", "%q stands here again, first in line %d", key.Value, line)
				ok = false
				continue
			}
			seen[key.Value] = key.Line
		}
	}
	for _, c := range n.Content {
		ok = f.sound(c, depth+1) && ok
	}
	return ok
}

// Package project is the configuration folder: parse, cross-check, version,
// difference. What comes in are files written by people; what goes out is one
// checked configuration or every mistake at once, with file, line and what to
// write instead. Each room reads its own file's body; this one finds the files,
// holds what the rooms made of them against each other, and reports. It never
// applies anything by itself and never looks at a secret before it is asked to.
package project

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"rapport/internal/consent"
	"rapport/internal/content"
	"rapport/internal/journey"
	"rapport/internal/plan"
	"rapport/internal/purview"
	"rapport/internal/rule"
	"rapport/internal/segment"
	"rapport/internal/wording"
)

// Config is one folder that holds together.
type Config struct {
	Workspace Workspace
	Policy    *consent.Policy
	Sources   []Source              // by name
	Plans     *plan.Set             // the tracking plans; nil: there are none
	Purview   *purview.Table        // what each purpose may see; nil: everything
	Segments  []segment.Definition  // by name
	Journeys  []*journey.Definition // by name
	Templates map[string]*content.Template
	Providers []Provider               // by name
	Notices   []consent.Notice         // texts that are shown with choices, by file
	Pages     map[string]wording.Texts // what pages say, by language, where a folder says it
	Theme     wording.Theme
	// Destinations are who else is told what happens, by name.
	Destinations []Destination
	// Computed tells for what the traits may be used that journeys compute, or once
	// did: their values stay, and what they were made of with them.
	Computed map[string]purview.Use
	Files    map[string][]byte // what Digest and Version are about: path → content
	Digest   string
}

// Provider finds a provider by name.
func (c *Config) Provider(name string) (Provider, bool) {
	i := slices.IndexFunc(c.Providers, func(p Provider) bool { return p.Name == name })
	if i < 0 {
		return Provider{}, false
	}
	return c.Providers[i], true
}

// Source finds a source by name.
func (c *Config) Source(name string) (Source, bool) {
	i := slices.IndexFunc(c.Sources, func(s Source) bool { return s.Name == name })
	if i < 0 {
		return Source{}, false
	}
	return c.Sources[i], true
}

// Journey finds a journey by name.
func (c *Config) Journey(name string) (*journey.Definition, bool) {
	i := slices.IndexFunc(c.Journeys, func(d *journey.Definition) bool { return d.Name() == name })
	if i < 0 {
		return nil, false
	}
	return c.Journeys[i], true
}

// Load reads a folder. Problems are in order of file and line; with an error
// among them there is no configuration, with warnings alone there is one.
func Load(fsys fs.FS) (*Config, []Problem) { return LoadAfter(fsys, nil) }

// LoadAfter reads a folder that is to take the place of others, of which the last had
// these computed traits.
func LoadAfter(fsys fs.FS, former map[string]purview.Use) (*Config, []Problem) {
	return load(fsys, Error, former)
}

// LoadStored reads a folder that was in effect once. What it does for another purpose
// than its plan says was not refused by the program that checked it, so it is a
// warning: views hide it all the same, and a house that holds it opens and can be
// given a better one.
func LoadStored(fsys fs.FS, former map[string]purview.Use) (*Config, []Problem) {
	return load(fsys, Warning, former)
}

func load(fsys fs.FS, outside Severity, former map[string]purview.Use) (*Config, []Problem) {
	l := loading(fsys, outside, former)
	l.find()
	l.read()
	l.cross()
	problems := sortProblems(l.report.problems)
	if Errors(problems) > 0 {
		return nil, problems
	}
	l.config.Files, l.config.Digest = l.files, Digest(l.files)
	return &l.config, problems
}

// Digest names the content of a folder: "sha256:" and the hash over the sorted
// paths, lengths and bytes of its files.
func Digest(files map[string][]byte) string {
	h := sha256.New()
	for _, p := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%d %s %d\n", len(p), p, len(files[p]))
		_, _ = h.Write(files[p]) // A hash never fails to be written to.
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// loader carries one reading of a folder.
type loader struct {
	fsys    fs.FS
	outside Severity // of what is used for another purpose
	former  map[string]purview.Use
	report  *report
	files   map[string][]byte
	parsed  map[string]*file        // the YAML files that could be read
	refs    map[string]journey.Refs // of each journey, also of those with mistakes
	plans   []*plan.Document
	lent    map[string]bool // "TEMPLATE/FILE" of partials that all templates share
	config  Config
}

// The folders that hold one thing a file.
var folders = []string{"sources", "plan", "segments", "journeys", "providers", "destinations", "pages"}

// find reads every file that belongs to the configuration. What does not
// belong there and looks as if it should is reported; the rest (a README, keys,
// what begins with a dot) is left alone.
func (l *loader) find() {
	entries, err := fs.ReadDir(l.fsys, ".")
	if err != nil {
		l.report.add(Problem{File: ".", Severity: Error, Message: "the folder cannot be read", Hint: "make one with `rapport init DIR`"})
		return
	}
	known := append([]string{"templates", "notices"}, folders...)
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, "."):
		case e.IsDir() && slices.Contains(known, name):
			l.findIn(name)
		case e.IsDir():
			if near, ok := nearest(name, known); ok {
				l.report.add(Problem{File: name, Severity: Error, Message: "this folder is not read", Hint: fmt.Sprintf("did you mean %q?", near)})
			}
		case name == "rapport.yaml" || name == "purposes.yaml" || name == "theme.yaml":
			l.take(name)
		case isYAML(name):
			l.report.add(Problem{File: name, Severity: Error, Message: "this file is not read", Hint: didYouMean(name, []string{"rapport.yaml", "purposes.yaml", "theme.yaml"})})
		}
	}
	for _, must := range []struct{ name, hint string }{
		{"rapport.yaml", "it names the workspace and how mails leave; `rapport init DIR` writes one to start from"},
		{"purposes.yaml", "it says why personal data is used; `rapport init DIR` writes one to start from"},
	} {
		if _, ok := l.files[must.name]; !ok {
			l.report.add(Problem{File: must.name, Severity: Error, Message: "the file is missing", Hint: must.hint})
		}
	}
}

// findIn reads the files of one of the folders; templates have folders below.
func (l *loader) findIn(dir string) {
	err := fs.WalkDir(l.fsys, dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(p)
		switch {
		case p == dir:
		case strings.HasPrefix(base, ".") && d.IsDir():
			return fs.SkipDir
		case strings.HasPrefix(base, "."):
		case d.IsDir() && dir != "templates":
			l.report.add(Problem{File: p, Severity: Error, Message: "this folder is not read", Hint: fmt.Sprintf("put the files into %s/ itself", dir)})
			return fs.SkipDir
		case d.IsDir():
		case dir == "templates", dir == "notices" && strings.HasSuffix(base, ".md"):
			l.take(p)
		case dir == "notices":
			l.report.add(Problem{File: p, Severity: Error, Message: "this file is not read", Hint: "a notice is NAME.LANGUAGE.md"})
		case strings.HasSuffix(base, ".yaml"):
			if name := strings.TrimSuffix(base, ".yaml"); !isName(name) {
				l.report.add(Problem{File: p, Severity: Error, Message: fmt.Sprintf("%q cannot be a name", name), Hint: "use lower-case letters, digits, - and _, beginning with a letter"})
				return nil
			}
			l.take(p)
		case isYAML(base):
			l.report.add(Problem{File: p, Severity: Error, Message: "this file is not read", Hint: "give it a name that ends in .yaml"})
		}
		return nil
	})
	if err != nil {
		l.report.add(Problem{File: dir, Severity: Error, Message: "the folder cannot be read"})
	}
}

func isYAML(name string) bool { e := path.Ext(name); return e == ".yaml" || e == ".yml" }

// take reads one file; YAML is parsed at once.
func (l *loader) take(p string) {
	if len(l.files) == maxFiles {
		l.report.add(Problem{File: p, Severity: Error, Message: fmt.Sprintf("the folder has more than %d files", maxFiles)})
	}
	if len(l.files) >= maxFiles {
		return
	}
	b, err := fs.ReadFile(l.fsys, p)
	if err != nil {
		l.report.add(Problem{File: p, Severity: Error, Message: "the file cannot be read"})
		return
	}
	l.files[p] = b
	if !isYAML(p) {
		if len(b) > maxFileBytes {
			l.report.add(Problem{File: p, Severity: Error, Message: fmt.Sprintf("the file has %d bytes, at most %d are read", len(b), maxFileBytes)})
		}
		return
	}
	if f := parse(p, b, l.report); f.root != nil {
		l.parsed[p] = f
	}
}

// in lists the parsed files of a folder, by name.
func (l *loader) in(dir string) []named {
	var out []named
	for _, p := range slices.Sorted(maps.Keys(l.parsed)) {
		if path.Dir(p) == dir {
			out = append(out, named{strings.TrimSuffix(path.Base(p), ".yaml"), l.parsed[p]})
		}
	}
	return out
}

type named struct {
	name string
	file *file
}

// read gives each file to the room it belongs to.
func (l *loader) read() {
	c := &l.config
	if f := l.parsed["rapport.yaml"]; f != nil {
		c.Workspace = workspace(f)
	}
	if f := l.parsed["purposes.yaml"]; f != nil {
		l.readPurposes(f)
	}
	for _, n := range l.in("sources") {
		c.Sources = append(c.Sources, readSource(n.file, n.name))
	}
	l.readPlans()
	for _, n := range l.in("providers") {
		c.Providers = append(c.Providers, provider(n.file, n.name))
	}
	for _, n := range l.in("destinations") {
		c.Destinations = append(c.Destinations, destination(n.file, n.name))
	}
	for _, n := range l.in("segments") {
		d, problems := segment.Parse(n.name, n.file.root)
		n.file.rule(problems)
		if d.Rule != nil {
			c.Segments = append(c.Segments, d)
		}
	}
	l.readJourneys()
	l.readTemplates()
	l.readNotices()
	l.readPages()
}

func (l *loader) readPurposes(f *file) {
	policy, problems := consent.ParsePolicy(f.root)
	for _, p := range problems {
		s := Error
		if p.Warning {
			s = Warning
		}
		f.problem(at(p.Line, p.Column), s, p.Hint, "%s", p.Message)
	}
	l.config.Policy = policy
}

// rule adds what the rule language found in a file.
func (f *file) rule(problems []rule.Problem) {
	for _, p := range problems {
		f.errorf(at(p.Line, p.Column), p.Hint, "%s", p.Message)
	}
}

func at(line, column int) *yaml.Node {
	return &yaml.Node{Line: line, Column: column}
}

// find walks down mappings by key to the node a message is about; the nearest
// one that is there is given.
func (f *file) find(keys ...string) *yaml.Node {
	n := f.root
	for _, k := range keys {
		next := child(n, k)
		if next == nil {
			break
		}
		n = next
	}
	return n
}

func child(n *yaml.Node, key string) *yaml.Node {
	if i, err := strconv.Atoi(key); err == nil && n.Kind == yaml.SequenceNode {
		if i < len(n.Content) {
			return n.Content[i]
		}
		return nil
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

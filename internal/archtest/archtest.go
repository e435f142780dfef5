// Package archtest keeps the plan of the house true. What comes in are the
// source tree and three lists (rooms, exceptions, dependencies); what goes out
// is every place where the tree breaks them: a room that imports one below it
// or is not listed, a package without its comment, a clock, chance or the
// environment read outside the roof, SQL outside its home, a module nobody
// allowed, the means of tests in the product. It runs as a test only and is never part of the product.
package archtest

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed rooms.txt
var roomsText []byte

//go:embed exceptions.txt
var exceptionsText []byte

//go:embed dependencies.txt
var dependenciesText []byte

// Plan is the three lists.
type Plan struct {
	Module       string                // the module's own path
	Rooms        []string              // below internal/, in walking order
	Exceptions   map[[2]string]string  // room and thing → why
	Dependencies map[string]Dependency // by module path
}

// Dependency is a module that may be imported.
type Dependency struct {
	Tests bool // by tests only
	Why   string
}

// Finding is one place that breaks the plan.
type Finding struct {
	Where string
	What  string
}

// String gives the finding in one line.
func (f Finding) String() string { return f.Where + ": " + f.What }

// HousePlan gives the plan of this house.
func HousePlan() (Plan, error) {
	p := Plan{Module: "rapport", Exceptions: map[[2]string]string{}, Dependencies: map[string]Dependency{}}
	for _, line := range lines(roomsText) {
		p.Rooms = append(p.Rooms, line[0])
	}
	for _, line := range lines(exceptionsText) {
		if len(line) < 3 {
			return p, fmt.Errorf("exceptions.txt: %q gives no reason", strings.Join(line, " "))
		}
		p.Exceptions[[2]string{line[0], line[1]}] = strings.Join(line[2:], " ")
	}
	for _, line := range lines(dependenciesText) {
		if len(line) < 3 || line[1] != "product" && line[1] != "tests" {
			return p, fmt.Errorf("dependencies.txt: %q must be a path, product or tests, and a reason", strings.Join(line, " "))
		}
		p.Dependencies[line[0]] = Dependency{Tests: line[1] == "tests", Why: strings.Join(line[2:], " ")}
	}
	return p, nil
}

// lines splits a list into words, without comments and empty lines.
func lines(text []byte) [][]string {
	var out [][]string
	s := bufio.NewScanner(bytes.NewReader(text))
	for s.Scan() {
		if words := strings.Fields(s.Text()); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			out = append(out, words)
		}
	}
	return out
}

// source is one Go file.
type source struct {
	path string // from the root of the tree
	dir  string
	room string // path below internal/, "" outside of it
	test bool
	file *ast.File
}

// check carries one reading of a tree.
type check struct {
	plan     Plan
	set      *token.FileSet
	findings []Finding
	used     map[string]bool // modules
	needed   map[[2]string]bool
}

// Check reads all Go files of a tree and names what breaks the plan, in order.
func Check(tree fs.FS, plan Plan) ([]Finding, error) {
	c := &check{plan: plan, set: token.NewFileSet(), used: map[string]bool{}, needed: map[[2]string]bool{}}
	sources, err := c.read(tree)
	if err != nil {
		return nil, err
	}
	c.rooms(sources)
	c.comments(sources)
	for _, s := range sources {
		c.imports(s)
		c.things(s)
		c.sql(s)
	}
	c.leftovers()
	slices.SortFunc(c.findings, func(a, b Finding) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(c.findings), nil
}

func (c *check) add(where, format string, args ...any) {
	c.findings = append(c.findings, Finding{where, fmt.Sprintf(format, args...)})
}

// read parses every Go file, but not what belongs to other tools.
func (c *check) read(tree fs.FS) ([]source, error) {
	var out []source
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(p)
		if d.IsDir() {
			if base == "node_modules" || base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") && p != "." {
				return fs.SkipDir
			}
			if _, err := fs.Stat(tree, path.Join(p, "go.mod")); err == nil && p != "." {
				return fs.SkipDir // Another module, with a plan of its own.
			}
			return nil
		}
		if path.Ext(p) != ".go" {
			return nil
		}
		body, err := fs.ReadFile(tree, p)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(c.set, p, body, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		s := source{path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), file: file}
		if room, ok := strings.CutPrefix(s.dir, "internal/"); ok {
			s.room = room
		}
		out = append(out, s)
		return nil
	})
	return out, err
}

// self is the one package under internal/ that is no room.
const self = "archtest"

// rooms holds the packages that are there against the list.
func (c *check) rooms(sources []source) {
	there := map[string]bool{}
	for _, s := range sources {
		if s.room != "" && s.room != self && !s.test {
			there[s.room] = true
		}
	}
	for room := range there {
		if !slices.Contains(c.plan.Rooms, room) {
			c.add("internal/"+room, "the room is not listed in rooms.txt")
		}
	}
	for i, room := range c.plan.Rooms {
		if !there[room] {
			c.add("internal/"+room, "the room is listed in rooms.txt and is not there")
		}
		if slices.Index(c.plan.Rooms, room) != i {
			c.add("internal/"+room, "the room is listed twice in rooms.txt")
		}
	}
}

// comments wants one package comment, in the file of the package's own name.
func (c *check) comments(sources []source) {
	packages := map[string][]source{}
	for _, s := range sources {
		if !s.test {
			packages[s.dir] = append(packages[s.dir], s)
		}
	}
	for dir, files := range packages {
		name := files[0].file.Name.Name
		home := path.Join(dir, name+".go")
		opening := "Package " + name + " "
		if name == "main" {
			home, opening = path.Join(dir, "main.go"), "Command "+path.Base(dir)+" "
		}
		found := false
		for _, s := range files {
			switch doc := s.file.Doc.Text(); {
			case s.path == home && strings.HasPrefix(doc, opening):
				found = true
			case s.path != home && doc != "":
				c.add(s.path, "the package comment belongs into %s", home)
			}
		}
		if !found {
			c.add(home, "the package comment is missing: it begins with %q", opening)
		}
	}
}

// imports holds what a file imports against the order of rooms and the list of
// modules.
func (c *check) imports(s source) {
	for _, spec := range s.file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if below, ok := strings.CutPrefix(target, c.plan.Module+"/"); ok {
			c.inside(s, below)
			continue
		}
		first, _, _ := strings.Cut(target, "/")
		if strings.Contains(first, ".") {
			c.outside(s, target)
		}
		if first == "testing" && !s.test && !testRoom(s.room) {
			c.add(s.path, "%s is for tests only", target)
		}
	}
}

// inside judges an import of our own.
func (c *check) inside(s source, target string) {
	room, ok := strings.CutPrefix(target, "internal/")
	switch {
	case s.room == "" || s.test:
		return // Commands and tests may import every room.
	case !ok:
		c.add(s.path, "a room imports %s, which is no room", target)
		return
	}
	from, to := slices.Index(c.plan.Rooms, s.room), slices.Index(c.plan.Rooms, room)
	if from >= 0 && to >= from {
		c.add(s.path, "%s imports %s, which is not above it", s.room, room)
	}
	if room == self {
		c.add(s.path, "%s imports %s, which only runs as a test", s.room, room)
	}
}

// outside judges an import of a module of others.
func (c *check) outside(s source, target string) {
	module := ""
	for m := range c.plan.Dependencies {
		if (target == m || strings.HasPrefix(target, m+"/")) && len(m) > len(module) {
			module = m
		}
	}
	if module == "" {
		c.add(s.path, "%s belongs to no module of dependencies.txt", target)
		return
	}
	c.used[module] = true
	if c.plan.Dependencies[module].Tests && !s.test && !testRoom(s.room) {
		c.add(s.path, "%s is for tests only", module)
	}
}

// testRoom tells whether a room holds a contract that tests pass and is never
// linked into the product.
func testRoom(room string) bool { return room == self || strings.HasSuffix(room, "test") }

// roof are the rooms that may read clocks, chance and the environment.
var roof = []string{"app", self}

// Rand is how an exception names the packages of chance.
const Rand = "math-or-crypto-rand"

var forbidden = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep"},
	"os":   {"Getenv", "LookupEnv", "Environ", "ExpandEnv"},
}

// things finds clocks, chance and the environment where they do not belong.
func (c *check) things(s source) {
	if s.room == "" || s.test || slices.Contains(roof, s.room) {
		return
	}
	names := map[string]string{} // local name → package
	for _, spec := range s.file.Imports {
		target, _ := strconv.Unquote(spec.Path.Value)
		local := path.Base(target)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		names[local] = target
		if target == "math/rand" || target == "math/rand/v2" || target == "crypto/rand" {
			c.thing(s, spec, Rand, "chance is handed in, not drawn in a room")
		}
		if local == "." {
			c.add(c.at(spec), "a dot import hides what is used")
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok || !slices.Contains(forbidden[names[x.Name]], sel.Sel.Name) {
			return true
		}
		c.thing(s, sel, names[x.Name]+"."+sel.Sel.Name, "clocks and the environment are handed in, not read in a room")
		return true
	})
}

func (c *check) thing(s source, n ast.Node, thing, why string) {
	key := [2]string{s.room, thing}
	if _, allowed := c.plan.Exceptions[key]; allowed {
		c.needed[key] = true
		return
	}
	c.add(c.at(n), "%s: %s", thing, why)
}

func (c *check) at(n ast.Node) string {
	p := c.set.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// Where SQL may stand.
func homeOfSQL(room string) bool {
	return room == "store/pgstore" || strings.HasPrefix(room, "store/pgstore/") ||
		room == "store/sqlitestore" || strings.HasPrefix(room, "store/sqlitestore/")
}

var statement = regexp.MustCompile(`(?is)^\s*(select\s.+\sfrom\s|insert\s+(or\s+\w+\s+)?into\s|update\s+\w+\s+set\s|delete\s+from\s|create\s+(table|(unique\s+)?index)\s|pragma\s+\w)`)

// sql finds statements and drivers outside their home.
func (c *check) sql(s source) {
	if s.test || homeOfSQL(s.room) || s.room == self {
		return
	}
	for _, spec := range s.file.Imports {
		target, _ := strconv.Unquote(spec.Path.Value)
		if target == "database/sql" || strings.HasPrefix(target, "github.com/ncruces/") || strings.HasPrefix(target, "github.com/jackc/") {
			c.add(c.at(spec), "%s: databases are spoken to in the store only", target)
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		if text, err := strconv.Unquote(lit.Value); err == nil && statement.MatchString(text) {
			c.add(c.at(lit), "SQL stands in the store only")
		}
		return true
	})
}

// leftovers names what the lists allow and nothing needs.
func (c *check) leftovers() {
	for key := range c.plan.Exceptions {
		if !c.needed[key] {
			c.add("exceptions.txt", "%s no longer needs %s", key[0], key[1])
		}
	}
	for m := range c.plan.Dependencies {
		if !c.used[m] {
			c.add("dependencies.txt", "nothing imports %s", m)
		}
	}
}

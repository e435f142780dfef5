package schema

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"rapport/internal/project"
)

// place is one mapping of a file: the table that describes it, and a file in
// which KEY stands where a key of it may stand.
type place struct {
	name string
	path string // of the file in the folder; "" for a mapping file of its own
	text string
	of   *Type
	not  []string // keys that the table has for another place of the same type
}

// at follows keys into a type, through lists and choices.
func at(t *Type, path ...string) *Type {
	if len(path) == 0 {
		return t
	}
	for _, k := range t.Keys {
		if k.Name == path[0] {
			return at(inner(k.Type), path[1:]...)
		}
	}
	panic(fmt.Sprintf("the table has no %v", path))
}

// inner gives the mapping in a value that may be written in several ways.
func inner(t *Type) *Type {
	switch t.Kind {
	case List:
		return inner(t.Item)
	case Choice:
		for _, o := range t.OneOf {
			if m := inner(o); m != nil && m.Kind == Mapping {
				return m
			}
		}
		return nil
	case Mapping:
		if len(t.Keys) == 0 && t.Others != nil {
			return inner(t.Others)
		}
	}
	return t
}

// mains gives the first keys of mappings of which one is written.
func mains(t *Type) *Type {
	out := &Type{Kind: Mapping}
	for _, o := range t.OneOf {
		if o.Kind == Mapping {
			out.Keys = append(out.Keys, o.Keys[0])
		}
	}
	return out
}

func places() []place {
	const head = "workspace: a\nbase_url: https://mail.shop.example\n"
	const trip = "purpose: service\ntrigger: {event: X}\n"
	journeyWith := func(steps string) string { return trip + "steps:\n  - " + steps + "\n" }
	ruleWith := func(rule string) string { return "rule: " + rule + "\n" }
	inRule := func(rule string) string { return trip + "steps:\n  - if: " + rule + "\n    then: [stop]\n" }
	const rows = "format: csv\n"
	const event = rows + "event: {user_id: u, timestamp: t, KEY: x}\n"
	return []place{
		{"rapport", "rapport.yaml", head + "sending: {from: a@shop.example}\nKEY: x\n", workspace, nil},
		{"sending", "rapport.yaml", head + "sending: {from: a@shop.example, KEY: x}\n", at(workspace, "sending"), nil},
		{"quiet_hours", "rapport.yaml", head + "sending: {from: a@shop.example, quiet_hours: {KEY: x}}\n", at(workspace, "sending", "quiet_hours"), nil},
		{"caps", "rapport.yaml", head + "sending: {from: a@shop.example, caps: [{KEY: x}]}\n", at(workspace, "sending", "caps"), nil},
		{"events", "rapport.yaml", head + "events: {KEY: x}\n", at(workspace, "events"), nil},
		{"rapport consent", "rapport.yaml", head + "sending: {from: a@shop.example}\nconsent: {KEY: x}\n", at(workspace, "consent"), nil},
		{"theme", "theme.yaml", "KEY: x\n", theme, nil},
		{"light", "theme.yaml", "light: {KEY: x}\n", at(theme, "light"), nil},
		{"page", "pages/fr.yaml", "KEY: x\n", page, nil},
		{"limits", "rapport.yaml", head + "limits: {KEY: x}\n", at(workspace, "limits"), nil},
		{"purposes", "purposes.yaml", "KEY: x\n", purposes, nil},
		{"a purpose", "purposes.yaml", "purposes: {service: {KEY: x}}\n", at(purposes, "purposes"), nil},
		{"source", "sources/site.yaml", "KEY: x\n", source, nil},
		{"plan", "plan/p.yaml", "KEY: x\n", plan, nil},
		{"a source of a plan", "plan/p.yaml", "sources: {site: {KEY: x}}\n", planSource, nil},
		{"a planned event", "plan/p.yaml", "events: {A: {KEY: x}}\n", plannedEvent, nil},
		{"a version", "plan/p.yaml", "events: {A: {versions: {1: {KEY: x}}}}\n", plannedVersion, []string{"properties"}},
		{"a field", "plan/p.yaml", "traits: {a: {KEY: x}}\n", field, nil},
		{"personal data", "plan/p.yaml", "personal_data: {KEY: x}\n", personalData, nil},
		{"file", "", "KEY: x\n", mapping, nil},
		{"event", "", event, mappedEvent, nil},
		{"consent", "", rows + "consent: [{KEY: x}]\n", mappedConsent, nil},
		{"provider", "providers/inbox.yaml", "KEY: x\n", provider, nil},
		{"destination", "destinations/d.yaml", "KEY: x\n", told, nil},
		{"auth", "providers/inbox.yaml", "kind: smtp\nhost: h.example\nauth: {KEY: x}\n", at(provider, "auth"), nil},
		{"pacing", "providers/inbox.yaml", "kind: devinbox\npacing: {KEY: x}\n", at(provider, "pacing"), nil},
		{"dkim", "providers/inbox.yaml", "kind: devinbox\ndkim: [{KEY: x}]\n", at(provider, "dkim"), nil},
		{"segment", "segments/s.yaml", "KEY: x\n", segment, nil},
		{"a condition", "journeys/j.yaml", inRule("{KEY: x}"), mains(rule), nil},
		{"did", "segments/s.yaml", ruleWith("{did: X, KEY: x}"), did, []string{"since"}},
		{"did in a journey", "journeys/j.yaml", inRule("{did: X, KEY: x}"), did, nil},
		{"count", "segments/s.yaml", ruleWith("{did: X, count: {KEY: 1}}"), count, nil},
		{"trait", "segments/s.yaml", ruleWith("{trait: X, KEY: x}"), trait, nil},
		{"property", "journeys/j.yaml", inRule("{property: X, KEY: x}"), property, nil},
		{"where", "segments/s.yaml", ruleWith("{did: X, where: {a: {KEY: x}}}"), comparison, nil},
		{"journey", "journeys/j.yaml", "KEY: x\n", journey, nil},
		{"trigger", "journeys/j.yaml", "trigger: {KEY: x}\n", at(journey, "trigger"), nil},
		{"reentry", "journeys/j.yaml", "reentry: {KEY: x}\n", at(journey, "reentry"), nil},
		{"a step", "journeys/j.yaml", journeyWith("{KEY: x}"), mains(steps.Item), nil},
		{"send", "journeys/j.yaml", journeyWith("{send: a, KEY: x}"), sendStep, nil},
		{"wait", "journeys/j.yaml", journeyWith("{wait: 1h, KEY: x}"), waitStep, nil},
		{"a wait", "journeys/j.yaml", journeyWith("wait: {KEY: x}"), at(waitStep, "wait"), nil},
		{"until", "journeys/j.yaml", journeyWith("wait: {until: {KEY: x}}"), until, nil},
		{"wait_for", "journeys/j.yaml", journeyWith("{wait_for: {event: X, timeout: 1h}, KEY: x}"), waitForStep, nil},
		{"a wait_for", "journeys/j.yaml", journeyWith("wait_for: {KEY: x}"), waitFor, nil},
		{"if", "journeys/j.yaml", journeyWith("{if: {did: X}, KEY: x}"), ifStep, nil},
		{"a branch", "journeys/j.yaml", journeyWith("if: [{when: {did: X}, KEY: x}]"), inner(ifStep.Keys[0].Type.OneOf[1]), nil},
		{"set", "journeys/j.yaml", journeyWith("{set: {a: b}, KEY: x}"), setStep, nil},
		{"stop", "journeys/j.yaml", journeyWith("{stop: a, KEY: x}"), stopStep, nil},
		{"template", "templates/t/template.yaml", "KEY: x\n", template, nil},
		{"subject", "templates/t/template.yaml", "subject: {KEY: x}\n", inner(line), nil},
		{"blocks", "templates/t/template.yaml", "blocks: {a: {KEY: x}}\n", at(template, "blocks"), nil},
	}
}

// folderWith is a folder without a mistake but for one file.
func folderWith(path, text string) fs.FS {
	files := fstest.MapFS{
		"rapport.yaml":         {Data: []byte("workspace: a\nbase_url: https://mail.shop.example\nsending: {from: a@shop.example}\n")},
		"purposes.yaml":        {Data: []byte("purposes: {service: {basis: contract}}\n")},
		"sources/site.yaml":    {Data: []byte("kind: server\npurpose: service\nbasis: contract\n")},
		"providers/inbox.yaml": {Data: []byte("kind: devinbox\n")},
	}
	files[path] = &fstest.MapFile{Data: []byte(text)}
	if strings.HasPrefix(path, "templates/") {
		files["templates/t/body.html"] = &fstest.MapFile{Data: []byte("<p>x</p>")}
	}
	return files
}

// nobody is a key that no mapping has.
const nobody = "zqxjkv"

// conflicts are what parsers say of a key that they know from elsewhere and that
// makes no sense here: it is not one of this mapping.
var conflicts = regexp.MustCompile(`are two conditions|a step is one thing|is not part of the rule language`)

// said gives what is said of a file with this key.
func (p place) said(key string) []string {
	text := strings.Replace(p.text, "KEY", key, 1)
	var problems []project.Problem
	if p.path == "" {
		_, problems = project.ReadMapping("mapping.yaml", []byte(text))
	} else {
		_, problems = project.Load(folderWith(p.path, text))
	}
	var out []string
	for _, q := range problems {
		if p.path == "" || q.File == p.path {
			out = append(out, q.Message)
		}
	}
	return out
}

// unknown tells whether a message is about a key that nobody has. Of a step that
// begins with none of its words the message does not name the key.
func unknown(m string) bool { return strings.Contains(m, nobody) || m == "a step says what to do" }

// knows tells whether the parser knows a key in this place: it does not say of it
// what it says of a key that nobody has.
func (p place) knows(key string, ofNobody []string) bool {
	said := p.said(key)
	if slices.ContainsFunc(said, conflicts.MatchString) {
		return false
	}
	for _, m := range ofNobody {
		if unknown(m) && slices.Contains(said, strings.ReplaceAll(m, nobody, key)) {
			return false
		}
	}
	return true
}

// TestEveryKeyIsInTheTables tries every word that stands in the parsers' sources
// as a key of every mapping: the tables have exactly those that are known.
func TestEveryKeyIsInTheTables(t *testing.T) {
	t.Parallel()
	words := wordsOfParsers(t)
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ofNobody := p.said(nobody)
			if !slices.ContainsFunc(ofNobody, func(m string) bool { return unknown(m) }) {
				t.Fatalf("nothing is said of a key that nobody has: %q", ofNobody)
			}
			has := map[string]bool{}
			for _, k := range p.of.Keys {
				has[k.Name] = true
				stands := strings.Contains(p.text, k.Name+":")
				if !stands && !slices.Contains(p.not, k.Name) && !p.knows(k.Name, ofNobody) {
					t.Errorf("internal/schema lists the key %q of %s, and the parser does not know it: take it out", k.Name, p.name)
				}
				if k.Doc == "" {
					t.Errorf("the key %q of %s is not explained in internal/schema", k.Name, p.name)
				}
			}
			for _, w := range words {
				if !has[w] && !strings.Contains(p.text, w+":") && p.knows(w, ofNobody) {
					t.Errorf("the parser knows the key %q of %s, and internal/schema does not list it: add it there with what it means", w, p.name)
				}
			}
		})
	}
}

// wordsOfParsers gives every text in the sources of the rooms that read files
// which could be a key.
func wordsOfParsers(t *testing.T) []string {
	t.Helper()
	form := regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	seen := map[string]bool{}
	for _, room := range []string{"project", "source", "consent", "plan", "segment", "rule", "journey", "content", "wording"} {
		files, err := filepath.Glob("../" + room + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("no sources of %s: %v", room, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tree, err := parser.ParseFile(token.NewFileSet(), file, b, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					if s, err := strconv.Unquote(l.Value); err == nil && form.MatchString(s) && s != "null" {
						seen[s] = true
					}
				}
				return true
			})
		}
	}
	out := make([]string, 0, len(seen))
	for w := range seen {
		out = append(out, w)
	}
	slices.Sort(out)
	return out
}

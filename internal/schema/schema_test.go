package schema

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"rapport/internal/project"
)

// compiled gives the schema of a kind of file as a validator reads it.
func compiled(t *testing.T, f File) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(f.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(f.Name+".json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(f.Name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kindOf tells which schema a file of a folder has, "" for none.
func kindOf(p string) string {
	switch {
	case p == "rapport.yaml":
		return "rapport"
	case p == "purposes.yaml":
		return "purposes"
	case p == "theme.yaml":
		return "theme"
	case path.Base(p) == "template.yaml":
		return "template"
	}
	if dir, _, ok := strings.Cut(p, "/"); ok && strings.HasSuffix(p, ".yaml") {
		return strings.TrimSuffix(dir, "s")
	}
	return ""
}

// value turns YAML into what a JSON reader would have given.
func value(n *yaml.Node) any {
	switch n.Kind {
	case yaml.DocumentNode:
		return value(n.Content[0])
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = value(n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			out = append(out, value(c))
		}
		return out
	}
	var v any
	if tag := n.ShortTag(); tag == "!!timestamp" || n.Decode(&v) != nil {
		return n.Value
	}
	return v
}

// TestExamplesFollowTheSchemas holds every file that the project ships against
// its schema, with a validator of somebody else's.
func TestExamplesFollowTheSchemas(t *testing.T) {
	t.Parallel()
	schemas := map[string]*jsonschema.Schema{}
	for _, f := range Files() {
		schemas[f.Name] = compiled(t, f)
	}
	seen := map[string]int{}
	check := func(name, kind string, b []byte) {
		var n yaml.Node
		if err := yaml.Load(b, &n); err != nil {
			t.Fatal(err)
		}
		if err := schemas[kind].Validate(value(&n)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		seen[kind]++
	}
	for name, b := range project.Scaffold() {
		if kind := kindOf(name); kind != "" {
			check("scaffold/"+name, kind, b)
		}
	}
	for _, dir := range []string{"../../examples/shop/config", "../../examples/cdnow"} {
		fsys := os.DirFS(dir)
		err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || kindOf(p) == "" {
				return err
			}
			b, err := fs.ReadFile(fsys, p)
			check(dir+"/"+p, kindOf(p), b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile("../../examples/shop/import/customers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	check("customers.yaml", "mapping", b)
	manual, err := os.ReadFile("../../docs/destinations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```yaml\n(# destinations/\\S+\\.yaml.*?)^```").FindAllSubmatch(manual, -1) {
		check("docs/destinations.md", "destination", m[1])
	}
	for _, f := range Files() {
		if seen[f.Name] == 0 {
			t.Errorf("no example of %s was looked at", f.Name)
		}
	}
}

// TestSchemasRefuse shows that the schemas say no to what nobody can mean.
func TestSchemasRefuse(t *testing.T) {
	t.Parallel()
	for text, kind := range map[string]string{
		"rule: {did: X, with_in: 7d}\n":                                                      "segment",
		"rule: {did: X, within: soon}\n":                                                     "segment",
		"title: nothing\n":                                                                   "segment",
		"kind: server\npurpose: service\nbasis: fun\n":                                       "source",
		"purpose: p\ntrigger: {event: X}\nsteps: [{wait: 1h, then: [stop]}]\n":               "journey",
		"purpose: p\ntrigger: {event: X}\nsteps: [{if: {did: X}, then: [{wait_fro: 1h}]}]\n": "journey",
		"format: xml\n": "mapping",
		"kind: smtp\nhost: h.example\npacing: {connections: many}\n":                          "provider",
		"workspace: a\nbase_url: https://a.example\nsending: {from: a@b.example, capz: []}\n": "rapport",
		"purposes: {service: {basis: contract, gpc: perhaps}}\n":                              "purposes",
		"purpose: service\nsubject: {texts: a}\n":                                             "template",
	} {
		f, ok := Find(kind)
		if !ok {
			t.Fatal(kind)
		}
		var n yaml.Node
		if err := yaml.Load([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		if compiled(t, f).Validate(value(&n)) == nil {
			t.Errorf("%s takes\n%s", kind, text)
		}
	}
}

// TestReservedEventsAreOffered holds that editors can complete the names of
// reserved events where a rule asks for an event, and take any other.
func TestReservedEventsAreOffered(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"segment", "journey"} {
		f, ok := Find(name)
		if !ok || !strings.Contains(string(f.JSON()), `"Order Completed"`) {
			t.Errorf("the schema %s offers no event", name)
		}
	}
	f, _ := Find("segment")
	for _, event := range []string{"Order Completed", "Lesson Finished"} {
		err := compiled(t, f).Validate(map[string]any{"title": "A", "rule": map[string]any{"did": event}})
		if err != nil {
			t.Errorf("%s: %v", event, err)
		}
	}
}

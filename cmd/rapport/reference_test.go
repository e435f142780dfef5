package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"rapport/internal/app"
	"rapport/internal/project"
	"rapport/internal/schema"
	"rapport/internal/spec"
	"rapport/internal/telemetry"
)

const made = "<!-- Made from the code by `make docs`; do not edit. -->\n\n"

// TestReference holds docs/reference against the code, from which it is made;
// UPDATE_DOCS=1 writes it anew.
func TestReference(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"commands.md": commandReference(), "keys.md": keyReference(), "environment.md": environmentReference(),
		"limits.md": limitReference(t), "metrics.md": metricReference(t), "events.md": eventReference(),
	} {
		file := filepath.Join("../../docs/reference", name)
		text = made + strings.TrimRight(text, "\n") + "\n"
		if os.Getenv("UPDATE_DOCS") != "" {
			if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(b), text); diff != "" {
			t.Errorf("%s is stale; write it anew with `make docs`:\n%s", file, diff)
		}
	}
}

// cell makes text fit for a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s)
}

func commandReference() string {
	var b strings.Builder
	b.WriteString("# Every command\n")
	for _, cmd := range everyCommand(newRoot(&console{env: func(string) (string, bool) { return "", false }})) {
		if strings.HasPrefix(cmd.CommandPath(), "rapport completion ") {
			continue // Cobra's own words on each shell.
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n```\n%s\n```\n", cmd.CommandPath(), cmd.Short, cmd.UseLine())
		if cmd.Long != "" && cmd.Name() != "completion" {
			fmt.Fprintf(&b, "\n```text\n%s\n```\n", cmd.Long)
		}
		flags := cmd.LocalFlags()
		if flags.HasAvailableFlags() {
			b.WriteString("\n| flag | meaning |\n|---|---|\n")
			flags.VisitAll(func(f *pflag.Flag) {
				if !f.Hidden && f.Name != "help" {
					fmt.Fprintf(&b, "| `%s` | %s |\n", flagForm(f), cell(f.Usage))
				}
			})
		}
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n", cmd.Example)
		}
	}
	return b.String()
}

func environmentReference() string {
	var b strings.Builder
	b.WriteString("# Every environment variable\n\nA flag on the command line wins. An empty variable is none.\n\n| variable | meaning |\n|---|---|\n")
	b.WriteString("| `RAPPORT_KEY` | the management key; else it is read from `manage.key` in the data folder |\n")
	b.WriteString("| `RAPPORT_KEYS_PASSPHRASE`, `RAPPORT_KEYS_PASSPHRASE_FILE` | the passphrase of `keyset.json`, or a file that holds it; [keys.md](../keys.md) |\n")
	b.WriteString("| `RAPPORT_BACKUP_PASSPHRASE`, `RAPPORT_BACKUP_PASSPHRASE_FILE` | the passphrase of a backup, or a file that holds it; [backup.md](../backup.md) |\n")
	b.WriteString("| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_ENDPOINT_URL_KMS` | for a root key in AWS KMS |\n")
	b.WriteString("| the first three of these, each also with `_FILE` behind it, `AWS_REGION`, `AWS_ENDPOINT_URL_S3` | for backups in a bucket; [backup.md](../backup.md) |\n")
	b.WriteString("| `GOOGLE_APPLICATION_CREDENTIALS`, `CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS` | for a root key in Google Cloud KMS: a service account's file |\n")
	b.WriteString("| `VAULT_ADDR`, `VAULT_TOKEN`, `VAULT_NAMESPACE` | for a root key in Vault |\n")
	b.WriteString("| `NO_COLOR` | set to anything: no colours |\n| `GOGC`, `GOMAXPROCS`, `GOMEMLIMIT` | as for every Go program; without the first two, `rapport serve` chooses, and `rapport import` the first |\n")
	b.WriteString("| what `env:NAME` names in the configuration | a secret, read by `rapport serve` |\n")
	used := map[string][]string{}
	says := map[string]string{}
	for _, cmd := range everyCommand(newRoot(&console{env: func(string) (string, bool) { return "", false }})) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !hasVariable(f) || strings.HasPrefix(cmd.CommandPath(), "rapport completion") {
				return
			}
			name := "RAPPORT_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
			used[name] = append(used[name], fmt.Sprintf("`%s --%s`", cmd.CommandPath(), f.Name))
			says[name] = f.Usage
		})
	}
	names := make([]string, 0, len(used))
	for name := range used {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text := strings.Join(used[name], ", ")
		if len(used[name]) == 1 {
			text += ": " + cell(says[name])
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, text)
	}
	return b.String()
}

// keyReference lists the keys of every file, and the words of rules.
func keyReference() string {
	var b strings.Builder
	b.WriteString("# Every key\n\n`rapport schema NAME` prints the same for an editor. In bold what must be given.\n")
	seen := map[*schema.Type]bool{}
	for _, f := range schema.Files() {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n", f.Path, f.Title)
		if seen[f.Type] {
			fmt.Fprintf(&b, "\nIts keys are those of `%s` above.\n", f.Type.Name)
		}
		keyTables(&b, "", f.Type, seen)
	}
	return b.String()
}

// keyTables writes a table for a mapping and for each mapping below it.
func keyTables(b *strings.Builder, path string, t *schema.Type, seen map[*schema.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	if len(t.Keys) > 0 {
		if path != "" {
			fmt.Fprintf(b, "\n### %s\n", path)
		}
		b.WriteString("\n| key | takes | meaning | without it |\n|---|---|---|---|\n")
		for _, k := range t.Keys {
			name := "`" + k.Name + "`"
			if k.Must {
				name = "**" + name + "**"
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, cell(takes(k.Type)), cell(k.Doc), cell(k.Default))
		}
	}
	for _, k := range t.Keys {
		keyTables(b, strings.TrimPrefix(path+"."+k.Name, "."), k.Type, seen)
	}
	for _, o := range t.OneOf {
		below := path
		if o.Kind == schema.Mapping && len(o.Keys) > 0 && (t.Name == "rule" || path == "steps") {
			below = path + " – " + o.Keys[0].Name
		}
		keyTables(b, below, o, seen)
	}
	if t.Item != nil {
		keyTables(b, path, t.Item, seen)
	}
	if t.Others != nil {
		keyTables(b, path+".NAME", t.Others, seen)
	}
}

// takes says in a few words what may be written.
func takes(t *schema.Type) string {
	switch t.Kind {
	case schema.Word:
		return "`" + strings.Join(t.Words, "`, `") + "`"
	case schema.List:
		if t.Name == "steps" {
			return "steps"
		}
		return "list of " + takes(t.Item)
	case schema.Choice:
		if t.Name != "" {
			return t.Name
		}
		var parts []string
		for _, o := range t.OneOf {
			if s := takes(o); !slices.Contains(parts, s) {
				parts = append(parts, s)
			}
		}
		return strings.Join(parts, ", or ")
	}
	return string(t.Kind)
}

// eventReference lists the reserved events with their properties.
func eventReference() string {
	var b strings.Builder
	b.WriteString("# Every reserved event\n\n[events.md](../events.md) tells what becomes of them. In bold what an event needs. A property that is not listed may be\nthere too. `rapport event show NAME` prints the same.\n")
	part := ""
	for _, e := range spec.All() {
		if e.Part != part {
			part = e.Part
			fmt.Fprintf(&b, "\n## %s\n\n| event | says that | needs | properties |\n|---|---|---|---|\n", part)
		}
		name := "`" + e.Name + "`"
		if e.Older != "" {
			name += " (V1: `" + e.Older + "`)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, e.Says, strings.ReplaceAll(bold(needsOf(e)), " or ", "** or **"), fieldsOf(e.Properties)+namedBy(e))
	}
	fmt.Fprintf(&b, "\n## In arrays\n\n| each of | has |\n|---|---|\n| `products` | %s |\n| `filters`, `sorts` | %s |\n", fieldsOf(spec.Fields(spec.Products)), fieldsOf(spec.Fields(spec.Choices)))
	return b.String()
}

// namedBy tells of the property whose name is the value of another one.
func namedBy(e *spec.Event) string {
	if e.Names == "" {
		return ""
	}
	return "; " + e.Named.String() + ": the one that `" + e.Names + "` names"
}

func bold(s string) string {
	if s == "" {
		return ""
	}
	return "**" + s + "**"
}

// fieldsOf names properties by their type, texts first.
func fieldsOf(list []spec.Property) string {
	var parts []string
	for k := spec.Any; k <= spec.Choices; k++ {
		var names []string
		for _, p := range list {
			if p.Kind == k {
				names = append(names, "`"+p.Name+"`")
			}
		}
		if len(names) > 0 {
			parts = append(parts, k.String()+": "+strings.Join(names, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// limitReference lists the limits that are constants of the code.
func limitReference(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Every limit\n\nThose that a workspace can change are under `limits` in [keys.md](keys.md). These are fixed; a message that names one in\nbrackets means it.\n")
	err := filepath.WalkDir("../../internal", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || strings.Contains(dir, "test") {
			return err
		}
		rows := limitsOf(t, dir)
		if len(rows) > 0 {
			fmt.Fprintf(&b, "\n## %s\n\n| limit | value | meaning |\n|---|---|---|\n%s", strings.TrimPrefix(filepath.ToSlash(dir), "../../internal/"), strings.Join(rows, ""))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var limitName = regexp.MustCompile(`^Max[A-Z]`)

func limitsOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for i, n := range v.Names {
					if !limitName.MatchString(n.Name) || i >= len(v.Values) {
						continue
					}
					var value strings.Builder
					if err := printer.Fprint(&value, set, v.Values[i]); err != nil {
						t.Fatal(err)
					}
					doc := v.Comment.Text()
					if doc == "" {
						doc = v.Doc.Text()
					}
					if doc == "" {
						doc = g.Doc.Text()
					}
					rows = append(rows, fmt.Sprintf("| `%s` | `%s` | %s |\n", n.Name, value.String(), cell(strings.TrimSpace(doc))))
				}
			}
		}
	}
	return rows
}

var described = regexp.MustCompile(`fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)".*variableLabels: \{([^}]*)\}`)

// metricReference asks a house for the metrics it has.
func metricReference(t *testing.T) string {
	t.Helper()
	files := fstest.MapFS{}
	for name, b := range project.Scaffold() {
		files[name] = &fstest.MapFile{Data: b}
	}
	config, problems := project.Load(files)
	if config == nil {
		t.Fatal(problems)
	}
	registry := telemetry.NewRegistry()
	logger, err := telemetry.NewLogger(telemetry.LogConfig{Out: &strings.Builder{}, Level: 8})
	if err != nil {
		t.Fatal(err)
	}
	none := func(string) (string, bool) { return "x", true }
	house, err := app.Open(t.Context(), app.Options{
		Data: t.TempDir(), Clock: app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0), Logger: logger, Metrics: registry,
		Secrets: project.Secrets{Env: none, File: os.ReadFile},
	}, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := house.Close(); err != nil {
			t.Error(err)
		}
	}()
	descs := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descs)
		close(descs)
	}()
	var rows []string
	for d := range descs {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("cannot read %s", d)
		}
		if strings.HasPrefix(m[1], "rapport_") && !strings.HasPrefix(m[1], "rapport_process_") { // Those differ from system to system.
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", m[1], strings.ReplaceAll(m[3], ",", ", "), cell(m[2])))
		}
	}
	slices.Sort(rows)
	return "# Every metric\n\nServed as Prometheus text on `/metrics` of the address of `rapport serve --admin`, beside those of Go and of the process.\n\n| metric | labels | meaning |\n|---|---|---|\n" + strings.Join(slices.Compact(rows), "")
}

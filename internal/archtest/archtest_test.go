package archtest

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestHouse holds this repository against its own plan.
func TestHouse(t *testing.T) {
	t.Parallel()
	plan, err := HousePlan()
	if err != nil {
		t.Fatal(err)
	}
	findings, err := Check(os.DirFS("../.."), plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Error(f)
	}
}

// TestRequirements holds go.mod against the list: every module that is required
// directly must be on it.
func TestRequirements(t *testing.T) {
	t.Parallel()
	plan, err := HousePlan()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	required := map[string]bool{}
	for _, line := range strings.Split(string(text), "\n") {
		if words := strings.Fields(line); len(words) >= 2 {
			required[strings.TrimPrefix(words[0], "require ")] = true
		}
	}
	for m := range plan.Dependencies {
		if !required[m] {
			t.Errorf("dependencies.txt lists %s, go.mod does not require it", m)
		}
	}
}

// plain is a house without a fault: two rooms, a store, a roof and a command.
func plain() (fstest.MapFS, Plan) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	tree := fstest.MapFS{
		"internal/id/id.go":                         file("// Package id names.\npackage id\n\nimport \"time\"\n\n// Later adds.\nfunc Later(t time.Time) time.Time { return t.Add(time.Second) }\n"),
		"internal/walk/walk.go":                     file("// Package walk walks.\npackage walk\n\nimport (\n\t\"house/internal/id\"\n\tjson \"good.example/json/v2\"\n)\n\nvar _ = id.Later\nvar _ = json.X\n"),
		"internal/walk/walk_test.go":                file("package walk\n\nimport (\n\t\"time\"\n\t\"good.example/cmp\"\n\t\"house/internal/app\"\n)\n\nvar _, _, _ = time.Now, cmp.X, app.X\n"),
		"internal/store/sqlitestore/sqlitestore.go": file("// Package sqlitestore keeps.\npackage sqlitestore\n\nimport _ \"database/sql\"\n\nconst q = `SELECT a FROM b`\n"),
		"internal/app/app.go":                       file("// Package app joins.\npackage app\n\nimport (\n\t\"os\"\n\t\"time\"\n\t_ \"house/internal/walk\"\n)\n\nvar X, Y = time.Now, os.Getenv\n"),
		"cmd/house/main.go":                         file("// Command house runs.\npackage main\n\nimport _ \"house/internal/app\"\n\nfunc main() {}\n"),
		"bench/go.mod":                              file("module bench\n"),
		"bench/bench.go":                            file("package bench\n\nimport _ \"rival.example/engine\"\n"),
		"sdk/node_modules/x/x.go":                   file("package broken ("),
	}
	return tree, Plan{
		Module:     "house",
		Rooms:      []string{"id", "walk", "store/sqlitestore", "app"},
		Exceptions: map[[2]string]string{},
		Dependencies: map[string]Dependency{
			"good.example/json/v2": {Why: "json"},
			"good.example/cmp":     {Tests: true, Why: "tests"},
		},
	}
}

func TestPlainHouse(t *testing.T) {
	t.Parallel()
	tree, plan := plain()
	findings, err := Check(tree, plan)
	if err != nil || len(findings) != 0 {
		t.Fatalf("got %v, %v; want nothing", findings, err)
	}
}

// TestPlanted breaks the plain house in one way after the other; each must be
// found, and nothing else.
func TestPlanted(t *testing.T) {
	t.Parallel()
	const walk = "// Package walk walks.\npackage walk\n\nimport (\n\t\"house/internal/id\"\n\tjson \"good.example/json/v2\"\n)\n\nvar _ = id.Later\nvar _ = json.X\n"
	with := func(code string) string { return "package walk\n\n" + code }
	for _, tt := range []struct {
		name  string
		files map[string]string // "" removes
		plan  func(*Plan)
		want  []string
	}{
		{"import of a room below", map[string]string{"internal/id/down.go": "package id\n\nimport _ \"house/internal/walk\"\n"}, nil,
			[]string{"internal/id/down.go: id imports walk, which is not above it"}},
		{"import of itself from below", map[string]string{"internal/walk/app.go": with("import _ \"house/internal/app\"\n")}, nil,
			[]string{"internal/walk/app.go: walk imports app, which is not above it"}},
		{"import of no room", map[string]string{"internal/walk/cmd.go": with("import _ \"house/cmd/house\"\n")}, nil,
			[]string{"internal/walk/cmd.go: a room imports cmd/house, which is no room"}},
		{"unlisted room", map[string]string{"internal/util/util.go": "// Package util helps.\npackage util\n"}, nil,
			[]string{"internal/util: the room is not listed in rooms.txt"}},
		{"unlisted room below a room", map[string]string{"internal/walk/fast/fast.go": "// Package fast runs.\npackage fast\n"}, nil,
			[]string{"internal/walk/fast: the room is not listed in rooms.txt"}},
		{"room that is not there", nil, func(p *Plan) { p.Rooms = append(p.Rooms, "sim") },
			[]string{"internal/sim: the room is listed in rooms.txt and is not there"}},
		{"room listed twice", nil, func(p *Plan) { p.Rooms = append(p.Rooms, "app") },
			[]string{"internal/app: the room is listed twice in rooms.txt"}},
		{"no package comment", map[string]string{"internal/walk/walk.go": strings.TrimPrefix(walk, "// Package walk walks.\n")}, nil,
			[]string{`internal/walk/walk.go: the package comment is missing: it begins with "Package walk "`}},
		{"package comment elsewhere", map[string]string{"internal/walk/doc.go": "// Package walk walks.\npackage walk\n"}, nil,
			[]string{"internal/walk/doc.go: the package comment belongs into internal/walk/walk.go"}},
		{"no command comment", map[string]string{"cmd/house/main.go": "package main\n\nfunc main() {}\n"}, nil,
			[]string{`cmd/house/main.go: the package comment is missing: it begins with "Command house "`}},
		{"clock", map[string]string{"internal/walk/clock.go": with("import \"time\"\n\nvar now = time.Now\n")}, nil,
			[]string{"internal/walk/clock.go:5: time.Now: clocks and the environment are handed in, not read in a room"}},
		{"clock by another name", map[string]string{"internal/walk/clock.go": with("import t \"time\"\n\nvar d = t.Since(t.Time{})\n")}, nil,
			[]string{"internal/walk/clock.go:5: time.Since: clocks and the environment are handed in, not read in a room"}},
		{"clock behind a dot", map[string]string{"internal/walk/clock.go": with("import . \"time\"\n\nvar now = Now\n")}, nil,
			[]string{"internal/walk/clock.go:3: a dot import hides what is used"}},
		{"sleep", map[string]string{"internal/walk/clock.go": with("import \"time\"\n\nfunc f() { time.Sleep(1) }\n")}, nil,
			[]string{"internal/walk/clock.go:5: time.Sleep: clocks and the environment are handed in, not read in a room"}},
		{"chance", map[string]string{"internal/walk/dice.go": with("import \"math/rand/v2\"\n\nvar x = rand.Int()\n")}, nil,
			[]string{"internal/walk/dice.go:3: math-or-crypto-rand: chance is handed in, not drawn in a room"}},
		{"environment", map[string]string{"internal/walk/env.go": with("import \"os\"\n\nvar x = os.Getenv(\"X\")\n")}, nil,
			[]string{"internal/walk/env.go:5: os.Getenv: clocks and the environment are handed in, not read in a room"}},
		{"a variable named like the package is none", map[string]string{"internal/walk/var.go": with("type clock struct{}\n\nfunc (clock) Now() {}\n\nfunc f(time clock) { time.Now() }\n")}, nil, nil},
		{"an exception that is used", map[string]string{"internal/walk/clock.go": with("import \"time\"\n\nvar now = time.Now\n")},
			func(p *Plan) { p.Exceptions[[2]string{"walk", "time.Now"}] = "why" }, nil},
		{"an exception that is not", nil, func(p *Plan) { p.Exceptions[[2]string{"walk", "time.Now"}] = "why" },
			[]string{"exceptions.txt: walk no longer needs time.Now"}},
		{"SQL", map[string]string{"internal/walk/sql.go": with("const q = `\n\tinsert or ignore INTO people VALUES (1)`\n")}, nil,
			[]string{"internal/walk/sql.go:3: SQL stands in the store only"}},
		{"SQL in a command", map[string]string{"cmd/house/sql.go": "package main\n\nconst q = \"SELECT id FROM people\"\n"}, nil,
			[]string{"cmd/house/sql.go:3: SQL stands in the store only"}},
		{"words like SQL", map[string]string{"internal/walk/words.go": with("const a, b = \"select a person\", \"update: set it from here\"\n")}, nil, nil},
		{"driver", map[string]string{"internal/walk/db.go": with("import _ \"database/sql\"\n")}, nil,
			[]string{"internal/walk/db.go:3: database/sql: databases are spoken to in the store only"}},
		{"unknown module", map[string]string{"internal/walk/dep.go": with("import _ \"bad.example/left-pad\"\n")}, nil,
			[]string{"internal/walk/dep.go: bad.example/left-pad belongs to no module of dependencies.txt"}},
		{"module with a longer name", map[string]string{"internal/walk/dep.go": with("import _ \"good.example/json/v22\"\n")}, nil,
			[]string{"internal/walk/dep.go: good.example/json/v22 belongs to no module of dependencies.txt"}},
		{"module for tests", map[string]string{"internal/walk/dep.go": with("import _ \"good.example/cmp/cmpopts\"\n")}, nil,
			[]string{"internal/walk/dep.go: good.example/cmp is for tests only"}},
		{"testing in a room", map[string]string{"internal/walk/dep.go": with("import _ \"testing/fstest\"\n")}, nil,
			[]string{"internal/walk/dep.go: testing/fstest is for tests only"}},
		{"testing in a command", map[string]string{"cmd/house/dep.go": "package main\n\nimport _ \"testing\"\n"}, nil,
			[]string{"cmd/house/dep.go: testing is for tests only"}},
		{"testing where tests belong", map[string]string{
			"internal/walk/t_test.go":            with("import _ \"testing/fstest\"\n"),
			"internal/walk/walktest/walktest.go": "// Package walktest tests.\npackage walktest\n\nimport _ \"testing\"\n",
		}, func(p *Plan) { p.Rooms = append(p.Rooms, "walk/walktest") }, nil},
		{"module nobody imports", nil, func(p *Plan) { p.Dependencies["good.example/old"] = Dependency{} },
			[]string{"dependencies.txt: nothing imports good.example/old"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tree, plan := plain()
			for p, body := range tt.files {
				tree[p] = &fstest.MapFile{Data: []byte(body)}
			}
			if tt.plan != nil {
				tt.plan(&plan)
			}
			findings, err := Check(tree, plan)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				got = append(got, f.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnreadableTree(t *testing.T) {
	t.Parallel()
	tree, plan := plain()
	tree["internal/walk/broken.go"] = &fstest.MapFile{Data: []byte("package walk (")}
	if _, err := Check(tree, plan); err == nil {
		t.Error("a file that cannot be parsed was passed over")
	}
}

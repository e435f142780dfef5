package manage

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestManual holds docs/api.md against the routes and the codes of this door.
func TestManual(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(b)
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### ([A-Z]+ /\S+)$`).FindAllStringSubmatch(manual, -1) {
		documented[m[1]] = true
	}
	for path, methods := range new(Handler).routes() {
		for method := range methods {
			route := method + " " + path
			if !documented[route] {
				t.Errorf("the manual lacks %s", route)
			}
			delete(documented, route)
		}
	}
	for route := range documented {
		t.Errorf("the manual tells of %s, which there is not", route)
	}
	codes := codesOf(t)
	if len(codes) < 40 {
		t.Fatalf("found %d codes only: %v", len(codes), codes)
	}
	for code := range codes {
		if !strings.Contains(manual, "`"+code+"`") {
			t.Errorf("the manual lacks the code %s", code)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^```json\n((?s).*?)\n```").FindAllStringSubmatch(manual, -1) {
		var v any
		if err := unmarshal([]byte(m[1]), &v); err != nil {
			t.Errorf("an example is no JSON: %v\n%s", err, m[1])
		}
	}
}

// codesOf finds the codes in calls that make errors.
func codesOf(t *testing.T) map[string]bool {
	t.Helper()
	place := map[string]int{"New": 1, "Wrap": 2, "wrong": 1, "unprocessable": 0, "fault": 1}
	codes := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			what := ""
			switch fn := call.Fun.(type) {
			case *ast.Ident:
				what = fn.Name
			case *ast.SelectorExpr:
				what = fn.Sel.Name
			}
			i, ok := place[what]
			if !ok || i >= len(call.Args) {
				return true
			}
			if kind, ok := call.Args[0].(*ast.SelectorExpr); ok && kind.Sel.Name == "Internal" {
				return true // Nobody is shown it.
			}
			if lit, ok := call.Args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				code, err := strconv.Unquote(lit.Value)
				if err == nil && regexp.MustCompile(`^[a-z_]+$`).MatchString(code) {
					codes[code] = true
				}
			}
			return true
		})
	}
	return codes
}

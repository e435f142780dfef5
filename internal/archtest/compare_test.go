package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

// comparers are the functions that tell whether what a caller sends is a secret of
// ours, or was made with one.
var comparers = map[string]string{
	"internal/access/keys.go":    "Find",
	"internal/feedback/token.go": "Verify",
	"internal/ingest/context.go": "SignedUser",
}

// steady are comparisons that take as long whatever the bytes are; hasty are those
// that end at the first byte that differs.
var (
	steady = map[string]bool{"hmac.Equal": true, "subtle.ConstantTimeCompare": true}
	hasty  = map[string]bool{"bytes.Equal": true, "bytes.Compare": true, "slices.Equal": true, "reflect.DeepEqual": true}
)

// TestSecretsAreComparedSteadily: keys, links and signatures of users are compared
// in a time that tells nothing of how much of them was right, and no file that
// makes such signatures compares bytes in any other way.
func TestSecretsAreComparedSteadily(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	house := os.DirFS("../..")
	for _, root := range []string{"internal", "cmd"} {
		err := fs.WalkDir(house, root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
				return err
			}
			text, err := fs.ReadFile(house, name)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
			if err != nil || !handlesSecrets(file) {
				return err
			}
			for _, decl := range file.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				for call := range callsIn(fn) {
					if hasty[call] {
						t.Errorf("%s: %s compares with %s, which tells by its time how much was right: use hmac.Equal", name, fn.Name.Name, call)
					}
					found[name] = found[name] || steady[call] && comparers[name] == fn.Name.Name
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, fn := range comparers {
		if !found[name] {
			t.Errorf("%s: %s compares with neither hmac.Equal nor subtle.ConstantTimeCompare", name, fn)
		}
	}
}

// handlesSecrets tells whether a file makes or compares signatures.
func handlesSecrets(file *ast.File) bool {
	for _, i := range file.Imports {
		if i.Path.Value == `"crypto/hmac"` || i.Path.Value == `"crypto/subtle"` {
			return true
		}
	}
	return false
}

// callsIn names the functions of packages that a function calls.
func callsIn(fn *ast.FuncDecl) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if s, ok := call.Fun.(*ast.SelectorExpr); ok {
				if pkg, ok := s.X.(*ast.Ident); ok {
					out[pkg.Name+"."+s.Sel.Name] = true
				}
			}
		}
		return true
	})
	return out
}

// Package liquid compares the speed of our template engine with that of osteele/liquid on one mail with 20 products.
// It is a module of its own so that the other engine never becomes a dependency of Rapport.
package liquid

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	osteele "github.com/osteele/liquid"

	"rapport/internal/liquid"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../internal/liquid/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ours(t testing.TB) (*liquid.Template, liquid.Value) {
	t.Helper()
	tpl, err := liquid.Compile(string(read(t, "email.liquid")), liquid.Options{Name: "email"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := liquid.FromJSON(read(t, "email.json"))
	if err != nil {
		t.Fatal(err)
	}
	return tpl, data
}

func theirs(t testing.TB) (*osteele.Template, map[string]any) {
	t.Helper()
	tpl, err := osteele.NewEngine().ParseTemplate(read(t, "email.liquid"))
	if err != nil {
		t.Fatal(err)
	}
	var data map[string]any
	if err := json.Unmarshal(read(t, "email.json"), &data); err != nil {
		t.Fatal(err)
	}
	return tpl, data
}

// TestSameMail holds the two outputs together, so that the benchmarks measure the same work.
func TestSameMail(t *testing.T) {
	tpl, data := ours(t)
	got, _, err := tpl.Render(context.Background(), nil, data, liquid.RenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other, vars := theirs(t)
	want, err := other.Render(vars)
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Fields(string(got)), strings.Fields(string(want))
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Errorf("word %d: ours %q, theirs %q", i, g[i], w[i])
		}
	}
	if len(g) != len(w) {
		t.Errorf("ours has %d words, theirs %d", len(g), len(w))
	}
}

func BenchmarkOurs(b *testing.B) {
	tpl, data := ours(b)
	buf := make([]byte, 0, 32<<10)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, _, err = tpl.Render(context.Background(), buf[:0], data, liquid.RenderOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOsteele(b *testing.B) {
	tpl, vars := theirs(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tpl.Render(vars); err != nil {
			b.Fatal(err)
		}
	}
}

package liquid

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// emailCase reads the mail with 20 products that the benchmarks render.
func emailCase(t testing.TB) (string, Value) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "email.liquid"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join("testdata", "email.json"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := FromJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), data
}

func benchmarkRender(b *testing.B, escape Escape) {
	text, data := emailCase(b)
	tpl, err := Compile(text, Options{Name: "email", Escape: escape, Strict2: true})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	buf := make([]byte, 0, 32<<10)
	b.ReportAllocs()
	for b.Loop() {
		if buf, _, err = tpl.Render(ctx, buf[:0], data, RenderOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkRenderText(b *testing.B) { benchmarkRender(b, PlainText) }

func BenchmarkRenderHTML(b *testing.B) { benchmarkRender(b, HTML) }

func BenchmarkRenderParallel(b *testing.B) {
	text, data := emailCase(b)
	tpl, err := Compile(text, Options{Name: "email", Escape: HTML, Strict2: true})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 0, 32<<10)
		for pb.Next() {
			var err error
			if buf, _, err = tpl.Render(context.Background(), buf[:0], data, RenderOptions{}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	text, _ := emailCase(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(text, Options{Name: "email", Escape: HTML, Strict2: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	x, err := CompileExpr(`product.title | upcase | append: " / " | append: product.price`, Options{Strict2: true})
	if err != nil {
		b.Fatal(err)
	}
	data, err := FromJSON([]byte(`{"product":{"title":"blue lamp","price":1999}}`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Eval(context.Background(), data, RenderOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

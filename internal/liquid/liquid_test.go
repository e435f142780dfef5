package liquid

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testNow = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func mustJSON(t testing.TB, s string) Value {
	t.Helper()
	if s == "" {
		return Nil
	}
	v, err := FromJSON([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustCompile(t testing.TB, text string, o Options) *Template {
	t.Helper()
	tpl, err := Compile(text, o)
	if err != nil {
		t.Fatalf("compile %q: %v", text, err)
	}
	return tpl
}

// renderCase renders and returns the output, or the message of the error after "!".
func renderCase(t testing.TB, text, data string, o Options, ro RenderOptions) string {
	t.Helper()
	tpl, err := Compile(text, o)
	if err != nil {
		return "!" + err.Error()
	}
	ro.Now = testNow
	out, _, err := tpl.Render(context.Background(), nil, mustJSON(t, data), ro)
	if err != nil {
		return "!" + err.Error()
	}
	return string(out)
}

func TestErrorsNameTheirPlace(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		partials   map[string]string
		want       *Error
	}{
		{
			"misspelt filter", "Hello\n  {{ name | upcas }}!", nil,
			&Error{Name: "mail", Line: 2, Column: 13, Source: "  {{ name | upcas }}!", Message: `unknown filter "upcas"`, Suggestion: "upcase"},
		},
		{
			"misspelt tag", "{% asign a = 1 %}", nil,
			&Error{Name: "mail", Line: 1, Column: 4, Source: "{% asign a = 1 %}", Message: `unknown tag "asign"`, Suggestion: "assign"},
		},
		{
			"never closed", "a\n{% if x %}\nb", nil,
			&Error{Name: "mail", Line: 2, Column: 4, Source: "{% if x %}", Message: `the tag "if" is never closed`},
		},
		{
			"column in characters", "äöü {{ x | }}", nil,
			&Error{Name: "mail", Line: 1, Column: 12, Source: "äöü {{ x | }}", Message: "expected name but found end of the expression"},
		},
		{
			"in a partial", "{% render 'footer' %}",
			map[string]string{"footer": "\n{{ 'a' | truncat: 2 }}"},
			&Error{Name: "footer", Line: 2, Column: 10, Source: "{{ 'a' | truncat: 2 }}", Message: `unknown filter "truncat"`, Suggestion: "truncate"},
		},
		{
			"misspelt partial", "{% render 'foter' %}",
			map[string]string{"footer": ""},
			&Error{Name: "mail", Line: 1, Column: 11, Source: "{% render 'foter' %}", Message: "there is no partial foter", Suggestion: "footer"},
		},
		{
			"argument of a filter", "{{ 1 | money: currancy: 'EUR' }}", nil,
			&Error{
				Name: "mail", Line: 1, Column: 8, Source: "{{ 1 | money: currancy: 'EUR' }}",
				Message: `filter money knows no argument "currancy"`, Suggestion: "currency",
			},
		},
		{
			"liquid tag", "{% liquid\n  assign a = 1\n  ehco a\n%}", nil,
			&Error{Name: "mail", Line: 3, Column: 3, Source: "  ehco a", Message: `unknown tag "ehco"`, Suggestion: "echo"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Compile(tt.text, Options{Name: "mail", Strict: true, Partials: tt.partials})
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(Error{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestEveryBadExpressionIsListed(t *testing.T) {
	t.Parallel()
	_, err := Compile("{{ a | nope }}\n{{ b | }}\n{{ c | upcase: 1 }}", Options{Name: "m", Strict: true})
	var list Errors
	if !errors.As(err, &list) {
		t.Fatalf("got %T %v, want Errors", err, err)
	}
	want := []string{"m:1:8", "m:2:8", "m:3:8"}
	var got []string
	for _, e := range list {
		got = append(got, e.Position().String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text           string
		lax, strict, strict2 string
	}{
		{"junk after a value", "{{ 'a' b }}", "a", "!1:8: expected end of the expression but found name b", ""},
		{"unknown filter", "{{ 'a' | nope }}", "a", `!1:10: unknown filter "nope"`, ""},
		{"when with and", "{% case 'a' %}{% when 'a' and 'b' %}x{% endcase %}", "x", "x", "!1:27: expected end of the expression but found name and"},
		{
			"unknown attribute", "{% tablerow i in (1..1) rows:1 %}{% endtablerow %}", "<tr class=\"row1\">\n<td class=\"col1\"></td></tr>\n",
			"<tr class=\"row1\">\n<td class=\"col1\"></td></tr>\n", "!1:25: the tag knows no attribute rows",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.strict2 == "" {
				tt.strict2 = tt.strict
			}
			for _, m := range []struct {
				o    Options
				want string
			}{{Options{}, tt.lax}, {Options{Strict: true}, tt.strict}, {Options{Strict2: true}, tt.strict2}} {
				if got := renderCase(t, tt.text, "", m.o, RenderOptions{}); got != m.want {
					t.Errorf("strict %v, strict2 %v: got %q, want %q", m.o.Strict, m.o.Strict2, got, m.want)
				}
			}
		})
	}
}

func TestReportListsWhatWasMissing(t *testing.T) {
	t.Parallel()
	tpl := mustCompile(t, `Hi {{ person.name }}{{ person.name | upcase }}{{ person.name | default: "x" }}
{% for p in products %}{{ p.title }}{% endfor %}{{ none }}`, Options{Name: "m"})
	var told []string
	_, report, err := tpl.Render(context.Background(), nil, mustJSON(t, `{"person":{},"products":[{"title":"a"},{}]}`), RenderOptions{
		Missing: func(path string, pos Position) { told = append(told, path+" "+pos.String()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Missing{
		{"person.name", Position{"m", 1, 7}},
		{"person.name", Position{"m", 1, 24}},
		{"products[].title", Position{"m", 2, 27}},
		{"none", Position{"m", 2, 52}},
	}
	if diff := cmp.Diff(want, report.Missing); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if len(told) != len(want) {
		t.Errorf("told of %d, want %d: %v", len(told), len(want), told)
	}
}

func TestStrictVariables(t *testing.T) {
	t.Parallel()
	got := renderCase(t, "{{ a.b }}{{ a.c }}", `{"a":{"b":1}}`, Options{}, RenderOptions{StrictVariables: true})
	if want := "!1:13: undefined variable a.c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInlineErrorsGoOn(t *testing.T) {
	t.Parallel()
	tpl := mustCompile(t, "a{{ 1 | divided_by: 0 }}b{% include 'p' %}", Options{Partials: map[string]string{"p": "\n{{ 1 | modulo: 0 }}c"}})
	out, report, err := tpl.Render(context.Background(), nil, Nil, RenderOptions{InlineErrors: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := "aLiquid error (line 1): divided by 0b\nLiquid error (p line 2): divided by 0c"; string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
	if len(report.Errors) != 2 {
		t.Errorf("got %d errors, want 2", len(report.Errors))
	}
}

func TestRenderAppends(t *testing.T) {
	t.Parallel()
	tpl := mustCompile(t, "{% capture a %}x{% endcapture %}{{ a }}{% ifchanged %}y{% endifchanged %}", Options{})
	out, _, err := tpl.Render(context.Background(), []byte("before "), Nil, RenderOptions{})
	if err != nil || string(out) != "before xy" {
		t.Errorf("got %q, %v", out, err)
	}
}

// lazyProfile is an object that computes its members when they are read.
type lazyProfile struct{ asked []string }

func (p *lazyProfile) Get(key string) (Value, bool) {
	p.asked = append(p.asked, key)
	return String("value of " + key), key != "absent"
}

func (p *lazyProfile) Keys() []string { return []string{"a", "b"} }

func TestObjectsAreReadLazily(t *testing.T) {
	t.Parallel()
	p := &lazyProfile{}
	root := &Map{}
	root.Set("person", ObjectOf(p))
	tpl := mustCompile(t, "{{ person.city }}{% if false %}{{ person.age }}{% endif %}{{ person.absent }}", Options{})
	out, _, err := tpl.Render(context.Background(), nil, root.Value(), RenderOptions{})
	if err != nil || string(out) != "value of city" {
		t.Errorf("got %q, %v", out, err)
	}
	if diff := cmp.Diff([]string{"city", "absent"}, p.asked); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestTemplatesRenderConcurrently(t *testing.T) {
	t.Parallel()
	text, data := emailCase(t)
	tpl := mustCompile(t, text, Options{Escape: HTML, Strict2: true})
	want, _, err := tpl.Render(context.Background(), nil, data, RenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				got, _, err := tpl.Render(context.Background(), nil, data, RenderOptions{})
				if err != nil || string(got) != string(want) {
					t.Errorf("a concurrent render differs: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestRendersDoNotShareState(t *testing.T) {
	t.Parallel()
	tpl := mustCompile(t, "{{ a }}{% assign a = b %}{% increment c %}{% cycle 'x', 'y' %}{{ a }}", Options{})
	for i := range 3 {
		out, _, err := tpl.Render(context.Background(), nil, mustJSON(t, `{"b":1}`), RenderOptions{})
		if err != nil || string(out) != "0x1" {
			t.Errorf("render %d: got %q, %v", i, out, err)
		}
	}
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want Value
	}{
		{"a.b", Int(2)},
		{"a.b | plus: 1.5", Float(3.5)},
		{"a.list", FromAny([]any{1, "x"})},
		{"a.none", Nil},
		{"a.none | default: 'x'", String("x")},
		{"'A' | downcase | append: a.b", String("a2")},
		{"now | date: '%Y'", Nil},
		{"'now' | date: '%Y'", String("2026")},
		{"(1..3) | last", Int(3)},
		{"", Nil},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			x, err := CompileExpr(tt.text, Options{Strict2: true})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got, err := x.Eval(context.Background(), mustJSON(t, `{"a":{"b":2,"list":[1,"x"]}}`), RenderOptions{Now: testNow})
				if err != nil {
					t.Fatal(err)
				}
				if g, w := string(AppendJSON(nil, got)), string(AppendJSON(nil, tt.want)); g != w || got.Kind() != tt.want.Kind() {
					t.Errorf("got %s %s, want %s %s", got.Kind(), g, tt.want.Kind(), w)
				}
			}
		})
	}
	_, err := CompileExpr("a | nope", Options{Name: "map", Strict: true})
	if err == nil || !strings.HasPrefix(err.Error(), "map:1:5: ") {
		t.Errorf("got %v, want an error at map:1:5", err)
	}
	x, err := CompileExpr("1 | divided_by: zero", Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Eval(context.Background(), Nil, RenderOptions{}); err == nil {
		t.Error("a division by nought gave no error")
	}
}

func TestExpressionsListWhatTheyRead(t *testing.T) {
	t.Parallel()
	x, err := CompileExpr("order.total | default: cart.total | money: shop.currency", Options{Strict2: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range x.Reads() {
		got = append(got, r.Path+" "+r.Guard.String())
	}
	if diff := cmp.Diff([]string{"order.total default", "cart.total none", "shop.currency none"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestFromJSON(t *testing.T) {
	t.Parallel()
	const doc = `{"z":1,"a":[1.0,9007199254740993,123456789012345678901,-0.5,"x",null,true],"z2":{"b":{}}}`
	v, err := FromJSON([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(AppendJSON(nil, v)); got != strings.Replace(doc, "1.0", "1", 1) {
		t.Errorf("got %s, want %s", got, doc)
	}
	for _, bad := range []string{"", "{", `{"a":}`, "1 2", "[1,]", strings.Repeat("[", 200) + strings.Repeat("]", 200), strings.Repeat("9", 5000)} {
		if _, err := FromJSON([]byte(bad)); err == nil {
			t.Errorf("%.20q was read", bad)
		}
	}
}

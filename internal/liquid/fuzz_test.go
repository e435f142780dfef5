package liquid

import (
	"context"
	"errors"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var fuzzSeeds = []string{
	"{{ a.b[0]['c'] | default: 'x', allow_false: true | upcase }}",
	"{% if a contains 'b' and c != blank or d > 1.5 %}x{% elsif e %}y{% else %}z{% endif %}",
	"{% for i in (1..3) reversed limit: 2, offset: 1 %}{{ forloop.index }}{% break %}{% else %}{% endfor %}",
	"{% case a %}{% when 1, 'b' or c %}x{% else %}y{% endcase %}",
	"{% tablerow i in a cols: 2 %}{{ tablerowloop.col }}{% endtablerow %}{% cycle 'a': 1, 2 %}{% increment a %}",
	"{% liquid\nassign a = 'b' | split: ''\nfor x in a\necho x\nendfor\n%}{%- # note -%}",
	"{% raw %}{{ {% endraw %}{% comment %}{% raw %}{% endraw %}{% endcomment %}{% doc %}x{% enddoc %}",
	"{% capture a %}<a href=\"{{ b }}?c={{ d }}\">{% endcapture %}{{ a | append: e | strip_html | truncatewords: 3 }}",
	"{% include 'p' for a as b, c: 1 %}{% render 'p' with a, b: 2 %}{% ifchanged %}{{ a }}{% endifchanged %}",
	"<script>var a = '{{ a }}', b = {{ b | json }}</script><p style='{{ c }}' onclick={{ d }}>{{ e | newline_to_br }}",
	"{{ 'now' | date: '%a, %-d %^B %10Y %:z' }}{{ a | format_date: 'long', locale: 'de', zone: '+02:00' }}",
	"{{ a | money: 'EUR' }}{{ b | number: 2 }}{{ c | utm: source: 'x' }}{{ d | hmac_sha256: 'k' }}{{ e | name_case }}",
	"{{ a | sort: 'b' | map: 'c' | uniq | sum | round: 2 | divided_by: 3.0 | modulo: 2 }}",
	"{{ a | where: 'b', c | reject: 'd' | find: 'e', 1 | has: 'f' | concat: a | slice: -1, 2 | join: ', ' }}",
	"{{ 99999999999999999999 | times: 99999999999999999999 }}{{ '1e5' | plus: '0x1' }}{{ 1.0 | divided_by: 0 }}",
}

// fuzzLimits are small, so that a run that keeps to them ends at once.
var fuzzLimits = Limits{Steps: 20_000, OutputBytes: 20_000, AssignBytes: 50_000, WorkBytes: 200_000, RangeLength: 500}

const fuzzData = `{"a":[{"b":"x","c":3},{"b":"<y>","c":null},1.5,"z"],"b":"https://shop.example/?q=1","c":-7,"d":"2026-03-14","e":{"f":[1,[2]]}}`

// FuzzCompile checks that no text makes the compiler panic, and that its errors have a place in the text.
func FuzzCompile(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add(s)
	}
	if text, err := os.ReadFile(filepath.Join("testdata", "email.liquid")); err == nil {
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, o := range []Options{{}, {Strict: true, Escape: HTML}, {Strict2: true}} {
			o.Partials = map[string]string{"p": "{{ p }}{{ b }}"}
			tpl, err := Compile(text, o)
			if err != nil {
				checkErrors(t, text, err)
				continue
			}
			for _, r := range tpl.Reads() {
				if r.Line < 1 || r.Column < 1 || r.Path == "" {
					t.Errorf("read without a place: %+v", r)
				}
			}
		}
	})
}

func checkErrors(t *testing.T, text string, err error) {
	t.Helper()
	var list Errors
	if !errors.As(err, &list) {
		var one *Error
		if !errors.As(err, &one) {
			t.Fatalf("got %T, want *Error", err)
		}
		list = Errors{one}
	}
	for _, e := range list {
		if e.Line < 1 || e.Line > strings.Count(text, "\n")+1 || e.Column < 1 || e.Message == "" {
			t.Errorf("error without a place in the text: %+v", e)
		}
	}
}

// FuzzRender checks that no template and no data make a render panic, hang, or leave its budgets.
func FuzzRender(f *testing.F) {
	for i, s := range fuzzSeeds {
		f.Add(s, fuzzData, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, text, data string, html bool) {
		vars, err := FromJSON([]byte(data))
		if err != nil {
			vars = mustJSON(t, fuzzData)
		}
		o := Options{Partials: map[string]string{"p": "{{ p }}{{ b }}{% include a %}"}}
		if html {
			o.Escape = HTML
		}
		tpl, err := Compile(text, o)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		ro := RenderOptions{Limits: fuzzLimits, Now: testNow, Locale: "de", InlineErrors: true}
		out, report, err := tpl.Render(ctx, nil, vars, ro)
		if errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("not done after %d steps", report.Steps)
		}
		if len(out) > fuzzLimits.OutputBytes {
			t.Errorf("%d bytes of output", len(out))
		}
		again, _, err2 := tpl.Render(ctx, nil, vars, ro)
		if string(again) != string(out) || (err == nil) != (err2 == nil) {
			t.Errorf("a second render differs:\n%q %v\n%q %v", out, err, again, err2)
		}
	})
}

// FuzzEscape checks that a value never leaves the attribute or element in which it is printed.
func FuzzEscape(f *testing.F) {
	f.Add("\"><script>", "a\nb")
	f.Add("javascript:alert(1)", "&quot;")
	f.Fuzz(func(t *testing.T, v, w string) {
		m := &Map{}
		m.Set("v", String(v))
		m.Set("w", String(w))
		for _, p := range []struct{ before, after, never string }{
			{"<p>", "</p>", "<>\"'"},
			{`<a href="`, `">`, "\"<>\n "},
			{`<a href="/?a=`, `">`, "\"<>\n &"},
			{`<p style="`, `">`, "\"<>;"},
			{"<a class=", ">", "\"'<>\n =`"},
			{"<p style=", " id=x>", "\"'<>\n =`"},
			{`<p style="background:url(`, `)">`, "\"'<>\n ()\\"},
			{`<style>a{background:url(`, `)}</style>`, "\"'<>\n ();\\"},
			{"<a onclick=", ">", "\"'<>\n =`"},
			{`<script>"`, `"</script>`, "<>\n\u2028\u2029"},
		} {
			tpl := mustCompile(t, p.before+"{{ v }}{{ w }}"+p.after, Options{Escape: HTML})
			out, _, err := tpl.Render(t.Context(), nil, m.Value(), RenderOptions{})
			if err != nil {
				t.Fatal(err)
			}
			in := strings.TrimSuffix(strings.TrimPrefix(string(out), p.before), p.after)
			if p.before == `<a href="` && strings.HasPrefix(strings.ToLower(in), "javascript:") {
				t.Errorf("%q and %q give %q", v, w, in)
			}
			if strings.HasPrefix(p.before, "<p style=\"") && strings.ContainsAny(html.UnescapeString(in), `;"'()\`) {
				t.Errorf("%q and %q end a declaration: %q", v, w, in)
			}
			if strings.ContainsAny(in, p.never) {
				t.Errorf("%q and %q in %s…%s give %q", v, w, p.before, p.after, in)
			}
			if p.before == `<script>"` && strings.Count(strings.ReplaceAll(in, `\\`, ""), `"`) != strings.Count(strings.ReplaceAll(in, `\\`, ""), `\"`) {
				t.Errorf("%q ends the text of a script: %q", v, in)
			}
		}
	})
}

// FuzzDate checks that no text or format makes the reading or writing of dates panic, and that what is written is
// valid text.
func FuzzDate(f *testing.F) {
	f.Add("Mon, 14 Mar 2016 10:20:30 +0000", "%a, %-d %^B %10Y %:z")
	f.Add("5pm mar 14 '16", "%Q%%%5")
	f.Fuzz(func(t *testing.T, text, format string) {
		at, ok := parseDate(text, testNow, time.UTC)
		if !ok {
			at = testNow
		}
		out := strftime(nil, at, format, &frenchNames)
		if utf8.ValidString(format) && !utf8.Valid(out) {
			t.Errorf("%q gives %q", format, out)
		}
		if len(out) > (maxWidth+64)*(len(format)+1) {
			t.Errorf("%d bytes from %q", len(out), format)
		}
	})
}

package liquid

import (
	"html"
	"strings"
	"testing"
)

func TestValuesAreEscapedForTheirPlace(t *testing.T) {
	t.Parallel()
	const data = `{"x":"<b>\"a\" & 'b'</b>","u":"https://shop.example/a b?q=1&r=ü","js":"javascript:alert(1)","q":"a&b=c d/é",
		"c":"red; background:url(x)","rgb":"rgb(1, 2, 3)","n":12.5,"l":["<",">"],"o":{"k":"</script>"},"cls":"a b=c","tl":"${x}` + "`" + `"}`
	tests := []struct{ name, text, want string }{
		{"text", "<p>{{ x }}</p>", "<p>&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;</p>"},
		{"raw", "{{ x | raw }}", `<b>"a" & 'b'</b>`},
		{"escaped once", "{{ x | escape }}{{ '&lt;' | escape_once }}", "&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;&lt;"},
		{"raw is not kept by what changes it", "{{ x | raw | upcase }}", "&lt;B&gt;&quot;A&quot; &amp; &#39;B&#39;&lt;/B&gt;"},
		{"list", "{{ l }}", "&lt;&gt;"},
		{"object", "{{ o }}", "{&quot;k&quot;=&gt;&quot;&lt;/script&gt;&quot;}"},
		{"number", "{{ n }}", "12.5"},
		{"line breaks", "{{ '<\n' | newline_to_br }}", "&lt;<br />\n"},
		{"captured text is HTML", "{% capture c %}<i>{{ x }}</i>{% endcapture %}{{ c }}", "<i>&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;</i>"},
		{"appended to captured text", "{% capture c %}<i>{% endcapture %}{{ c | append: l[0] }}{{ l[0] | append: c }}", "<i>&lt;&lt;<i>"},
		{"quoted attribute", `<a title="{{ x }}">`, `<a title="&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;">`},
		{"bare attribute", `<a class={{ cls }}>`, `<a class=a&#32;b&#61;c>`},
		{"attribute name", `<a {{ cls }}>`, `<a a&#32;b&#61;c>`},
		{"whole URL", `<a href="{{ u }}">`, `<a href="https://shop.example/a%20b?q=1&amp;r=%C3%BC">`},
		{"URL that runs code", `<a href="{{ js }}">`, `<a href="#blocked">`},
		{"URL that runs code, in capitals", `<a href='{{ js | upcase }}'>`, `<a href='#blocked'>`},
		{"URL after white space", `<a href=" {{ js }}">`, `<a href=" #blocked">`},
		{"no scheme check in the path", `<a href="/p/{{ js }}">`, `<a href="/p/javascript:alert(1)">`},
		{"second value at the start", `<a href="{{ none }}{{ js }}">`, `<a href="#blocked">`},
		{"branch at the start", `<a href="{% if none %}/p?a={% endif %}{{ js }}">`, `<a href="#blocked">`},
		{"loop at the start", `<a href="{% for i in none %}/{{ i }}{% endfor %}{{ js }}">`, `<a href="#blocked">`},
		{"query", `<a href="https://x.example/?q={{ q }}&r={{ q }}">`, `<a href="https://x.example/?q=a%26b%3Dc%20d%2F%C3%A9&r=a%26b%3Dc%20d%2F%C3%A9">`},
		{"fragment", `<a href="#{{ q }}">`, `<a href="#a%26b%3Dc%20d%2F%C3%A9">`},
		{"query after a whole URL", `<a href="{{ u }}&x={{ q }}">`, `<a href="https://shop.example/a%20b?q=1&amp;r=%C3%BC&x=a%26b%3Dc%20d%2F%C3%A9">`},
		{"encoded by the author", `<a href="/?q={{ q | url_encode }}">`, `<a href="/?q=a%26b%3Dc+d%2F%C3%A9">`},
		{"branch in a URL", `<a href="/{% if x %}?a=1{% endif %}{{ q }}">`, `<a href="/?a=1a&amp;b=c%20d/%C3%A9">`},
		{"image", `<img src="{{ js }}">`, `<img src="#blocked">`},
		{"several URLs", `<img srcset="{{ u }} 2x, {{ js }} 3x">`, `<img srcset="https://shop.example/a%20b?q=1&amp;r=%C3%BC 2x, #blocked 3x">`},
		{"style", `<p style="color: {{ c }}; background: {{ rgb }}">`, `<p style="color: ; background: rgb(1, 2, 3)">`},
		{"two brackets in a style", `<p style="color: {{ 'rgb(0,0,0) url(//x)' }}">`, `<p style="color: ">`},
		{"open bracket in a style", `<p style="color: {{ 'rgb(' }}{{ 'rgb' }}{{ ')' }}">`, `<p style="color: rgb">`},
		{"style without quotes", `<p style={{ 'red onclick=x' }} id={{ 'a' }}>`, `<p style= id=a>`},
		{"style of two words without quotes", `<p style=font:{{ 'bold 1em' }}>`, `<p style=font:bold&#32;1em>`},
		{"image of a style", `<td style="background: url('{{ u }}') {{ c }}">`, `<td style="background: url('https://shop.example/a%20b?q=1&amp;r=%C3%BC') ">`},
		{"image of a style that runs code", `<td style="background:url({{ js }})">`, `<td style="background:url(#blocked)">`},
		{"path in a style", `<td style="background:URL(https://x.example/{{ js }})">`, `<td style="background:URL(https://x.example/javascript:alert%281%29)">`},
		{"image in a style element", `<style>a{background:url({{ u }})}</style>`, `<style>a{background:url(https://shop.example/a%20b?q=1&r=%C3%BC)}</style>`},
		{"template literal", "<script>var a = `{{ tl }}`</script>", "<script>var a = `\\u0024{x}\\u0060`</script>"},
		{"handler without quotes", `<a onclick=f({{ 'a b' }})>`, `<a onclick=f(&quot;a&#32;b&quot;)>`},
		{"style element", `<style>a { color: {{ c }}; width: {{ n }}px }</style>{{ l }}`, `<style>a { color: ; width: 12.5px }</style>&lt;&gt;`},
		{
			"script value", `<script>var a = {{ o }}, b = {{ n }}, c = {{ nil }};</script>{{ l }}`,
			`<script>var a = {"k":"\u003c/script\u003e"}, b = 12.5, c = null;</script>&lt;&gt;`,
		},
		{
			"script text", `<script>var a = "{{ x }}", b = '{{ x }}';</script>`,
			`<script>var a = "\u003cb\u003e\"a\" \u0026 \u0027b\u0027\u003c/b\u003e", b = '\u003cb\u003e\"a\" \u0026 \u0027b\u0027\u003c/b\u003e';</script>`,
		},
		{
			"json in a script", `<script type="application/ld+json">{"k": {{ o.k | json }}}</script>`,
			`<script type="application/ld+json">{"k": "\u003c/script\u003e"}</script>`,
		},
		{"json in text", `{{ o | json }}`, `{&quot;k&quot;:&quot;\u003c/script\u003e&quot;}`},
		{"handler", `<a onclick="f({{ x }})">`, `<a onclick="f(&quot;\u003cb\u003e\&quot;a\&quot;&#32;\u0026&#32;&#39;b&#39;\u003c/b\u003e&quot;)">`},
		{"comment", `<!-- <a href=" {{ x }} --> {{ l }}`, `<!-- <a href=" &lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt; --> &lt;&gt;`},
		{"conditional comment", `<!--[if mso]><a href="{{ js }}"><![endif]-->`, `<!--[if mso]><a href="#blocked"><![endif]-->`},
		{"lone <", `1 < 2 {{ l }}`, `1 < 2 &lt;&gt;`},
		{"branches that disagree", `<a {% if x %}href="{% else %}class='{% endif %}{{ js }}`, `<a href="javascript:alert(1)`},
		{"loop in an attribute", `<a class="{% for i in l %}{{ i }} {% endfor %}">{{ x }}`, `<a class="&lt; &gt; ">&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;`},
		{"after a tag", `<br/>{{ l }}<a href=x>{{ l }}</a>`, `<br/>&lt;&gt;<a href=x>&lt;&gt;</a>`},
		{
			"partial takes its place from where it is used", `{% render 'p', v: js %}<a href="{% render 'p', v: js %}">{% render 'p', v: x %}`,
			`javascript:alert(1)<a href="#blocked">&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;`,
		},
		{"partial that opens a tag", `{% render 'open' %}{{ js }}">{{ l }}`, `<a href="#blocked">&lt;&gt;`},
		{"cycle", `<p title="{% cycle x %}">`, `<p title="&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;">`},
		{"white space control", `<a href="{{- js -}}">`, `<a href="#blocked">`},
		{"MSO namespace", `<v:rect href="{{ js }}">`, `<v:rect href="#blocked">`},
	}
	partials := map[string]string{"p": "{{ v }}", "open": `<a href="`}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := renderCase(t, tt.text, data, Options{Escape: HTML, Partials: partials}, RenderOptions{})
			if got != tt.want {
				t.Errorf("%s\n got %s\nwant %s", tt.text, got, tt.want)
			}
			plain := renderCase(t, "{{ x }}{{ js }}", data, Options{}, RenderOptions{})
			if want := `<b>"a" & 'b'</b>javascript:alert(1)`; plain != want {
				t.Errorf("plain text: got %s, want %s", plain, want)
			}
		})
	}
}

func TestNothingLeavesItsPlace(t *testing.T) {
	t.Parallel()
	// Whatever the value, it may not end the attribute, the element or the script that holds it.
	evil := []string{`"`, `'`, `<`, `>`, `</script>`, `</style>`, `-->`, "\n", " ", "`", `\`, `\"`, "\x00", "&#34;", "&quot;", "{{", "\u2028"}
	places := []struct{ before, after, never string }{
		{`<p>`, `</p>`, "<>"},
		{`<a title="`, `">`, `"<>`},
		{`<a title='`, `'>`, `'<>`},
		{`<a href="`, `">`, "\"<> \n"},
		{`<a href="/?`, `">`, "\"<> \n&"},
		{`<a class=`, `>`, "\"'<> \n=`"},
		{`<p style="`, `">`, `"<>;`},
		{`<script>"`, `"</script>`, "<>\n\u2028"},
		{`<style>`, `</style>`, "<>;{}"},
		{`<p style=`, ` id=x>`, "\"'<> \n=`"},
		{`<p style="background:url(`, `)">`, "\"'<> \n()\\"},
		{`<style>a{background:url(`, `)}</style>`, "\"'<> \n();\\"},
		{`<a onclick=`, `>`, "\"'<> \n=`"},
		{"<script>`", "`</script>", "<>`$"},
	}
	for _, p := range places {
		for _, v := range evil {
			m := &Map{}
			m.Set("v", String(v))
			tpl := mustCompile(t, p.before+"{{ v }}"+p.after, Options{Escape: HTML})
			out, _, err := tpl.Render(t.Context(), nil, m.Value(), RenderOptions{})
			if err != nil {
				t.Fatal(err)
			}
			in := strings.TrimSuffix(strings.TrimPrefix(string(out), p.before), p.after)
			if strings.HasPrefix(p.before, "<p style=\"b") && strings.ContainsAny(html.UnescapeString(in), `;"'()\`) {
				t.Errorf("%q ends a declaration: %q", v, in)
			}
			if strings.ContainsAny(in, p.never) {
				t.Errorf("%q in %s…%s gives %q", v, p.before, p.after, in)
			}
		}
	}
}

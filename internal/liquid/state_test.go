package liquid

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// These hold what went wrong once, or would without being seen.
func TestStateStaysWhole(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, data, want string
		partials               map[string]string
	}{
		{
			"an error in an argument leaves no name behind",
			"{% include 'p', a: 1, b: (x..2) %}[{{ a }}]{% render 'p', a: 1, b: (x..2) %}[{{ a }}]", `{"x":1.5}`,
			"Liquid error (line 1): invalid integer[]Liquid error (line 1): invalid integer[]",
			map[string]string{"p": "{{ a }}"},
		},
		{
			"loops that are kept keep what is around them",
			"{% for i in (1..2) %}{% for j in (1..2) %}{% assign f = forloop %}{% endfor %}{% endfor %}{% for k in (1..9) %}{% for l in (1..9) %}{% endfor %}{% endfor %}{{ f.parentloop.length }}{{ f.length }}",
			"", "22", nil,
		},
		{
			"arguments of a partial are fresh in each turn",
			"{% render 'p' for (1..3) as i, n: 5 %}", "", "5901 5902 5903 ",
			map[string]string{"p": "{{ n }}{% assign n = 9 %}{{ n }}{% increment c %}{{ i }} "},
		},
		{
			"assigned names do not leave a partial",
			"{% assign a = 1 %}{% render 'p' %}{{ a }}{% for i in (1..2) %}{% render 'p' %}{% endfor %}", "", "21" + "22",
			map[string]string{"p": "{{ a }}{% assign a = 2 %}{{ a }}"},
		},
		{
			"an included partial counts on", "{% cycle 'a','b' %}{% include 'p' %}{% render 'p' %}{% cycle 'a','b' %}", "", "abaa",
			map[string]string{"p": "{% cycle 'a','b' %}"},
		},
		{
			"break leaves the loop around an include only", "{% for i in (1..3) %}{{ i }}{% include 'p' %}{% endfor %}{% for i in (1..2) %}{{ i }}{% render 'p' %}{% endfor %}", "",
			"112",
			map[string]string{"p": "{% break %}x"},
		},
		{"include is off inside render", "{% render 'p' %}", "", "Liquid error (p line 1): include usage is not allowed in this context", map[string]string{"p": "{% include 'q' %}", "q": ""}},
		{"a list that holds lists", "{{ a | join: '-' }}{{ a }}", `{"a":[1,[2,[3]],[]]}`, "1-2-3123", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tpl := mustCompile(t, tt.text, Options{Partials: tt.partials})
			for range 2 { // The second render uses the state of the first.
				out, _, err := tpl.Render(t.Context(), nil, mustJSON(t, tt.data), RenderOptions{InlineErrors: true})
				if err != nil || string(out) != tt.want {
					t.Errorf("got %q, %v, want %q", out, err, tt.want)
				}
			}
		})
	}
}

func TestOutputLimitInsideOtherTags(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"{% tablerow i in (1..500) %}{% capture a %}{{ x }}{% endcapture %}{{ a }}{% endtablerow %}",
		"{% for i in (1..500) %}{% ifchanged %}{{ x }}{{ i }}{% endifchanged %}{% cycle x, 'b' %}{% increment n %}{% endfor %}",
		"{% capture a %}{% for i in (1..500) %}{{ x | escape }}{% endfor %}{% endcapture %}",
	} {
		for limit := 1; limit < 400; limit++ {
			tpl := mustCompile(t, text, Options{Escape: HTML})
			out, _, err := tpl.Render(t.Context(), []byte("kept"), mustJSON(t, `{"x":"<<<<"}`), RenderOptions{Limits: Limits{OutputBytes: limit}})
			if !errors.Is(err, ErrLimit) || len(out) > len("kept")+limit || !strings.HasPrefix(string(out), "kept") {
				t.Fatalf("limit %d of %q: %d bytes, %v", limit, text, len(out), err)
			}
		}
	}
}

// strangeObject says it has more members than it lists.
type strangeObject struct{}

func (strangeObject) Get(string) (Value, bool) { return Nil, false }
func (strangeObject) Keys() []string           { return []string{"a"} }
func (strangeObject) Len() int                 { return 5 }

func TestStrangeValues(t *testing.T) {
	t.Parallel()
	m := &Map{}
	m.Set("inf", Float(math.Inf(1)))
	m.Set("nan", Float(math.NaN()))
	m.Set("min", Int(math.MinInt64))
	m.Set("obj", ObjectOf(strangeObject{}))
	m.Set("list", Array(nil))
	m.Set("bytes", String("\xff\xfe"))
	m.Set("none", ObjectOf(nil))
	tests := []struct{ text, want string }{
		{"{{ inf }} {{ nan }} {{ inf | plus: 1 }}", "Infinity NaN Infinity"},
		{"{{ inf | money: 'EUR' }}", "!1:10: money needs a number"},
		{"{{ nan | number: 2 }}", "!1:10: number needs a number"},
		{"{{ inf | round }}", "!1:10: Infinity"},
		{
			"{{ min | abs }} {{ min | minus: 1 }} {{ min | times: -1 }} {{ min | divided_by: -1 }} {{ min | modulo: -1 }}",
			"9223372036854775808 -9223372036854775809 9223372036854775808 9223372036854775808 0",
		},
		{"{{ min | money: 'EUR' }} {{ min | number }}", "-€9,223,372,036,854,775,808.00 -9,223,372,036,854,775,808"},
		{"{{ min | slice: min, min }}{{ 'abc' | slice: min, 5 }}{{ 'abc' | truncate: min }}", "..."},
		{"{% for i in (1..3) limit: min offset: min %}{{ i }}{% endfor %}", ""},
		{"{% for i in obj %}{{ i[0] }}{% endfor %}{{ obj.size }}{{ obj | json }}", `a5{"a":null}`},
		{"{{ list | first }}{{ list | sort | join }}{{ list | sum }}{% for i in list %}{% endfor %}{{ list | json }}", "0[]"},
		{"{{ none }}{{ none.x }}", ""},
		{"{{ bytes | json }}", `"\ufffd\ufffd"`},
		{"{{ min | date: '%Y' }}", "-9223372036854775808"},
	}
	for _, tt := range tests {
		tpl := mustCompile(t, tt.text, Options{Strict2: true})
		out, _, err := tpl.Render(t.Context(), nil, m.Value(), RenderOptions{})
		got := string(out)
		if err != nil {
			got = "!" + err.Error()
		}
		if got != tt.want {
			t.Errorf("%s\n got %q\nwant %q", tt.text, got, tt.want)
		}
	}
}

package liquid

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReads(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		partials   map[string]string
		want       []string
	}{
		{"plain", "{{ person.first_name }}", nil, []string{"1:4 person.first_name none"}},
		{
			"default", "{{ person.first_name | upcase | default: shop.name }}", nil,
			[]string{"1:4 person.first_name default", "1:42 shop.name none"},
		},
		{
			"tested", "{% if a.b %}{{ a.b }}{{ a.c }}{% else %}{{ a.b }}{% endif %}{{ a.b }}", nil,
			[]string{"1:7 a.b tested", "1:16 a.b tested", "1:25 a.c none", "1:44 a.b none", "1:64 a.b none"},
		},
		{
			"unless", "{% unless a %}{{ a }}{% else %}{{ a }}{% endunless %}", nil,
			[]string{"1:11 a tested", "1:18 a none", "1:35 a tested"},
		},
		{
			"not blank", "{% if a != blank and b > 1 %}{{ a }}{{ b }}{% endif %}", nil,
			[]string{"1:7 a tested", "1:22 b tested", "1:33 a tested", "1:40 b tested"},
		},
		{
			"blank", "{% if a == blank %}{{ a }}{% else %}{{ a }}{% endif %}", nil,
			[]string{"1:7 a tested", "1:23 a none", "1:40 a tested"},
		},
		{"or", "{% if a or b %}{{ a }}{% endif %}", nil, []string{"1:7 a tested", "1:12 b tested", "1:19 a none"}},
		{"test of a part", "{% if a.b.c %}{{ a.b }}{{ a.bc }}{% endif %}", nil, []string{"1:7 a.b.c tested", "1:18 a.b tested", "1:27 a.bc none"}},
		{
			"elsif", "{% if a == nil %}{% elsif b %}{{ a }}{{ b }}{% endif %}", nil,
			[]string{"1:7 a tested", "1:27 b tested", "1:34 a tested", "1:41 b tested"},
		},
		{
			"case", "{% case a %}{% when 'x' %}{{ a }}{% else %}{{ a }}{% endcase %}", nil,
			[]string{"1:9 a tested", "1:30 a tested", "1:47 a none"},
		},
		{
			"loop", "{% for p in order.items %}{{ p.title }}{{ p }}{{ forloop.index }}{% endfor %}", nil,
			[]string{"1:13 order.items tested", "1:30 order.items[].title none", "1:43 order.items[] tested"},
		},
		{
			"nested loops", "{% for a in x %}{% for b in a.y limit: n %}{{ b.z }}{% endfor %}{% endfor %}", nil,
			[]string{"1:13 x tested", "1:29 x[].y tested", "1:40 n tested", "1:47 x[].y[].z none"},
		},
		{
			"indexes", "{{ a[0].b }}{{ a.first.b }}{{ a['b c'] }}{{ a[k] }}{{ a.size }}", nil,
			[]string{"1:4 a[].b none", "1:16 a[].b none", `1:31 a["b c"] none`, "1:45 a[] none", "1:47 k none", "1:55 a none"},
		},
		{
			"assigned", "{% assign n = person.name %}{{ n }}{{ n | default: 'x' }}", nil,
			[]string{"1:15 person.name tested", "1:32 person.name none", "1:39 person.name default"},
		},
		{"assigned with a default", "{% assign n = person.name | default: 'x' %}{{ n }}", nil, []string{"1:15 person.name default"}},
		{"assigned through a filter", "{% assign n = person.names | first %}{{ n.x | default: 1 }}", nil, []string{"1:15 person.names tested", "1:41 person.names.x default"}},
		{
			"assigned in a branch", "{% assign n = a %}{% if n == blank %}{% assign n = 'x' %}{% endif %}{{ n }}", nil,
			[]string{"1:15 a tested", "1:25 a tested", "1:72 a tested"},
		},
		{
			"assigned in both branches", "{% if c %}{% assign n = a %}{% else %}{% assign n = b %}{% endif %}{{ n }}", nil,
			[]string{"1:7 c tested", "1:25 a tested", "1:53 b tested", "1:71 a none", "1:71 b none"},
		},
		{"named after it is read", "{% for i in x %}{{ y }}{% assign y = person.email %}{% endfor %}", nil,
			[]string{"1:13 x tested", "1:20 y none", "1:38 person.email tested"}},
		{"shadowed", "{% assign person = 'x' %}{{ person.name }}", nil, nil},
		{"captured", "{% capture c %}{{ a }}{% endcapture %}{{ c }}", nil, []string{"1:19 a none"}},
		{
			"render", "{% render 'card', product: cart.item, n: 1 %}",
			map[string]string{"card": "{{ product.title }}{{ n }}"},
			[]string{"1:28 cart.item tested", "card:1:4 cart.item.title none"},
		},
		{
			"render for", "{% render 'card' for cart.items as it %}",
			map[string]string{"card": "{{ it.title }}{{ forloop.index }}"},
			[]string{"1:22 cart.items tested", "card:1:4 cart.items[].title none"},
		},
		{
			"include sees all", "{% assign x = a.b %}{% include 'p' %}{{ y }}",
			map[string]string{"p": "{{ x }}{{ c }}{% assign y = d %}"},
			[]string{"1:15 a.b tested", "1:41 d none", "p:1:4 a.b none", "p:1:11 c none", "p:1:29 d tested"},
		},
		{
			"guard around a partial", "{% if a %}{% include 'p' %}{% endif %}",
			map[string]string{"p": "{{ a }}"},
			[]string{"1:7 a tested", "p:1:4 a tested"},
		},
		{
			"partial that uses itself", "{% include 'p' %}",
			map[string]string{"p": "{{ a }}{% if b %}{% include 'p' %}{% endif %}"},
			[]string{"p:1:4 a none", "p:1:14 b tested"},
		},
		{
			"chosen at run time", "{% include which %}",
			map[string]string{"p": "{{ a }}", "q": "{{ b }}"},
			[]string{"1:12 which none", "p:1:4 a none", "q:1:4 b none"},
		},
		{
			"cycle and tablerow", "{% cycle a, 'x' %}{% tablerow r in b cols: c %}{{ r.d }}{% endtablerow %}", nil,
			[]string{"1:10 a none", "1:36 b tested", "1:44 c tested", "1:51 b[].d none"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, r := range mustCompile(t, tt.text, Options{Strict: true, Partials: tt.partials}).Reads() {
				got = append(got, fmt.Sprintf("%s %s %s", r.Position, r.Path, r.Guard))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s\n-want +got\n%s", tt.text, diff)
			}
		})
	}
}

func TestReadsAreWholeOrRefused(t *testing.T) {
	t.Parallel()
	partials := map[string]string{"p20": "{{ a }}"}
	for i := range 20 {
		next := fmt.Sprintf("{%% include 'p%d' %%}", i+1)
		partials[fmt.Sprintf("p%d", i)] = next + next
	}
	_, err := Compile("{% include 'p0' %}", Options{Name: "m", Partials: partials})
	want := "m:1:1: the template is too large, or uses its partials too often, for all that it reads to be listed"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", "{% assign a = 1 %}{{ a }}{% if b %}{{ b }}{% else %}c{% endif %}", nil},
		{"after else", "{% if a %}{% else %}{% elsif b %}{% endif %}", []string{"1:24: this branch is never rendered: one before it always is"}},
		{"always true", "{% if true %}a{% else %}b{% endif %}", []string{"1:18: this branch is never rendered: one before it always is"}},
		{"never true", "{% if false %}a{% endif %}", []string{"1:4: this branch is never rendered: its test never holds"}},
		{"same test", "{% if a == 1 %}a{% elsif a == 1 %}b{% endif %}", []string{"1:20: this branch is never rendered: one before it has the same test"}},
		{"after break", "{% for i in a %}{% break %}b{% endfor %}", []string{"1:20: what follows in this block is never rendered"}},
		{"else of a loop", "{% for i in (1..3) %}{% else %}b{% endfor %}", []string{"1:4: the else of this loop is never rendered"}},
		{"loop over nothing", "{% for i in (3..1) %}a{% endfor %}", []string{"1:4: this loop has nothing to walk"}},
		{"never read", "{% assign a = 1 %}", []string{"1:4: a name is assigned here and never read"}},
		{"not given", "{% render 'p' %}", []string{`p:1:4: "x" is not given to this partial`}},
		{"unknown filter", "{{ a | upcas }}", []string{`1:8: unknown filter "upcas" (did you mean "upcase"?)`}},
		{"lenient", "{{ a b }}", []string{"1:6: read leniently: expected end of the expression but found name b"}},
		{"tag without an attribute", "<a {{ x }}>", []string{"1:4: a value inside a tag, outside of an attribute, is escaped so that it cannot become one"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, w := range mustCompile(t, tt.text, Options{Escape: HTML, Partials: map[string]string{"p": "{{ x }}"}}).Warnings() {
				got = append(got, w.Error())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s\n-want +got\n%s", tt.text, diff)
			}
		})
	}
}

package liquid

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestLimitsNameThemselvesAndTheirPlace(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		partials   map[string]string
		limits     Limits
		data       string
		want       Limit
		line       int
	}{
		{
			"loop", "\n{% for i in (1..1000) %}{% for j in (1..1000) %}{% for k in (1..1000) %}{% endfor %}{% endfor %}{% endfor %}",
			nil,
			Limits{},
			"", LimitSteps, 2,
		},
		{"loop that prints nothing", "{% for i in (1..9999) %}{% for j in (1..9999) %}{% endfor %}{% endfor %}", nil, Limits{Steps: 1000}, "", LimitSteps, 1},
		{"output", "{% for i in (1..10000) %}0123456789{% endfor %}", nil, Limits{OutputBytes: 5000}, "", LimitOutput, 1},
		{"output of one value", "{{ a }}", nil, Limits{OutputBytes: 5}, `{"a":"0123456789"}`, LimitOutput, 1},
		{"assign that doubles", "{% assign a = '0123456789' %}{% for i in (1..100) %}{% assign a = a | append: a %}{% endfor %}", nil, Limits{}, "", LimitAssign, 1},
		{"capture that doubles", "{% for i in (1..100) %}{% capture a %}{{ a }}{{ a }}0{% endcapture %}{% endfor %}", nil, Limits{}, "", LimitAssign, 1},
		{
			"replace that multiplies", "{% assign a = 'aaaaaaaaaaaaaaaaaaaa' | replace: 'a', b | replace: 'a', b | replace: 'a', b %}", nil,
			Limits{},
			`{"b":"` + strings.Repeat("a", 1000) + `"}`, LimitWork, 1,
		},
		{
			"empty replace that multiplies", "{{ b | replace: '', b | replace: '', b }}", nil,
			Limits{},
			`{"b":"` + strings.Repeat("a", 1000) + `"}`, LimitWork, 1,
		},
		{"list that doubles", "{% assign a = 'a,b' | split: ',' %}{% for i in (1..100) %}{% assign a = a | concat: a %}{% endfor %}", nil, Limits{}, "", LimitAssign, 1},
		{
			"split into letters", "{{ b | split: '' | join: '' | split: '' | size }}", nil,
			Limits{WorkBytes: 10_000},
			`{"b":"` + strings.Repeat("a", 1000) + `"}`, LimitWork, 1,
		},
		{"join with a long glue", "{{ (1..1000) | join: b }}", nil, Limits{WorkBytes: 100_000}, `{"b":"` + strings.Repeat("a", 1000) + `"}`, LimitWork, 1},
		{"range", "{% for i in (1..100000000) %}{% endfor %}", nil, Limits{}, "", LimitRange, 1},
		{"range that is counted out", "{{ (1..100000000) | reverse | first }}", nil, Limits{}, "", LimitRange, 1},
		{"range of all numbers", "{% for i in (a..b) %}{% endfor %}", nil, Limits{}, `{"a":-9223372036854775808,"b":9223372036854775807}`, LimitRange, 1},
		{"nesting", strings.Repeat("{% if true %}", 20) + strings.Repeat("{% endif %}", 20), nil, Limits{Nesting: 10}, "", LimitNesting, 1},
		{"partial that renders itself", "{% render 'p' %}", map[string]string{"p": "\n\n{% render 'p' %}"}, Limits{}, "", LimitPartialDepth, 3},
		{"partial that includes itself", "{% include 'p' %}", map[string]string{"p": "{% include 'p' %}"}, Limits{}, "", LimitPartialDepth, 1},
		{
			"partials that double", "{% render 'p', n: 1 %}",
			map[string]string{"p": "{% assign m = n | plus: 1 %}{% if n < 18 %}{% render 'p', n: m %}{% render 'p', n: m %}{% endif %}"},
			Limits{Steps: 50_000},
			"", LimitSteps, 1,
		},
		{"sort", "{% for i in (1..10000) %}{% assign s = list | sort %}{% endfor %}", nil, Limits{}, `{"list":["b","a","c","z","y"]}`, LimitAssign, 1},
		{"padding of a date", "{% for i in (1..10000) %}{{ 0 | date: '%256Y%256Y%256Y%256Y' }}{% endfor %}", nil, Limits{}, "", LimitOutput, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tpl := mustCompile(t, tt.text, Options{Name: "m", Partials: tt.partials})
			out, report, err := tpl.Render(context.Background(), nil, mustJSON(t, tt.data), RenderOptions{Limits: tt.limits, InlineErrors: true})
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, ErrLimit) {
				t.Fatalf("got %v after %d steps, want a limit", err, report.Steps)
			}
			if e.Limit != tt.want || e.Line != tt.line {
				t.Errorf("got %v (limit %q, line %d), want %q, line %d", e, e.Limit, e.Line, tt.want, tt.line)
			}
			if max := tt.limits.withDefaults().OutputBytes; len(out) > max {
				t.Errorf("output of %d bytes, want at most %d", len(out), max)
			}
		})
	}
}

func TestBigNumbersAreBounded(t *testing.T) {
	t.Parallel()
	text := "{% assign a = 10 %}{% for i in (1..40) %}{% assign a = a | times: a %}{% endfor %}"
	got := renderCase(t, text, "", Options{}, RenderOptions{})
	if !strings.Contains(got, "the number is too large") {
		t.Errorf("got %.80q, want an error about the number", got)
	}
}

// countedContext ends after it has been asked so many times.
type countedContext struct {
	context.Context
	left int
}

func (c *countedContext) Err() error {
	if c.left--; c.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func TestContextIsAskedOften(t *testing.T) {
	t.Parallel()
	tpl := mustCompile(t, "{% for i in (1..10000) %}{% for j in (1..100) %}{{ i | plus: j }}{% endfor %}{% endfor %}", Options{})
	for _, asks := range []int{0, 1, 7, 100} {
		ctx := &countedContext{context.Background(), asks}
		_, report, err := tpl.Render(ctx, nil, Nil, RenderOptions{})
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, context.DeadlineExceeded) || e.Limit != LimitTime {
			t.Fatalf("got %v, want the context's error", err)
		}
		if most := (asks + 1) * (checkEvery + 1); report.Steps > most {
			t.Errorf("%d steps for %d looks at the context, want at most %d", report.Steps, asks, most)
		}
	}
}

func TestHostileTemplatesCompileQuickly(t *testing.T) {
	t.Parallel()
	// Each would take minutes if any part of the compiler were quadratic in it.
	for name, text := range map[string]string{
		"open tags":      strings.Repeat("{%", 133_333),
		"open outputs":   strings.Repeat("{{", 133_333),
		"braces":         strings.Repeat("{", 300_000),
		"brackets":       "{{ a" + strings.Repeat("[", 166_666) + " }}",
		"pairs":          "{{ a" + strings.Repeat("[x", 66_666) + strings.Repeat("]", 66_666) + " }}",
		"pipes":          "{{ a" + strings.Repeat("|", 300_000) + " }}",
		"filters":        "{{ a" + strings.Repeat("|b", 100_000) + " }}",
		"whens":          "{% case a %}{% when 1" + strings.Repeat(",1", 100_000) + " %}{% endcase %}",
		"tests":          "{% if a" + strings.Repeat(" and a", 33_333) + " %}{% endif %}",
		"lax tests":      "{% if a" + strings.Repeat(" and =", 33_333) + " %}{% endif %}",
		"cycle":          "{% cycle 1" + strings.Repeat(",1", 100_000) + " %}",
		"blocks":         strings.Repeat("{% if a %}", 30_000),
		"liquid":         "{% liquid " + strings.Repeat("liquid ", 33_333) + " %}",
		"raw":            "{% raw %}" + strings.Repeat("{% ", 100_000),
		"comment":        strings.Repeat("{% comment %}", 20_000),
		"warnings":       strings.Repeat("{{ a b }}", 33_333),
		"long line":      strings.Repeat("é", 133_333) + "{{ a b c }}",
		"names":          strings.Repeat("{% assign a = b %}", 16_666),
		"tags in html":   strings.Repeat("<a href='", 33_333),
		"elsif":          "{% if a %}" + strings.Repeat("{% elsif a %}", 20_000) + "{% endif %}",
		"quotes":         "{{ " + strings.Repeat(`"'`, 133_333) + " }}",
		"assigned names": assignMany(2000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Whether it compiles does not matter here; that it ends does.
			tpl, err := Compile(text, Options{Escape: HTML})
			if err == nil {
				_, _, err = tpl.Render(context.Background(), nil, Nil, RenderOptions{InlineErrors: true})
			}
			if err != nil && len(err.Error()) > 100_000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
	if _, err := Compile(strings.Repeat("a", maxSource+1), Options{}); err == nil {
		t.Error("a template beyond the longest was compiled")
	}
}

func assignMany(n int) string {
	var b strings.Builder
	for i := range n {
		name := "v" + strings.Repeat("a", i%50)
		b.WriteString("{% assign " + name + " = p %}{% if " + name + " %}{{ " + name + " }}{% endif %}")
	}
	return b.String()
}

// Package liquid is the template language of Rapport: Shopify's Liquid with what email needs beside it.
//
// In comes the text of a template with the partials it may use, then, for every render, an object to read from and
// budgets. Out comes text, a report of what was missing, and errors that name the place; and, without rendering, the
// list of what a template reads. A compiled Template is immutable and may be rendered by many goroutines at once.
//
// The package does no I/O, reads no clock, and never panics on a template or on data, however hostile.
package liquid

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

// Escape says how values that are printed into the output are escaped.
type Escape uint8

// The kinds of part.
const (
	// PlainText prints values as they are.
	PlainText Escape = iota
	// HTML escapes values for the place where they stand: text, attribute, URL or part of a URL.
	HTML
)

// Options say how a template is compiled.
type Options struct {
	// Name stands in the positions of errors.
	Name string
	// Escape is how printed values are escaped.
	Escape Escape
	// Strict is Shopify's strict mode: an expression that is not quite right is an error, where otherwise as much of it
	// is used as can be made out. It also makes an unknown filter an error.
	Strict bool
	// Strict2 is Shopify's strict2 mode: Strict, and the tags that strict leaves lenient are checked too.
	Strict2 bool
	// Partials are the templates that render and include may name.
	Partials map[string]string
	// CoreOnly leaves Shopify's own filters only, without those for email.
	CoreOnly bool
}

// Template is a compiled template. It is immutable and safe for concurrent use.
type Template struct {
	prog  *program
	src   *source
	body  block
	reads []Read
	pool  sync.Pool
}

// Compile checks and compiles a template and all partials that it uses. The error is an *Error, or Errors where there
// is more than one.
func Compile(text string, o Options) (*Template, error) {
	p := newProgram(o)
	t := &Template{prog: p, src: newSource(o.Name, text)}
	u := &unit{prog: p, src: t.src, opts: &p.opts}
	t.body = u.compile()
	p.errs = append(u.errs, p.errs...)
	if err := p.error(); err != nil {
		return nil, err
	}
	if err := t.analyze(); err != nil {
		return nil, err
	}
	return t, nil
}

func (p *program) error() error {
	switch len(p.errs) {
	case 0:
		return nil
	case 1:
		return p.errs[0]
	}
	return p.errs
}

// RenderOptions are what a render knows beside its data.
type RenderOptions struct {
	Limits Limits
	// Now is the instant that `now` and `today` mean.
	Now time.Time
	// Zone is the zone in which times without one are read and shown; nil is UTC.
	Zone *time.Location
	// LoadZone finds a zone by the name that a template gives; without it a template can name UTC and offsets only.
	LoadZone func(name string) (*time.Location, error)
	// Locale is the language, with or without a region, of numbers, money and dates: "en", "de-CH". Empty is "en".
	Locale string
	// Missing is told of each value that was printed though it is not there and has no default.
	Missing func(path string, pos Position)
	// StrictVariables makes reading a variable that does not exist an error.
	StrictVariables bool
	// InlineErrors shows an error where it happens and goes on, as Shopify does by default. Exceeded limits still end
	// the render.
	InlineErrors bool
}

// Missing is a value that was printed though it is not there.
type Missing struct {
	Path     string
	Position Position
}

// Report says what happened in a render.
type Report struct {
	Steps   int
	Missing []Missing
	// Errors are those that were shown in their place.
	Errors []*Error
}

// Render appends the rendered template to dst. On an error the output so far is returned with it. The error is an
// *Error; for an exceeded budget it wraps ErrLimit, for an ended context the context's error.
func (t *Template) Render(ctx context.Context, dst []byte, vars Value, o RenderOptions) ([]byte, Report, error) {
	st, _ := t.pool.Get().(*state)
	if st == nil {
		st = &state{}
	}
	st.begin(ctx, t.prog, t.src, vars, o)
	st.out, st.start = dst, len(dst)
	if st.check() {
		t.body.render(st)
	}
	// What a value added beyond the budget is cut off, so that the budget holds for the caller too.
	out, report, err := st.out[:min(len(st.out), st.start+st.limits.OutputBytes)], st.report(), st.err
	st.end()
	t.pool.Put(st)
	if err != nil {
		return out, report, err
	}
	return out, report, nil
}

func (st *state) begin(ctx context.Context, p *program, src *source, vars Value, o RenderOptions) {
	st.ctx, st.prog, st.src, st.opts = ctx, p, src, o
	st.limits = o.Limits.withDefaults()
	if vars.kind == KindObject {
		st.root = vars.object()
	}
	st.chunk = renderChunk
	if st.zone = o.Zone; st.zone == nil {
		st.zone = time.UTC
	}
}

// The texts that filters make are kept in chunks; an expression makes few.
const (
	renderChunk = 4096
	evalChunk   = 64
)

// maxScratch is the largest buffer that is kept for the next render.
const maxScratch = 64 << 10

func (st *state) report() Report {
	return Report{Steps: st.steps, Missing: st.missing, Errors: st.errors}
}

// end makes the state ready for another render: it lets go of all values and keeps the room for them.
func (st *state) end() {
	st.dropVars()
	clear(st.scope[:cap(st.scope)])
	clear(st.args[:cap(st.args)])
	if cap(st.scratch) > maxScratch {
		st.scratch = nil
	}
	*st = state{
		scope: st.scope[:0], args: st.args[:0], loops: st.loops[:0], free: st.free, freeVars: st.freeVars, scratch: st.scratch[:0],
	}
}

// Expr is a compiled expression with filters, as it stands between {{ and }}.
type Expr struct {
	prog  *program
	src   *source
	e     expr
	reads []Read
	pool  sync.Pool
}

// CompileExpr compiles a single expression. Options are as for Compile.
func CompileExpr(text string, o Options) (*Expr, error) {
	p := newProgram(o)
	x := &Expr{prog: p, src: newSource(o.Name, text)}
	u := &unit{prog: p, src: x.src, opts: &p.opts}
	e, err := u.filtered(sub{text, 0})
	if err != nil {
		return nil, x.src.wrap(err)
	}
	x.e = e
	a := newAnalysis(p, x.src)
	a.expr(e, GuardNone)
	x.reads = a.sorted()
	return x, nil
}

// Reads lists every value that the expression reads, in order of place.
func (x *Expr) Reads() []Read { return slices.Clone(x.reads) }

// Eval returns the value of the expression.
func (x *Expr) Eval(ctx context.Context, vars Value, o RenderOptions) (Value, error) {
	st, _ := x.pool.Get().(*state)
	if st == nil {
		st = &state{}
	}
	st.begin(ctx, x.prog, x.src, vars, o)
	st.chunk = evalChunk
	v := Nil
	if st.check() {
		v = x.e.eval(st)
	}
	err := st.err
	st.end()
	x.pool.Put(st)
	if err != nil {
		return Nil, err
	}
	return v, nil
}

func runeCount(s string) int { return utf8.RuneCountInString(s) }

func sortedKeys(m map[string]string) []string {
	return slices.Sorted(maps.Keys(m))
}

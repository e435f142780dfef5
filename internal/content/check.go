package content

import (
	"fmt"
	"slices"
	"strings"

	"rapport/internal/consent"
	"rapport/internal/liquid"
)

// surely are the values that every mail has. What hangs under person and
// trigger may always be missing.
var surely = []string{
	"mail.id", "mail.unsubscribe_url", "mail.preferences_url", "workspace.name", "workspace.postal_address",
}

var roots = []string{"person", "trigger", "mail", "workspace", "blocks", "now", "today"}

// check refuses what would send a mail with a hole in it.
func (p *parser) check() {
	t := p.t
	type place struct {
		path, file string
		line, col  int
	}
	told := map[place]bool{}
	used := map[string]bool{}
	p.parts(func(pt *part, inBlock bool) {
		for _, r := range pt.compiled.Reads() {
			t.Reads = append(t.Reads, r)
			used[r.Path] = true
			if r.Guard == liquid.GuardDefault {
				t.guarded[r.Path] = true
			}
			at := place{r.Path, r.Template, r.Line, r.Column}
			if told[at] {
				continue
			}
			told[at] = true
			file, line, col := p.where(pt, r.Position)
			t.Spots = append(t.Spots, Spot{r.Path, file, line, col})
			p.read(pt, r, inBlock)
		}
	})
	if !p.broken {
		p.shows(used)
	}
}

// shows holds the whole template against what it must show.
func (p *parser) shows(used map[string]bool) {
	t, body := p.t, bodyHTML
	if t.html == nil {
		body = bodyText
	}
	if d, ok := p.purpose(); ok && d.Objectable() {
		if !used["mail.unsubscribe_url"] && !used["mail.preferences_url"] {
			p.errorf(body, nil, `add <a href="{{ mail.unsubscribe_url }}">Unsubscribe</a>`, "a mail for the purpose %q must show how to leave", t.Purpose)
		}
		if !used["workspace.postal_address"] {
			p.warnf(body, "add {{ workspace.postal_address }} at the foot", "a mail for the purpose %q shows no postal address, which many laws ask for", t.Purpose)
		}
	}
	for name := range t.blocks {
		if !used["blocks."+name] {
			p.warnf(sheet, fmt.Sprintf("print {{ blocks.%s }} in body.html, or remove it", name), "the block %q is shown nowhere", name)
		}
	}
}

// purpose finds what is declared about the template's purpose.
func (p *parser) purpose() (*consent.Definition, bool) {
	if p.policy == nil {
		return nil, false
	}
	return p.policy.Purpose(p.t.Purpose)
}

func (p *parser) warnf(file, hint, format string, args ...any) {
	p.errorf(file, nil, hint, format, args...)
	p.problems[len(p.problems)-1].Warning = true
}

// parts calls fn for every text of the template; inBlock says that another text
// stands in when this one fails, or that the author wants no mail then.
func (p *parser) parts(fn func(pt *part, inBlock bool)) {
	t := p.t
	for _, pt := range []*part{t.subject, t.preheader, t.html, t.text} {
		if pt != nil && pt.compiled != nil {
			fn(pt, false)
		}
	}
	names := make([]string, 0, len(t.blocks))
	for name := range t.blocks {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for i, pt := range []*part{t.blocks[name].part, t.blocks[name].fallback} {
			if pt != nil && pt.compiled != nil {
				fn(pt, i == 0)
			}
		}
	}
}

// read judges one value that a text reads; mayFail says that the text may fail alone.
func (p *parser) read(pt *part, r liquid.Read, mayFail bool) {
	root, rest, _ := strings.Cut(r.Path, ".")
	if i := strings.IndexByte(root, '['); i >= 0 {
		root = root[:i]
	}
	file, line, col := p.where(pt, r.Position)
	bad := func(hint, format string, args ...any) {
		p.problems = append(p.problems, Problem{File: file, Line: line, Column: col, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	switch {
	case !slices.Contains(roots, root):
		bad("templates read person, trigger, mail, workspace and blocks", "there is no %q", r.Path)
	case root == "mail" || root == "workspace":
		if !slices.Contains(surely, r.Path) {
			bad("use one of: "+strings.Join(surely, ", "), "there is no %q", r.Path)
		}
	case root == "blocks":
		name, _, _ := strings.Cut(rest, ".")
		if p.t.blocks != nil && p.t.blocks[name] == nil {
			bad("declare it under `blocks:` in template.yaml", "there is no block %q", name)
		}
	case root == "now" || root == "today":
	case r.Guard == liquid.GuardNone && !mayFail && !(pt.fallback != "" && pt.file == sheet):
		name := p.written(pt, r)
		bad(fmt.Sprintf(`write {{ %s | default: "…" }}, or put it inside {%% if %s %%}`, name, name), "%q may be missing and has no default", r.Path)
	}
}

// where gives the place of a value within the folder.
func (p *parser) where(pt *part, pos liquid.Position) (file string, line, col int) {
	file, line, col = pt.file, pos.Line, pos.Column
	switch {
	case pt.line > 0:
		line += pt.line - 1
	case pos.Template != "" && pos.Template != pt.file:
		if _, ok := p.shared[pos.Template]; ok {
			file = "partials/" + pos.Template + ".liquid"
		}
	default:
		col = p.unshifted(file, line, col)
	}
	return file, line, col
}

// written gives a value as the author calls it where it stands: in a loop that
// is the loop's name for it.
func (p *parser) written(pt *part, r liquid.Read) string {
	text := pt.text
	if r.Template != "" && r.Template != pt.file {
		text = p.shared[r.Template]
	}
	for range r.Line - 1 {
		_, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return r.Path
		}
		text = rest
	}
	line, _, _ := strings.Cut(text, "\n")
	chars := []rune(line)
	if r.Column < 1 || r.Column > len(chars) {
		return r.Path
	}
	name := string(chars[r.Column-1:])
	if end := strings.IndexFunc(name, func(c rune) bool {
		return c != '_' && c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}); end >= 0 {
		name = name[:end]
	}
	// Only what ends as the value does is its name.
	_, last, _ := cutLast(r.Path)
	if _, own, ok := cutLast(name); !ok || own != last {
		return r.Path
	}
	return name
}

// cutLast cuts a path before its last name.
func cutLast(path string) (before, last string, ok bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

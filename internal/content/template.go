package content

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/mail"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"rapport/internal/consent"
	"rapport/internal/liquid"
	"rapport/internal/message"
	"rapport/internal/purpose"
)

// Template is one mail template, compiled. It is immutable.
type Template struct {
	Name      string
	Purpose   purpose.Purpose
	Class     message.Class // for mails that are asked for by the API; journeys say their own
	From      message.Address
	ReplyTo   string
	Tracking  bool          // opens and clicks may be noticed, where the person permits it
	Reads     []liquid.Read // what it reads, over all parts, in order of part and place
	Spots     []Spot        // where it reads each of them
	subject   *part
	preheader *part
	html      *part
	text      *part // nil: made from the HTML part
	blocks    map[string]*block
	guarded   map[string]bool
}

// Spot is a place in a template's folder at which a value is read.
type Spot struct {
	Path         string
	File         string // below the folder
	Line, Column int
}

// ReadsPath tells whether any of the template's parts reads a value.
func (t *Template) ReadsPath(path string) bool {
	return slices.ContainsFunc(t.Reads, func(r liquid.Read) bool { return r.Path == path })
}

// part is one text of a template.
type part struct {
	file     string
	line     int    // of the text within its file, 0 for a whole file
	text     string // as it was compiled
	shift    int    // characters that were put before its first line
	compiled *liquid.Template
	fallback string // for the subject: what it says when a value is missing
}

// place gives a place as the author sees it in the file.
func (p *part) place(at liquid.Position) liquid.Position {
	if at.Template != p.file {
		return at
	}
	if at.Line == 1 {
		at.Column = max(1, at.Column-p.shift)
	}
	if p.line > 0 {
		at.Line += p.line - 1
	}
	return at
}

// block is a part of the body that may fail alone.
type block struct {
	name      string
	part      *part
	fallback  *part // what stands there instead; nothing for nil
	essential bool  // without it the mail is not worth sending
}

// Problem is one thing that is wrong with a template or will surprise: where it
// stands, what it is, and what to write instead.
type Problem struct {
	File         string // below the template's folder
	Line, Column int
	Message      string
	Hint         string
	Warning      bool
}

// ParseTemplate reads the folder of one template: root is the content of its
// template.yaml, files are all its files by their path below the folder. All
// problems are named at once; with one that is no warning there is no template.
func ParseTemplate(name string, root *yaml.Node, files map[string][]byte, policy *consent.Policy) (*Template, []Problem) {
	p := &parser{t: &Template{Name: name, Tracking: true, blocks: map[string]*block{}, guarded: map[string]bool{}}, files: files, policy: policy}
	p.partials()
	p.yaml(root)
	p.body()
	p.check()
	slices.SortStableFunc(p.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if p.failed() {
		return nil, p.problems
	}
	return p.t, p.problems
}

const (
	sheet       = "template.yaml"
	bodyHTML    = "body.html"
	bodyText    = "body.txt"
	maxBlocks   = 50
	maxPartFile = 512 << 10
)

type parser struct {
	t        *Template
	files    map[string][]byte
	policy   *consent.Policy
	shared   map[string]string
	problems []Problem
	class    *yaml.Node // where the template says its class, nil when it does not
	shift    int        // characters put before the first line of body.html
	broken   bool       // a text could not be read: what it shows is not known
}

func (p *parser) failed() bool {
	return slices.ContainsFunc(p.problems, func(x Problem) bool { return !x.Warning })
}

func (p *parser) errorf(file string, n *yaml.Node, hint, format string, args ...any) {
	x := Problem{File: file, Message: fmt.Sprintf(format, args...), Hint: hint}
	if n != nil {
		x.Line, x.Column = n.Line, n.Column
	}
	p.problems = append(p.problems, x)
}

// partials gathers what `render` and `include` may name: partials/<name>.liquid.
func (p *parser) partials() {
	p.shared = map[string]string{}
	for file, body := range p.files {
		if dir, base := path.Split(file); dir == "partials/" && strings.HasSuffix(base, ".liquid") {
			p.shared[strings.TrimSuffix(base, ".liquid")] = string(body)
		}
	}
}

var sheetKeys = []string{"subject", "preheader", "from", "reply_to", "purpose", "class", "tracking", "blocks"}

func (p *parser) yaml(root *yaml.Node) {
	if root != nil && root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	if root == nil || root.Kind != yaml.MappingNode {
		p.errorf(sheet, root, "write at least subject and purpose", "the file must be a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		seen[key.Value] = true
		p.field(key, root.Content[i+1])
	}
	if !seen["subject"] {
		p.errorf(sheet, root, "write `subject:` and what the mail is about", "the subject is missing")
	}
	if !seen["purpose"] {
		p.errorf(sheet, root, "write the purpose that permits the mail, for example `purpose: service`", "the purpose is missing")
	}
	p.classify()
}

// classify gives a template the class of its purpose when it does not say one:
// what people may say no to waits for quiet hours and caps, what they are owed
// does not. The first never passes for the second.
func (p *parser) classify() {
	t := p.t
	optional := false
	if p.policy != nil {
		d, ok := p.policy.Purpose(t.Purpose)
		optional = ok && d.Scope == consent.AddressScope && d.Objectable()
	}
	switch {
	case p.class == nil && optional:
		t.Class = message.Triggered
	case p.class == nil:
		t.Class = message.Transactional
	case t.Class == message.Transactional && optional:
		p.errorf(sheet, p.class, "leave class out, or use a purpose that people are owed, such as service",
			"a mail for %q cannot be transactional: people may say no to it, so caps and quiet hours hold for it", t.Purpose)
	}
}

func (p *parser) field(key, v *yaml.Node) {
	t := p.t
	switch key.Value {
	case "subject":
		t.subject = p.line(v)
	case "preheader":
		t.preheader = p.line(v)
	case "from":
		a, err := mail.ParseAddress(v.Value)
		if err != nil {
			p.errorf(sheet, v, "write `Name <address@shop.example>`", "the sender is no address")
			return
		}
		t.From = message.Address{Name: displayName(a.Name), Email: a.Address}
	case "reply_to":
		a, err := mail.ParseAddress(v.Value)
		if err != nil {
			p.errorf(sheet, v, "write `address@shop.example`", "the address for replies is no address")
			return
		}
		t.ReplyTo = a.Address
	case "purpose":
		t.Purpose = purpose.Purpose(v.Value)
		if p.policy != nil && !p.policy.Mailable(t.Purpose) {
			p.errorf(sheet, v, p.purposes(), "no purpose %q about mail is declared in purposes.yaml", v.Value)
		}
	case "class":
		p.class = v
		classes := map[string]message.Class{"transactional": message.Transactional, "triggered": message.Triggered, "broadcast": message.Broadcast}
		if t.Class = classes[v.Value]; t.Class == 0 {
			p.errorf(sheet, v, "use transactional, triggered or broadcast", "%q is no class", v.Value)
		}
	case "tracking":
		if v.Value != "true" && v.Value != "false" {
			p.errorf(sheet, v, "write true or false", "%q is neither true nor false", v.Value)
		}
		p.t.Tracking = v.Value == "true"
	case "blocks":
		p.blocks(v)
	default:
		p.errorf(sheet, key, "use one of: "+strings.Join(sheetKeys, ", "), "unknown key %q", key.Value)
	}
}

func (p *parser) purposes() string {
	var names []string
	for _, d := range p.policy.Purposes() {
		if d.Scope == consent.AddressScope {
			names = append(names, string(d.Name))
		}
	}
	return "use one of: " + strings.Join(names, ", ")
}

// line reads a subject or a preheader: a text, or a mapping with `text` and the
// `fallback` that stands in when a value is missing.
func (p *parser) line(v *yaml.Node) *part {
	out := &part{file: sheet, line: v.Line}
	text := v
	if v.Kind == yaml.MappingNode {
		text = nil
		for i := 0; i+1 < len(v.Content); i += 2 {
			switch key := v.Content[i]; key.Value {
			case "text":
				text = v.Content[i+1]
				out.line = text.Line
			case "fallback":
				out.fallback = headerText(v.Content[i+1].Value)
			default:
				p.errorf(sheet, key, "use text and fallback", "unknown key %q", key.Value)
			}
		}
	}
	if text == nil || text.Kind != yaml.ScalarNode || strings.TrimSpace(text.Value) == "" {
		p.errorf(sheet, v, "write what it says", "a text is missing here")
		return nil
	}
	out.compiled, out.text = p.compile(sheet, text, text.Value, liquid.PlainText), text.Value
	return out
}

func (p *parser) blocks(v *yaml.Node) {
	if v.Kind != yaml.MappingNode {
		p.errorf(sheet, v, "write `name: {html: blocks/name.html, fallback: blocks/none.html}`", "blocks must be a mapping")
		p.t.blocks = nil
		return
	}
	if len(v.Content)/2 > maxBlocks {
		p.errorf(sheet, v, "", "%d blocks are declared, the limit is %d", len(v.Content)/2, maxBlocks)
		p.t.blocks = nil
		return
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		key, body := v.Content[i], v.Content[i+1]
		b := &block{name: key.Value}
		decided, shown := false, false
		for j := 0; body.Kind == yaml.MappingNode && j+1 < len(body.Content); j += 2 {
			k, val := body.Content[j], body.Content[j+1]
			switch k.Value {
			case "html":
				shown = true
				b.part = p.file(val.Value, val, liquid.HTML)
			case "fallback":
				decided = true
				if val.Value != "" {
					b.fallback = p.file(val.Value, val, liquid.HTML)
				}
			case "essential":
				decided = true
				b.essential = val.Value == "true"
			default:
				p.errorf(sheet, k, "use html, fallback and essential", "unknown key %q", k.Value)
			}
		}
		switch {
		case !shown:
			p.errorf(sheet, key, "write `html: blocks/name.html`", "the block %q has no file", key.Value)
		case !decided:
			p.errorf(sheet, key, `write the file that stands in when the block fails, fallback: "" for nothing, or essential: true`, "the block %q has no fallback", key.Value)
		}
		p.t.blocks[key.Value] = b
	}
}

// file compiles one file of the folder.
func (p *parser) file(name string, at *yaml.Node, escape liquid.Escape) *part {
	body, ok := p.files[name]
	switch {
	case !ok:
		p.errorf(sheet, at, "put the file into the template's folder", "there is no file %q", name)
		p.broken = true
		return nil
	case len(body) > maxPartFile:
		p.errorf(name, nil, "", "the file has %d bytes, the limit is %d", len(body), maxPartFile)
		p.broken = true
		return nil
	}
	c := p.compile(name, nil, string(body), escape)
	if c == nil {
		return nil
	}
	return &part{file: name, compiled: c, text: string(body)}
}

// body reads body.html and body.txt. A fragment is given the document around it.
func (p *parser) body() {
	page, hasHTML := p.files[bodyHTML]
	plain, hasText := p.files[bodyText]
	switch {
	case !hasHTML && !hasText:
		p.errorf(bodyHTML, nil, "write the HTML part", "the file is missing")
		p.broken = true
		return
	case hasHTML && len(page) > maxPartFile:
		p.errorf(bodyHTML, nil, "", "the file has %d bytes, the limit is %d", len(page), maxPartFile)
		p.broken = true
	case hasHTML && len(bytes.TrimSpace(page)) == 0:
		p.errorf(bodyHTML, nil, "write what the mail says, or remove the file for a mail of text alone", "the file is empty")
		p.broken = true
	case hasHTML:
		text := string(page)
		if !bytes.Contains(bytes.ToLower(page), []byte("<body")) {
			text = documentHead + text + documentTail
			p.shift = len(documentHead)
		}
		if c := p.compile(bodyHTML, nil, text, liquid.HTML); c != nil {
			p.t.html = &part{file: bodyHTML, compiled: c, text: text, shift: p.shift}
		}
	}
	switch {
	case hasText && len(bytes.TrimSpace(plain)) == 0:
		p.errorf(bodyText, nil, "write what the mail says, or remove the file: the text is then made from the HTML part", "the file is empty")
		p.broken = true
	case hasText:
		p.t.text = p.file(bodyText, nil, liquid.PlainText)
	}
}

// documentHead has no line end, so that lines are counted as in the file.
const (
	documentHead = `<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"></head><body>`
	documentTail = "</body></html>\n"
)

// compile compiles one text; at is where it stands within the sheet.
func (p *parser) compile(file string, at *yaml.Node, text string, escape liquid.Escape) *liquid.Template {
	c, err := liquid.Compile(text, liquid.Options{Name: file, Escape: escape, Strict: true, Partials: p.shared})
	if err == nil {
		for _, w := range c.Warnings() {
			p.liquidProblem(&w, at, true)
		}
		return c
	}
	p.broken = true
	var many liquid.Errors
	var one *liquid.Error
	switch {
	case errors.As(err, &many):
		for _, e := range many {
			p.liquidProblem(e, at, false)
		}
	case errors.As(err, &one):
		p.liquidProblem(one, at, false)
	default:
		p.errorf(file, at, "", "%v", err)
	}
	return nil
}

func (p *parser) liquidProblem(e *liquid.Error, at *yaml.Node, warning bool) {
	x := Problem{File: e.Name, Line: e.Line, Column: e.Column, Message: e.Message, Warning: warning}
	if _, partial := p.shared[e.Name]; partial {
		x.File = "partials/" + e.Name + ".liquid"
	}
	if e.Suggestion != "" {
		x.Hint = fmt.Sprintf("did you mean %q?", e.Suggestion)
	}
	if at != nil && e.Name == sheet {
		x.Line, x.Column = at.Line+e.Line-1, at.Column
	}
	x.Column = p.unshifted(e.Name, x.Line, x.Column)
	p.problems = append(p.problems, x)
}

// unshifted gives the column as the author sees it: before the first line of a
// fragment stands the document's head.
func (p *parser) unshifted(file string, line, column int) int {
	if file == bodyHTML && line == 1 {
		return max(1, column-p.shift)
	}
	return column
}

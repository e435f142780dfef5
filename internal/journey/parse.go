package journey

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/message"
	"rapport/internal/purpose"
	"rapport/internal/rule"
	"rapport/internal/spelling"
)

// Parse checks one journey's definition. Either the definition is nil or there
// are no problems; the problems are all there are, in the order of the text,
// up to MaxProblems. Names of other files (templates, segments, purposes) are
// not checked here: Refs tells them.
func Parse(name string, n *yaml.Node) (*Definition, []rule.Problem) {
	d, _, problems := Read(name, n)
	return d, problems
}

// Read does what Parse does, and also gives what a text with mistakes refers to,
// as far as it could be read, so that one mistake does not hide those across files.
func Read(name string, n *yaml.Node) (*Definition, Refs, []rule.Problem) {
	p := &parser{def: &Definition{name: name}}
	if n != nil && n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	if n == nil || n.Kind == 0 {
		n = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: 1, Column: 1}
	}
	if !validName(name) {
		p.fail(n, "name the file like welcome.yaml", "a journey's name is 1 to %d small letters, digits, - and _, and begins with a letter or digit: %q is not", MaxName, cut(name, MaxName))
	}
	left := MaxNodes
	if !p.bounded(n, &left, 0) {
		return nil, Refs{}, p.problems
	}
	p.definition(n)
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b rule.Problem) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		return nil, p.def.refs, p.problems
	}
	p.def.digest = digest(n)
	return p.def, p.def.refs, nil
}

// parser collects a definition and every mistake in it.
type parser struct {
	def      *Definition
	problems []rule.Problem

	validSaid bool // the journey says how long its mails are valid
}

func (p *parser) fail(n *yaml.Node, hint, format string, args ...any) {
	p.add(rule.Problem{Line: n.Line, Column: n.Column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (p *parser) add(problems ...rule.Problem) {
	for _, q := range problems {
		if len(p.problems) < MaxProblems {
			p.problems = append(p.problems, q)
		}
	}
}

// bounded refuses what would take unbounded work: too many values, too deep
// ones, and aliases.
func (p *parser) bounded(n *yaml.Node, left *int, depth int) bool {
	*left--
	switch {
	case n.Kind == yaml.AliasNode:
		p.fail(n, "write the value out", "anchors and aliases are not understood here")
	case *left < 0:
		p.fail(n, "split the journey", "more than %d values in one journey (MaxNodes)", MaxNodes)
	case depth > MaxNesting:
		p.fail(n, "", "values nest deeper than %d (MaxNesting)", MaxNesting)
	default:
		for _, c := range n.Content {
			if !p.bounded(c, left, depth+1) {
				return false
			}
		}
		return true
	}
	return false
}

// digest is the meaning of a definition: its values without comments, places and styles.
func digest(n *yaml.Node) [sha256.Size]byte {
	var b []byte
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		b = append(b, byte(n.Kind))
		if n.Kind == yaml.ScalarNode {
			b = appendText(b, n.ShortTag())
			b = appendText(b, n.Value)
		}
		b = binary.AppendUvarint(b, uint64(len(n.Content)))
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(n)
	return sha256.Sum256(b)
}

func (p *parser) definition(n *yaml.Node) {
	d := p.def
	f := p.fields(n, "a journey", "description", "trigger", "purpose", "class", "valid_for", "provider", "status",
		"reentry", "key", "include_existing", "max_trigger_age", "exit_when", "on_change", "steps")
	if f == nil {
		return
	}
	p.text(f["description"], "description")
	if f["trigger"] == nil {
		p.fail(n, "write trigger: {event: Product Added}", "the journey has no trigger")
	} else {
		p.trigger(f["trigger"])
	}
	if f["purpose"] == nil {
		p.fail(n, "write purpose: marketing.newsletter", "the journey has no purpose: nobody may enter one without permission for it")
	}
	d.purpose = p.purpose(f["purpose"])
	d.class = p.class(f["class"], message.Triggered)
	d.validFor, p.validSaid = p.validFor(f["valid_for"], d.class), f["valid_for"] != nil
	d.provider = p.provider(f["provider"])
	switch s := p.text(f["status"], "status"); s {
	case "", "running":
	case "stopped":
		d.closed = true
	default:
		p.fail(f["status"], "running or stopped", "status %q is unknown", s)
	}
	p.reentry(f["reentry"])
	if k := f["key"]; k != nil {
		d.key = p.text(k, "key")
		if d.key == "" || len(d.key) > rule.MaxPath {
			p.fail(k, "write key: order_id", "a key is the path of a property of the trigger")
		}
		d.refs.Properties = addRef(d.refs.Properties, d.key, k.Line, k.Column)
	}
	p.include(f["include_existing"])
	p.onChange(f["on_change"])
	d.maxAge = defaultAge
	if a := f["max_trigger_age"]; a != nil {
		d.maxAge, d.aged = p.duration(a, "max_trigger_age"), true
	}
	if e := f["exit_when"]; e != nil {
		d.exit = p.cond(e, "exit_when")
	}
	if s := f["steps"]; s == nil {
		p.fail(n, "write steps: and a list beneath it", "the journey has no steps")
	} else {
		p.steps(s, "", -1, 1)
		p.names()
		p.limits(n)
	}
}

func (p *parser) trigger(n *yaml.Node) {
	f := p.fields(n, "a trigger", "event", "where", "enters", "leaves", "date", "api", "if")
	if f == nil {
		return
	}
	t := &p.def.trigger
	var kinds []string
	for i, key := range [...]string{"event", "enters", "leaves", "date", "api"} {
		v := f[key]
		if v == nil {
			continue
		}
		kinds = append(kinds, key)
		t.kind = TriggerKind(i + 1)
		switch t.kind {
		case OnDate:
			t.date = p.date(v)
			t.name = t.date.trait
			continue
		case OnRequest:
			if !p.bool(v, "api") {
				p.fail(v, "write api: true, or another trigger", "a trigger that is none begins nothing")
			}
			continue
		}
		if t.kind == OnNamedEvent {
			t.name = v.Value // did checks it
		} else {
			t.name = p.name(v, key)
		}
		if t.kind == OnNamedEvent {
			p.def.refs.Events = addRef(p.def.refs.Events, t.name, v.Line, v.Column)
		} else {
			p.def.refs.Segments = addRef(p.def.refs.Segments, t.name, v.Line, v.Column)
		}
		if t.kind == OnNamedEvent && (t.name == AudienceEntered || t.name == AudienceExited) {
			p.fail(v, "write enters: or leaves: and the segment's name", "a segment's entries and exits begin a journey by the segment's name")
		}
	}
	if len(kinds) != 1 {
		p.fail(n, "one of event, enters, leaves, date, api", "a trigger is one thing, here are %d", len(kinds))
	}
	if w := f["where"]; w != nil {
		if t.kind != OnNamedEvent {
			p.fail(w, "ask with if:", "where belongs to a trigger by event")
		} else if t.fits = p.did(f["event"], w, false); t.fits != nil {
			t.where = whereOf(t.fits)
			p.refer(t.fits, f["event"])
		}
	}
	if t.kind == OnNamedEvent {
		if t.ever = p.did(f["event"], nil, false); t.ever != nil {
			p.refer(t.ever, f["event"])
		}
	}
	if r := f["if"]; r != nil {
		t.rule = p.rule(r, rule.Context{Property: true})
	}
}

func (p *parser) reentry(n *yaml.Node) {
	d := p.def
	d.reentry = Once
	switch {
	case n == nil && d.trigger.kind == OnDate:
		d.reentry = Always // each date is an occasion of its own
	case n == nil:
	case n.Kind == yaml.MappingNode:
		f := p.fields(n, "reentry", "every")
		if e := f["every"]; e != nil {
			d.reentry, d.every = Every, p.duration(e, "every")
		} else if f != nil {
			p.fail(n, "once, always, or every: 7d", "reentry says nothing")
		}
	case n.Value == "once" && n.Kind == yaml.ScalarNode:
	case n.Value == "always" && n.Kind == yaml.ScalarNode:
		d.reentry = Always
	default:
		p.fail(n, "once, always, or every: 7d", "reentry %q is unknown", cut(n.Value, MaxName))
	}
}

func (p *parser) onChange(n *yaml.Node) {
	switch s := p.text(n, "on_change"); s {
	case "", "stay":
	case "move":
		p.def.change = MoveOnChange
	case "exit":
		p.def.change = ExitOnChange
	default:
		p.fail(n, "stay, move or exit", "on_change %q is unknown", cut(s, MaxName))
	}
}

func (p *parser) include(n *yaml.Node) {
	if n == nil {
		return
	}
	p.def.include = p.bool(n, "include_existing")
	if k := p.def.trigger.kind; p.def.include && k != OnEnter && k != OnLeave {
		p.fail(n, "remove it", "include_existing is about segments: nothing else has somebody who is in it already")
	}
}

// names gives each step the name it has in keys: the author's, or a send's
// template, or its path.
func (p *parser) names() {
	d := p.def
	taken := map[string]bool{}
	at := func(i int) *yaml.Node { return &yaml.Node{Line: d.nodes[i].line, Column: d.nodes[i].column} }
	for i := range d.nodes {
		if n := &d.nodes[i]; n.named {
			if taken[n.id] {
				p.fail(at(i), "give each step its own id", "two steps have the id %q", n.id)
			}
			taken[n.id] = true
		}
	}
	for i := range d.nodes {
		n := &d.nodes[i]
		if n.named {
			continue
		}
		n.id = n.path
		if n.kind == sendStep && n.template != "" {
			n.id = n.template
		}
		base := n.id
		for k := 2; taken[n.id]; k++ {
			n.id = base + "-" + strconv.Itoa(k)
		}
		taken[n.id] = true
	}
	for i := range d.nodes {
		if n := &d.nodes[i]; n.kind == sendStep {
			d.refs.Sends = append(d.refs.Sends, SendRef{
				Step: n.id, Template: n.template, Purpose: n.purpose, Class: n.class, Provider: n.provider,
				ValidFor: time.Duration(n.validFor) * time.Millisecond, Line: n.line, Column: n.column,
			})
		}
	}
}

func (p *parser) limits(n *yaml.Node) {
	if len(p.def.nodes) > MaxSteps {
		p.fail(n, "split the journey", "%d steps, at most %d (MaxSteps)", len(p.def.nodes), MaxSteps)
	}
	if len(p.def.waits) > MaxWaitFors {
		p.fail(n, "split the journey", "%d wait_for steps, at most %d (MaxWaitFors)", len(p.def.waits), MaxWaitFors)
	}
}

// fields takes a mapping apart and names unknown and doubled keys. Nil says
// that it is no mapping.
func (p *parser) fields(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "it takes "+strings.Join(known, ", "), "%s is a mapping", what)
		return nil
	}
	f := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case !slices.Contains(known, k.Value) || k.Kind != yaml.ScalarNode:
			p.fail(k, nearest(k.Value, known), "%s has no %q", what, cut(k.Value, MaxName))
		case f[k.Value] != nil:
			p.fail(k, "keep one", "%s has %q twice", what, k.Value)
		default:
			f[k.Value] = n.Content[i+1]
		}
	}
	return f
}

// text reads a scalar as text, "" for nil.
func (p *parser) text(n *yaml.Node, what string) string {
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		p.fail(n, "", "%s is a text", what)
		return ""
	}
	if len(n.Value) > MaxText {
		p.fail(n, "", "%s is longer than %d bytes (MaxText)", what, MaxText)
		return ""
	}
	return n.Value
}

// name reads a text that must not be empty.
func (p *parser) name(n *yaml.Node, what string) string {
	before := len(p.problems)
	s := p.text(n, what)
	if s == "" && len(p.problems) == before {
		p.fail(n, "", "%s is empty", what)
	}
	return s
}

func (p *parser) bool(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		p.fail(n, "true or false", "%s is true or false", what)
		return false
	}
	return n.Value[0]|0x20 == 't'
}

func (p *parser) purpose(n *yaml.Node) purpose.Purpose {
	if n == nil {
		return ""
	}
	s := p.name(n, "purpose")
	p.def.refs.Purposes = addRef(p.def.refs.Purposes, s, n.Line, n.Column)
	return purpose.Purpose(s)
}

func (p *parser) provider(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	s := p.name(n, "provider")
	p.def.refs.Providers = addRef(p.def.refs.Providers, s, n.Line, n.Column)
	return s
}

func (p *parser) class(n *yaml.Node, standard message.Class) message.Class {
	if n == nil {
		return standard
	}
	for _, c := range [...]message.Class{message.Transactional, message.Triggered} {
		if n.Kind == yaml.ScalarNode && n.Value == c.String() {
			return c
		}
	}
	p.fail(n, "transactional or triggered", "class %q is unknown in a journey", cut(n.Value, MaxName))
	return standard
}

// validFor reads how long a mail may wait for its hand-over: a day for what is
// marketing, for ever for what is not, unless the author says otherwise.
func (p *parser) validFor(n *yaml.Node, c message.Class) int64 {
	switch {
	case n == nil && c.Marketing():
		return defaultValid
	case n == nil, n.Kind == yaml.ScalarNode && n.Value == "forever":
		return 0
	}
	return p.duration(n, "valid_for")
}

// duration reads a positive duration in milliseconds.
func (p *parser) duration(n *yaml.Node, what string) int64 {
	const hint = "30s, 15m, 24h, 7d, 2w"
	if n.Kind != yaml.ScalarNode {
		p.fail(n, hint, "%s is a duration", what)
		return 1
	}
	ms, ok := parseDuration(n.Value)
	switch {
	case !ok || ms <= 0:
		p.fail(n, hint, "%s: %q is no duration", what, cut(n.Value, MaxName))
		return 1
	case ms > int64(MaxWait/time.Millisecond):
		p.fail(n, "", "%s is longer than %dd (MaxWait)", what, MaxWait/(24*time.Hour))
		return 1
	}
	return ms
}

// parseDuration reads "30s", "1h30m", "7d", "2w": days are 24 hours.
func parseDuration(s string) (ms int64, ok bool) {
	if s == "" || len(s) > 32 {
		return 0, false
	}
	for s != "" {
		i := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		if i == 0 || i == len(s) || i > 9 {
			return 0, false
		}
		n, _ := strconv.ParseInt(s[:i], 10, 64) // At most nine digits always parse.
		unit, ok := map[byte]int64{'s': 1000, 'm': 60_000, 'h': 3_600_000, 'd': day, 'w': 7 * day}[s[i]]
		if !ok {
			return 0, false
		}
		ms += n * unit
		s = s[i+1:]
	}
	return ms, true
}

func validName(s string) bool {
	if s == "" || len(s) > MaxName || s[0] == '-' || s[0] == '_' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// nearest suggests the known word that the author may have meant.
func nearest(word string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := spelling.Distance(word, k, distance); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "it takes " + strings.Join(known, ", ")
}

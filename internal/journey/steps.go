package journey

import (
	"encoding/json"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"rapport/internal/rule"
)

// inJourney is where a rule stands that is asked of somebody inside.
var inJourney = rule.Context{Property: true, Since: true}

// steps reads a list of steps beneath a path and gives the first, -1 for none.
func (p *parser) steps(n *yaml.Node, path string, parent, depth int) int {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.fail(n, "begin each step with a dash", "steps are a list with at least one step")
		return -1
	}
	if depth > MaxDepth {
		p.fail(n, "split the journey", "branches nest deeper than %d (MaxDepth)", MaxDepth)
		return -1
	}
	first, last := -1, -1
	for i, c := range n.Content {
		if len(p.def.nodes) > MaxSteps {
			return first
		}
		at := len(p.def.nodes)
		p.def.nodes = append(p.def.nodes, node{
			path: path + strconv.Itoa(i+1), parent: parent, next: -1, line: c.Line, column: c.Column, orElse: -1,
		})
		if first < 0 {
			first = at
		}
		if last >= 0 {
			p.def.nodes[last].next = at
		}
		last = at
		p.step(c, at, depth)
	}
	return first
}

var stepKeys = []string{"send", "wait", "wait_for", "if", "set", "stop"}

// beside lists what may stand beside a step's main key.
var beside = map[string][]string{
	"send":     {"id", "purpose", "class", "provider", "valid_for", "window", "on_failure"},
	"wait":     {"id", "on_failure"},
	"wait_for": {"id", "then", "else", "on_timeout"},
	"if":       {"id", "then", "else"},
	"set":      {"id", "on_failure"},
	"stop":     {"id"},
}

func (p *parser) step(n *yaml.Node, at, depth int) {
	if n.Kind == yaml.ScalarNode && n.Value == "stop" {
		p.def.nodes[at].kind = stopStep
		return
	}
	if n.Kind != yaml.MappingNode {
		p.fail(n, "one of "+strings.Join(stepKeys, ", "), "a step says what to do")
		return
	}
	main := ""
	for i := 0; i+1 < len(n.Content); i += 2 {
		for _, k := range stepKeys {
			if n.Content[i].Value == k {
				if main != "" && main != k {
					p.fail(n.Content[i], "begin another step with a dash", "a step is one thing, here are %s and %s", main, k)
					return
				}
				main = k
			}
		}
	}
	if main == "" {
		hint := "one of " + strings.Join(stepKeys, ", ")
		if len(n.Content) > 0 {
			hint = nearest(n.Content[0].Value, stepKeys)
		}
		p.fail(n, hint, "a step says what to do")
		return
	}
	f := p.fields(n, "a "+main+" step", append([]string{main}, beside[main]...)...)
	if id := f["id"]; id != nil {
		s := p.name(id, "id")
		if s != "" && !validName(s) {
			p.fail(id, "like first-reminder", "an id is 1 to %d small letters, digits, - and _", MaxName)
		}
		p.def.nodes[at].id, p.def.nodes[at].named = s, true
	}
	p.def.nodes[at].stopOnFail = p.onFailure(f["on_failure"], main == "wait")
	v := f[main]
	switch main {
	case "send":
		p.send(v, f, at)
	case "wait":
		p.wait(v, at)
	case "wait_for":
		p.waitFor(v, f, at, depth)
	case "if":
		p.ifStep(v, f, at, depth)
	case "set":
		p.set(v, at)
	case "stop":
		p.def.nodes[at].kind = stopStep
		if v.ShortTag() != "!!null" {
			p.def.nodes[at].reason = p.text(v, "stop")
		}
	}
}

// onFailure reads whether a step that fails ends the stay. A wait whose end is
// not known does unless the author says otherwise: a mail at the wrong time is
// worse than none.
func (p *parser) onFailure(n *yaml.Node, standard bool) (stop bool) {
	switch s := p.text(n, "on_failure"); s {
	case "":
		return standard
	case "continue":
		return false
	case "stop":
		return true
	default:
		p.fail(n, "continue or stop", "on_failure %q is unknown", cut(s, MaxName))
		return standard
	}
}

func (p *parser) send(v *yaml.Node, f map[string]*yaml.Node, at int) {
	d, n := p.def, &p.def.nodes[at]
	n.kind = sendStep
	n.template = p.name(v, "send")
	if n.template != "" && !validName(n.template) {
		p.fail(v, "the name of a folder in templates/", "a template's name is small letters, digits, - and _")
		n.template = ""
	}
	d.refs.Templates = addRef(d.refs.Templates, n.template, v.Line, v.Column)
	n.purpose, n.provider, n.validFor = d.purpose, d.provider, d.validFor
	if f["purpose"] != nil {
		n.purpose = p.purpose(f["purpose"])
	}
	n.class = p.class(f["class"], d.class)
	if f["valid_for"] != nil || n.class != d.class && !p.validSaid {
		n.validFor = p.validFor(f["valid_for"], n.class)
	}
	if f["provider"] != nil {
		n.provider = p.provider(f["provider"])
	}
	if f["window"] != nil {
		n.window = p.window(f["window"])
	}
}

func (p *parser) wait(v *yaml.Node, at int) {
	p.def.nodes[at].kind = waitStep
	if v.Kind != yaml.MappingNode {
		p.def.nodes[at].length = p.duration(v, "wait")
		return
	}
	f := p.fields(v, "a wait", "until", "window")
	if f["until"] != nil && f["window"] != nil {
		p.fail(v, "make two steps of it", "a wait has one end, here are until and window")
	}
	if w := f["window"]; w != nil {
		p.def.nodes[at].window = p.window(w)
	} else if u := f["until"]; u != nil {
		p.def.nodes[at].until = p.until(u)
	} else if f != nil {
		p.fail(v, "wait: 1h, wait: {until: …} or wait: {window: …}", "the wait has no end")
	}
}

// waitFor reads a wait_for step, whose branches may stand beside it or in it.
func (p *parser) waitFor(v *yaml.Node, outer map[string]*yaml.Node, at, depth int) {
	d := p.def
	d.nodes[at].kind = waitForStep
	d.nodes[at].bit = len(d.waits)
	d.waits = append(d.waits, at)
	f := p.fields(v, "a wait_for", "event", "where", "same", "rule", "any", "timeout", "then", "else", "on_timeout")
	if f == nil {
		return
	}
	for _, k := range [...]string{"then", "else", "on_timeout"} {
		if f[k] != nil && outer[k] != nil {
			p.fail(outer[k], "keep one", "the step has %s twice", k)
		} else if f[k] == nil {
			f[k] = outer[k]
		}
	}
	if f["else"] != nil && f["on_timeout"] != nil {
		p.fail(f["else"], "keep on_timeout", "else and on_timeout are the same")
	} else if f["else"] != nil {
		f["on_timeout"] = f["else"]
	}
	forms := 0
	for _, k := range [...]string{"event", "rule", "any"} {
		if f[k] != nil {
			forms++
		}
	}
	switch {
	case forms != 1:
		p.fail(v, "one of event, rule, any", "a wait_for looks for one thing, here are %d", forms)
	case f["event"] != nil:
		d.nodes[at].cond = &cond{}
		p.event(d.nodes[at].cond, f["event"], f["where"], f["same"])
	case f["rule"] != nil:
		d.nodes[at].cond = &cond{rule: p.rule(f["rule"], inJourney)}
	default:
		d.nodes[at].cond = p.anyOf(f["any"], "wait_for")
	}
	if f["where"] != nil && f["event"] == nil {
		p.fail(f["where"], "put it beside event:", "where belongs to an event")
	}
	if f["same"] != nil && f["event"] == nil {
		p.fail(f["same"], "put it beside event:", "same belongs to an event")
	}
	if f["timeout"] == nil {
		p.fail(v, "write timeout: 24h", "a wait_for needs a timeout: nobody waits for ever")
	} else {
		d.nodes[at].timeout = p.duration(f["timeout"], "timeout")
	}
	path := d.nodes[at].path
	to := -1
	if f["then"] != nil {
		to = p.steps(f["then"], path+".then.", at, depth+1)
	}
	d.nodes[at].branches = []branch{{to: to}}
	if f["on_timeout"] != nil {
		d.nodes[at].orElse = p.steps(f["on_timeout"], path+".on_timeout.", at, depth+1)
	}
}

// ifStep reads "if: RULE, then: …, else: …" and "if: [{when: RULE, then: …}, …], else: …".
func (p *parser) ifStep(v *yaml.Node, f map[string]*yaml.Node, at, depth int) {
	d := p.def
	d.nodes[at].kind = ifStep
	path := d.nodes[at].path
	if branching(v) {
		if f["then"] != nil {
			p.fail(f["then"], "put then: beneath each when:", "an if with branches has its steps in them")
		}
		if len(v.Content) > MaxBranches {
			p.fail(v, "split the step", "%d branches, at most %d (MaxBranches)", len(v.Content), MaxBranches)
			return
		}
		for i, c := range v.Content {
			b := p.fields(c, "a branch", "when", "then")
			if b == nil {
				continue
			}
			if b["when"] == nil || b["then"] == nil {
				p.fail(c, "write {when: RULE, then: [steps]}", "a branch has a rule and steps")
				continue
			}
			r := p.rule(b["when"], inJourney)
			to := p.steps(b["then"], path+"."+strconv.Itoa(i+1)+".", at, depth+1)
			d.nodes[at].branches = append(d.nodes[at].branches, branch{rule: r, to: to})
		}
	} else {
		r := p.rule(v, inJourney)
		to := -1
		if f["then"] != nil {
			to = p.steps(f["then"], path+".then.", at, depth+1)
		} else if f["else"] == nil {
			p.fail(v, "write then: and steps beneath it", "the if leads nowhere")
		}
		d.nodes[at].branches = []branch{{rule: r, to: to}}
	}
	if f["else"] != nil {
		d.nodes[at].orElse = p.steps(f["else"], path+".else.", at, depth+1)
	}
}

// branching tells a list of branches from a rule that is a list.
func branching(v *yaml.Node) bool {
	if v.Kind != yaml.SequenceNode || len(v.Content) == 0 {
		return false
	}
	c := v.Content[0]
	for i := 0; c.Kind == yaml.MappingNode && i+1 < len(c.Content); i += 2 {
		if c.Content[i].Value == "when" || c.Content[i].Value == "then" {
			return true
		}
	}
	return false
}

// cond reads an event, a rule, or any of several of them.
func (p *parser) cond(n *yaml.Node, what string) *cond {
	if event := child(n, "event"); event != nil {
		c := &cond{}
		if f := p.fields(n, what, "event", "where", "same"); f != nil {
			p.event(c, f["event"], f["where"], f["same"])
		}
		return c
	}
	if list := child(n, "any"); list != nil && len(n.Content) == 2 && list.Kind == yaml.SequenceNode {
		return p.anyOf(list, what)
	}
	return &cond{rule: p.rule(n, inJourney)}
}

// anyOf reads a list in which events and rules may stand side by side.
func (p *parser) anyOf(list *yaml.Node, what string) *cond {
	c := &cond{}
	if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		p.fail(list, "begin each with a dash", "any is a list")
		return c
	}
	rules := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: list.Line, Column: list.Column}
	for _, n := range list.Content {
		if child(n, "event") == nil {
			rules.Content = append(rules.Content, n)
			continue
		}
		if len(c.events) >= MaxConditions {
			p.fail(n, "", "more than %d events in one any (MaxConditions)", MaxConditions)
			return c
		}
		if f := p.fields(n, what, "event", "where", "same"); f != nil {
			p.event(c, f["event"], f["where"], f["same"])
		}
	}
	if len(rules.Content) > 0 {
		c.rule = p.rule(mapping(list, "any", rules), inJourney)
	}
	return c
}

// event reads an event to look for.
func (p *parser) event(c *cond, name, where, same *yaml.Node) {
	r := p.did(name, where, true)
	if r == nil {
		return
	}
	m := match{name: name.Value, where: whereOf(r), stored: r}
	if same != nil {
		if m.same, m.stored = p.name(same, "same"), nil; len(m.same) > rule.MaxPath {
			p.fail(same, "write same: cart_id", "same is the path of a property of trigger and event")
		}
		p.def.refs.Properties = addRef(p.def.refs.Properties, m.same, same.Line, same.Column)
	}
	c.events = append(c.events, m)
	p.refer(r, name)
}

// did makes the rule that an event came, ever or since the trigger. It is how a
// where is checked and compiled, too.
func (p *parser) did(name, where *yaml.Node, since bool) *rule.Rule {
	if name == nil || p.name(name, "event") == "" {
		return nil
	}
	m := mapping(name, "did", name)
	if since {
		m.Content = append(m.Content, word(name, "since"), word(name, "trigger"))
	}
	if where != nil {
		m.Content = append(m.Content, word(where, "where"), where)
	}
	r, problems := rule.Parse(m, inJourney)
	p.add(problems...)
	return r
}

func whereOf(r *rule.Rule) *rule.Where {
	if t := r.Tallies(); len(t) > 0 {
		return t[0].Where
	}
	return nil
}

// rule reads a rule and notes what it refers to.
func (p *parser) rule(n *yaml.Node, ctx rule.Context) *rule.Rule {
	r, problems := rule.Parse(n, ctx)
	p.add(problems...)
	if r != nil {
		p.refer(r, n)
	}
	return r
}

func (p *parser) refer(r *rule.Rule, n *yaml.Node) {
	refs := &p.def.refs
	for _, s := range r.Segments() {
		refs.Segments = addRef(refs.Segments, s, n.Line, n.Column)
	}
	for _, s := range r.Events() {
		refs.Events = addRef(refs.Events, s, n.Line, n.Column)
	}
	for _, s := range r.Traits() {
		refs.Traits = addRef(refs.Traits, s, n.Line, n.Column)
	}
	for _, s := range r.Properties() {
		refs.Properties = addRef(refs.Properties, s, n.Line, n.Column)
	}
	var err error
	if refs.Tallies, err = rule.Union(refs.Tallies, r.Tallies()...); err != nil {
		p.fail(n, "rename one of the events", "%v", err)
	}
}

// child gives the value of a key in a mapping, nil when there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func word(at *yaml.Node, s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Line: at.Line, Column: at.Column}
}

// mapping makes a mapping that stands where another value stood.
func mapping(at *yaml.Node, pairs ...any) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: at.Line, Column: at.Column}
	for _, x := range pairs {
		switch x := x.(type) {
		case string:
			m.Content = append(m.Content, word(at, x))
		case *yaml.Node:
			m.Content = append(m.Content, x)
		}
	}
	return m
}

// literal writes a YAML value as JSON; ok is false for what JSON cannot say.
func literal(n *yaml.Node) (raw []byte, ok bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		switch n.ShortTag() {
		case "!!null":
			return []byte("null"), true
		case "!!str", "!!timestamp":
			raw, err := json.Marshal(n.Value)
			return raw, err == nil
		case "!!bool", "!!int", "!!float":
			var v any
			if n.Decode(&v) != nil {
				return nil, false
			}
			raw, err := json.Marshal(v)
			return raw, err == nil
		}
	case yaml.SequenceNode:
		raw = append(raw, '[')
		for i, c := range n.Content {
			v, ok := literal(c)
			if !ok {
				return nil, false
			}
			if i > 0 {
				raw = append(raw, ',')
			}
			raw = append(raw, v...)
		}
		return append(raw, ']'), true
	case yaml.MappingNode:
		raw = append(raw, '{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, err := json.Marshal(n.Content[i].Value)
			v, ok := literal(n.Content[i+1])
			if err != nil || !ok || n.Content[i].Kind != yaml.ScalarNode {
				return nil, false
			}
			if i > 0 {
				raw = append(raw, ',')
			}
			raw = append(append(append(raw, k...), ':'), v...)
		}
		return append(raw, '}'), true
	}
	return nil, false
}

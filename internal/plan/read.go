package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/purpose"
	"rapport/internal/rule"
	"rapport/internal/spelling"
)

// reader gathers what is wrong with a file while it is read.
type reader struct {
	problems []rule.Problem
}

func (r *reader) errorf(n *yaml.Node, hint, format string, args ...any) {
	p := rule.Problem{Message: fmt.Sprintf(format, args...), Hint: hint, Line: 1, Column: 1}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	r.problems = append(r.problems, p)
}

// mapping opens a mapping that may have these keys; nothing comes of what is none.
func (r *reader) mapping(n *yaml.Node, what string, keys ...string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	r.each(n, what, func(key, value *yaml.Node) {
		if !slices.Contains(keys, key.Value) {
			r.errorf(key, didYouMean(key.Value, keys), "%s has no key %q", what, key.Value)
			return
		}
		if !nothing(value) {
			out[key.Value] = value
		}
	})
	return out
}

// each walks over a mapping.
func (r *reader) each(n *yaml.Node, what string, do func(key, value *yaml.Node)) {
	if n == nil || nothing(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.errorf(n, "write it as `key: value` lines", "%s must be a mapping", what)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		do(n.Content[i], n.Content[i+1])
	}
}

func nothing(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func (r *reader) text(n *yaml.Node, key string) string {
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		r.errorf(n, "", "%q must be text", key)
		return ""
	}
	return strings.TrimSpace(n.Value)
}

func (r *reader) truth(n *yaml.Node, key string) bool {
	if n == nil {
		return false
	}
	v, err := strconv.ParseBool(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		r.errorf(n, "", "%q must be true or false, not %q", key, n.Value)
	}
	return v
}

// choice reads one of some words and gives its place among them.
func (r *reader) choice(n *yaml.Node, key string, words []string) int {
	v := r.text(n, key)
	if n == nil || v == "" {
		return -1
	}
	at := slices.Index(words, v)
	if at < 0 {
		r.errorf(n, didYouMean(v, words), "%q cannot be %q", key, v)
	}
	return at
}

// effect reads what becomes of something.
func (r *reader) effect(n *yaml.Node, key string, words ...string) Effect {
	at := r.choice(n, key, words)
	if at < 0 {
		return Unsaid
	}
	return Effect(slices.Index(effectNames, words[at]))
}

// words reads a list of texts, or one.
func (r *reader) words(n *yaml.Node, key string) []string {
	if n == nil {
		return nil
	}
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	out := make([]string, 0, len(list))
	for _, one := range list {
		if v := r.text(one, key); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// duration reads 30s, 15m, 24h, 7d or 2w.
func (r *reader) duration(n *yaml.Node, key string) time.Duration {
	if n == nil {
		return 0
	}
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	v := n.Value
	if len(v) > 1 {
		unit, ok := units[v[len(v)-1]]
		count, err := strconv.ParseInt(v[:len(v)-1], 10, 32)
		if ok && err == nil && count > 0 && count <= int64(1<<62/unit) {
			return time.Duration(count) * unit
		}
	}
	r.errorf(n, "write for example 730d", "%q must be a duration such as 24h, 30d or 104w, not %q", key, v)
	return 0
}

// Span writes a duration as a plan has it: 730d.
func Span(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		sign string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d%u.size == 0 {
			return strconv.FormatInt(int64(d/u.size), 10) + u.sign
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

// number reads a number and gives it as JSON writes it.
func (r *reader) number(n *yaml.Node, key string) string {
	if n == nil {
		return ""
	}
	var v json.Number
	if json.Unmarshal([]byte(n.Value), &v) != nil || n.Kind != yaml.ScalarNode || len(n.Value) > 32 {
		r.errorf(n, "", "%q must be a number, not %q", key, n.Value)
		return ""
	}
	return n.Value
}

// value reads anything as JSON has it.
func (r *reader) value(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = r.value(n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, one := range n.Content {
			out = append(out, r.value(one))
		}
		return out
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		v, err := strconv.ParseBool(n.Value)
		if err != nil {
			return n.Value
		}
		return v
	case "!!int", "!!float":
		var v json.Number
		if json.Unmarshal([]byte(n.Value), &v) == nil {
			return v
		}
		r.errorf(n, "write it as JSON writes numbers, or put quotes around it", "%q is no number of JSON", n.Value)
		return nil
	}
	return n.Value
}

// attribute reads class, purposes and retention.
func (r *reader) attribute(at map[string]*yaml.Node) (a Attribute) {
	if i := r.choice(at["class"], "class", purpose.Classes()); i >= 0 {
		a.Class, _ = purpose.ParseClass(purpose.Classes()[i])
	}
	for _, p := range r.words(at["purposes"], "purposes") {
		a.Purposes = append(a.Purposes, purpose.Purpose(p))
	}
	a.Retention = r.duration(at["retention"], "retention")
	return a
}

func (r *reader) rules(at map[string]*yaml.Node) Rules {
	return Rules{
		OnViolation:     r.effect(at["on_violation"], "on_violation", "allow", "quarantine", "refuse"),
		UnplannedEvents: r.effect(at["unplanned_events"], "unplanned_events", "allow", "quarantine", "refuse"),
		UnplannedFields: r.effect(at["unplanned_fields"], "unplanned_fields", "allow", "strip", "quarantine", "refuse"),
	}
}

// didYouMean names the nearest of the words that would have been right, or all.
func didYouMean(word string, right []string) string {
	for _, w := range right {
		if spelling.Distance(strings.ToLower(word), w, 1+len(word)/3) <= len(word)/3 {
			return fmt.Sprintf("did you mean %q?", w)
		}
	}
	return "use one of: " + strings.Join(right, ", ")
}

package project

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"rapport/internal/spec"
	"rapport/internal/spelling"
)

// contradictions warns of an `all` that asks for a thing and its opposite, or
// for two different values of one trait.
func (f *file) contradictions(n *yaml.Node, consequence string) {
	list := n
	if n.Kind == yaml.MappingNode {
		list = child(n, "all")
	}
	if list != nil && list.Kind == yaml.SequenceNode {
		f.contradict(list.Content, consequence)
		f.ranges(list.Content, consequence)
		for _, c := range list.Content {
			f.contradictions(c, consequence)
		}
	}
}

func (f *file) contradict(conditions []*yaml.Node, consequence string) {
	asked := map[string]*yaml.Node{} // canonical text → where it is asked for
	is := map[string]*yaml.Node{}    // trait → where it is given a value
	for _, c := range conditions {
		if not := child(c, "not"); not == nil {
			asked[flat(c)] = c
		}
		if name, value := child(c, "trait"), child(c, "is"); name != nil && value != nil {
			if other, ok := is[name.Value]; ok && flat(other) != flat(value) {
				f.warnf(c, "use `in` for one of several values, or `any`", "%s: %q cannot be %s and %s", consequence, name.Value, flat(other), flat(value))
			}
			is[name.Value] = value
		}
	}
	for _, c := range conditions {
		if not := child(c, "not"); not != nil {
			if other, ok := asked[flat(not)]; ok {
				f.warnf(c, fmt.Sprintf("line %d asks for the opposite", other.Line), "%s", consequence)
			}
		}
	}
}

// ranges warns of one trait that must be more than one number and less than
// another that is not greater.
func (f *file) ranges(conditions []*yaml.Node, consequence string) {
	least, most := map[string]float64{}, map[string]float64{}
	for _, c := range conditions {
		name := child(c, "trait")
		if name == nil {
			continue
		}
		for _, key := range []string{"gt", "gte", "lt", "lte"} {
			n := child(c, key)
			if n == nil {
				continue
			}
			v, err := strconv.ParseFloat(n.Value, 64)
			if err != nil {
				continue
			}
			bounds, tighter := most, func(a, b float64) bool { return a < b }
			if key[0] == 'g' {
				bounds, tighter = least, func(a, b float64) bool { return a > b }
			}
			if old, ok := bounds[name.Value]; !ok || tighter(v, old) {
				bounds[name.Value] = v
			}
			low, hasLow := least[name.Value]
			high, hasHigh := most[name.Value]
			if hasLow && hasHigh && low > high {
				f.warnf(c, "change one of the bounds, or use `any`", "%s: %q cannot be more than %v and less than %v", consequence, name.Value, low, high)
			}
		}
	}
}

// letters warns of an order among texts: what is neither a number nor a date is
// compared letter by letter, and with a number not at all.
func (f *file) letters(n *yaml.Node) {
	eachValue(n, []string{"gt", "gte", "lt", "lte"}, func(v *yaml.Node) {
		tag := v.ShortTag()
		if v.Value == "" || tag != "!!str" || v.Value[0] >= '0' && v.Value[0] <= '9' {
			return
		}
		f.warnf(v, "write a number or a date, unless letters are meant", "%q orders texts by their letters: no number is more or less than it", v.Value)
	})
}

// flat writes a node so that equal conditions have equal text.
func flat(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		var parts []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, n.Content[i].Value+": "+flat(n.Content[i+1]))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		var parts []string
		for _, c := range n.Content {
			parts = append(parts, flat(c))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return n.Value
}

// specEvents are the names that Segment's spec gives to common events, and the
// ones this house sends.
var specEvents = append(spec.Names(),
	"Signed Up", "Signed In", "Signed Out", "Account Created", "Account Deleted", "Trial Started", "Trial Ended",
	"Application Installed", "Application Opened", "Application Updated",
)

// eventNames warns of event names that differ by a slip from a well-known one,
// or from one that is used elsewhere in the folder: an event that nobody sends
// raises no error anywhere, it just never comes.
func (l *loader) eventNames() {
	type use struct {
		file *file
		node *yaml.Node
	}
	uses := map[string][]use{}
	for p, f := range l.parsed {
		if strings.HasPrefix(p, "segments/") || strings.HasPrefix(p, "journeys/") {
			eachValue(f.root, []string{"did", "event"}, func(n *yaml.Node) { uses[n.Value] = append(uses[n.Value], use{f, n}) })
		}
	}
	for name, at := range uses {
		if slices.Contains(specEvents, name) {
			continue
		}
		other, ok := slip(name, specEvents)
		if !ok {
			for more, elsewhere := range uses {
				if len(elsewhere) <= len(at) || more == name {
					continue
				}
				if _, near := slip(name, []string{more}); near {
					other, ok = more, true
				}
			}
		}
		for _, u := range at {
			if ok {
				u.file.warnf(u.node, fmt.Sprintf("did you mean %q? If both are sent, leave it as it is", other), "the event %q may never come", name)
			}
		}
	}
}

var noSpaces = strings.NewReplacer(" ", "", "_", "", "-", "")

// slip finds the name that is meant when this one differs by case, spacing or
// one letter in six.
func slip(name string, names []string) (string, bool) {
	plain := strings.ToLower(noSpaces.Replace(name))
	for _, n := range names {
		if n != name && (strings.ToLower(noSpaces.Replace(n)) == plain || spelling.Distance(strings.ToLower(n), strings.ToLower(name), len(name)/6+1) <= len(name)/6) {
			return n, true
		}
	}
	return "", false
}

// eachValue calls fn for every text under one of these keys, anywhere below.
func eachValue(n *yaml.Node, keys []string, fn func(*yaml.Node)) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if slices.Contains(keys, n.Content[i].Value) && n.Content[i+1].Kind == yaml.ScalarNode {
				fn(n.Content[i+1])
			}
		}
	}
	for _, c := range n.Content {
		eachValue(c, keys, fn)
	}
}

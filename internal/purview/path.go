package purview

import (
	"strconv"
	"strings"

	"rapport/internal/rule"
)

// split takes a path apart as rules write it: keys joined by dots, with a backslash
// before a dot or backslash that belongs to the key.
func split(path string) (steps []string) {
	var b strings.Builder
	end := func() {
		if b.Len() > 0 {
			steps = append(steps, b.String())
			b.Reset()
		}
	}
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path):
			i++
			b.WriteByte(path[i])
		case c == '.':
			end()
		default:
			b.WriteByte(c)
		}
	}
	end()
	return steps
}

// FromTemplate gives the path, as rules write it, of what a template reads: keys
// joined by dots, with ["…"] around what is no plain word. The items of a list, [],
// and what is computed only as the template runs, are no step: what holds for the
// whole holds for them.
func FromTemplate(path string) string {
	var steps []string
	step := func(key string) {
		if key != "" {
			steps = append(steps, rule.Quote(key))
		}
	}
	for path != "" {
		if path[0] != '[' {
			key := path
			if i := strings.IndexAny(path, ".["); i >= 0 {
				key = path[:i]
			}
			step(key)
			path = strings.TrimPrefix(path[len(key):], ".")
			continue
		}
		inside := path[1:]
		if quoted, err := strconv.QuotedPrefix(inside); err == nil {
			key, _ := strconv.Unquote(quoted) // It is one.
			step(key)
			inside = inside[len(quoted):]
		}
		i := strings.IndexByte(inside, ']')
		if i < 0 {
			break
		}
		path = strings.TrimPrefix(inside[i+1:], ".")
	}
	return strings.Join(steps, ".")
}

// isIndex tells whether a step may be the place of an item in a list.
func isIndex(step string) bool {
	return step != "" && strings.Trim(step, "0123456789") == ""
}

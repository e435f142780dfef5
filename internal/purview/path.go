package purview

import "strings"

// split takes a path apart: keys joined by dots, as rules write it, with a backslash
// before a dot that belongs to the key; and as templates are told to read it, with
// [] for the items of a list and ["…"] around what is no plain word.
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
		case c == '[':
			end()
			close := strings.IndexByte(path[i:], ']')
			if close < 0 {
				return steps
			}
			if inside := strings.Trim(path[i+1:i+close], `"'`); inside != "" {
				steps = append(steps, inside)
			}
			i += close
		default:
			b.WriteByte(c)
		}
	}
	end()
	return steps
}

// isIndex tells whether a step may be the place of an item in a list.
func isIndex(step string) bool {
	return step != "" && strings.Trim(step, "0123456789") == ""
}

package rule

import "strings"

// Object is a JSON object that is taken apart only as far as it is asked. The
// zero value is an empty object. Reset gives it bytes; the first Get notes where
// its members stand, in a slice that is used again, and nothing else is ever
// allocated or decoded. The bytes should be valid JSON; of any others it is only
// promised that nothing panics. It is not safe for use by many goroutines.
type Object struct {
	raw     []byte
	members []member
	indexed bool
}

// member is where one member of an object stands: its key without the quotes,
// and its value.
type member struct {
	key, keyEnd     int
	value, valueEnd int
	mark            uint32 // of the key, to pass over others at a glance
	escaped         bool
}

// markOf joins the length of a key with its first and last byte.
func markOf[T string | []byte](key T) uint32 {
	if len(key) == 0 {
		return 0
	}
	return uint32(len(key))<<16 | uint32(key[0])<<8 | uint32(key[len(key)-1])
}

// Reset makes o the object in raw, which must stay unchanged while o is used.
// Nil, and whatever is no object, is an empty object.
func (o *Object) Reset(raw []byte) {
	o.raw, o.members, o.indexed = raw, o.members[:0], false
}

// Raw gives the bytes that Reset was given.
func (o *Object) Raw() []byte { return o.raw }

// Get gives the raw JSON at a path: keys joined by dots, where a step of digits
// is also an index into an array and a backslash makes the dot or backslash
// after it part of the key. Of equal keys the last one counts. A null that
// stands there is given as it is.
func (o *Object) Get(path string) (raw []byte, ok bool) {
	if !o.indexed {
		o.index()
	}
	step, rest, last, escaped := cutStep(path)
	mark := markOf(step)
	for i := len(o.members) - 1; i >= 0; i-- {
		m := &o.members[i]
		if m.escaped || escaped {
			if !escapedKeyIs(o.raw[m.key:m.keyEnd], m.escaped, step) {
				continue
			}
		} else if m.mark != mark || string(o.raw[m.key:m.keyEnd]) != step {
			continue
		}
		value := o.raw[m.value:m.valueEnd]
		if last {
			return value, true
		}
		return descend(value, rest)
	}
	return nil, false
}

// index notes the members of the object.
func (o *Object) index() {
	o.indexed = true
	it := iterate(o.raw)
	if it.kind != '{' {
		return
	}
	for {
		m, ok := it.next()
		if !ok {
			return
		}
		m.mark = markOf(o.raw[m.key:m.keyEnd])
		o.members = append(o.members, m)
	}
}

// descend follows the rest of a path below a value.
func descend(value []byte, path string) ([]byte, bool) {
	for {
		step, rest, last, escaped := cutStep(path)
		it := iterate(value)
		found, want := false, -1
		if it.kind == '[' {
			if want = indexOf(step); want < 0 {
				return nil, false
			}
		}
		var at []byte
		for i := 0; ; i++ {
			m, ok := it.next()
			if !ok {
				break
			}
			if it.kind == '[' {
				if i == want {
					at, found = value[m.value:m.valueEnd], true
					break
				}
				continue
			}
			is := false
			if m.escaped || escaped {
				is = escapedKeyIs(value[m.key:m.keyEnd], m.escaped, step)
			} else {
				is = string(value[m.key:m.keyEnd]) == step
			}
			if is {
				at, found = value[m.value:m.valueEnd], true
			}
		}
		if !found {
			return nil, false
		}
		if last {
			return at, true
		}
		value, path = at, rest
	}
}

// cutStep takes the first step off a path. Escaped says that the step holds
// backslashes.
func cutStep(path string) (step, rest string, last, escaped bool) {
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '\\':
			escaped = true
			i++
		case '.':
			return path[:i], path[i+1:], false, escaped
		}
	}
	return path, "", true, escaped
}

// Root gives the first key of a path, without its backslashes: the name of the
// trait or property that the path leads into.
func Root(path string) string {
	step, _, _, escaped := cutStep(path)
	if !escaped {
		return step
	}
	var b strings.Builder
	for i := 0; i < len(step); i++ {
		if step[i] == '\\' && i+1 < len(step) {
			i++
		}
		b.WriteByte(step[i])
	}
	return b.String()
}

// Quote makes a key one step of a path.
func Quote(key string) string {
	return strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(key)
}

// indexOf reads a step as an index into an array, -1 when it is none.
func indexOf(step string) int {
	if step == "" || len(step) > 9 || step[0] == '0' && len(step) > 1 {
		return -1
	}
	n := 0
	for i := range len(step) {
		c := step[i]
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// escapedKeyIs compares a key as it stands in JSON with a step as it stands in a
// path, where either may hold backslashes.
func escapedKeyIs(key []byte, keyEscaped bool, step string) bool {
	if !keyEscaped {
		return stepIs(key, step)
	}
	s := unescape(key)
	defer s.free()
	return stepIs(s.b, step)
}

// stepIs compares a plain key with a step that may hold backslashes.
func stepIs(key []byte, step string) bool {
	n := 0
	for i := 0; i < len(step); i++ {
		if step[i] == '\\' && i+1 < len(step) {
			i++
		}
		if n == len(key) || key[n] != step[i] {
			return false
		}
		n++
	}
	return n == len(key)
}

// members walks over the members of an object or the elements of an array.
type members struct {
	b    []byte
	at   int
	kind byte // '{', '[', or 0 for what is neither
}

func iterate(b []byte) members {
	i := skipSpace(b, 0)
	if i < len(b) && (b[i] == '{' || b[i] == '[') {
		return members{b: b, at: i + 1, kind: b[i]}
	}
	return members{}
}

// next gives the next member; false at the end and at the first byte that is
// not JSON.
func (it *members) next() (m member, ok bool) {
	if it.kind == 0 {
		return m, false
	}
	i := skipSpace(it.b, it.at)
	if it.kind == '{' {
		if i >= len(it.b) || it.b[i] != '"' {
			return it.stop()
		}
		end, escaped, ok := skipString(it.b, i)
		if !ok {
			return it.stop()
		}
		m.key, m.keyEnd, m.escaped = i+1, end-1, escaped
		i = skipSpace(it.b, end)
		if i >= len(it.b) || it.b[i] != ':' {
			return it.stop()
		}
		i = skipSpace(it.b, i+1)
	}
	end, ok := skipValue(it.b, i)
	if !ok {
		return it.stop()
	}
	m.value, m.valueEnd = i, end
	i = skipSpace(it.b, end)
	if i < len(it.b) && it.b[i] == ',' {
		it.at = i + 1
	} else {
		it.at = len(it.b)
	}
	return m, true
}

func (it *members) stop() (member, bool) {
	it.kind = 0
	return member{}, false
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString gives the place behind the string that begins at i with a quote.
func skipString(b []byte, i int) (end int, escaped, ok bool) {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1, escaped, true
		case '\\':
			escaped = true
			i++
		}
	}
	return len(b), escaped, false
}

// skipValue gives the place behind the value that begins at i.
func skipValue(b []byte, i int) (end int, ok bool) {
	if i >= len(b) {
		return i, false
	}
	switch b[i] {
	case '"':
		end, _, ok = skipString(b, i)
		return end, ok
	case '{', '[':
		return skipNested(b, i)
	}
	start := i
	for i < len(b) {
		switch b[i] {
		case ',', ']', '}', ':', '"', '{', '[', ' ', '\n', '\t', '\r':
			return i, i > start
		}
		i++
	}
	return i, true
}

// skipNested gives the place behind the object or array that begins at i,
// however deep it is.
func skipNested(b []byte, i int) (end int, ok bool) {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i, _, ok = skipString(b, i); !ok {
				return i, false
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
		i++
	}
	return i, false
}

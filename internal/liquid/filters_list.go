package liquid

import (
	"slices"
	"strings"
)

var listFilters = map[string]*filter{
	"join":         {max: 1, fn: filterJoin},
	"first":        {fn: filterFirst},
	"last":         {fn: filterLast},
	"size":         {fn: filterSize},
	"reverse":      {fn: filterReverse},
	"concat":       {min: 1, max: 1, fn: filterConcat},
	"sort":         {max: 1, fn: filterSort},
	"sort_natural": {max: 1, fn: filterSortNatural},
	"uniq":         {max: 1, fn: filterUniq},
	"compact":      {max: 1, fn: filterCompact},
	"map":          {min: 1, max: 1, fn: filterMap},
	"where":        {min: 1, max: 2, fn: filterWhere},
	"reject":       {min: 1, max: 2, fn: filterReject},
	"has":          {min: 1, max: 2, fn: filterHas},
	"find":         {min: 1, max: 2, fn: filterFind},
	"find_index":   {min: 1, max: 2, fn: filterFindIndex},
}

// items returns what a list filter works on: a list flattened, a range counted out, anything else as one item, and
// nothing for nil.
func (a *args) items(in Value) ([]Value, bool) {
	switch in.kind {
	case KindNil:
		return nil, true
	case KindArray:
		return a.flatten(in.items())
	case KindRange:
		n := in.rangeLen()
		if n > int64(a.st.limits.RangeLength) {
			a.st.exceed(LimitRange, a.st.limits.RangeLength)
			return nil, false
		}
		if !a.st.charge(valueBytes * int(n)) {
			return nil, false
		}
		out := make([]Value, n)
		for i := range out {
			out[i] = Int(in.n + int64(i))
		}
		return out, true
	}
	return []Value{in}, true
}

func (a *args) flatten(items []Value) ([]Value, bool) {
	nested := false
	for _, e := range items {
		if e.kind == KindArray {
			nested = true
			break
		}
	}
	if !nested {
		return items, a.st.work(len(items) * 8)
	}
	out, ok := a.flattenInto(nil, items, 0)
	return out, ok && a.st.charge(valueBytes*len(out))
}

func (a *args) flattenInto(dst, items []Value, depth int) ([]Value, bool) {
	for _, e := range items {
		if !a.st.step() {
			return nil, false
		}
		if e.kind != KindArray || depth > jsonDepth {
			dst = append(dst, e)
			continue
		}
		var ok bool
		if dst, ok = a.flattenInto(dst, e.items(), depth+1); !ok {
			return nil, false
		}
	}
	return dst, a.st.room(valueBytes * len(dst))
}

// propertyState says how a value answered when asked for a property.
type propertyState uint8

const (
	propertyOK        propertyState = iota
	propertyNone                    // the value has no properties at all
	propertyWrongType               // the value has properties, but not by such a key
)

// property is Ruby's item[key]: a member of an object, an item of a list, a part of a text, or a bit of a number.
func (st *state) property(item, key Value) (Value, propertyState) {
	switch item.kind {
	case KindObject:
		if key.kind != KindString {
			return Nil, propertyOK
		}
		v, _ := item.object().Get(key.s)
		return v, propertyOK
	case KindString:
		if key.kind == KindString {
			if st.work(len(item.s)) && strings.Contains(item.s, key.s) {
				return String(key.s), propertyOK
			}
			return Nil, propertyOK
		}
	case KindArray, KindInt, kindBig:
	default:
		return Nil, propertyNone
	}
	i, ok := indexOf(key)
	if !ok {
		return Nil, propertyWrongType
	}
	switch item.kind {
	case KindArray:
		v, _ := st.index(item, Int(i))
		return v, propertyOK
	case KindString:
		if n := sizeOf(item); i >= n || i < -n {
			return Nil, propertyOK
		}
		return substring(item.s, i, 1), propertyOK
	}
	if i < 0 {
		return Int(0), propertyOK
	}
	b := item.asBig()
	if i <= int64(b.BitLen()) {
		return Int(int64(b.Bit(int(i)))), propertyOK
	}
	if b.Sign() < 0 {
		return Int(1), propertyOK
	}
	return Int(0), propertyOK
}

// indexOf reads a number as an index, without its fraction.
func indexOf(key Value) (int64, bool) {
	switch key.kind {
	case KindInt:
		return key.n, true
	case KindFloat:
		if f := key.float(); f > -1e15 && f < 1e15 {
			return int64(f), true
		}
	}
	return 0, false
}

// hasProperties says whether a value can be asked for a property at all.
func hasProperties(v Value) bool {
	switch v.kind {
	case KindObject, KindArray, KindString, KindInt, kindBig:
		return true
	}
	return false
}

func (a *args) noProperty(key Value) Value {
	return a.fail("cannot select the property '" + a.st.text(key) + "'")
}

func filterJoin(a *args, in Value) Value {
	items, ok := a.items(in)
	if !ok {
		return Nil
	}
	glue := " "
	if len(a.pos) > 0 {
		glue = a.text(0)
	}
	buf := a.st.scratch[:0]
	for i, e := range items {
		if !a.st.step() || !a.st.room(len(buf)) {
			return Nil
		}
		if i > 0 {
			buf = append(buf, glue...)
		}
		if e.kind == KindString {
			buf = append(buf, e.s...)
		} else {
			buf = append(buf, a.st.text(e)...)
		}
	}
	return a.fromScratch(buf)
}

func filterFirst(a *args, in Value) Value {
	v, _ := a.st.first(in)
	return v
}

func filterLast(_ *args, in Value) Value {
	v, _ := lastOf(in)
	return v
}

func filterSize(_ *args, in Value) Value { return Int(sizeOf(in)) }

func filterReverse(a *args, in Value) Value {
	items, ok := a.items(in)
	if !ok {
		return Nil
	}
	out := make([]Value, len(items))
	for i, e := range items {
		out[len(items)-1-i] = e
	}
	return a.makeList(out)
}

func filterConcat(a *args, in Value) Value {
	more := a.at(0)
	if more.kind != KindArray {
		return a.fail("concat filter requires an array argument")
	}
	items, ok := a.items(in)
	if !ok || !a.st.room(valueBytes*(len(items)+len(more.items()))) {
		return Nil
	}
	out := make([]Value, 0, len(items)+len(more.items()))
	return a.makeList(append(append(out, items...), more.items()...))
}

// keyed is an item with what it is sorted by.
type keyed struct{ item, key Value }

// keys reads the sort keys of items; done means that the result is out already.
func (a *args) keys(items []Value) (pairs []keyed, out Value, done bool) {
	prop := a.at(0)
	if len(items) <= 1 {
		return nil, Array(items), true // As in Ruby, a single item is not asked.
	}
	if !a.st.charge(2 * valueBytes * len(items)) {
		return nil, Nil, true
	}
	pairs = make([]keyed, len(items))
	for i, e := range items {
		if !a.st.step() {
			return nil, Nil, true
		}
		key := e
		if prop.kind != KindNil {
			var how propertyState
			key, how = a.st.property(e, prop)
			switch how {
			case propertyWrongType:
				return nil, a.noProperty(prop), true
			case propertyNone:
				return nil, Nil, true
			}
		}
		pairs[i] = keyed{e, key}
	}
	return pairs, Nil, false
}

func filterSort(a *args, in Value) Value {
	return sortWith(a, in, func(x, y Value) int {
		n, ok := a.st.order(x, y)
		switch {
		case ok:
			return n
		case x.kind == KindNil:
			return 1
		case y.kind == KindNil:
			return -1
		}
		a.fail("cannot sort values of incompatible types")
		return 0
	})
}

func filterSortNatural(a *args, in Value) Value {
	return sortWith(a, in, func(x, y Value) int {
		switch {
		case !a.st.step():
			return 0
		case x.kind == KindNil && y.kind == KindNil:
			return 0
		case x.kind == KindNil:
			return 1
		case y.kind == KindNil:
			return -1
		}
		return compareFolded(a.st.text(x), a.st.text(y))
	})
}

func sortWith(a *args, in Value, cmp func(x, y Value) int) Value {
	items, ok := a.items(in)
	if !ok {
		return Nil
	}
	if a.at(0).kind != KindNil {
		for _, e := range items {
			if !hasProperties(e) {
				return Nil
			}
		}
	}
	pairs, out, done := a.keys(items)
	if done {
		return out
	}
	slices.SortStableFunc(pairs, func(x, y keyed) int {
		if a.st.err != nil {
			return 0
		}
		return cmp(x.key, y.key)
	})
	if a.st.err != nil {
		return Nil
	}
	sorted := make([]Value, len(pairs))
	for i := range pairs {
		sorted[i] = pairs[i].item
	}
	return a.makeList(sorted)
}

// compareFolded compares without regard to the case of the letters A to Z.
func compareFolded(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if x, y := lowerByte(a[i]), lowerByte(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func filterUniq(a *args, in Value) Value {
	items, ok := a.items(in)
	if !ok {
		return Nil
	}
	pairs, out, done := a.keys(items)
	if done {
		return out
	}
	seen := make(map[string]bool, len(pairs))
	kept := []Value{}
	for _, p := range pairs {
		if !a.st.step() {
			return Nil
		}
		if key := p.key.kind.String() + ":" + a.st.text(p.key); !seen[key] {
			seen[key] = true
			kept = append(kept, p.item)
		}
	}
	return a.makeList(kept)
}

func filterCompact(a *args, in Value) Value {
	items, ok := a.items(in)
	if !ok {
		return Nil
	}
	prop := a.at(0)
	kept := []Value{}
	for _, e := range items {
		key := e
		if prop.kind != KindNil {
			var how propertyState
			key, how = a.st.property(e, prop)
			switch how {
			case propertyWrongType:
				return a.noProperty(prop)
			case propertyNone:
				return Nil
			}
		}
		if key.kind != KindNil {
			kept = append(kept, e)
		}
	}
	return a.makeList(kept)
}

func filterMap(a *args, in Value) Value {
	items, ok := a.items(in)
	if !ok {
		return Nil
	}
	out := make([]Value, len(items))
	for i, e := range items {
		if !a.st.step() {
			return Nil
		}
		v, how := a.st.property(e, a.at(0))
		if how == propertyWrongType {
			return a.noProperty(a.at(0))
		}
		out[i] = v
	}
	return a.makeList(out)
}

// selectItems asks each item about the property: whether it is there, or whether it equals the second argument. It
// calls found with the answer until that returns false. It returns false when the filter has nothing to return.
func (a *args) selectItems(in Value, found func(i int, item Value, hit bool) bool) bool {
	items, ok := a.items(in)
	if !ok {
		return false
	}
	prop, target := a.at(0), a.at(1)
	for i, e := range items {
		if !a.st.step() {
			return false
		}
		v, how := a.st.property(e, prop)
		switch how {
		case propertyWrongType:
			a.noProperty(prop)
			return false
		case propertyNone:
			return false
		}
		hit := v.truthy()
		if target.kind != KindNil {
			hit = a.st.equal(v, target)
		}
		if !found(i, e, hit) {
			break
		}
	}
	return true
}

func pick(a *args, in Value, want bool) Value {
	kept := []Value{}
	ok := a.selectItems(in, func(_ int, item Value, hit bool) bool {
		if hit == want {
			kept = append(kept, item)
		}
		return true
	})
	if !ok {
		return Nil
	}
	return a.makeList(kept)
}

func filterWhere(a *args, in Value) Value { return pick(a, in, true) }

func filterReject(a *args, in Value) Value { return pick(a, in, false) }

func filterHas(a *args, in Value) Value {
	out := Bool(false)
	ok := a.selectItems(in, func(_ int, _ Value, hit bool) bool {
		if hit {
			out = Bool(true)
		}
		return !hit
	})
	if !ok {
		return Nil
	}
	return out
}

func filterFind(a *args, in Value) Value {
	out := Nil
	ok := a.selectItems(in, func(_ int, item Value, hit bool) bool {
		if hit {
			out = item
		}
		return !hit
	})
	if !ok {
		return Nil
	}
	return out
}

func filterFindIndex(a *args, in Value) Value {
	out := Nil
	ok := a.selectItems(in, func(i int, _ Value, hit bool) bool {
		if hit {
			out = Int(int64(i))
		}
		return !hit
	})
	if !ok {
		return Nil
	}
	return out
}

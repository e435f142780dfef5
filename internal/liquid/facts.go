package liquid

import "slices"

// A test tells what is there in the branches after it: `if a.b` that a.b is there in its branch, `if a.b == blank`
// that it is there in all others.

// factsOf returns the paths that are there if the test holds, and those that are there if it does not.
func (a *analysis) factsOf(e expr) (yes, no []string) {
	cond, ok := e.(condition)
	if !ok {
		return nil, nil
	}
	// `a and b or c` means a and (b or c): work from the end.
	for i := len(cond) - 1; i >= 0; i-- {
		y, n := a.comparisonFacts(&cond[i])
		switch cond[i].tie {
		case tieAnd:
			yes, no = both(y, yes), common(n, no)
		case tieOr:
			yes, no = common(y, yes), both(n, no)
		default:
			yes, no = y, n
		}
	}
	return yes, no
}

func both(x, y []string) []string {
	if len(y) > maxFacts {
		y = y[:maxFacts]
	}
	return append(x, y...)
}

func common(x, y []string) []string {
	var out []string
	for _, s := range x {
		if slices.Contains(y, s) {
			out = append(out, s)
		}
	}
	return out
}

func (a *analysis) comparisonFacts(c *comparison) (yes, no []string) {
	left, right := a.paths(c.left), a.paths(c.right)
	switch c.op {
	case "":
		return left, nil
	case "==", "!=", "<>":
		var same, other []string
		if isAbsent(c.right) {
			other = left
		} else if isPresent(c.right) {
			same = left
		}
		if isAbsent(c.left) {
			other = append(other, right...)
		} else if isPresent(c.left) {
			same = append(same, right...)
		}
		if c.op == "==" {
			return same, other
		}
		return other, same
	case "contains", "<", "<=", ">", ">=":
		return append(left, right...), nil
	}
	return nil, nil
}

// isAbsent says whether an operand is nil, blank or empty.
func isAbsent(e expr) bool {
	l, ok := e.(*literal)
	return ok && (l.v.kind == KindNil || l.v.kind == kindLiteral || (l.v.kind == KindString && l.v.s == ""))
}

// isPresent says whether an operand is a value written out.
func isPresent(e expr) bool {
	l, ok := e.(*literal)
	return ok && !isAbsent(e) && (l.v.kind != KindBool || l.v.n != 0)
}

func (a *analysis) paths(e expr) []string {
	if e == nil {
		return nil
	}
	var out []string
	for _, o := range a.origins(e) {
		out = append(out, o.path)
	}
	return out
}

// constant says whether a test is always true or always false.
func constant(e expr) (truth, known bool) {
	cond, ok := e.(condition)
	if !ok || len(cond) != 1 || cond[0].op != "" {
		return false, false
	}
	l, ok := cond[0].left.(*literal)
	if !ok {
		return false, false
	}
	return l.v.truthy(), true
}

func (a *analysis) ifNode(n *ifNode) {
	before := a.env
	var after environment
	var failed []string // what is there because the tests so far have failed
	dead, whole := false, false
	tests := map[string]bool{}
	for i := range n.branches {
		b := &n.branches[i]
		if dead {
			a.warn(b.pos, "this branch is never rendered: one before it always is")
			break
		}
		a.env = before.clone()
		var yes, no []string
		if b.test == nil {
			dead, whole = true, true
		} else {
			a.given(failed, func() { a.expr(b.test, GuardNone) })
			yes, no = a.factsOf(b.test)
			if text := conditionText(b.test); text != "" && tests[text] {
				a.warn(b.pos, "this branch is never rendered: one before it has the same test")
			} else {
				tests[text] = true
			}
			if truth, known := constant(b.test); known {
				dead = truth != b.negate
				whole = dead
				if !dead {
					a.warn(b.pos, "this branch is never rendered: its test never holds")
				}
			}
			if b.negate {
				yes, no = no, yes
			}
		}
		a.given(append(slices.Clone(failed), yes...), func() { a.block(b.body) })
		after = merged(after, a.env)
		failed = both(no, failed)
	}
	if !whole {
		// No branch was taken: names that a test has asked for are there.
		rest := before.clone()
		for sym, l := range rest {
			l.origins = slices.Clone(l.origins)
			for i, o := range l.origins {
				if slices.Contains(failed, o.path) {
					l.origins[i].guard = max(o.guard, GuardTested)
				}
			}
			rest[sym] = l
		}
		after = merged(after, rest)
	}
	a.env = after
}

func merged(e, o environment) environment {
	if e == nil {
		return o
	}
	return e.merge(o)
}

// conditionText is a simple test written out, to find it twice; it is empty for others.
func conditionText(e expr) string {
	cond, ok := e.(condition)
	if !ok || len(cond) != 1 {
		return ""
	}
	left, ok := cond[0].left.(*path)
	if !ok || !left.plain() {
		return ""
	}
	switch r := cond[0].right.(type) {
	case nil:
		return left.raw()
	case *literal:
		return left.raw() + cond[0].op + r.v.kind.String() + string(appendText(nil, r.v))
	}
	return ""
}

// plain says whether a path has no brackets with something computed.
func (e *path) plain() bool {
	if e.root != nil {
		return false
	}
	for _, s := range e.steps {
		if s.expr != nil {
			return false
		}
	}
	return true
}

// raw is the path as it was written.
func (e *path) raw() string { return pathLabel(e.name, e.root != nil, e.steps) }

func (a *analysis) caseNode(n *caseNode) {
	a.expr(n.subject, GuardTested)
	subject := a.paths(n.subject)
	before := a.env
	var after environment
	whole := false
	for i := range n.branches {
		b := &n.branches[i]
		// Tests of one when share a body, which is walked with the last of them.
		a.env = before.clone()
		a.exprs(GuardTested, b.test)
		if i+1 < len(n.branches) && n.branches[i+1].body == b.body {
			continue
		}
		var facts []string
		if b.test == nil {
			whole = true
		} else if isPresent(b.test) {
			facts = subject
		}
		a.given(facts, func() { a.block(b.body) })
		after = merged(after, a.env)
	}
	if !whole {
		after = merged(after, before.clone())
	}
	a.env = after
}

package liquid

var mathFilters = map[string]*filter{
	"plus":       {min: 1, max: 1, fn: arithmetic('+')},
	"minus":      {min: 1, max: 1, fn: arithmetic('-')},
	"times":      {min: 1, max: 1, fn: arithmetic('*')},
	"divided_by": {min: 1, max: 1, fn: arithmetic('/')},
	"modulo":     {min: 1, max: 1, fn: arithmetic('%')},
	"abs":        {fn: filterAbs},
	"ceil":       {fn: rounding('c')},
	"floor":      {fn: rounding('f')},
	"round":      {max: 1, fn: filterRound},
	"at_least":   {min: 1, max: 1, fn: filterAtLeast},
	"at_most":    {min: 1, max: 1, fn: filterAtMost},
	"sum":        {max: 1, fn: filterSum},
}

func arithmetic(op arith) func(*args, Value) Value {
	return func(a *args, in Value) Value {
		out, ok := compute(toNumber(in), toNumber(a.at(0)), op)
		switch {
		case !ok:
			return a.fail("divided by 0")
		case out.tooBig():
			return a.fail("the number is too large")
		}
		return out.value()
	}
}

func filterAbs(_ *args, in Value) Value { return toNumber(in).abs().value() }

func rounding(mode byte) func(*args, Value) Value {
	return func(a *args, in Value) Value {
		n := toNumber(in)
		if n.form == formOdd {
			return a.fail(a.st.text(n.value()))
		}
		return n.round(0, mode).value()
	}
}

func filterRound(a *args, in Value) Value {
	n, places := toNumber(in), toNumber(a.at(0))
	if n.form == formOdd {
		return a.fail(a.st.text(n.value()))
	}
	p := int(max(min(places.float(), 400), -400))
	return n.round(p, 'r').value()
}

func filterAtLeast(a *args, in Value) Value {
	n, low := toNumber(in), toNumber(a.at(0))
	if low.cmp(n) > 0 {
		n = low
	}
	return n.value()
}

func filterAtMost(a *args, in Value) Value {
	n, high := toNumber(in), toNumber(a.at(0))
	if high.cmp(n) < 0 {
		n = high
	}
	return n.value()
}

func filterSum(a *args, in Value) Value {
	items, ok := a.items(in)
	if !ok {
		return Nil
	}
	total := number{}
	for _, e := range items {
		if p := a.at(0); p.kind != KindNil {
			v, how := a.st.property(e, p)
			switch how {
			case propertyWrongType:
				return a.noProperty(p)
			case propertyNone:
				v = Int(0)
			}
			e = v
		}
		// A property may itself be a list, whose numbers count one by one.
		parts, ok := a.items(e)
		if !ok {
			return Nil
		}
		for _, part := range parts {
			if !a.st.step() {
				return Nil
			}
			total, _ = compute(total, toNumber(part), '+')
		}
	}
	if total.tooBig() {
		return a.fail("the number is too large")
	}
	return total.value()
}

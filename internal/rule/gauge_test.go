package rule

import (
	"encoding/json"
	"math/big"
	"slices"

	"pgregory.net/rapid"
)

// gauge is a measure as the generator thinks of it.
type gauge struct {
	word string
	test test
}

// holds measures events from scratch. Of equal times the later in the history was
// walked later.
func (g gauge) holds(list []happening) bool {
	if g.word == "first" || g.word == "last" {
		if len(list) == 0 {
			return false
		}
		found := list[0]
		for _, h := range list[1:] {
			if g.word == "first" && h.at < found.at || g.word == "last" && h.at >= found.at {
				found = h
			}
		}
		return g.test.holds(reach(decode(found.props), g.test.path))
	}
	var numbers []*big.Rat
	sum := new(big.Rat)
	for _, h := range list {
		if v, ok := reach(decode(h.props), g.test.path).(json.Number); ok {
			if _, short := sampleOf([]byte(v)); short {
				numbers = append(numbers, rat(v))
				sum.Add(sum, rat(v))
			}
		}
	}
	if len(numbers) == 0 {
		return g.word == "sum" && g.compares(sum)
	}
	switch g.word {
	case "avg":
		return g.compares(sum.Quo(sum, new(big.Rat).SetInt64(int64(len(numbers)))))
	case "min":
		return g.compares(slices.MinFunc(numbers, (*big.Rat).Cmp))
	case "max":
		return g.compares(slices.MaxFunc(numbers, (*big.Rat).Cmp))
	}
	return g.compares(sum)
}

func (g gauge) compares(v *big.Rat) bool {
	order := func(arg string) int { return v.Cmp(rat(json.Number(arg))) }
	switch t := g.test; t.op {
	case "is":
		return order(t.arg) == 0
	case "is_not":
		return order(t.arg) != 0
	case "gt":
		return order(t.arg) > 0
	case "gte":
		return order(t.arg) >= 0
	case "lt":
		return order(t.arg) < 0
	case "lte":
		return order(t.arg) <= 0
	}
	return order(g.test.args[0]) >= 0 && order(g.test.args[1]) <= 0
}

func drawGauge(t *rapid.T, word string) gauge {
	path := rapid.SampledFrom(paths).Draw(t, "measured path")
	if word == "first" || word == "last" {
		return gauge{word, drawTest(t, path)}
	}
	x := test{path: path, op: rapid.SampledFrom([]string{"is", "is_not", "gt", "gte", "lt", "lte", "between"}).Draw(t, "op")}
	if x.op == "between" {
		x.args = rapid.SampledFrom([][]string{{`-5`, `5`}, {`5.0`, `10`}, {`0`, `1767225600`}}).Draw(t, "bounds")
		return gauge{word, x}
	}
	x.arg = rapid.SampledFrom([]string{`5`, `5.0`, `0`, `-5`, `4.999`, `9.999`, `10`, `3334.5e-3`, `9007199254740993`}).Draw(t, "arg")
	return gauge{word, x}
}

package purpose_test

import (
	"testing"

	"rapport/internal/purpose"
)

func TestSets(t *testing.T) {
	t.Parallel()
	type set = purpose.Set
	for name, c := range map[string]struct{ a, b, and set }{
		"nobody has said":       {nil, nil, nil},
		"one has said":          {nil, set{"a"}, set{"a"}},
		"nothing in common":     {set{"a"}, set{"b"}, set{}},
		"nothing stays nothing": {set{}, nil, set{}},
		"both":                  {set{"a", "b"}, set{"b", "c"}, set{"b"}},
		"a family and its own":  {set{"marketing"}, set{"marketing.news", "service"}, set{"marketing.news"}},
		"a name is no family":   {set{"market"}, set{"marketing"}, set{}},
	} {
		for _, got := range []set{c.a.And(c.b), c.b.And(c.a)} {
			if !got.Equal(c.and) {
				t.Errorf("%s: %v, want %v", name, got, c.and)
			}
		}
	}
	for _, c := range []struct {
		s    set
		p    purpose.Purpose
		want bool
	}{
		{nil, "a", true},
		{set{}, "a", false},
		{set{"a"}, "a", true},
		{set{"a"}, "a.b", true},
		{set{"a.b"}, "a", false},
		{set{"a"}, "ab", false},
	} {
		if got := c.s.Serves(c.p); got != c.want {
			t.Errorf("%v serves %s: %t", c.s, c.p, got)
		}
	}
}

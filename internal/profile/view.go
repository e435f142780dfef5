package profile

import (
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// Scope is what a purpose may see.
type Scope interface {
	// Trait tells whether the trait at a path may be seen.
	Trait(path string) bool
	// Within gives the value at a path without what may not be seen below it. The
	// value itself is never changed.
	Within(path string, raw []byte) []byte
}

// View is what one purpose may see of a profile. Code outside the walk reads
// personal attributes only through it.
type View struct {
	Purpose purpose.Purpose
	p       *Profile
	seen    Scope
}

// View opens the profile for a purpose. seen says what the purpose may see; nil
// means all.
func (p *Profile) View(why purpose.Purpose, seen Scope) View {
	return View{Purpose: why, p: p, seen: seen}
}

// Trait gives the raw JSON at a dotted path, false when it is missing or hidden.
func (v View) Trait(path string) ([]byte, bool) {
	if v.p == nil || v.seen != nil && !v.seen.Trait(path) {
		return nil, false
	}
	if v.seen == nil {
		return v.p.Trait(path)
	}
	if path == "name" {
		if i, ok := v.p.find(path); !ok || v.p.Traits[i].Value == nil {
			return v.p.fullName(v.seen)
		}
	}
	raw, ok := v.p.Trait(path)
	if !ok {
		return nil, false
	}
	return v.seen.Within(path, raw), true
}

// Each calls fn for every visible trait, in order of name.
func (v View) Each(fn func(name string, value []byte, at int64)) {
	if v.p == nil {
		return
	}
	for _, t := range v.p.Traits {
		switch {
		case t.Value == nil:
		case v.seen == nil:
			fn(t.Name, t.Value, t.At)
		default:
			if name := rule.Quote(t.Name); v.seen.Trait(name) {
				fn(t.Name, v.seen.Within(name, t.Value), t.At)
			}
		}
	}
}

func head(path string) string {
	for i := range len(path) {
		if path[i] == '.' {
			return Canonical(path[:i])
		}
	}
	return Canonical(path)
}

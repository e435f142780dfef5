package profile

import (
	"rapport/internal/purpose"
)

// View is what one purpose may see of a profile. Code outside the walk reads
// personal attributes only through it.
type View struct {
	Purpose purpose.Purpose
	p       *Profile
	allowed func(trait string) bool
}

// View opens the profile for a purpose. allowed says which traits the purpose
// may see; nil means all.
func (p *Profile) View(why purpose.Purpose, allowed func(trait string) bool) View {
	return View{Purpose: why, p: p, allowed: allowed}
}

// Trait gives the raw JSON at a dotted path, false when it is missing or hidden.
func (v View) Trait(path string) ([]byte, bool) {
	if v.p == nil || (v.allowed != nil && !v.allowed(head(path))) {
		return nil, false
	}
	return v.p.Trait(path)
}

// Each calls fn for every visible trait, in order of name.
func (v View) Each(fn func(name string, value []byte, at int64)) {
	if v.p == nil {
		return
	}
	for _, t := range v.p.Traits {
		if t.Value != nil && (v.allowed == nil || v.allowed(t.Name)) {
			fn(t.Name, t.Value, t.At)
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

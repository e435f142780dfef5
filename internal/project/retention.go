package project

import (
	"maps"
	"slices"
	"time"

	"rapport/internal/plan"
	"rapport/internal/purpose"
)

// Retention says how long personal data are kept at most, beside what the tracking
// plans say of each.
type Retention struct {
	Mails time.Duration // what was in a mail; zero: for ever
	plan.Limits
}

// OfMail gives how long is kept what was in a mail of a purpose, zero for ever.
func (r *Retention) OfMail(p purpose.Purpose) time.Duration { return plan.Shorter(r.Mails, r.For(p)) }

// The shortest term is that in which it is looked for, the longest is a life.
const (
	leastTerm = day
	mostTerm  = 100 * 365 * day
)

func (f *file) retentionOf(s *section) (r Retention) {
	r.Mails = s.duration("mails", 0, leastTerm, mostTerm)
	classes := s.sub("classes", purpose.Classes()...)
	for _, name := range purpose.Classes() {
		if term := classes.duration(name, 0, leastTerm, mostTerm); term > 0 {
			if r.Classes == nil {
				r.Classes = map[purpose.Class]time.Duration{}
			}
			class, _ := purpose.ParseClass(name) // It is one of them.
			r.Classes[class] = term
		}
	}
	n := s.value("purposes")
	if n == nil {
		return r
	}
	var names []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		names = append(names, n.Content[i].Value)
	}
	purposes := s.sub("purposes", names...)
	for _, name := range names {
		if term := purposes.duration(name, 0, leastTerm, mostTerm); term > 0 {
			if r.Purposes == nil {
				r.Purposes = map[purpose.Purpose]time.Duration{}
			}
			r.Purposes[purpose.Purpose(name)] = term
		}
	}
	return r
}

// crossRetention checks that terms are those of purposes that there are.
func (l *loader) crossRetention() {
	f := l.parsed["rapport.yaml"]
	if f == nil || l.config.Policy == nil {
		return
	}
	at := child(f.find("retention"), "purposes")
	for _, p := range slices.Sorted(maps.Keys(l.config.Workspace.Retention.Purposes)) {
		if _, ok := l.config.Policy.Purpose(p); !ok && !l.family(string(p)) {
			f.errorf(at, didYouMean(string(p), l.purposes()), "\"retention\" names the purpose %q, and purposes.yaml does not declare it", p)
		}
	}
}

package project

import (
	"maps"
	"slices"
	"strings"

	"rapport/internal/plan"
	"rapport/internal/purpose"
)

// readPlans gives the files of plan/ to the room of tracking plans.
func (l *loader) readPlans() {
	for _, n := range l.in("plan") {
		d, problems := plan.Parse(n.name, n.file.root)
		n.file.rule(problems)
		if d != nil {
			l.plans = append(l.plans, d)
		}
	}
}

// crossPlans checks that plans speak of sources and purposes that there are, and
// that each source follows one plan.
func (l *loader) crossPlans() {
	if len(l.plans) == 0 {
		return
	}
	var sources []string
	for _, s := range l.config.Sources {
		sources = append(sources, s.Name)
	}
	for _, d := range l.plans {
		f := l.parsed["plan/"+d.Name+".yaml"]
		for _, name := range slices.Sorted(maps.Keys(d.Sources)) {
			if !slices.Contains(sources, name) {
				f.errorf(f.find("sources"), didYouMean(name, sources), "there is no source %q", name)
			}
		}
		if l.config.Policy == nil {
			continue
		}
		for p, where := range d.Purposes() {
			if _, ok := l.config.Policy.Purpose(purpose.Purpose(p)); !ok && !l.family(p) {
				f.errorf(f.root, didYouMean(p, l.purposes()), "%s names the purpose %q, and purposes.yaml does not declare it", where, p)
			}
		}
	}
	set, err := plan.Compile(l.plans)
	if err != nil {
		l.report.add(Problem{File: "plan", Severity: Error, Message: err.Error()})
		return
	}
	l.config.Plans = set
}

// family tells whether a purpose stands for a family of declared ones.
func (l *loader) family(name string) bool {
	return slices.ContainsFunc(l.purposes(), func(p string) bool { return strings.HasPrefix(p, name+".") })
}

// ReadPlan reads a plan that stands for itself, outside of a folder. Every
// mistake is named at once.
func ReadPlan(name string, data []byte) (*plan.Document, []Problem) {
	r := &report{}
	f := parse(name, data, r)
	if f.root == nil {
		return nil, sortProblems(r.problems)
	}
	d, problems := plan.Parse(name, f.root)
	f.rule(problems)
	return d, sortProblems(r.problems)
}

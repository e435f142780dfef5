package project

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"rapport/internal/journey"
	"rapport/internal/purpose"
	"rapport/internal/rule"
	"rapport/internal/segment"
)

// cross holds the files against each other.
func (l *loader) cross() {
	l.crossSending()
	l.crossAlerts()
	l.crossTrail()
	l.crossSources()
	l.crossPlans()
	l.crossRetention()
	l.crossSegments()
	l.crossJourneys()
	l.crossDestinations()
	l.crossPurposes()
	l.crossPostal()
	l.crossConsent()
	l.crossRights()
	l.eventNames()
	if Errors(l.report.problems) == 0 {
		l.compile()
	}
}

// compile asks the rooms whether the whole can be run: what only shows when all
// segments, or all journeys, stand together.
func (l *loader) compile() {
	segments, err := segment.Compile(l.config.Segments)
	if err != nil {
		l.report.add(Problem{File: "segments", Severity: Error, Message: err.Error()})
	}
	journeys, err := journey.Compile(1, l.config.Journeys)
	if err != nil {
		l.report.add(Problem{File: "journeys", Severity: Error, Message: err.Error()})
	}
	if segments == nil || journeys == nil {
		return
	}
	if _, err := rule.Union(segments.Tallies, journeys.Tallies()...); err != nil {
		l.report.add(Problem{File: "journeys", Severity: Error, Message: err.Error(), Hint: "rename one of the events"})
	}
}

// crossSending checks that mails have a way out.
func (l *loader) crossSending() {
	f := l.parsed["rapport.yaml"]
	if f == nil {
		return
	}
	names := l.providerNames()
	s := &l.config.Workspace.Sending
	switch {
	case len(names) == 0:
		l.report.add(Problem{File: "providers", Severity: Error, Message: "there is no provider: no mail can leave",
			Hint: "write providers/inbox.yaml with the line `kind: devinbox` to begin with"})
	case s.Provider == "" && len(names) == 1:
		s.Provider = names[0]
	case s.Provider == "":
		f.errorf(f.find("sending"), "write `provider: "+names[0]+"`", "there are %d providers and none is the default", len(names))
	case !slices.Contains(names, s.Provider):
		f.errorf(f.find("sending", "provider"), didYouMean(s.Provider, names), "there is no provider %q", s.Provider)
	}
	for _, n := range l.in("providers") {
		p, ok := l.config.Provider(n.name)
		if back := p.Pacing.Fallback; ok && back != "" && (back == n.name || !slices.Contains(names, back)) {
			others := slices.DeleteFunc(slices.Clone(names), func(o string) bool { return o == n.name })
			n.file.errorf(n.file.find("pacing", "fallback"), didYouMean(back, others), "%q cannot take over from %q", back, n.name)
		}
		for i, d := range p.DKIM {
			if s.Domain != "" && d.Domain != "" && d.Domain != s.Domain && !strings.HasSuffix(s.Domain, "."+d.Domain) {
				n.file.warnf(n.file.find("dkim", fmt.Sprint(i)), "sign for the domain of the From address, or DMARC will not accept the signature",
					"the signature is for %s, mails are from %s", d.Domain, s.Domain)
			}
		}
	}
}

// crossPostal warns when mails that people may say no to are sent without
// saying from where.
func (l *loader) crossPostal() {
	f := l.parsed["rapport.yaml"]
	if f == nil || l.config.Policy == nil || l.config.Workspace.Sending.Postal != "" {
		return
	}
	for _, name := range l.templateNames() {
		own := l.templatePurpose(name)
		if d, ok := l.config.Policy.Purpose(own); ok && d.Objectable() {
			f.warnf(f.find("sending"), "write `postal_address: Acorn Books, 1 High Street, Sampletown` under sending",
				"there is no postal address, and many laws ask for one in mails such as %q (%s)", name, own)
			return
		}
	}
}

// crossSources checks that what comes in is permitted by a declared purpose.
func (l *loader) crossSources() {
	if len(l.in("sources")) == 0 {
		l.report.add(Problem{File: "sources", Severity: Warning, Message: "there is no source: no event can come in", Hint: "write sources/website.yaml"})
	}
	if l.config.Policy == nil {
		return
	}
	for _, n := range l.in("sources") {
		s, _ := l.config.Source(n.name)
		l.crossMapping(n.file, s)
		if s.Purpose == "" {
			continue
		}
		d, ok := l.config.Policy.Purpose(s.Purpose)
		if !ok {
			n.file.errorf(n.file.find("purpose"), didYouMean(string(s.Purpose), l.purposes()), "purposes.yaml does not declare %q", s.Purpose)
			continue
		}
		if s.Basis != "" && s.Basis != d.Basis {
			n.file.warnf(n.file.find("basis"), "make both the same unless you mean it",
				"the source collects for %q on the basis %s, purposes.yaml says %s", s.Purpose, s.Basis, d.Basis)
		}
	}
}

// crossMapping checks that the lines of a file speak of purposes that there are.
func (l *loader) crossMapping(f *file, s Source) {
	if s.File == nil {
		return
	}
	for i, p := range s.File.Purposes() {
		if _, ok := l.config.Policy.Purpose(p); !ok {
			f.errorf(f.find("file", "consent", fmt.Sprint(i), "purpose"), didYouMean(string(p), l.purposes()), "purposes.yaml does not declare %q", p)
		}
	}
}

func (l *loader) purposes() []string {
	var names []string
	for _, d := range l.config.Policy.Purposes() {
		names = append(names, string(d.Name))
	}
	return names
}

// hasPurpose checks that a purpose is declared and may be mailed for.
func (l *loader) hasPurpose(f *file, n *yaml.Node, p purpose.Purpose) bool {
	if l.config.Policy == nil || p == "" {
		return false
	}
	if _, ok := l.config.Policy.Purpose(p); !ok {
		f.errorf(n, didYouMean(string(p), l.purposes()), "purposes.yaml does not declare %q", p)
		return false
	}
	if !l.config.Policy.Mailable(p) {
		f.errorf(n, "use a purpose with scope address", "no mail can be sent for %q, which is about devices", p)
		return false
	}
	return true
}

// crossSegments checks that segments read segments that exist, in no circle,
// and that somebody can be in each.
func (l *loader) crossSegments() {
	names, reads := l.segmentNames(), map[string][]string{}
	for _, n := range l.in("segments") {
		reads[n.name] = l.segmentsRead(n)
		for _, other := range reads[n.name] {
			if !slices.Contains(names, other) {
				n.file.errorf(findValue(n.file.root, "in_segment", other), didYouMean(other, names), "there is no segment %q", other)
			}
		}
	}
	for _, circle := range circles(reads) {
		f := l.parsed["segments/"+circle[0]+".yaml"]
		f.errorf(findValue(f.root, "in_segment", circle[1%len(circle)]), "take one of these conditions out",
			"segments read each other in a circle: %s", strings.Join(append(circle, circle[0]), " → "))
	}
	for _, n := range l.in("segments") {
		if r := child(n.file.root, "rule"); r != nil {
			n.file.contradictions(r, "nobody can be in this segment")
			n.file.letters(r)
		}
	}
}

// segmentsRead lists the segments that a segment reads: those of its rule, or,
// where that has a mistake, what stands in the text.
func (l *loader) segmentsRead(n named) (names []string) {
	for _, d := range l.config.Segments {
		if d.Name == n.name {
			return d.Rule.Segments()
		}
	}
	if r := child(n.file.root, "rule"); r != nil {
		eachValue(r, []string{"in_segment"}, func(v *yaml.Node) {
			if v.Value != "" && !slices.Contains(names, v.Value) {
				names = append(names, v.Value)
			}
		})
	}
	return names
}

// segmentNames lists the segments that have a file, readable or not, so that a
// mistake in one does not make others look wrong.
func (l *loader) segmentNames() []string {
	var names []string
	for p := range l.files {
		if rest, ok := strings.CutPrefix(p, "segments/"); ok {
			names = append(names, strings.TrimSuffix(rest, ".yaml"))
		}
	}
	slices.Sort(names)
	return names
}

// circles finds each circle of names once, beginning with its smallest name.
func circles(reads map[string][]string) [][]string {
	var found [][]string
	done := map[string]bool{}
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		if i := slices.Index(path, name); i >= 0 {
			circle := slices.Clone(path[i:])
			least := slices.Index(circle, slices.Min(circle))
			circle = append(circle[least:], circle[:least]...)
			if !slices.ContainsFunc(found, func(c []string) bool { return slices.Equal(c, circle) }) {
				found = append(found, circle)
			}
			return
		}
		if done[name] {
			return
		}
		for _, next := range reads[name] {
			visit(next, append(slices.Clip(path), name))
		}
		done[name] = true
	}
	var names []string
	for n := range reads {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		visit(n, nil)
	}
	return found
}

// findValue finds the scalar with this value under this key, anywhere below.
func findValue(n *yaml.Node, key, value string) *yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key && n.Content[i+1].Value == value {
				return n.Content[i+1]
			}
		}
	}
	for _, c := range n.Content {
		if got := findValue(c, key, value); got != nil {
			return got
		}
	}
	return nil
}

package project

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"rapport/internal/consent"
	"rapport/internal/journey"
	"rapport/internal/message"
	"rapport/internal/purpose"
)

// readJourneys gives each file of journeys/ to its room.
func (l *loader) readJourneys() {
	l.refs = map[string]journey.Refs{}
	for _, n := range l.in("journeys") {
		d, refs, problems := journey.Read(n.name, n.file.root)
		n.file.rule(problems)
		l.refs[n.name] = refs
		if d != nil {
			l.config.Journeys = append(l.config.Journeys, d)
		}
	}
}

// crossJourneys checks that what journeys name exists and fits, that every step
// can be reached, and warns of what will surprise. A mistake within a journey
// does not hide those across files.
func (l *loader) crossJourneys() {
	segments, providers, templates := l.segmentNames(), l.providerNames(), l.templateNames()
	for _, n := range l.in("journeys") {
		f, refs := n.file, l.refs[n.name]
		if steps := child(f.root, "steps"); steps != nil {
			f.reachable(steps)
		}
		f.letters(f.root)
		for _, r := range refs.Segments {
			if !slices.Contains(segments, r.Name) {
				f.errorf(f.nameAt(r), didYouMean(r.Name, segments), "there is no segment %q", r.Name)
			}
		}
		for _, r := range refs.Providers {
			if !slices.Contains(providers, r.Name) {
				f.errorf(at(r.Line, r.Column), didYouMean(r.Name, providers), "there is no provider %q", r.Name)
			}
		}
		for _, r := range refs.Purposes {
			if l.hasPurpose(f, at(r.Line, r.Column), purpose.Purpose(r.Name)) {
				l.consentSource(f, r)
			}
		}
		warned := map[string]bool{}
		for _, s := range refs.Sends {
			l.crossTemplate(f, s, templates)
			l.crossSend(f, s, warned)
		}
	}
	for _, d := range l.config.Journeys {
		l.crossReentry(l.parsed["journeys/"+d.Name()+".yaml"], d)
	}
}

// nameAt finds the name a reference is about: rules give the place of the whole
// rule only.
func (f *file) nameAt(r journey.Ref) *yaml.Node {
	for _, key := range []string{"in_segment", "enters", "leaves"} {
		if n := findValue(f.root, key, r.Name); n != nil {
			return n
		}
	}
	return at(r.Line, r.Column)
}

func (l *loader) providerNames() []string {
	var names []string
	for _, n := range l.in("providers") {
		names = append(names, n.name)
	}
	return names
}

// consentSource warns when a purpose rests on consent and no event can bring
// one: a browser key narrows permission for an address and never widens it,
// unless its calls carry a signed user id.
func (l *loader) consentSource(f *file, r journey.Ref) {
	d, ok := l.config.Policy.Purpose(purpose.Purpose(r.Name))
	if !ok || d.Basis != purpose.Consent {
		return
	}
	trusted := slices.ContainsFunc(l.config.Sources, func(s Source) bool { return s.Kind != BrowserSource || !s.UserHash.IsZero() })
	switch here := at(r.Line, r.Column); {
	case len(d.Categories) == 0:
		f.warnf(here, "give it `categories:` in purposes.yaml, so that a consent banner or SDK can grant it",
			"%q rests on consent and no event can bring one: only the preference page and the API can", r.Name)
	case !trusted:
		f.warnf(here, "add a source of kind server, or give a browser source a user_hash",
			"%q rests on consent and no event can bring one: what everybody can read, a browser key, never widens permission for an address", r.Name)
	}
}

// crossSend holds one mail of a journey against its template, purpose and
// class. A mail that is sent by several steps is warned of once.
func (l *loader) crossSend(f *file, s journey.SendRef, warned map[string]bool) {
	here := at(s.Line, s.Column)
	if l.config.Policy == nil {
		return
	}
	d, ok := l.config.Policy.Purpose(s.Purpose)
	if !ok {
		return
	}
	service := s.Purpose.Of(purpose.Service)
	switch {
	case service && s.Class.Marketing():
		same := s.Template + " " + string(s.Purpose)
		if warned[same] {
			return
		}
		warned[same] = true
		f.warnf(here, "write `class: transactional` if people wait for it",
			"the mail %q serves %q but is sent as marketing: caps and quiet hours hold it back, and it is never sent twice", s.Template, s.Purpose)
	case s.Class == message.Transactional && d.Scope == consent.AddressScope && d.Objectable():
		f.errorf(here, "leave class out",
			"the mail %q for %q cannot be transactional: people may say no to it, so caps and quiet hours hold for it", s.Template, s.Purpose)
	}
}

// crossReentry warns of journeys that may mail one person without end.
func (l *loader) crossReentry(f *file, d *journey.Definition) {
	kind, _ := d.Trigger()
	again, _ := d.Reentry()
	marketing := slices.ContainsFunc(d.Refs().Sends, func(s journey.SendRef) bool { return s.Class.Marketing() })
	if kind == journey.OnNamedEvent && again == journey.Always && marketing && len(l.config.Workspace.Sending.Caps) == 0 {
		f.warnf(f.find("reentry"), "write `reentry: {every: 7d}`, or set caps in rapport.yaml", "every such event mails the person again, without a limit")
	}
}

// reachable reports steps that nobody can come to, and tells whether a list of
// steps always ends the journey.
func (f *file) reachable(steps *yaml.Node) (ends bool) {
	for i, s := range steps.Content {
		if ends {
			f.errorf(s, "remove it, or the stop before it", "nobody can reach step %d: the one before it ends the journey", i+1)
			return true
		}
		ends = f.stepEnds(s)
	}
	return ends
}

func (f *file) stepEnds(s *yaml.Node) bool {
	if s.Kind == yaml.ScalarNode {
		return s.Value == "stop"
	}
	if s.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i+1 < len(s.Content); i += 2 {
		if s.Content[i].Value == "stop" {
			return true
		}
	}
	inner := s
	if w := child(s, "wait_for"); w != nil && w.Kind == yaml.MappingNode && child(s, "then") == nil && child(s, "else") == nil {
		inner = w
	}
	all, way := true, false
	if branches := child(s, "if"); branches != nil && branches.Kind == yaml.SequenceNode {
		for _, b := range branches.Content {
			if then := child(b, "then"); then != nil {
				all, way = f.reachable(then) && all, true
			}
		}
	}
	for _, key := range []string{"then", "else", "on_timeout"} {
		if then := child(inner, key); then != nil {
			all = f.reachable(then) && all
			way = way || key == "then"
		}
	}
	hasElse := child(inner, "else") != nil || child(inner, "on_timeout") != nil
	return all && way && hasElse
}

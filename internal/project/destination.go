package project

import (
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/message"
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// WebhookDestination is the kind of destination there is.
const WebhookDestination = "webhook"

// Destination is another system that is told what happens: destinations/<name>.yaml.
type Destination struct {
	Name        string
	Title       string
	Kind        string
	URL         string
	Secrets     []Ref // whsec_…; two while one takes the other's place
	Purpose     purpose.Purpose
	Events      Wanted
	Where       *rule.Where
	Segments    Wanted
	Messages    Wanted
	Consent     Wanted
	Alerts      bool // what is wrong with the house
	Existing    bool
	Identifiers []string
	Integration string
	Private     bool
	Timeout     time.Duration
	Connections int
}

// Wanted is "all" or a list of names.
type Wanted struct {
	All   bool
	Names []string
}

func (w Wanted) empty() bool { return !w.All && len(w.Names) == 0 }

// MessageStates are what may be told of mails: where they stand, and what their
// readers did.
var MessageStates = []string{
	message.Accepted.String(), message.Deferred.String(), message.Failed.String(), message.Skipped.String(), message.Uncertain.String(), message.Resolved.String(),
	"opened", "clicked",
}

// maxSecrets is one that holds and one that takes its place.
const maxSecrets = 2

// destination reads one file of destinations/.
func destination(f *file, name string) Destination {
	s := f.section(f.root, "a destination", "title", "kind", "url", "secrets", "purpose", "events", "where", "segments", "messages", "consent", "alerts",
		"include_existing", "identifiers", "integration", "private", "timeout", "connections")
	s.need("write webhook", "kind")
	s.need("write where requests go, such as https://crm.example/hooks/rapport", "url")
	s.need("write where the signing secret is: `secrets: env:CRM_SECRET`", "secrets")
	s.need("write why the data leaves, a name from purposes.yaml", "purpose")
	d := Destination{
		Name: name, Title: s.text("title"), Kind: s.choice("kind", WebhookDestination), Purpose: purpose.Purpose(s.text("purpose")),
		Events: s.wanted("events"), Segments: s.wanted("segments"), Messages: s.wanted("messages"), Consent: s.wanted("consent"),
		Alerts:   s.choice("alerts", "false", "true") == "true",
		Existing: s.choice("include_existing", "false", "true") == "true", Private: s.choice("private", "false", "true") == "true",
		Integration: s.text("integration"), Identifiers: []string{"user_id", "anonymous_id"},
		Timeout: s.duration("timeout", 15*time.Second, time.Second, 30*time.Second), Connections: s.integer("connections", 8, 1, 100),
	}
	if d.Integration == "" {
		d.Integration = name
	}
	if s.has("identifiers") {
		d.Identifiers = s.wanted("identifiers").Names
	}
	d.URL = s.webhook("url", d.Private)
	for _, n := range s.items("secrets") {
		if r := f.ref(n, "secrets", "env", "file"); !r.IsZero() {
			d.Secrets = append(d.Secrets, r)
		}
	}
	if len(s.items("secrets")) > maxSecrets {
		f.errorf(s.value("secrets"), "keep the one that holds and the one that takes its place", "at most %d secrets sign at a time", maxSecrets)
	}
	if n := s.value("where"); n != nil {
		d.Where = f.where(n)
		if d.Events.empty() {
			f.errorf(s.key("where"), "write `events: all` or a list of names", "\"where\" chooses among events, and none are wanted")
		}
	}
	for _, name := range d.Messages.Names {
		if !slices.Contains(MessageStates, name) {
			f.errorf(findItem(s.value("messages"), name), didYouMean(name, MessageStates), "no mail is ever %q", name)
		}
	}
	if d.Events.empty() && d.Segments.empty() && d.Messages.empty() && d.Consent.empty() && !d.Alerts && s != nil {
		f.warnf(s.node, "write `events: all`, or segments, messages, consent or alerts", "the destination wants nothing: it is told of erasures only")
	}
	return d
}

// wanted reads "all" or names.
func (s *section) wanted(key string) (w Wanted) {
	for _, n := range s.items(key) {
		switch {
		case n.Kind != yaml.ScalarNode || n.Value == "":
			s.file.errorf(n, "write all, a name, or a list of names", "%q takes names, not %s", key, kindOf(n))
		case n.Value == "all" && s.value(key) == n:
			w.All = true
		default:
			w.Names = append(w.Names, n.Value)
		}
	}
	return w
}

// webhook reads an address that requests go to.
func (s *section) webhook(key string, private bool) string {
	text := s.text(key)
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		s.file.errorf(s.value(key), "write for example https://crm.example/hooks/rapport", "%q is no web address", key)
	case u.User != nil || u.Fragment != "":
		s.file.errorf(s.value(key), "requests are signed: the receiver needs no password in the address", "%q may hold no user and no fragment", key)
	case u.Scheme == "http" && !(private && isLoopback(u.Hostname())):
		s.file.errorf(s.value(key), "use https; http is for this machine, with `private: true`", "people's data would cross the network unencrypted")
	case isLoopback(u.Hostname()) && !private:
		s.file.errorf(s.value(key), "add `private: true` if that is meant", "%q leads to this machine", key)
	}
	return text
}

// where reads comparisons as they stand elsewhere beside an event.
func (f *file) where(n *yaml.Node) *rule.Where {
	word := func(v string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v, Line: n.Line, Column: n.Column}
	}
	m := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column, Content: []*yaml.Node{word("did"), word("any"), word("where"), n}}
	r, problems := rule.Parse(m, rule.Context{})
	f.rule(problems)
	if r == nil {
		return nil
	}
	if t := r.Tallies(); len(t) > 0 {
		return t[0].Where
	}
	return nil
}

// findItem finds the scalar with a value in a list, or the list.
func findItem(n *yaml.Node, value string) *yaml.Node {
	for _, c := range n.Content {
		if c.Value == value {
			return c
		}
	}
	return n
}

// Destination finds a destination by name.
func (c *Config) Destination(name string) (Destination, bool) {
	i := slices.IndexFunc(c.Destinations, func(d Destination) bool { return d.Name == name })
	if i < 0 {
		return Destination{}, false
	}
	return c.Destinations[i], true
}

// DestinationsIn reads the destinations of a folder that was in effect once, by name,
// whatever else stands in it. One that a newer program no longer reads is there all
// the same, with what could be read of it.
func DestinationsIn(files map[string][]byte) []Destination {
	var out []Destination
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if path.Dir(p) != "destinations" || path.Ext(p) != ".yaml" {
			continue
		}
		d := Destination{Name: strings.TrimSuffix(path.Base(p), ".yaml")}
		if f := parse(p, files[p], &report{}); f.root != nil {
			d = destination(f, d.Name)
		}
		out = append(out, d)
	}
	return out
}

// crossDestinations checks that what destinations name exists.
func (l *loader) crossDestinations() {
	segments := l.segmentNames()
	for _, n := range l.in("destinations") {
		d, _ := l.config.Destination(n.name)
		for _, name := range d.Segments.Names {
			if !slices.Contains(segments, name) {
				n.file.errorf(findItem(n.file.find("segments"), name), didYouMean(name, segments), "there is no segment %q", name)
			}
		}
		if l.config.Policy == nil {
			continue
		}
		for _, name := range d.Consent.Names {
			if _, ok := l.config.Policy.Purpose(purpose.Purpose(name)); !ok {
				n.file.errorf(findItem(n.file.find("consent"), name), didYouMean(name, l.purposes()), "purposes.yaml does not declare %q", name)
			}
		}
		if _, ok := l.config.Policy.Purpose(d.Purpose); !ok && d.Purpose != "" {
			n.file.errorf(n.file.find("purpose"), didYouMean(string(d.Purpose), l.purposes()), "purposes.yaml does not declare %q", d.Purpose)
		}
	}
}

package consent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/purpose"
)

// Limits of a policy. A purpose has a fixed place in the words of the picture; the
// last is the restriction's.
const (
	MaxPurposes   = 31
	maxCategories = 64
	maxNameLength = 64
)

// Scope says what a purpose is about: an address that is written to, or a
// device that is observed. What is said of one never touches the other.
type Scope string

// The scopes.
const (
	AddressScope Scope = "address"
	DeviceScope  Scope = "device"
)

// Definition is one purpose as the workspace declares it.
type Definition struct {
	Name        purpose.Purpose
	Title       string            // for the preference page
	Description string            // for the preference page
	titles      map[string]string // by language, where the file gives several
	abouts      map[string]string // descriptions by language
	Basis       purpose.Basis
	Scope       Scope
	Categories  []string      // consent categories of the wire that mean it; all must be true to grant
	GPC         bool          // a GPC signal narrows it
	ValidFor    time.Duration // how long a grant holds; zero means until it is taken back
	Hidden      bool          // not on the preference page
	Notice      string        // the notice that is shown with it (notices/NOTICE.LANGUAGE.md), "" for none
	OptIn       bool          // a yes counts only once the address has confirmed it
	Data        []string      // which personal data it uses
	Recipients  []string      // third parties who get them
	Retention   string        // how long they are kept
	TCF         []int         // purposes of IAB Europe's framework that mean it; all must be consented to
	USOptOut    []string      // opt-outs of the US sections of a GPP string that say no to it
	Line        int           // where it stands in the file
	paths       []string      // of its categories in an event's context
}

// Objectable tells whether a person may say no to the purpose: not where the
// law or a contract with the person asks for it.
func (d *Definition) Objectable() bool {
	switch d.Basis {
	case purpose.Consent, purpose.LegitimateInterest, purpose.PublicTask:
		return !within(d.Name, purpose.Service)
	}
	return false
}

// No gives the state that a "no" to the purpose means; it becomes Withdrawn
// where a grant stood.
func (d *Definition) No() State {
	if d.Basis != purpose.Consent {
		return Objected
	}
	return Refused
}

// In gives the purpose's title and description in a language, or those that
// hold where nothing is written in it.
func (d *Definition) In(language string) (title, description string) {
	title, description = d.Title, d.Description
	if t, ok := d.titles[language]; ok {
		title = t
	}
	if t, ok := d.abouts[language]; ok {
		description = t
	}
	return title, description
}

// About is what every record of the workspace says of who is responsible.
type About struct {
	Tenant       string // the workspace
	Controller   string // who is responsible, for readers
	Jurisdiction string // whose law holds where a statement names none, "" for not said
}

// Policy is the parsed purposes file. It does not change once it is made.
type Policy struct {
	About About // given by whoever reads the rest of the configuration

	list    []*Definition
	notices []Notice
	named   map[purpose.Purpose]int
	byCat   map[string][]*Definition
}

// Purposes lists the definitions in the order of the file.
func (p *Policy) Purposes() []*Definition { return slices.Clone(p.list) }

// Purpose finds one definition.
func (p *Policy) Purpose(name purpose.Purpose) (*Definition, bool) {
	i, ok := p.named[name]
	if !ok {
		return nil, false
	}
	return p.list[i], true
}

// Mailable tells whether mail may be sent for a purpose at all: it is declared
// and is about addresses.
func (p *Policy) Mailable(name purpose.Purpose) bool {
	d, ok := p.Purpose(name)
	return ok && d.Scope == AddressScope
}

// Categories lists the consent categories that the policy knows, sorted.
func (p *Policy) Categories() []string {
	var out []string
	for c := range p.byCat {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}

// family tells whether a name is that of a family, declared or not, with other
// declared purposes in it.
func (p *Policy) family(name purpose.Purpose) bool {
	return slices.ContainsFunc(p.list, func(d *Definition) bool { return d.Name != name && within(d.Name, name) })
}

// Problem is something wrong in a purposes file, with where it stands and what
// to write instead. A warning does not stop the policy from being used.
type Problem struct {
	Line, Column int
	Message      string
	Hint         string
	Warning      bool
}

// ParsePolicy reads the content of a purposes file: a mapping with one key,
// `purposes`, under which each purpose has its name as key. All problems are
// named at once; with any that is not a warning there is no policy.
func ParsePolicy(root *yaml.Node) (*Policy, []Problem) {
	ps := &policyParser{policy: &Policy{named: map[purpose.Purpose]int{}, byCat: map[string][]*Definition{}}}
	ps.file(root)
	if slices.ContainsFunc(ps.problems, func(p Problem) bool { return !p.Warning }) {
		return nil, ps.problems
	}
	return ps.policy, ps.problems
}

type policyParser struct {
	policy   *Policy
	problems []Problem
}

func (ps *policyParser) errorf(n *yaml.Node, hint, format string, args ...any) {
	p := Problem{Message: fmt.Sprintf(format, args...), Hint: hint}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	ps.problems = append(ps.problems, p)
}

func (ps *policyParser) warnf(n *yaml.Node, hint, format string, args ...any) {
	ps.errorf(n, hint, format, args...)
	ps.problems[len(ps.problems)-1].Warning = true
}

func (ps *policyParser) file(root *yaml.Node) {
	if root != nil && root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	if root == nil || root.Kind != yaml.MappingNode {
		ps.errorf(root, "write `purposes:` and the purposes under it", "the purposes file must be a mapping")
		return
	}
	var body *yaml.Node
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "purposes" {
			body = root.Content[i+1]
			continue
		}
		ps.errorf(root.Content[i], "the only key is purposes", "unknown key %q", root.Content[i].Value)
	}
	if body == nil || body.Kind != yaml.MappingNode || len(body.Content) == 0 {
		ps.errorf(root, "write `purposes:` and at least `service: {basis: contract}` under it", "no purpose is declared")
		return
	}
	for i := 0; i+1 < len(body.Content); i += 2 {
		ps.purpose(body.Content[i], body.Content[i+1])
	}
	ps.whole(body)
}

// whole checks what only the whole list shows.
func (ps *policyParser) whole(body *yaml.Node) {
	p := ps.policy
	if len(p.list) > MaxPurposes {
		ps.errorf(body, "join purposes that are always decided together", "%d purposes are declared, the limit is %d", len(p.list), MaxPurposes)
	}
	if _, ok := p.named[purpose.Service]; !ok {
		ps.warnf(body, "add `service: {basis: contract}`", "the purpose %q is not declared: receipts and resets cannot be sent", purpose.Service)
	}
	for _, t := range []purpose.Purpose{purpose.OpenTrack, purpose.ClickTrack} {
		if d, ok := p.Purpose(t); ok && d.Scope != DeviceScope {
			ps.errorf(&yaml.Node{Line: d.Line}, "write `scope: device`", "%q observes a device: its scope must be device", t)
		}
	}
	if !slices.ContainsFunc(p.list, func(d *Definition) bool { return d.GPC }) {
		ps.warnf(body, "write `gpc: true` for sale_or_share, which several laws ask for", "no purpose is narrowed by a GPC signal")
	}
	if len(p.byCat) > maxCategories {
		ps.errorf(body, "", "%d consent categories are named, the limit is %d", len(p.byCat), maxCategories)
	}
}

var policyKeys = []string{
	"title", "description", "basis", "scope", "categories", "gpc", "valid_for", "hidden",
	"notice", "double_opt_in", "data", "recipients", "retention", "tcf", "us_opt_out",
}

func (ps *policyParser) purpose(key, body *yaml.Node) {
	d := &Definition{Name: purpose.Purpose(key.Value), Title: key.Value, Scope: AddressScope, Line: key.Line}
	if hint, ok := goodName(key.Value); !ok {
		ps.errorf(key, hint, "the name %q cannot be used", key.Value)
		return
	}
	if d.Name == Restriction {
		ps.errorf(key, "choose another name", "%q is what a person's restriction of all use is kept under", key.Value)
		return
	}
	if _, twice := ps.policy.named[d.Name]; twice {
		ps.errorf(key, "keep one of them", "the purpose %q is declared twice", key.Value)
		return
	}
	if body.Kind != yaml.MappingNode {
		ps.errorf(body, "write at least `basis: consent` under it", "the purpose %q must be a mapping", key.Value)
		return
	}
	for i := 0; i+1 < len(body.Content); i += 2 {
		ps.field(d, body.Content[i], body.Content[i+1])
	}
	if d.Basis == "" {
		ps.errorf(key, "use one of: "+basisNames(), "the purpose %q names no legal basis", key.Value)
	}
	ps.sense(d, key)
	ps.policy.named[d.Name] = len(ps.policy.list)
	ps.policy.list = append(ps.policy.list, d)
	escape := strings.NewReplacer(`\`, `\\`, ".", `\.`)
	for _, c := range d.Categories {
		d.paths = append(d.paths, "consent.categoryPreferences."+escape.Replace(c))
		ps.policy.byCat[c] = append(ps.policy.byCat[c], d)
	}
}

// sense checks what a purpose's fields say together.
func (ps *policyParser) sense(d *Definition, key *yaml.Node) {
	if d.Basis == "" {
		return
	}
	if within(d.Name, purpose.Service) && d.Basis == purpose.Consent {
		ps.errorf(key, "use contract", "%q is what a person asked for: it cannot rest on consent", d.Name)
	}
	if !d.Objectable() && len(d.Categories) > 0 {
		ps.errorf(key, "remove categories", "nobody can say no to %q (basis %s): a consent category cannot mean it", d.Name, d.Basis)
	}
	if !d.Objectable() && d.GPC {
		ps.errorf(key, "remove gpc", "nobody can say no to %q (basis %s): a GPC signal cannot narrow it", d.Name, d.Basis)
	}
	if d.OptIn && (d.Basis != purpose.Consent || d.Scope != AddressScope) {
		ps.errorf(key, "remove double_opt_in", "%q is no mail that rests on consent: there is nothing to confirm", d.Name)
	}
	if !d.Objectable() && (len(d.TCF) > 0 || len(d.USOptOut) > 0) {
		ps.errorf(key, "remove tcf and us_opt_out", "nobody can say no to %q (basis %s): no signal can mean it", d.Name, d.Basis)
	}
	if d.ValidFor > 0 && d.Basis != purpose.Consent {
		ps.errorf(key, "remove valid_for, or use basis consent", "%q does not rest on consent: no grant can expire", d.Name)
	}
	if d.Basis == purpose.LegitimateInterest && d.Scope == AddressScope && strings.HasPrefix(string(d.Name), "marketing") {
		ps.warnf(key, "where the law asks for consent, use basis consent", "%q mails people who never said yes", d.Name)
	}
}

func (ps *policyParser) field(d *Definition, key, v *yaml.Node) {
	switch key.Value {
	case "title":
		d.Title, d.titles = ps.inLanguages(v)
	case "description":
		d.Description, d.abouts = ps.inLanguages(v)
	case "basis":
		d.Basis = purpose.Basis(v.Value)
		if !d.Basis.Valid() {
			ps.errorf(v, "use one of: "+basisNames(), "%q is no legal basis", v.Value)
			d.Basis = purpose.Consent
		}
	case "scope":
		d.Scope = Scope(v.Value)
		if d.Scope != AddressScope && d.Scope != DeviceScope {
			ps.errorf(v, "use address (mail) or device (tracking)", "%q is no scope", v.Value)
		}
	case "categories":
		d.Categories = ps.words(v)
	case "gpc":
		d.GPC = ps.truth(v)
	case "hidden":
		d.Hidden = ps.truth(v)
	case "valid_for":
		d.ValidFor = ps.duration(v)
	default:
		ps.recorded(d, key, v)
	}
}

// recorded reads what stands in the records of a purpose (ISO/IEC TS 27560), and
// which foreign signals mean it.
func (ps *policyParser) recorded(d *Definition, key, v *yaml.Node) {
	switch key.Value {
	case "notice":
		d.Notice = ps.text(v)
	case "double_opt_in":
		d.OptIn = ps.truth(v)
	case "data":
		d.Data = ps.words(v)
	case "recipients":
		d.Recipients = ps.words(v)
	case "retention":
		d.Retention = ps.text(v)
	case "tcf":
		d.TCF = ps.numbers(v, tcfPurposes)
	case "us_opt_out":
		for _, w := range ps.words(v) {
			if !slices.Contains(usOptOuts, w) {
				ps.errorf(v, "use some of: "+strings.Join(usOptOuts, ", "), "%q is no opt-out of the US sections", w)
				continue
			}
			d.USOptOut = append(d.USOptOut, w)
		}
	default:
		ps.errorf(key, "use one of: "+strings.Join(policyKeys, ", "), "unknown key %q", key.Value)
	}
}

func (ps *policyParser) text(v *yaml.Node) string {
	if v.Kind != yaml.ScalarNode || strings.TrimSpace(v.Value) == "" {
		ps.errorf(v, "write a sentence", "a text is missing here")
		return ""
	}
	return strings.TrimSpace(v.Value)
}

// inLanguages reads a text, or one for each language; the first one stands where
// nothing is written in a reader's own.
func (ps *policyParser) inLanguages(v *yaml.Node) (string, map[string]string) {
	if v.Kind != yaml.MappingNode {
		return ps.text(v), nil
	}
	first, all := "", map[string]string{}
	for i := 0; i+1 < len(v.Content); i += 2 {
		language := v.Content[i]
		if !Language(language.Value) {
			ps.errorf(language, "write a language such as en or de, and the text behind it", "%q is no language", language.Value)
			continue
		}
		all[language.Value] = ps.text(v.Content[i+1])
		if first == "" {
			first = all[language.Value]
		}
	}
	return first, all
}

func (ps *policyParser) numbers(v *yaml.Node, most int) (out []int) {
	for _, c := range v.Content {
		n, err := strconv.Atoi(c.Value)
		if err != nil || n < 1 || n > most || slices.Contains(out, n) {
			ps.errorf(c, fmt.Sprintf("write each number from 1 to %d once", most), "%q is no number of a purpose", c.Value)
			continue
		}
		out = append(out, n)
	}
	if v.Kind != yaml.SequenceNode || len(v.Content) == 0 {
		ps.errorf(v, "write a list: [1, 7]", "a list of numbers is missing here")
	}
	return out
}

func (ps *policyParser) words(v *yaml.Node) []string {
	if v.Kind != yaml.SequenceNode || len(v.Content) == 0 {
		ps.errorf(v, "write a list: [marketing]", "a list of consent categories is missing here")
		return nil
	}
	var out []string
	for _, c := range v.Content {
		if c.Kind != yaml.ScalarNode || c.Value == "" || len(c.Value) > maxNameLength || slices.Contains(out, c.Value) {
			ps.errorf(c, "write each category once, as plain text", "%q cannot be a consent category here", c.Value)
			continue
		}
		out = append(out, c.Value)
	}
	return out
}

func (ps *policyParser) truth(v *yaml.Node) bool {
	if v.Kind != yaml.ScalarNode || v.Value != "true" && v.Value != "false" {
		ps.errorf(v, "write true or false", "%q is neither true nor false", v.Value)
	}
	return v.Value == "true"
}

func (ps *policyParser) duration(v *yaml.Node) time.Duration {
	units := map[string]time.Duration{"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	if s := v.Value; len(s) > 1 {
		n, err := strconv.Atoi(s[:len(s)-1])
		if u := units[s[len(s)-1:]]; err == nil && n > 0 && n <= 36500 && u > 0 {
			return time.Duration(n) * u
		}
	}
	ps.errorf(v, "write hours, days or weeks: 24h, 730d, 104w", "%q is no duration", v.Value)
	return 0
}

func basisNames() string {
	var names []string
	for _, b := range purpose.Bases() {
		names = append(names, string(b))
	}
	return strings.Join(names, ", ")
}

// goodName tells whether a purpose may bear a name, and what to do if not.
func goodName(s string) (hint string, ok bool) {
	if s == "" || len(s) > maxNameLength {
		return fmt.Sprintf("use 1 to %d characters", maxNameLength), false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" {
			return "put a word on each side of a dot, as in marketing.newsletter", false
		}
		for _, r := range part {
			if r != '_' && r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') {
				return "use small letters, digits, _ and -, and dots between words", false
			}
		}
	}
	return "", true
}

// Starter is the purposes file of a new project folder.
const Starter = `# Why personal data is used here, and what permits it. Every mail, journey and
# template names one of these purposes; what no purpose covers does not happen.
#
#   basis       consent (nothing happens without a recorded yes) | contract |
#               legal_obligation | vital | public_task | legitimate_interest
#               (permitted until the person objects)
#   scope       address (mail; the default) or device (tracking)
#   categories  consent categories of your banner or SDK that mean this purpose;
#               where several are listed, all must be true
#   gpc         true: a Global Privacy Control signal counts as a no
#   valid_for   how long a yes holds, for example 730d
purposes:
  service:
    title: Messages about your account and orders
    description: Receipts, password resets and answers to what you asked for.
    basis: contract

  marketing.newsletter:
    title: News and offers
    description: Our newsletter, recommendations and offers by email.
    basis: consent
    categories: [marketing]
    # notice: newsletter                 # notices/newsletter.en.md and .de.md
    # double_opt_in: true                # a yes counts once the address confirmed it

  profiling:
    title: Personalisation
    description: Using what you do with us to choose what we show and send you.
    basis: legitimate_interest
    scope: device
    categories: [personalization]

  tracking.opens:
    title: Noticing that you opened an email
    description: A tiny image tells us that an email was opened.
    basis: consent
    scope: device
    categories: [analytics]

  tracking.clicks:
    title: Noticing which links you follow
    description: Links in our emails tell us which of them you followed.
    basis: consent
    scope: device
    categories: [analytics]

  sale_or_share:
    title: Sharing with third parties
    description: Selling or sharing your data for advertising by others.
    basis: legitimate_interest
    scope: device
    gpc: true
`

package plan

import (
	"slices"
	"strings"
	"sync"

	"rapport/internal/event"
	"rapport/internal/plan/pii"
	"rapport/internal/purpose"
)

// Act is what is done about personal data where it should not be.
type Act uint8

// The acts.
const (
	Report Act = iota // told and kept
	Mask              // [email] stands in its place
	Digest            // a keyed digest stands in its place, so that equal ones stay equal
	Drop              // the field goes
	Ignore            // not looked for
)

var actNames = []string{"report", "mask", "hash", "drop", "ignore"}

// String gives the word that stands in a plan.
func (a Act) String() string { return actNames[a] }

// done says in a violation what was done.
var done = [...]string{"it was kept", "it was masked", "it was hashed", "it was taken out", ""}

// Shorten is what becomes of the client's address or agent.
type Shorten uint8

// The ways.
const (
	Keep    Shorten = iota
	Less            // the address is truncated, the agent reduced
	Without         // it goes
)

// Personal says what is done about personal data where it should not be.
type Personal struct {
	Acts   map[pii.Kind]Act // for each kind
	Places []string         // fields where it may be: "properties.contact_email"
	IP     Shorten          // context.ip
	Agent  Shorten          // context.userAgent and userAgentData
}

// expected are the traits of Segment's spec that are personal data by their
// meaning: they are what a profile is made of.
var expected = []string{
	"traits.email", "traits.phone", "traits.address", "traits.name", "traits.firstName", "traits.first_name", "traits.lastName", "traits.last_name",
	"traits.birthday", "traits.username",
}

// personal is the same, ready.
type personal struct {
	acts   [16]Act
	places map[string]bool
	ip     Shorten
	agent  Shorten
	pool   *sync.Pool // of *treatment
}

func (p *Personal) compile() *personal {
	out := &personal{places: map[string]bool{}, ip: p.IP, agent: p.Agent, pool: &sync.Pool{New: func() any { return new(treatment) }}}
	for k, a := range p.Acts {
		out.acts[k] = a
	}
	for _, place := range slices.Concat(expected, p.Places) {
		out.places[place] = true
	}
	return out
}

// treat looks at all that an event says and does about personal data what the
// plan says.
func (p *personal) treat(plan *Plan, e *event.Event, hash Hash, v *Verdict) {
	w, _ := p.pool.Get().(*treatment)
	w.personal, w.hash, w.v, w.told = p, hash, v, 0
	defer func() {
		w.v, w.found = nil, nil
		clear(w.steps[:]) // They are parts of the event.
		p.pool.Put(w)
	}()
	var properties, traits *tree
	if is := plan.find(e.Type, e.Name); is != nil {
		t := is.version(versionOf(e.Context)).tree
		if e.Type == event.Identify || e.Type == event.Group {
			traits = t
		} else {
			properties = t
		}
	}
	if traits == nil && plan.identify != nil && e.Type != event.Group {
		traits = plan.identify.version(0).tree
	}
	e.Properties = w.top("properties", e.Properties, properties)
	e.Traits = w.top("traits", e.Traits, traits)
	e.Context = w.context(e.Context, traits)
	if e.Type == event.Track || e.Type == event.Page || e.Type == event.Screen {
		e.Name = w.name("event", e.Name)
	}
	for _, x := range [...]struct{ field, value string }{{"userId", e.UserID}, {"anonymousId", e.Anonymous}, {"groupId", e.GroupID}} {
		w.identifier(x.field, x.value)
	}
}

// treatment is one event being treated.
type treatment struct {
	*personal
	hash  Hash
	v     *Verdict
	steps [maxSteps][]byte // where we are, below the first step
	first string
	depth int
	found []pii.Match
	room  [4]pii.Match
	told  int
}

// maxSteps is how deep personal data is looked for; the door lets 32 levels in.
const maxSteps = 32

// top treats an object with everything below it.
func (w *treatment) top(first string, raw []byte, t *tree) []byte {
	if len(raw) == 0 {
		return raw
	}
	w.first, w.depth = first, 0
	out, _ := w.value(raw, "", t)
	return out
}

// place writes where we are; the numbers of lists do not belong to it.
func (w *treatment) place() string {
	var b strings.Builder
	b.WriteString(w.first)
	for _, s := range w.steps[:w.depth] {
		b.WriteByte('.')
		b.Write(s)
	}
	return b.String()
}

// act tells what to do about a kind here.
func (w *treatment) act(k pii.Kind, t *tree) Act {
	a := w.acts[k]
	if a == Ignore {
		return a
	}
	if t != nil && (t.class == purpose.Sensitive || t.class == purpose.Personal && k != pii.Card && k != pii.Secret) {
		return Ignore // The plan says that it may be here.
	}
	if here := w.place(); w.places[here] || w.places[topOf(here)] {
		return Ignore
	}
	return a
}

// topOf gives the first two steps of a place: "traits.address" for all below it.
func topOf(place string) string {
	first := strings.IndexByte(place, '.')
	if first < 0 {
		return place
	}
	if second := strings.IndexByte(place[first+1:], '.'); second >= 0 {
		return place[:first+1+second]
	}
	return place
}

// tell adds a violation, once for each place and kind.
func (w *treatment) tell(k pii.Kind, a Act) {
	if w.told >= mostViolations {
		return
	}
	var b strings.Builder
	b.WriteString(w.first)
	for _, s := range w.steps[:w.depth] {
		b.WriteByte('.')
		b.WriteString(safeName(string(s)))
	}
	field := b.String()
	said := Violation{PersonalData, CodePersonal, field, field + " holds personal data (" + k.String() + "); " + done[a]}
	if slices.Contains(w.v.Violations, said) {
		return
	}
	w.told++
	w.v.Violations = append(w.v.Violations, said)
}

// name treats the name of an event or a page, which cannot be dropped.
func (w *treatment) name(field, text string) string {
	w.first, w.depth = field, 0
	w.found = pii.Find(w.room[:0], text)
	if len(w.found) == 0 {
		return text
	}
	out, _ := w.rewrite(text, nil, Mask)
	return out
}

// identifier tells of personal data in an identifier and leaves it: another
// identifier would be another person.
func (w *treatment) identifier(field, text string) {
	if text == "" {
		return
	}
	w.first, w.depth = field, 0
	for _, m := range pii.Find(w.room[:0], text) {
		if w.act(m.Kind, nil) != Ignore {
			w.tell(m.Kind, Report)
		}
	}
}

// rewrite does about the places in a text what is to be done. instead is what is
// done where a field is to be dropped and cannot; drop is true where it can.
func (w *treatment) rewrite(text string, t *tree, instead Act) (out string, drop bool) {
	var b strings.Builder
	from := 0
	for _, m := range w.found {
		a := w.act(m.Kind, t)
		if a == Drop {
			if instead == Drop {
				w.tell(m.Kind, Drop)
				return text, true
			}
			a = instead
		}
		if a == Ignore {
			continue
		}
		w.tell(m.Kind, a)
		if a == Report {
			continue
		}
		b.WriteString(text[from:m.From])
		b.WriteString(w.stand(m.Kind, text[m.From:m.To], a))
		from = m.To
	}
	if from == 0 && b.Len() == 0 {
		return text, false
	}
	b.WriteString(text[from:])
	return b.String(), false
}

// stand gives what stands in the place of a datum.
func (w *treatment) stand(k pii.Kind, datum string, a Act) string {
	if a == Digest && w.hash != nil {
		return w.hash(k.String(), plain(k, datum))
	}
	return "[" + k.String() + "]"
}

// plain gives one spelling of a datum, so that equal ones have one digest.
func plain(k pii.Kind, datum string) string {
	datum = strings.ToLower(strings.TrimSpace(datum))
	if k == pii.Email {
		return strings.ReplaceAll(datum, "%40", "@")
	}
	if k == pii.IP || k == pii.Secret {
		return datum
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.()/", r) {
			return -1
		}
		return r
	}, datum)
}

// DefaultActs reports every kind.
func DefaultActs(a Act) map[pii.Kind]Act {
	out := map[pii.Kind]Act{}
	for _, k := range pii.Kinds() {
		out[k] = a
	}
	return out
}

// Expected lists the traits in which personal data is where it belongs.
func Expected() []string { return slices.Clone(expected) }

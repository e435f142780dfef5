package consent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	jsonx "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// Reserved names of track events that speak of permission.
const (
	PreferenceUpdated = "Segment Consent Preference Updated"
	UnsubscribedEvent = "Unsubscribed"
	SpamEvent         = "Email Marked as Spam"
)

// The methods by which a statement can arrive. Only what a person does herself
// on a page that names her, or what an operator or a server vouches for, may
// lift an unsubscribe; an import and a browser may not.
const (
	ByServer      = "event"       // an event with a server's key, or a browser's with a signed user hash
	ByBrowser     = "browser"     // an event with a public key
	ByImport      = "import"      // an event of the bulk lane
	ByAPI         = "api"         // an operator
	ByLink        = "link"        // the unsubscribe link or button
	ByPreferences = "preferences" // the preference page
	ByGPC         = "gpc"         // a Global Privacy Control signal
	ByComplaint   = "complaint"   // the mail was marked as spam
	ByOptIn       = "opt_in"      // the link of a confirmation mail, and the button behind it
)

// RecordOf names the record that an event is in the ledger, at the door and in
// the walk alike.
func RecordOf(ev *event.Event) string { return ev.Source + "/" + ev.MessageID }

// Speaks tells at little cost whether an event may say anything of permission.
func Speaks(ev *event.Event) bool {
	switch ev.Name {
	case PreferenceUpdated, UnsubscribedEvent, SpamEvent:
		return true
	}
	return ev.Type == event.Consent || ev.Flags&event.GPC != 0 || bytes.Contains(ev.Context, consentKey)
}

var consentKey = []byte(`"consent"`)

// FromEvent reads what an event says of permission, for the door: what narrows
// must be given to Narrow before the sender hears 2xx; what widens holds once
// the walk has given it to ApplyIn. gpc says that the request bore Sec-GPC: 1.
// What changes nothing is left out.
func (a *Authority) FromEvent(ev *event.Event, gpc bool) (narrow, widen []Entry) {
	if !gpc && !Speaks(ev) {
		return nil, nil
	}
	v := a.view.Load()
	must := explicit(ev)
	all := a.read(v.policy, ev, gpc, func(e *Entry) bool { return must || e.State == Granted || !a.stands(v, e) })
	for i := range all {
		if e := &all[i]; e.State == Granted {
			widen = append(widen, *e)
			a.expect(v, e)
		} else {
			narrow = append(narrow, *e)
		}
	}
	return narrow, widen
}

// WalkedEvent reads everything that an event says, whether or not it changes
// anything: for the walk, which gives all of it to ApplyIn, and for the record of
// a change where the event itself is not kept. The mark event.GPC on the event
// stands for the header.
func (a *Authority) WalkedEvent(ev *event.Event) []Entry {
	if !Speaks(ev) {
		return nil
	}
	return a.read(a.Policy(), ev, ev.Flags&event.GPC != 0, nil)
}

// explicit tells whether an event exists only to speak of permission, so that
// what it says is written down even where it changes nothing.
func explicit(ev *event.Event) bool {
	return ev.Type == event.Consent || ev.Name == UnsubscribedEvent || ev.Name == SpamEvent
}

// expect remembers a grant that would lift something narrow once it is walked:
// until then a "no" to the same must be written down although it changes nothing.
func (a *Authority) expect(v *view, e *Entry) {
	i, ok := v.policy.named[e.Purpose]
	states, _ := v.picture.look(&e.Subject)
	if !ok || states>>(2*i)&3 == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.coming) >= maxComing { // Too many to remember: write everything down from now on.
		a.settled.Store(false)
		return
	}
	a.coming[statement{e.Subject, e.Purpose}] = e.At.UnixMilli()
}

const maxComing = 100_000

// stands tells whether a "no" is already known, so that nothing need be written.
func (a *Authority) stands(v *view, e *Entry) bool {
	i, ok := v.policy.named[e.Purpose]
	if !ok || !a.settled.Load() {
		return false
	}
	states, _ := v.picture.look(&e.Subject)
	if known := State(states >> (2 * i) & 3); known == 0 || !atLeast(known+Granted, e.State) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, comes := a.coming[statement{e.Subject, e.Purpose}]
	return !comes
}

// atLeast tells whether a state narrows as much as another; refused and
// withdrawn are the same no.
func atLeast(have, want State) bool { return have >= want || have > Granted && want < Objected }

// read turns an event into statements, one for each identifier and purpose;
// those that keep refuses are left out, nil keeps all.
func (a *Authority) read(p *Policy, ev *event.Event, gpc bool, keep func(*Entry) bool) []Entry {
	if ev.Type == event.Consent {
		return a.change(ev)
	}
	var said words
	switch {
	case ev.Name == SpamEvent && tells(ev):
		p.everyMail(&said, word{method: ByComplaint})
	case ev.Name == UnsubscribedEvent && tells(ev):
		p.unsubscribe(&said, ev.Properties)
	}
	if bytes.Contains(ev.Context, consentKey) {
		o, _ := objects.Get().(*rule.Object) // The pool holds nothing else.
		o.Reset(ev.Context)
		p.categories(&said, o)
		gpc = p.signals(&said, o) || gpc
		raw, ok := o.Get("consent.globalPrivacyControl")
		gpc = gpc || ok && string(raw) == "true"
		o.Reset(nil)
		objects.Put(o)
	}
	if gpc {
		for i, d := range p.list {
			if d.GPC {
				said.put(i, word{method: ByGPC})
			}
		}
	}
	if !said.any {
		return nil
	}
	return a.entries(p, ev, &said, keep)
}

var objects = sync.Pool{New: func() any { return new(rule.Object) }}

// tells tells whether an event's name is one that an event of this type can
// have: a page called "Unsubscribed" says nothing.
func tells(ev *event.Event) bool { return ev.Type == event.Track || ev.Type == event.Outcome }

// word is what is said of one purpose.
type word struct {
	said   bool
	yes    bool
	method string // "" for the method of the event
}

// words are what is said of each purpose, in the order of the policy.
type words struct {
	of  [MaxPurposes]word
	any bool
}

func (w *words) put(i int, x word) {
	x.said = true
	w.of[i], w.any = x, true
}

// everyMail says no to all mail that one can say no to.
func (p *Policy) everyMail(said *words, w word) {
	for i, d := range p.list {
		if d.Scope == AddressScope && d.Objectable() {
			said.put(i, w)
		}
	}
}

// unsubscribe reads Unsubscribed: list_id names a purpose or a consent
// category; without one, or with one nobody knows, all mail is meant.
func (p *Policy) unsubscribe(said *words, properties []byte) {
	var props struct {
		List string `json:"list_id"`
	}
	_ = jsonx.Unmarshal(properties, &props, lax) // What cannot be read names no list: all mail is meant.
	w := word{method: ByLink}
	for i, d := range p.list {
		named := within(d.Name, purpose.Purpose(props.List)) || slices.Contains(d.Categories, props.List)
		if props.List != "" && named && d.Objectable() {
			said.put(i, w)
		}
	}
	if !said.any {
		p.everyMail(said, w)
	}
}

var lax = jsonx.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// categories reads context.consent.categoryPreferences: one false says no to
// each purpose that the category means; a yes needs all of a purpose's
// categories. Only true and false are words; what is missing says nothing.
func (p *Policy) categories(said *words, context *rule.Object) {
	for i, d := range p.list {
		if said.of[i].said || len(d.paths) == 0 || !d.Objectable() {
			continue
		}
		yes, no := 0, false
		for _, path := range d.paths {
			raw, _ := context.Get(path)
			switch string(raw) {
			case "true":
				yes++
			case "false":
				no = true
			}
		}
		if no || yes == len(d.paths) {
			said.put(i, word{yes: !no})
		}
	}
}

// entries spreads what was said over the identifiers that the event bears.
func (a *Authority) entries(p *Policy, ev *event.Event, said *words, keep func(*Entry) bool) []Entry {
	method := ByServer
	weak := ev.Flags&event.FromBrowser != 0 && ev.Flags&event.Verified == 0
	switch {
	case ev.Flags&event.Bulk != 0:
		method = ByImport
	case weak:
		method = ByBrowser
	}
	var room [8]name
	names := a.identifiers(ev, room[:0])
	record := ""
	var facts []byte
	var expires time.Time
	var out []Entry
	for i, d := range p.list {
		w := said.of[i]
		if !w.said {
			continue
		}
		for _, n := range names {
			if ev.Email != "" && n.kind != "email" && (w.method == ByLink || w.method == ByComplaint) {
				continue // It holds for the address, not for the person's other ones.
			}
			if w.yes && (d.OptIn && method != ByImport || weak && (d.Scope == AddressScope || n.kind != "anonymous_id")) {
				a.counts[GrantsRefused].Add(1) // A public key speaks for its own device at most, and no event confirms an address.
				continue
			}
			e := Entry{
				Subject: n.hash, Kind: n.kind, Purpose: d.Name, State: Granted,
				Said: ev.Time, At: arrival(ev.Received), Method: method, Source: ev.Source,
			}
			switch {
			case w.yes:
			case w.method == ByComplaint:
				e.State = Objected
			default:
				e.State = d.No()
			}
			if w.method != "" {
				e.Method = w.method
			}
			if keep != nil && !keep(&e) {
				continue
			}
			if record == "" {
				record = RecordOf(ev)
				facts, expires = a.told(ev)
			}
			e.Record, e.Facts = record, facts
			if e.State == Granted {
				e.Expires = expires
			}
			out = append(out, e)
		}
	}
	return out
}

type name struct {
	kind string
	hash id.Hash
}

func (a *Authority) identifiers(ev *event.Event, out []name) []name {
	add := func(kind, value string) {
		if value == "" {
			return
		}
		h := a.hasher.Sum(kind, value)
		if !slices.ContainsFunc(out, func(n name) bool { return n.hash == h }) {
			out = append(out, name{kind, h})
		}
	}
	add("user_id", ev.UserID)
	add("email", ev.Email)
	add("anonymous_id", ev.Anonymous)
	for _, x := range ev.External {
		add(x.Type, x.Value)
	}
	return out
}

// arrival rounds to what the log keeps, so that the door and the walk say the same instant.
func arrival(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Change is what a record of type event.Consent holds in its Properties.
type Change struct {
	Entries []Statement `json:"entries"`
}

// Statement is an Entry in a Change.
type Statement struct {
	Subject  string          `json:"subject"` // the keyed hash, 32 hexadecimal digits
	Kind     string          `json:"kind"`
	Purpose  purpose.Purpose `json:"purpose"`
	State    string          `json:"state"`
	Said     time.Time       `json:"said"`
	Method   string          `json:"method"`
	Evidence json.RawMessage `json:"evidence,omitempty"`
	Facts    json.RawMessage `json:"facts,omitempty"`
	Expires  time.Time       `json:"expires,omitzero"`
}

var stateNames = map[State]string{Granted: "granted", Refused: "refused", Withdrawn: "withdrawn", Objected: "objected"}

// String gives the stable name.
func (s State) String() string { return stateNames[s] }

// ParseState reads what String gave.
func ParseState(s string) (State, bool) {
	for st, n := range stateNames {
		if n == s {
			return st, true
		}
	}
	return 0, false
}

// ChangeEvent puts statements into a record for the log.
func ChangeEvent(record, source string, at time.Time, entries []Entry) (*event.Event, error) {
	c := Change{}
	for _, e := range entries {
		c.Entries = append(c.Entries, Statement{
			Subject: e.Subject.String(), Kind: e.Kind, Purpose: e.Purpose, State: e.State.String(),
			Said: e.Said.UTC(), Method: e.Method, Evidence: e.Evidence, Facts: e.Facts, Expires: e.Expires,
		})
	}
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode change of permission: %w", err)
	}
	return &event.Event{
		Type: event.Consent, MessageID: record, Source: source, Time: at, Original: at, Received: at, Properties: body,
	}, nil
}

// change reads a record of the house's own. What cannot be read says nothing.
func (a *Authority) change(ev *event.Event) []Entry {
	var c Change
	if err := json.Unmarshal(ev.Properties, &c); err != nil {
		return nil
	}
	var out []Entry
	for _, s := range c.Entries {
		state, ok := ParseState(s.State)
		subject, err := parseHash(s.Subject)
		if !ok || err != nil {
			continue
		}
		out = append(out, Entry{
			Record: RecordOf(ev), Subject: subject, Kind: s.Kind, Purpose: s.Purpose, State: state,
			Said: s.Said, At: arrival(ev.Received), Method: s.Method, Source: ev.Source, Evidence: s.Evidence,
			Facts: s.Facts, Expires: s.Expires,
		})
	}
	return out
}

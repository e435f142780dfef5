// Package identity decides who an event is about: which identifiers it
// carries, whom they belong to, when two people are one, and how that is
// written down so that it can be undone. What comes in are events and the
// bindings known so far; what goes out is one person, after the bindings and
// merges that the event justifies. It never touches traits or segments.
package identity

import (
	"slices"
	"strings"

	"rapport/internal/event"
	"rapport/internal/id"
)

// Kinds of identifier that the house itself knows. Every other kind is the
// `type` of an entry of context.externalIds.
const (
	UserID    = "user_id"
	Email     = "email"
	Anonymous = "anonymous_id"
)

// Identifier is one name that somebody goes by.
type Identifier struct {
	Kind  string
	Value string
	Hash  id.Hash
	First int64 // when it was first bound to its person, Unix milliseconds of business time
}

// Config sets limits. The zero value is Segment's defaults: one user id, five
// of every other kind (Segment, "Identity Resolution Settings").
type Config struct {
	Hasher *id.Hasher
	// Limits is how many identifiers of a kind one person may have; "" stands
	// for every kind that is not named. The limit of user ids is one, whatever
	// is said here. A kind whose limit is below one identifies nobody: events
	// are applied by their other identifiers.
	Limits map[string]int
}

// MaxIdentifiers is how many identifiers of all kinds one person may have, so
// that a sender of ever new kinds does not make a row grow without end.
const MaxIdentifiers = 100

// Resolver applies the rules. It is safe for concurrent use.
type Resolver struct {
	hasher *id.Hasher
	limits map[string]int
}

// New makes a resolver.
func New(c Config) *Resolver {
	limits := map[string]int{UserID: 1}
	for kind, n := range c.Limits {
		if kind != UserID { // two user ids are two people, always
			limits[kind] = n
		}
	}
	return &Resolver{hasher: c.Hasher, limits: limits}
}

const defaultLimit = 5

func (r *Resolver) limit(kind string) int {
	if n, ok := r.limits[kind]; ok {
		return n
	}
	if n, ok := r.limits[""]; ok {
		return n
	}
	return defaultLimit
}

// Blocked tells whether a value is one that broken clients send for everybody.
func Blocked(value string) bool { return event.Blocked(value) }

// Of lists the identifiers that an event carries, in order of priority: user
// id, email, external ids by type, anonymous id with the rest of the alphabet.
// Blocked values are left out. For an alias the previous id comes last, as an
// anonymous id. The strings are the event's own.
func (r *Resolver) Of(e *event.Event, dst []Identifier) []Identifier {
	add := func(kind, value string) {
		if value != "" && !Blocked(value) && r.limit(kind) > 0 {
			dst = append(dst, Identifier{Kind: kind, Value: value, Hash: r.hasher.Sum(kind, value)})
		}
	}
	start := len(dst)
	add(UserID, e.UserID)
	add(Email, e.Email)
	rest := len(dst)
	add(Anonymous, e.Anonymous)
	for _, x := range e.External {
		add(x.Type, x.Value)
	}
	if len(e.External) > 0 {
		slices.SortStableFunc(dst[rest:], func(a, b Identifier) int { return strings.Compare(a.Kind, b.Kind) })
	}
	if e.Type == event.Alias && e.Previous != e.UserID {
		add(Anonymous, e.Previous)
	}
	return dedupe(dst, start)
}

func dedupe(ids []Identifier, start int) []Identifier {
	out := ids[:start]
	for _, x := range ids[start:] {
		if !slices.ContainsFunc(out[start:], func(y Identifier) bool { return y.Hash == x.Hash }) {
			out = append(out, x)
		}
	}
	return out
}

// PreviousUser gives the identifier under which an alias's previous id would be
// known if it was a user id, so that it can be looked up with the rest.
func (r *Resolver) PreviousUser(e *event.Event) (Identifier, bool) {
	if e.Type != event.Alias || e.Previous == "" || e.Previous == e.UserID || Blocked(e.Previous) {
		return Identifier{}, false
	}
	return Identifier{Kind: UserID, Value: e.Previous, Hash: r.hasher.Sum(UserID, e.Previous)}, true
}

// Hash gives the keyed hash of one identifier.
func (r *Resolver) Hash(kind, value string) id.Hash { return r.hasher.Sum(kind, value) }

// Directory is what the rules need to know and to change. The walk implements
// it over its working set.
type Directory interface {
	// Who is bound to a hash, or zero.
	Who(h id.Hash) (id.Person, error)
	// Record gives the identifiers of a person, to read and to change.
	Record(who id.Person) (*Record, error)
	// New makes a person.
	New() (id.Person, error)
	// Ready is told of everybody whose identifiers are about to change, before
	// they do: what is due for them by now is decided with those they had.
	Ready(who id.Person) error
	// Bind makes an identifier answer to a person.
	Bind(h id.Hash, who id.Person)
	// Merge joins two people into the first; identifiers have been moved already.
	Merge(m Merge) error
}

// Result is what resolving came to.
type Result struct {
	Who     id.Person
	Created bool
	Refused []Refusal // identifiers that could not be joined, with the reason
}

// Refusal says why an identifier of the event was not joined to its person.
type Refusal struct {
	Kind   string
	Reason string // "two_user_ids", "limit", "browser_key", "taken", "kept_apart"
}

// Resolve decides whom an event is about, makes the person if nobody is known,
// binds new identifiers and merges where the event proves that two are one.
// at is the instant of the walk. Two user ids are never joined.
func (r *Resolver) Resolve(e *event.Event, ids []Identifier, dir Directory, at int64) (Result, error) {
	var res Result
	var owners [8]id.Person
	found := owners[:0]
	for _, x := range ids {
		who, err := dir.Who(x.Hash)
		if err != nil {
			return res, err
		}
		found = append(found, who)
	}
	target := pick(e, ids, found)
	if target == 0 || (ids[0].Kind == UserID && found[0] == 0) {
		var err error
		if target, res.Created, err = r.forNewcomer(e, target, dir); err != nil {
			return res, err
		}
	}
	res.Who = target
	rec, err := dir.Record(target)
	if err != nil {
		return res, err
	}
	if !res.Created {
		if err := dir.Ready(target); err != nil {
			return res, err
		}
	}
	guarded := unproven(e) && !res.Created && rec.Known()
	for i, x := range ids {
		switch owner := found[i]; {
		case owner == target:
		case owner == 0:
			if reason := r.mayAdd(rec, x, guarded); reason != "" {
				res.Refused = append(res.Refused, Refusal{x.Kind, reason})
				continue
			}
			rec.add(x, at)
			dir.Bind(x.Hash, target)
		default:
			// Earlier merges of this very event may have moved the owner.
			now, err := dir.Who(x.Hash)
			if err != nil {
				return res, err
			}
			if now == target {
				continue
			}
			reason, err := r.join(e, target, now, x, dir, at)
			if err != nil {
				return res, err
			}
			if reason != "" {
				res.Refused = append(res.Refused, Refusal{x.Kind, reason})
			}
		}
	}
	return res, nil
}

// pick takes the owner of the identifier with the highest priority. What proves
// nothing leads to nobody by an address or another system's id: those anybody
// may know, a user id is what the browser was told, a device's is random.
func pick(e *event.Event, ids []Identifier, found []id.Person) id.Person {
	guarded := unproven(e)
	for i, x := range ids {
		if found[i] != 0 && (!guarded || x.Kind == UserID || x.Kind == Anonymous) {
			return found[i]
		}
	}
	return 0
}

// forNewcomer decides for an event whose user id nobody has: it is about the
// person found by its other identifiers if that person has no user id yet, else
// about somebody new.
func (r *Resolver) forNewcomer(e *event.Event, target id.Person, dir Directory) (id.Person, bool, error) {
	if target != 0 {
		rec, err := dir.Record(target)
		if err != nil {
			return 0, false, err
		}
		if rec.count(UserID) == 0 {
			return target, false, nil
		}
	}
	who, err := dir.New()
	return who, true, err
}

// mayAdd says why an identifier may not be added to a person, or "". A guarded
// person is known and the event proves nothing: only a device may be added, or
// the user id of somebody who was found by their device.
func (r *Resolver) mayAdd(rec *Record, x Identifier, guarded bool) string {
	if n := rec.count(x.Kind); n >= r.limit(x.Kind) {
		if x.Kind == UserID {
			return "two_user_ids"
		}
		return "limit"
	}
	if len(rec.Identifiers) >= MaxIdentifiers {
		return "limit"
	}
	if guarded && x.Kind != Anonymous && x.Kind != UserID {
		return "browser_key"
	}
	return ""
}

// unproven tells whether the event came with a public key and no signed user
// hash: what it says about who somebody is, anybody could have said.
func unproven(e *event.Event) bool {
	return e.Flags&event.FromBrowser != 0 && e.Flags&event.Verified == 0
}

// join merges the owner of x into target, or says why not.
func (r *Resolver) join(e *event.Event, target, owner id.Person, x Identifier, dir Directory, at int64) (string, error) {
	into, err := dir.Record(target)
	if err != nil {
		return "", err
	}
	from, err := dir.Record(owner)
	if err != nil {
		return "", err
	}
	if slices.Contains(into.Apart, owner) || slices.Contains(from.Apart, target) {
		return "kept_apart", nil
	}
	if reason := r.mayJoin(e, into, from, x); reason != "" {
		return reason, nil
	}
	if err := dir.Ready(owner); err != nil {
		return "", err
	}
	m := Merge{Into: target, From: owner, Cause: strings.Clone(e.MessageID), Rule: ruleOf(e, x), Moved: from.Append(nil)}
	for _, y := range from.Identifiers {
		y.Kind, y.Value = kindName(y.Kind), strings.Clone(y.Value) // from's strings go with its row
		into.insert(y)
		dir.Bind(y.Hash, target)
	}
	from.Identifiers, from.MergedInto = nil, target
	return "", dir.Merge(m)
}

func (r *Resolver) mayJoin(e *event.Event, into, from *Record, x Identifier) string {
	if len(into.Apart)+len(from.Apart) > MaxApart {
		return "limit"
	}
	if into.count(UserID)+from.count(UserID) > 1 {
		return "two_user_ids"
	}
	if unproven(e) && (from.Known() || x.Kind != Anonymous) {
		return "browser_key"
	}
	if len(into.Identifiers)+len(from.Identifiers) > MaxIdentifiers {
		return "limit"
	}
	for _, kind := range from.kinds() {
		if into.count(kind)+from.count(kind) > r.limit(kind) {
			return "limit"
		}
	}
	return ""
}

func ruleOf(e *event.Event, x Identifier) string {
	switch {
	case e.Type == event.Alias:
		return "alias"
	case x.Kind == Anonymous:
		return "anonymous"
	case x.Kind == Email:
		return "email"
	default:
		return "external"
	}
}

package consent

import (
	"context"
	"slices"
	"time"

	"rapport/internal/id"
	"rapport/internal/purpose"
)

// Operation is what somebody is about to do with a person's data.
type Operation string

// The operations, in the order in which data meets them.
const (
	Collect     Operation = "collect"     // keep an event
	Merge       Operation = "merge"       // join what is known under two names
	Compute     Operation = "compute"     // let data decide about segments
	Enter       Operation = "enter"       // enter a journey or decide a mail
	Render      Operation = "render"      // make a mail
	Personalise Operation = "personalise" // show attributes in something made for another purpose
	HandOver    Operation = "hand_over"   // let the first byte leave
	Sync        Operation = "sync"        // tell another system
	Export      Operation = "export"      // read by the API, write to a file
	Track       Operation = "track"       // notice an open or a click
)

// Question is what a gate asks.
type Question struct {
	Subjects  []id.Hash // every identifier of the person, addresses included
	Address   id.Hash   // the address about to be mailed, if one is
	Operation Operation
	Purpose   purpose.Purpose
	Channel   purpose.Channel
	Basis     purpose.Basis // of a source that declares its own; "" means the policy's
	Granted   bool          // the event itself carries the grant (Collect only)
	Class     Class         // of the data it is about; Sensitive needs a yes whatever the basis
	Claim     bool          // the person asked for this very mail to use a right: no restriction stands against it
	At        time.Time
}

// Class is how delicate data are. What a tracking plan says of an attribute is
// handed to Decide.
type Class string

// Sensitive are special categories of personal data (GDPR, Art. 9): no basis but
// an explicit yes permits their use.
const Sensitive Class = "sensitive"

// basis gives what the purpose rests on for these data.
func (q *Question) basis(def *Definition) purpose.Basis {
	switch {
	case q.Class == Sensitive:
		return purpose.Consent
	case q.Basis != "":
		return q.Basis
	}
	return def.Basis
}

// Effect is what the gate must do.
type Effect uint8

// The effects. The zero value denies.
const (
	Deny   Effect = 0
	Allow  Effect = 1
	Redact Effect = 2 // go on, but without the person's data: serve the image and keep nothing, render without attributes
)

// String gives the stable name.
func (e Effect) String() string { return [...]string{"deny", "allow", "redact"}[e] }

// Decision answers a Question.
type Decision struct {
	Effect  Effect
	Reason  string        // stable snake_case
	Basis   purpose.Basis // that permits or would have had to
	Record  string        // the ledger's record that decided, if one did
	Version int64         // the newest row of the ledger when it was decided
	Until   time.Time     // when the grant that permits it ends, or that permitted it has ended; zero where it does not
}

// The reasons of decisions. A suppression's reason is "suppressed_" and its Reason.
const (
	ByBasis        = "legal_basis" // permitted: nobody objected
	ByGrant        = "granted"     // permitted: a grant stands
	ByEvent        = "granted_by_event"
	UnknownPurpose = "purpose_unknown" // no such purpose is declared
	WrongScope     = "purpose_is_no_mail"
	NobodyAsked    = "no_subject"
	NoConsent      = "no_consent" // needs a grant, and there is none
	Expired        = "consent_expired"
	IsRefused      = "refused"
	IsWithdrawn    = "withdrawn"
	IsObjected     = "objected"
	Unreadable     = "permission_unreadable" // an error denies
)

var stateReasons = map[State]string{Refused: IsRefused, Withdrawn: IsWithdrawn, Objected: IsObjected}

// deny gives the decision against an operation: where something is shown or
// served anyway, only the person's data stay out.
func deny(op Operation, reason string) Decision {
	if op == Track || op == Personalise {
		return Decision{Effect: Redact, Reason: reason}
	}
	return Decision{Effect: Deny, Reason: reason}
}

// mails tells whether the operation leads to a mail, so that suppressions count.
func (q *Question) mails() bool {
	return q.Channel == purpose.Email && q.Address != (id.Hash{}) &&
		(q.Operation == Enter || q.Operation == Render || q.Operation == HandOver)
}

// Quick answers from memory alone, without a lock and without evidence; complete
// is false where only the store can tell (a grant is needed).
func (a *Authority) Quick(q *Question) (d Decision, complete bool) {
	v := a.view.Load()
	i, ok := v.policy.named[q.Purpose]
	if !ok {
		return deny(q.Operation, UnknownPurpose), true
	}
	basis := q.basis(v.policy.list[i])
	worst, against := v.ask(q, i)
	switch {
	case v.restricts(q):
		d = deny(q.Operation, Restricted)
	case q.mails() && against>>i&1 != 0:
		d = deny(q.Operation, suppressedReason(against))
	case worst > Granted:
		d = deny(q.Operation, stateReasons[worst])
	case basis != purpose.Consent:
		d = Decision{Effect: Allow, Reason: ByBasis}
	case q.Granted && q.Operation == Collect:
		d = Decision{Effect: Allow, Reason: ByEvent}
	default:
		return deny(q.Operation, NoConsent), false
	}
	d.Basis, d.Version = basis, a.version.Load()
	return d, true
}

// ask finds the narrowest state over all subjects, and what stands against the address.
func (v *view) ask(q *Question, i int) (worst State, against uint64) {
	for k := range q.Subjects {
		states, _ := v.picture.look(&q.Subjects[k])
		worst = max(worst, State(states>>(2*i)&3))
	}
	if q.Address != (id.Hash{}) {
		var states uint64
		states, against = v.picture.look(&q.Address)
		worst = max(worst, State(states>>(2*i)&3))
	}
	if worst > 0 {
		worst += Granted
	}
	return worst, against
}

// Narrows tells from memory whether anything narrow is known of a subject for a
// purpose: a no, or a suppression of the address.
func (a *Authority) Narrows(subject id.Hash, p purpose.Purpose) bool {
	v := a.view.Load()
	i, ok := v.policy.named[p]
	if !ok {
		return false
	}
	states, against := v.picture.look(&subject)
	return states>>(2*i)&3 != 0 || against>>i&1 != 0
}

// Stands tells whether a no is known that nothing on its way can lift: saying it
// again would change nothing.
func (a *Authority) Stands(subject id.Hash, p purpose.Purpose) bool {
	if !a.settled.Load() || !a.Narrows(subject, p) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, comes := a.coming[statement{subject, p}]
	return !comes
}

func suppressedReason(against uint64) string {
	for _, r := range []Reason{Complaint, HardBounce, Unsubscribed, Manual} {
		if against&reasonBits[r] != 0 {
			return "suppressed_" + string(r)
		}
	}
	return "suppressed"
}

// Decide answers at the gates outside a transaction: from memory where nothing
// narrow stands and no grant is needed, else from the store, with evidence.
func (a *Authority) Decide(ctx context.Context, q Question) Decision {
	if d, complete := a.Quick(&q); complete && d.Effect == Allow {
		return d
	}
	var d Decision
	err := a.keeper.Read(ctx, func(st Store) error {
		d = a.DecideIn(st, q)
		return nil
	})
	if err != nil {
		return deny(q.Operation, Unreadable)
	}
	return d
}

// DecideAll answers several questions about one person at one instant, from one
// snapshot and with as few reads as that allows.
func (a *Authority) DecideAll(ctx context.Context, questions ...Question) []Decision {
	out := make([]Decision, len(questions))
	var open []int
	for i := range questions {
		d, complete := a.Quick(&questions[i])
		if out[i] = d; !complete || d.Effect != Allow {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return out
	}
	err := a.keeper.Read(ctx, func(st Store) error {
		once := &readOnce{Store: st}
		for _, i := range open {
			out[i] = a.DecideIn(once, questions[i])
		}
		return nil
	})
	if err != nil {
		for _, i := range open {
			out[i] = deny(questions[i].Operation, Unreadable)
		}
	}
	return out
}

// readOnce remembers what it has read of a snapshot.
type readOnce struct {
	Store
	subjects []id.Hash
	held     [][]Held
	version  int64
}

// Standing implements Store.
func (r *readOnce) Standing(subject id.Hash) ([]Held, error) {
	if i := slices.Index(r.subjects, subject); i >= 0 {
		return r.held[i], nil
	}
	held, err := r.Store.Standing(subject)
	if err != nil {
		return nil, err
	}
	r.subjects, r.held = append(r.subjects, subject), append(r.held, held)
	return held, nil
}

// Version implements Store.
func (r *readOnce) Version() (int64, error) {
	if r.version > 0 {
		return r.version, nil
	}
	var err error
	r.version, err = r.Store.Version()
	return r.version, err
}

// DecideIn answers from the rows of the caller's own transaction: what it says
// holds when that transaction commits.
func (a *Authority) DecideIn(st Store, q Question) Decision {
	p := a.Policy()
	def, ok := p.Purpose(q.Purpose)
	if !ok {
		return deny(q.Operation, UnknownPurpose)
	}
	d, err := decideIn(st, def, &q)
	if err != nil {
		d = deny(q.Operation, Unreadable)
	}
	d.Basis = q.basis(def)
	if d.Version, err = st.Version(); err != nil {
		return deny(q.Operation, Unreadable)
	}
	return d
}

// DecideAny answers as DecideIn whether one of several purposes permits something: of
// those that do, by the one that does longest.
func (a *Authority) DecideAny(st Store, q Question, purposes ...purpose.Purpose) Decision {
	once := &readOnce{Store: st}
	best := deny(q.Operation, UnknownPurpose)
	for _, q.Purpose = range purposes {
		d := a.DecideIn(once, q)
		switch {
		case d.Reason == Unreadable:
			return d
		case d.Effect != Allow:
			if best.Effect != Allow {
				best = d
			}
		case d.Until.IsZero():
			return d
		case best.Effect != Allow || d.Until.After(best.Until):
			best = d
		}
	}
	return best
}

// foreseen gives what the rows are read of that answer a question.
func (q *Question) foreseen(yield func(subject id.Hash, address bool) bool) {
	for _, h := range q.Subjects {
		if !yield(h, false) {
			return
		}
	}
	if q.Address != (id.Hash{}) {
		yield(q.Address, true)
	}
}

func decideIn(st Store, def *Definition, q *Question) (Decision, error) {
	basis := q.basis(def)
	subjects := q.Subjects
	if q.Address != (id.Hash{}) && !slices.Contains(subjects, q.Address) {
		subjects = append(slices.Clone(subjects), q.Address)
	}
	if err := st.Foresee(q.foreseen); err != nil {
		return Decision{}, err
	}
	if q.mails() {
		if def.Scope != AddressScope {
			return deny(q.Operation, WrongScope), nil
		}
		list, err := st.Suppressions(q.Address)
		if err != nil {
			return Decision{}, err
		}
		var against uint64
		for _, s := range list {
			if s.covers(def.Name) {
				against |= reasonBits[s.Reason] | 1
			}
		}
		if against != 0 {
			return deny(q.Operation, suppressedReason(against)), nil
		}
	}
	said, limits, err := merged(st, subjects, def.Name)
	if err != nil {
		return Decision{}, err
	}
	if limits.State > Granted && !q.spared() {
		d := deny(q.Operation, Restricted)
		d.Record = limits.Record
		return d, nil
	}
	return judge(def, basis, q, len(subjects), said), nil
}

// judge weighs what was said against the basis.
func judge(def *Definition, basis purpose.Basis, q *Question, subjects int, said Held) Decision {
	d := Decision{Record: said.Record}
	switch {
	case said.State > Granted:
		d = deny(q.Operation, stateReasons[said.State])
		d.Record = said.Record
	case basis != purpose.Consent:
		d.Effect, d.Reason = Allow, ByBasis
	case q.Granted && q.Operation == Collect:
		d.Effect, d.Reason = Allow, ByEvent
	case subjects == 0:
		d = deny(q.Operation, NobodyAsked)
	case said.State == Granted && ended(def, said, q.At):
		d = deny(q.Operation, Expired)
		d.Record, d.Until = said.Record, until(def, said.At, said.Expires)
	case said.State == Granted:
		d.Effect, d.Reason, d.Until = Allow, ByGrant, until(def, said.At, said.Expires)
	default:
		d = deny(q.Operation, NoConsent)
	}
	return d
}

// ended tells whether a yes has run out, by the purpose's rule or its own words.
func ended(def *Definition, said Held, at time.Time) bool {
	until := until(def, said.At, said.Expires)
	return !until.IsZero() && !at.Before(until)
}

// until gives when a yes ends, zero for never.
func until(def *Definition, given, expires time.Time) time.Time {
	if def.ValidFor > 0 {
		if end := given.Add(def.ValidFor); expires.IsZero() || end.Before(expires) {
			return end
		}
	}
	return expires
}

// merged finds what holds for a purpose over all identifiers of one person, and
// whether they have restricted all use: only recorded states compete, the narrowest
// wins, and silence never does. Of several grants the newest counts.
func merged(st Store, subjects []id.Hash, p purpose.Purpose) (said, limits Held, err error) {
	for _, subject := range subjects {
		held, err := st.Standing(subject)
		if err != nil {
			return Held{}, Held{}, err
		}
		said, limits = outdone(said, held, p), outdone(limits, held, Restriction)
	}
	return said, limits, nil
}

// outdone gives the narrower of what is known and what one subject holds.
func outdone(out Held, held []Held, p purpose.Purpose) Held {
	h, ok := standing(held, p)
	if ok && (h.State > out.State || h.State == out.State && h.At.After(out.At)) {
		return h
	}
	return out
}

package explain

import (
	"encoding/json"
	"slices"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/journey"
	"rapport/internal/processor"
	"rapport/internal/purpose"
	"rapport/internal/purview"
	"rapport/internal/rule"
	"rapport/internal/segment"
)

// scope gives what a purpose may see of somebody, who must permit it, and of what is
// sensitive nothing without their yes. No purpose is the operator, who sees all and is
// written into the trail instead.
func (r *Reader) scope(b processor.Books, v *processor.Version, f *figure, why purpose.Purpose) (*purview.Scope, error) {
	if why == "" {
		return nil, nil //nolint:nilnil // It sees everything.
	}
	if _, ok := r.Consent.Policy().Purpose(why); !ok {
		return nil, fault.New(fault.Invalid, "no_such_purpose", "purposes.yaml does not declare this purpose; `rapport privacy record` lists those there are")
	}
	q := consent.Question{Subjects: f.ident.Subjects(), Operation: consent.Export, Purpose: why, Channel: purpose.Web, At: r.Now()}
	sees := v.Purview.For(why)
	switch d := r.Consent.DecideIn(b.Consent, q); {
	case d.Reason == consent.Unreadable:
		return nil, fault.New(fault.Unavailable, consent.Unreadable, "permission cannot be read; try again")
	case d.Effect != consent.Allow:
		return nil, fault.New(fault.Denied, "not_permitted", "this person does not permit %q: %s", why, d.Reason)
	}
	if q.Class = consent.Sensitive; sees.Sensitive() && r.Consent.DecideIn(b.Consent, q).Effect != consent.Allow {
		sees = sees.Modest()
	}
	return sees, nil
}

// outside says that a purpose may not see something.
func outside(what, name string, why purpose.Purpose) error {
	return fault.New(fault.Denied, "outside_purpose",
		"%s %q reads what %q may not see; ask for a purpose that it serves, or change the purposes in the tracking plan", what, name, why)
}

// serves tells whether a purpose may see what a journey does: each of its versions
// reads what its own purpose sees. Of one that is not known nobody can tell.
func serves(sees *purview.Scope, v *processor.Version, name string) bool {
	if sees == nil {
		return true
	}
	made := v.Journeys.Purposes(name)
	return len(made) > 0 && !slices.ContainsFunc(made, func(p purpose.Purpose) bool { return !sees.Serves(p) })
}

// seen gives an entry of a timeline as far as a purpose may see it, false for one that
// it may not know of.
func seen(sees *purview.Scope, e *event.Event) (*event.Event, bool) {
	if sees == nil {
		return e, true
	}
	switch {
	case e.Type == event.Track && (e.Name == journey.AudienceEntered || e.Name == journey.AudienceExited):
		var about struct {
			Segment string `json:"audience_key"`
		}
		if json.Unmarshal(e.Properties, &about) == nil && !sees.Segment(about.Segment) {
			return nil, false
		}
	case e.Type == event.Outcome:
		return outcome(sees, e), true
	case !sees.Event(e.Type, e.Name):
		return nil, false
	}
	out := *e
	out.Properties, out.Traits = sees.Properties(e.Type, e.Name, e.Properties), sees.Traits(e.Type, e.Traits)
	return &out, true
}

// outcome gives what became of a mail without what stood in it, where the mail was for
// a purpose that sees more.
func outcome(sees *purview.Scope, e *event.Event) *event.Event {
	var about struct {
		Purpose purpose.Purpose `json:"purpose"`
	}
	if json.Unmarshal(e.Properties, &about) == nil && sees.Serves(about.Purpose) && about.Purpose != "" {
		return e
	}
	out := *e
	out.Properties = nil
	return &out
}

// computes is the gate at segments, for somebody who is only read.
func (r *Reader) computes(f *figure, b processor.Books, failed *error) segment.Permit {
	return func(purposes []purpose.Purpose, class purpose.Class, now int64) (bool, int64) {
		ok, until, err := processor.Computes(r.Consent, b.Consent, &f.ident, purposes, class, now)
		if err != nil {
			*failed = err
		}
		return ok, until
	}
}

// withheld tells why somebody for whom a segment's rule holds is not in it.
func (r *Reader) withheld(f *figure, b processor.Books, v *processor.Version, def *segment.Definition, now time.Time) (reason string, err error) {
	if len(def.Asks) == 0 {
		return "", nil
	}
	if holds, _ := def.Rule.Eval(&subject{f, v}, rule.At{Now: now.UnixMilli()}); !holds {
		return "", nil
	}
	if ok, _ := r.computes(f, b, &err)(def.Asks, def.Use.Class, now.UnixMilli()); !ok && err == nil {
		reason = segment.ByConsent
	}
	return reason, err
}

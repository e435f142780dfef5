// Package purpose names why personal data is used: purposes, the legal bases
// they rest on, and how sensitive a field is. Types only; what is permitted is
// decided in package consent.
package purpose

import "slices"

// Purpose is a reason to use personal data, as the workspace's purposes file
// declares it, for example "marketing.newsletter". A dot makes a family: what
// holds for "marketing" holds for "marketing.newsletter".
type Purpose string

// Purposes that every new project folder is given and the house itself refers to.
const (
	Service    Purpose = "service"         // what a person asked for: receipts, resets
	Profiling  Purpose = "profiling"       // keeping a profile to decide what to send
	OpenTrack  Purpose = "tracking.opens"  // noticing that a mail was opened
	ClickTrack Purpose = "tracking.clicks" // noticing that a link was followed
	SaleShare  Purpose = "sale_or_share"   // CCPA: selling or sharing with third parties
)

// Basis is the legal basis of processing, GDPR Article 6(1).
type Basis string

// The six bases. Only Consent needs a recorded grant; LegitimateInterest gives
// way to an objection (Article 21).
const (
	Consent            Basis = "consent"
	Contract           Basis = "contract"
	LegalObligation    Basis = "legal_obligation"
	Vital              Basis = "vital"
	PublicTask         Basis = "public_task"
	LegitimateInterest Basis = "legitimate_interest"
)

// Bases lists all legal bases in the order of the law.
func Bases() []Basis {
	return []Basis{Consent, Contract, LegalObligation, Vital, PublicTask, LegitimateInterest}
}

// Valid tells whether b is one of the six.
func (b Basis) Valid() bool { return slices.Contains(Bases(), b) }

// Channel is the way a person is reached or observed.
type Channel string

// The channels of today.
const (
	Email Channel = "email"
	Web   Channel = "web"
)

// Class says how much harm a value does in the wrong hands. The order counts:
// what is made of several values is of the highest of their classes.
type Class uint8

// The classes. Personal is what GDPR Article 4(1) calls personal data, Sensitive
// the special categories of Article 9 and what opens an account or a purse.
const (
	Unclassified Class = iota // nobody has said
	Public                    // anybody may know it
	Internal                  // the business's own, about nobody
	Personal                  // says something about a person
	Sensitive                 // says what harms them
)

var classNames = []string{"", "public", "internal", "personal", "sensitive"}

// String gives the word that stands in a tracking plan; "" where nothing is said.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return ""
}

// ParseClass reads what String gives; "" is no class that somebody can write.
func ParseClass(s string) (Class, bool) {
	i := slices.Index(classNames, s)
	if i <= 0 {
		return Unclassified, false
	}
	return Class(i), true
}

// Classes lists the words that may be written, from the most harmless.
func Classes() []string { return slices.Clone(classNames[1:]) }

package consent

import (
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/rule"
)

// The strings in which consent platforms say what somebody chose: IAB Europe's
// TC string (TCF v2) and IAB Tech Lab's GPP string, of which the section of the
// TCF and those of the United States are read. Only what a purpose names in
// `tcf` and `us_opt_out` means anything here.
const (
	tcfPurposes = 24 // bits of each list of purposes in a TC string
	maxSignal   = 8 << 10
)

// The opt-outs of the US sections.
const (
	optOutSale     = "sale"
	optOutSharing  = "sharing"
	optOutTargeted = "targeted_advertising"
)

var usOptOuts = []string{optOutSale, optOutSharing, optOutTargeted}

// signal is what such strings came to.
type signal struct {
	tcf       bool   // there is a TC string
	consents  uint32 // its purposes that were consented to, purpose 1 in the lowest bit
	interests uint32 // its purposes for which legitimate interest stands
	optOut    map[string]bool
	gpc       bool // a US section says that the browser sent GPC
}

// bits reads numbers from the base 64 of such strings.
type bits struct {
	raw []byte
	at  int
	bad bool // it asked for more than there is
}

func bitsOf(s string) bits {
	// Parts may end within a byte, and some writers fill them up.
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil && len(s)%4 == 1 {
		raw, err = base64.RawURLEncoding.DecodeString(s + "A") // One letter alone holds six bits.
	}
	return bits{raw: raw, bad: err != nil}
}

func (b *bits) take(n int) (v uint64) {
	if b.bad || b.at+n > 8*len(b.raw) {
		b.bad = true
		return 0
	}
	for range n {
		v = v<<1 | uint64(b.raw[b.at/8]>>(7-b.at%8)&1)
		b.at++
	}
	return v
}

// fibonacci reads a number in Fibonacci coding, which ends with two ones in a row.
func (b *bits) fibonacci() (v int) {
	for one, next, last := 1, 2, uint64(0); !b.bad; one, next = next, one+next {
		bit := b.take(1)
		if bit == 1 && last == 1 {
			return v
		}
		if bit == 1 {
			v += one
		}
		if last = bit; v > 1<<20 {
			b.bad = true
		}
	}
	return 0
}

// readTC reads the purposes of a TC string's core.
func (s *signal) readTC(text string) bool {
	core, _, _ := strings.Cut(text, ".")
	b := bitsOf(core)
	if b.take(6) != 2 {
		return false
	}
	b.at = 152 // Behind the dates, the platform, and special features.
	consents, interests := b.take(tcfPurposes), b.take(tcfPurposes)
	if b.bad {
		return false
	}
	s.tcf = true
	for i := range tcfPurposes {
		s.consents |= uint32(consents>>(tcfPurposes-1-i)&1) << i
		s.interests |= uint32(interests>>(tcfPurposes-1-i)&1) << i
	}
	return true
}

// usSection is where the opt-outs stand in the core of a US section, by bit; 0
// for one that it has not.
type usSection struct{ sale, sharing, targeted int }

// usSections are the US sections that are read, by their id. Those of states that
// came later have the form of Virginia's or are not read.
var usSections = map[int]usSection{
	7: {18, 20, 22},                                  // national
	8: {12, 14, 0},                                   // California
	9: {12, 0, 14}, 10: {12, 0, 14}, 12: {12, 0, 14}, // Virginia, Colorado, Connecticut
	11: {14, 0, 16}, // Utah
}

const (
	gppTCF      = 2
	gppUSP      = 6
	maxSections = 64
)

// readGPP reads a GPP string: a header that lists sections, and the sections.
func (s *signal) readGPP(text string) bool {
	parts := strings.Split(text, "~")
	ids, ok := sectionsOf(parts[0])
	if !ok || len(ids) != len(parts)-1 {
		return false
	}
	for i, id := range ids {
		part := parts[i+1]
		switch us, known := usSections[id]; {
		case id == gppTCF:
			ok = s.readTC(part) && ok
		case id == gppUSP:
			if len(part) == 4 && part[0] == '1' && part[2] == 'Y' {
				s.says(optOutSale)
			}
		case known:
			ok = s.readUS(part, us) && ok
		}
	}
	return ok
}

// sectionsOf reads the header: type 3, version 1, and the sections as ranges.
func sectionsOf(header string) (ids []int, ok bool) {
	b := bitsOf(header)
	if b.take(6) != 3 || b.take(6) != 1 {
		return nil, false
	}
	last := 0
	for range b.take(12) {
		ranged := b.take(1) == 1
		first := last + b.fibonacci()
		last = first
		if ranged {
			last = first + b.fibonacci()
		}
		if b.bad || last-first > maxSections || len(ids) > maxSections {
			return nil, false
		}
		for id := first; id <= last; id++ {
			ids = append(ids, id)
		}
	}
	return ids, !b.bad
}

// readUS reads a US section; 1 says that somebody opted out, 2 that they did not,
// and 0 that it does not apply.
func (s *signal) readUS(text string, at usSection) bool {
	subs := strings.Split(text, ".")
	b := bitsOf(subs[0])
	b.take(6)
	read := func(from int, what string) {
		if from > 0 {
			if b.at = from; b.take(2) == 1 {
				s.says(what)
			}
		}
	}
	read(at.sale, optOutSale)
	read(at.sharing, optOutSharing)
	read(at.targeted, optOutTargeted)
	for _, sub := range subs[1:] {
		if g := bitsOf(sub); g.take(2) == 1 && g.take(1) == 1 && !g.bad {
			s.gpc = true
		}
	}
	return !b.bad
}

func (s *signal) says(what string) {
	if s.optOut == nil {
		s.optOut = map[string]bool{}
	}
	s.optOut[what] = true
}

// signals reads context.consent.tcf and context.consent.gpp. A no of a string
// outdoes a yes of a category: the narrower holds. gpc tells that a string says
// the browser sent that signal.
func (p *Policy) signals(said *words, context *rule.Object) (gpc bool) {
	var s signal
	if text := textAt(context, "consent.tcf"); text != "" {
		s.readTC(text)
	}
	if text := textAt(context, "consent.gpp"); text != "" {
		var from signal
		if from.readGPP(text) { // One that is broken somewhere says nothing.
			if !from.tcf {
				from.tcf, from.consents, from.interests = s.tcf, s.consents, s.interests
			}
			s = from
		}
	}
	for i, d := range p.list {
		if !d.Objectable() {
			continue
		}
		switch yes, no := s.of(d); {
		case no && (!said.of[i].said || said.of[i].yes):
			said.put(i, word{})
		case yes && !said.of[i].said:
			said.put(i, word{yes: true})
		}
	}
	return s.gpc
}

// of tells what the strings say of a purpose.
func (s *signal) of(d *Definition) (yes, no bool) {
	for _, o := range d.USOptOut {
		no = no || s.optOut[o]
	}
	if !s.tcf || len(d.TCF) == 0 {
		return false, no
	}
	has := s.consents
	if d.No() == Objected { // On another basis it is the interest that stands or does not.
		has = s.interests | s.consents
	}
	for _, n := range d.TCF {
		if has>>(n-1)&1 == 0 {
			return false, true
		}
	}
	return !no && d.No() != Objected, no
}

func textAt(o *rule.Object, path string) string {
	raw, ok := o.Get(path)
	if !ok || len(raw) < 2 || len(raw) > maxSignal || raw[0] != '"' {
		return ""
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return ""
	}
	return string(b)
}

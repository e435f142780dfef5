package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/liquid"
	"rapport/internal/purpose"
)

// Consent is what a line says of permission: that somebody said yes or no to a
// purpose, when, and what proves it.
type Consent struct {
	ID       string // of the record in the ledger: the same one again changes nothing
	UserID   string
	Email    string
	Anon     string
	Purpose  purpose.Purpose
	Granted  bool
	Said     time.Time // zero for a no of which the line does not say when
	Evidence []byte    // a JSON object; nil: none
}

// consentRule reads permission from a line. A yes is never assumed: only one of
// the words of `granted` is one, and only with a time and a proof.
type consentRule struct {
	purpose   purpose.Purpose
	state     *value
	granted   []string
	withdrawn []string
	saidAt    *value
	method    *value
	evidence  []member
	who       map[string]*value // user_id, email, anonymous_id; nil: as the line's event
}

func (c *consentRule) nobody() bool { return len(c.who) == 0 }

// MaxEvidence is how many bytes of evidence one word on permission may have.
const MaxEvidence = 4 << 10

var consentKeys = []string{"purpose", "state", "granted", "withdrawn", "said_at", "method", "evidence", "user_id", "email", "anonymous_id"}

// consent reads one entry of `consent`.
func (p *parser) consent(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "write purpose:, state:, granted:, said_at: and evidence:", "consent is a list of mappings")
		return
	}
	c := consentRule{who: map[string]*value{}}
	for k, v := range pairs(n) {
		switch k.Value {
		case "purpose":
			c.purpose = purpose.Purpose(v.Value)
		case "state":
			c.state = p.value(v)
		case "granted":
			c.granted = p.words(v)
		case "withdrawn":
			c.withdrawn = p.words(v)
		case "said_at":
			c.saidAt = p.value(v)
		case "method":
			c.method = p.value(v)
		case "evidence":
			if v.Kind == yaml.MappingNode && !(len(v.Content) == 2 && v.Content[0].Value == "column") {
				c.evidence = p.members(v)
			} else {
				c.evidence = []member{{"text", []byte(`"text"`), p.value(v)}}
			}
		case "user_id", "email", "anonymous_id":
			c.who[k.Value] = p.value(v)
		default:
			p.fail(k, "consent has "+strings.Join(consentKeys, ", "), "unknown key %q", k.Value)
		}
	}
	switch {
	case c.purpose == "" || c.state == nil:
		p.fail(n, `write purpose: marketing.newsletter and state: "{{ newsletter }}"`, "consent needs a purpose and a state")
	case len(c.granted)+len(c.withdrawn) == 0:
		p.fail(n, `write granted: ["yes"] and withdrawn: ["no"]`, "consent must say which values of state mean yes and which mean no")
	case len(c.granted) > 0 && (c.saidAt == nil || len(c.evidence) == 0):
		p.fail(n, `write said_at: "{{ opted_in }}" and evidence: {form: "{{ form }}"}; leave granted out where there is no proof`, "a consent that grants needs said_at and evidence: an import never makes it up")
	}
	for _, w := range c.granted {
		if slices.Contains(c.withdrawn, w) {
			p.fail(n, "choose one", "%q means both granted and withdrawn", w)
		}
	}
	p.f.consents = append(p.f.consents, c)
}

// words reads values of a column, in lower case; one alone is a list of one.
func (p *parser) words(n *yaml.Node) []string {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	var out []string
	for _, w := range nodes {
		word := strings.ToLower(strings.TrimSpace(w.Value))
		if w.Kind != yaml.ScalarNode || word == "" {
			p.fail(w, `write for example granted: ["yes", "1"]`, "an empty value says nothing of permission")
			continue
		}
		out = append(out, word)
	}
	return out
}

// consent maps one rule for one line; ok is false where the line says nothing.
func (m *mapping) consent(c *consentRule, id string, first *event.Event) (out Consent, ok bool) {
	word := strings.ToLower(strings.TrimSpace(textOf(m.eval(c.state))))
	yes, no := slices.Contains(c.granted, word), slices.Contains(c.withdrawn, word)
	if !yes && !no {
		return out, false // Nothing, or a word that nobody has explained, is no consent and no refusal.
	}
	out = Consent{ID: id, Purpose: c.purpose, Granted: yes}
	if c.nobody() {
		if first == nil {
			return out, false // No event, nobody to speak of.
		}
		out.UserID, out.Email, out.Anon = first.UserID, first.Email, first.Anonymous
	} else {
		out.UserID, out.Anon = m.optional(c.who["user_id"]), m.optional(c.who["anonymous_id"])
		out.Email = strings.ToLower(strings.TrimSpace(m.optional(c.who["email"])))
	}
	if out.UserID == "" && out.Email == "" && out.Anon == "" {
		m.fail("consent to %s: the line names nobody", c.purpose)
	}
	said := strings.TrimSpace(m.optional(c.saidAt))
	if said != "" {
		var ok bool
		if out.Said, ok = instant(said, m.zone); !ok {
			m.fail("consent to %s: said_at is no instant", c.purpose)
		}
	} else if yes {
		m.fail("consent to %s: granted without the time at which it was said", c.purpose)
	}
	m.prove(c, &out)
	return out, true
}

// prove writes the evidence of a word on permission.
func (m *mapping) prove(c *consentRule, out *Consent) {
	proof := []byte{'{'}
	for _, e := range c.evidence {
		if v := m.eval(e.value); strings.TrimSpace(textOf(v)) != "" {
			proof = appendMember(proof, e.key, v)
		}
	}
	if out.Granted && len(proof) == 1 {
		m.fail("consent to %s: granted without evidence", c.purpose)
	}
	if how := m.optional(c.method); how != "" {
		proof = appendMember(proof, []byte(`"method"`), liquid.String(how))
	}
	if len(proof) == 1 {
		return
	}
	out.Evidence = append(proof, '}')
	switch {
	case len(out.Evidence) > MaxEvidence:
		m.fail("consent to %s: the evidence has more than %d bytes (MaxEvidence)", c.purpose, MaxEvidence)
	case bytes.ContainsRune(out.Evidence, '@'):
		m.fail("consent to %s: evidence is kept for ever and must hold no address", c.purpose)
	}
}

func (m *mapping) optional(v *value) string {
	if v == nil {
		return ""
	}
	return textOf(m.eval(v))
}

// AppendWire writes the word as the management API takes it.
func (c *Consent) AppendWire(dst []byte) []byte {
	w := struct {
		ID       string          `json:"id"`
		Subjects []string        `json:"subjects"`
		Purpose  purpose.Purpose `json:"purpose"`
		Granted  bool            `json:"granted"`
		Said     string          `json:"said,omitempty"`
		Evidence json.RawMessage `json:"evidence,omitempty"`
	}{ID: c.ID, Purpose: c.Purpose, Granted: c.Granted, Evidence: c.Evidence}
	for _, s := range [][2]string{{"user_id:", c.UserID}, {"email:", c.Email}, {"anonymous_id:", c.Anon}} {
		if s[1] != "" {
			w.Subjects = append(w.Subjects, s[0]+s[1])
		}
	}
	if !c.Said.IsZero() {
		w.Said = c.Said.Format(time.RFC3339Nano)
	}
	b, err := json.Marshal(w)
	if err != nil { // Liquid wrote the evidence, and writes JSON only.
		panic(fmt.Sprintf("encode consent: %v", err))
	}
	return append(dst, b...)
}

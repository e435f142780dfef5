package consent

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// Facts is what a statement rests on, as the ledger keeps it for ever: under
// which notice, on which basis, of whom, how it came (facts of ISO/IEC TS 27560
// that are neither who, nor what, nor when). Nothing in it names a person.
type Facts struct {
	Format       int           `json:"v"`
	Notice       *NoticeRef    `json:"notice,omitempty"`
	Basis        purpose.Basis `json:"basis,omitempty"`
	Tenant       string        `json:"tenant,omitempty"`
	Controller   string        `json:"controller,omitempty"`
	Jurisdiction string        `json:"jurisdiction,omitempty"`
	Data         []string      `json:"data,omitempty"`
	Recipients   []string      `json:"recipients,omitempty"`
	Retention    string        `json:"retention,omitempty"`
	ValidFor     int64         `json:"valid_for,omitempty"` // milliseconds, of a yes
	Channel      string        `json:"channel,omitempty"`   // "web", "email", "api", "import"
	Choice       string        `json:"choice,omitempty"`    // accept, reject, save, gpc, api
	Form         string        `json:"form,omitempty"`      // the form or banner it was said on
	Served       string        `json:"served,omitempty"`    // by which mail, or which call, the notice was shown
	URL          string        `json:"url,omitempty"`       // of the page, without query
	IP           string        `json:"ip,omitempty"`        // cut to its network
	Agent        string        `json:"agent,omitempty"`
	Confirmation *Confirmation `json:"confirmation,omitempty"`
}

// Confirmation is the evidence of a double opt-in.
type Confirmation struct {
	Token     string    `json:"token_id"`
	Mail      string    `json:"mail_message_id"`
	Requested time.Time `json:"requested_at"`
	FromIP    string    `json:"request_ip,omitempty"` // cut to its network
	Confirmed time.Time `json:"confirmed_at"`
	IP        string    `json:"confirm_ip,omitempty"` // cut to its network
}

const (
	factsFormat = 1
	maxFacts    = 8 << 10
	maxFact     = 500
)

// JSON writes facts down for an Entry.
func (f *Facts) JSON() []byte {
	f.Format = factsFormat
	b, err := json.Marshal(f)
	if err != nil {
		return nil // Texts, numbers and times of this age always marshal.
	}
	return b
}

// readFacts reads them; what cannot be read is no fact.
func readFacts(b []byte) (f Facts) {
	if len(b) > 0 && json.Unmarshal(b, &f) != nil {
		return Facts{}
	}
	return f
}

// Notice names the notice that the statement was made under, "" for none.
func (e *Entry) Notice() string {
	if e.Shown != "" {
		return e.Shown
	}
	return noticeOf(e.Facts)
}

func noticeOf(facts []byte) string {
	if len(facts) == 0 {
		return ""
	}
	return readFacts(facts).Notice.Name()
}

// complete adds to a statement what the policy in effect says of its purpose, so
// that the row tells it also when the policy is another one.
func (p *Policy) complete(e *Entry) error {
	if len(e.Facts) > maxFacts {
		return fault.New(fault.Invalid, "facts_too_large", "what is known of a statement has at most %d bytes", maxFacts)
	}
	f := readFacts(e.Facts)
	f.Tenant, f.Controller = p.About.Tenant, p.About.Controller
	if f.Jurisdiction == "" {
		f.Jurisdiction = p.About.Jurisdiction
	}
	if f.Channel == "" {
		f.Channel = channels[e.Method]
	}
	if f.Choice == "" {
		f.Choice = choice(e)
	}
	if d, ok := p.Purpose(e.Purpose); ok {
		f.Basis, f.Data, f.Recipients, f.Retention = d.Basis, d.Data, d.Recipients, d.Retention
		if e.State == Granted {
			f.ValidFor = d.ValidFor.Milliseconds()
		}
	}
	e.Facts = f.JSON()
	return nil
}

var channels = map[string]string{
	ByServer: "api", ByBrowser: "web", ByImport: "import", ByAPI: "api", ByLink: "email", ByPreferences: "web", ByGPC: "web", ByComplaint: "email", ByOptIn: "email",
}

// choice names what was done, as Fides and the ICO's checklist ask for it.
func choice(e *Entry) string {
	switch {
	case e.Method == ByGPC:
		return "gpc"
	case e.Method == ByAPI || e.Method == ByImport:
		return "api"
	case e.Method == ByPreferences:
		return "save"
	case e.State == Granted:
		return "accept"
	}
	return "reject"
}

// told reads what an event says around its words on permission:
// context.consent.notice {id, version, language}, jurisdiction, form and
// expiresAt, and the page, agent and address of the context.
func (a *Authority) told(ev *event.Event) (facts []byte, expires time.Time) {
	o, _ := objects.Get().(*rule.Object) // The pool holds nothing else.
	o.Reset(ev.Context)
	defer func() { o.Reset(nil); objects.Put(o) }()
	text := func(path string) string {
		raw, ok := o.Get(path)
		var s string
		if !ok || json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return Cut(s)
	}
	f := Facts{
		Jurisdiction: text("consent.jurisdiction"), Form: text("consent.form"), Served: text("consent.servedNotice"),
		URL: BareURL(text("page.url")), IP: Network(text("ip")), Agent: text("userAgent"),
	}
	if name := text("consent.notice.id"); name != "" {
		f.Notice = a.Policy().notice(NoticeRef{ID: name, Version: text("consent.notice.version"), Language: text("consent.notice.language")})
	}
	if until, err := time.Parse(time.RFC3339, text("consent.expiresAt")); err == nil {
		expires = arrival(until)
	}
	return f.JSON(), expires
}

// Cut bounds what a stranger's text may weigh in the ledger.
func Cut(s string) string {
	if len(s) > maxFact {
		s = s[:maxFact]
	}
	return strings.ToValidUTF8(s, "")
}

// BareURL gives a page's address without what may name a person: query and fragment.
func BareURL(s string) string {
	if i := strings.IndexAny(s, "?#@"); i >= 0 {
		if s[i] == '@' {
			return ""
		}
		s = s[:i]
	}
	return s
}

// Network cuts an IP address to the network that it is in (/24, /48), which is
// what the evidence keeps. What is no address gives "".
func Network(s string) string {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return ""
	}
	ip = ip.Unmap()
	bits := 24
	if ip.Is6() {
		bits = 48
	}
	p, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// Language tells whether a text is a language as files and pages name it: en, de, pt-br.
func Language(s string) bool {
	if len(s) < 2 || len(s) > 8 {
		return false
	}
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c != '-' && (c < 'a' || c > 'z') })
}

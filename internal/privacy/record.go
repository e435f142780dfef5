package privacy

import (
	_ "embed" // the page
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"rapport/internal/consent"
	"rapport/internal/journey"
	"rapport/internal/project"
	"rapport/internal/purpose"
)

// Record is a record of processing activities (GDPR, Art. 30(1)), as far as a
// configuration says it. What it cannot say stands in Missing.
type Record struct {
	House      string      `json:"house"`
	Contact    string      `json:"contact"`
	Postal     string      `json:"postal_address,omitempty"`
	Digest     string      `json:"configuration"` // of the folder that it was made from
	Made       time.Time   `json:"made"`
	Activities []Activity  `json:"activities"`
	Recipients []Processor `json:"recipients"`
	Retention  []Term      `json:"retention"`
	Measures   []string    `json:"measures"`
	Missing    []string    `json:"missing"` // what Art. 30 asks for and no configuration says
}

// Activity is the processing for one purpose: (b) and (c) of the article.
type Activity struct {
	Purpose     string   `json:"purpose"`
	Title       string   `json:"title"`
	Description string   `json:"description,omitempty"`
	Basis       string   `json:"basis"`
	Scope       string   `json:"scope"`
	MaySayNo    bool     `json:"may_say_no"`
	Expires     string   `json:"consent_expires,omitempty"`
	Sources     []string `json:"sources"`  // that collect for it
	Events      []string `json:"events"`   // that begin its journeys, or that their rules count
	Data        []string `json:"data"`     // of a person: what its journeys' rules and its mails read
	Segments    []string `json:"segments"` // that its journeys ask for
	Journeys    []string `json:"journeys"`
	Templates   []string `json:"templates"` // mails
}

// Processor is a recipient: (d).
type Processor struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Host string `json:"host,omitempty"`
	TLS  string `json:"tls,omitempty"`
	Gets string `json:"gets"`
}

// Term is how long something is kept: (f).
type Term struct {
	What string `json:"what"`
	Term string `json:"term"`
}

// RecordOf makes the record of a configuration.
func RecordOf(c *project.Config, now time.Time) *Record {
	w := &c.Workspace
	r := &Record{
		House: w.Title, Contact: w.Sending.From.Email, Postal: strings.TrimSpace(w.Sending.Postal), Digest: c.Digest, Made: now.UTC(),
		Activities: []Activity{}, Recipients: []Processor{},
	}
	for _, d := range c.Policy.Purposes() {
		a := Activity{
			Purpose: string(d.Name), Title: d.Title, Description: d.Description, Basis: string(d.Basis), Scope: scopeOf(d), MaySayNo: d.Objectable(),
		}
		if a.Title == "" {
			a.Title = a.Purpose
		}
		if d.ValidFor > 0 {
			a.Expires = term(d.ValidFor)
		}
		r.Activities = append(r.Activities, a.filled(c))
	}
	for _, p := range c.Providers {
		r.Recipients = append(r.Recipients, recipientOf(&p))
	}
	r.Retention = retention(c)
	r.Measures = measures(c)
	r.Missing = []string{
		"the data protection officer, and any joint controller or representative",
		"the categories of people: what your sources collect of customers, visitors, members",
		"transfers to third countries, and what they rest on: no host tells in which country it stands",
		"until when a profile is kept: no term is set for people, their history and their mails",
	}
	return r
}

// filled adds what serves the purpose.
func (a Activity) filled(c *project.Config) Activity {
	for _, s := range c.Sources {
		if string(s.Purpose) == a.Purpose {
			a.Sources = append(a.Sources, s.Name+" ("+s.Kind+")")
		}
	}
	for _, j := range c.Journeys {
		if string(j.Purpose()) != a.Purpose {
			continue
		}
		a.Journeys = append(a.Journeys, j.Name())
		refs := j.Refs()
		a.Events, a.Data, a.Segments = names(a.Events, refs.Events), names(a.Data, refs.Traits), names(a.Segments, refs.Segments)
	}
	for name, t := range c.Templates {
		if string(t.Purpose) != a.Purpose {
			continue
		}
		a.Templates = append(a.Templates, name)
		for _, read := range t.Reads {
			if trait, ok := strings.CutPrefix(read.Path, "person."); ok {
				a.Data = append(a.Data, trait)
			}
		}
	}
	for _, name := range a.Segments {
		for i := range c.Segments {
			if s := &c.Segments[i]; s.Name == name {
				a.Events, a.Data = append(a.Events, s.Rule.Events()...), append(a.Data, s.Rule.Traits()...)
			}
		}
	}
	for _, list := range []*[]string{&a.Sources, &a.Events, &a.Data, &a.Segments, &a.Journeys, &a.Templates} {
		slices.Sort(*list)
		*list = append([]string{}, slices.Compact(*list)...)
	}
	return a
}

func names(list []string, refs []journey.Ref) []string {
	for _, r := range refs {
		list = append(list, r.Name)
	}
	return list
}

func scopeOf(d *consent.Definition) string {
	if d.Scope == consent.DeviceScope {
		return "device"
	}
	return "address"
}

func recipientOf(p *project.Provider) Processor {
	out := Processor{Name: p.Name, Kind: p.Kind, Host: p.Host, TLS: p.TLS, Gets: "the address and the whole text of each mail"}
	if p.Kind == project.DevinboxProvider {
		out.TLS, out.Gets = "", "nothing leaves this machine"
	}
	return out
}

// retention says what the house forgets by itself.
func retention(c *project.Config) []Term {
	e := c.Workspace.Events
	out := []Term{
		{"events in the log, with their context (network address, browser)", term(e.KeepLog)},
		{"message ids, for finding duplicates", term(e.DedupeWindow)},
		{"rejects", "the newest " + strconv.Itoa(c.Workspace.Limits.RejectsKept)},
		{"the ledger of permission, and suppressions", "for as long as the installation: they prove what was permitted"},
		{"the trail", "for as long as the installation; it holds no personal data but details behind commitments"},
	}
	r := c.Workspace.Retention
	if r.Mails > 0 {
		out = append(out, Term{"what was in mails", term(r.Mails)})
	}
	for _, name := range purpose.Classes() {
		class, _ := purpose.ParseClass(name) // It is one of them.
		if t := r.Classes[class]; t > 0 {
			out = append(out, Term{"what is " + name, term(t)})
		}
	}
	for _, p := range slices.Sorted(maps.Keys(r.Purposes)) {
		out = append(out, Term{"what is kept for " + string(p) + " alone, and what was in its mails", term(r.Purposes[p])})
	}
	return out
}

// measures are those that the configuration shows: (g), and Art. 32(1).
func measures(c *project.Config) []string {
	out := []string{
		"permission is asked at every gate, up to the instant at which a mail is handed over",
		"every read of personal data and every change by an operator is in a signed trail",
		"identifiers are looked up by keyed hash; keys and databases stand in files of their own",
	}
	t := c.Workspace.Trail
	if t.File != "" || t.Webhook != "" {
		out = append(out, "checkpoints of the trail leave the machine every "+term(t.Every))
	}
	if strings.HasPrefix(c.Workspace.BaseURL, "https://") {
		out = append(out, "readers reach the server under TLS")
	}
	for _, p := range c.Providers {
		if p.Kind != project.DevinboxProvider && p.TLS != "none" {
			out = append(out, "mails go to "+p.Name+" under TLS ("+p.TLS+")")
		}
	}
	for _, s := range c.Sources {
		if s.Kind == project.BrowserSource && !s.UserHash.IsZero() {
			out = append(out, "the source "+s.Name+" signs user ids")
		}
	}
	return out
}

//go:embed record.md
var recordMD string

var recordTemplate = template.Must(template.New("record").Funcs(template.FuncMap{
	"list": func(s []string) string {
		if len(s) == 0 {
			return "—"
		}
		return strings.Join(s, ", ")
	},
	"cell": func(s string) string { return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "\\|") },
	"day":  func(t time.Time) string { return t.Format("2 January 2006") },
}).Parse(recordMD))

// Markdown writes the record for people to read.
func (r *Record) Markdown(w io.Writer) error { return recordTemplate.Execute(w, r) }

package privacy

import (
	"cmp"
	_ "embed" // the page
	"io"
	"slices"
	"strings"
	"text/template"
	"time"

	"rapport/internal/consent"
	"rapport/internal/journey"
	"rapport/internal/project"
)

// Record is a record of processing activities (GDPR, Art. 30(1)), as far as a
// configuration says it. What it cannot say stands in Missing.
type Record struct {
	House      string      `json:"house"` // who is responsible
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
	// What purposes.yaml says of it: which data, who else gets them, how long they are kept.
	Declared []string `json:"data_declared"`
	Thirds   []string `json:"third_parties"`
	Kept     string   `json:"kept,omitempty"`
	Told     []string `json:"destinations"` // that are told for it
}

// Processor is a recipient: (d).
type Processor struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Host    string `json:"host,omitempty"`
	TLS     string `json:"tls,omitempty"`
	Purpose string `json:"purpose,omitempty"` // of a destination; a provider has the mails of all
	Gets    string `json:"gets"`
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
		House: cmp.Or(w.Consent.Controller, w.Title), Contact: w.Sending.From.Email, Postal: strings.TrimSpace(w.Sending.Postal), Digest: c.Digest, Made: now.UTC(),
		Activities: []Activity{}, Recipients: []Processor{},
	}
	for _, d := range c.Policy.Purposes() {
		a := Activity{
			Purpose: string(d.Name), Title: d.Title, Description: d.Description, Basis: string(d.Basis), Scope: scopeOf(d), MaySayNo: d.Objectable(),
			Declared: d.Data, Thirds: d.Recipients, Kept: d.Retention,
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
	for i := range c.Destinations {
		r.Recipients = append(r.Recipients, recipientBy(&c.Destinations[i]))
	}
	terms := termsOf(c)
	r.Retention = retention(c, terms)
	r.Measures = measures(c)
	r.Missing = missing(c, terms)
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
	for i := range c.Destinations {
		if d := &c.Destinations[i]; string(d.Purpose) == a.Purpose {
			a.Told = append(a.Told, d.Name)
		}
	}
	for _, name := range a.Segments {
		for i := range c.Segments {
			if s := &c.Segments[i]; s.Name == name {
				a.Events, a.Data = append(a.Events, s.Rule.Events()...), append(a.Data, s.Rule.Traits()...)
			}
		}
	}
	for _, list := range []*[]string{&a.Sources, &a.Events, &a.Data, &a.Segments, &a.Journeys, &a.Templates, &a.Declared, &a.Thirds, &a.Told} {
		own := append([]string{}, *list...) // Some are the policy's.
		slices.Sort(own)
		*list = slices.Compact(own)
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

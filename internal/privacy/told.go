package privacy

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"rapport/internal/explain"
	"rapport/internal/project"
)

// Told is a destination: another system that is told of people, by configuration.
// What it was told of one of them is not kept, so that it may have been told is all
// that can be said.
type Told struct {
	Name        string     `json:"name"`
	Title       string     `json:"title,omitempty"`
	Kind        string     `json:"kind"`
	Host        string     `json:"host"`
	Purpose     string     `json:"purpose"`
	Gets        []string   `json:"gets"`
	Identifiers []string   `json:"identifiers"`         // the kinds by which it is told who somebody is
	Since       *time.Time `json:"since,omitempty"`     // when this took effect, where that is known
	Until       *time.Time `json:"until,omitempty"`     // when it ended
	Permitted   *bool      `json:"permitted,omitempty"` // the person permits its purpose today; of one that is still told
}

// ToldBy describes a destination. Of its address the host alone is named: what
// follows may be a secret.
func ToldBy(d *project.Destination) Told {
	out := Told{
		Name: d.Name, Title: d.Title, Kind: d.Kind, Purpose: string(d.Purpose), Gets: gets(d), Identifiers: append([]string{}, d.Identifiers...),
	}
	if u, err := url.Parse(d.URL); err == nil {
		out.Host = u.Hostname()
	}
	return out
}

// gets says what a destination wants to be told, and what each is told in any case.
func gets(d *project.Destination) []string {
	out := []string{}
	for _, part := range []struct {
		wanted    project.Wanted
		all, some string
		more      string
	}{
		{d.Events, "all events", "the events ", where(d)},
		{d.Segments, "who enters and leaves any segment", "who enters and leaves the segments ", ""},
		{d.Messages, "what becomes of mails", "what becomes of mails: ", ""},
		{d.Consent, "what people say of permission", "what people say of permission for ", ""},
	} {
		switch {
		case part.wanted.All:
			out = append(out, part.all+part.more)
		case len(part.wanted.Names) > 0:
			out = append(out, part.some+strings.Join(part.wanted.Names, ", ")+part.more)
		}
	}
	if d.Existing && len(out) > 0 {
		out = append(out, "the same of imports and backfills")
	}
	if d.Alerts {
		out = append(out, "alerts about the server, which name nobody")
	}
	return append(out, "that somebody was erased")
}

func where(d *project.Destination) string {
	reads := d.Where.Reads()
	if len(reads) == 0 {
		return ""
	}
	slices.Sort(reads)
	return " that pass a filter on " + strings.Join(slices.Compact(reads), ", ")
}

// Denied tells whether the person does not permit today what it is told for.
func (t Told) Denied() bool { return t.Permitted != nil && !*t.Permitted }

// Same tells whether both say the same but of when.
func (t *Told) Same(o *Told) bool {
	return t.Name == o.Name && t.Title == o.Title && t.Kind == o.Kind && t.Host == o.Host && t.Purpose == o.Purpose &&
		slices.Equal(t.Gets, o.Gets) && slices.Equal(t.Identifiers, o.Identifiers)
}

// permitted adds to those that are still told whether the person permits it today.
func permitted(list []Told, d *explain.Dossier) []Told {
	out := append([]Told{}, list...)
	for i := range out {
		if out[i].Until != nil {
			continue
		}
		yes := slices.ContainsFunc(d.Permission, func(p explain.Permission) bool { return string(p.Purpose) == out[i].Purpose && p.Allowed })
		out[i].Permitted = &yes
	}
	return out
}

// recipientBy is a destination as the record has it.
func recipientBy(d *project.Destination) Processor {
	t := ToldBy(d)
	tls := "https"
	if u, err := url.Parse(d.URL); err == nil && u.Scheme != "https" {
		tls = "none"
	}
	return Processor{
		Name: t.Name, Kind: t.Kind, Host: t.Host, TLS: tls, Purpose: t.Purpose,
		Gets: strings.Join(t.Gets, "; ") + "; who somebody is by " + strings.Join(t.Identifiers, ", "),
	}
}

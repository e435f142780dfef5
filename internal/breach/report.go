package breach

import (
	_ "embed" // the report
	"io"
	"strings"
	"text/template"
	"time"
)

//go:embed report.md
var reportText string

var report = template.Must(template.New("report").Funcs(template.FuncMap{
	"stamp": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	"cell":  func(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s) },
	"quote": func(s string) string { return strings.ReplaceAll(s, "\n", "\n> ") },
}).Parse(reportText))

// Report writes the draft of what the authority (GDPR, Art. 33(3)) and the people
// concerned (Art. 34(2)) are told, as Markdown: what is known is filled in, what only
// people can say is marked where it is missing. house is who is responsible.
func (b *Breach) Report(w io.Writer, house string, now time.Time) error {
	return report.Execute(w, struct {
		*Breach
		House string
		Now   time.Time
	}{b, house, now})
}

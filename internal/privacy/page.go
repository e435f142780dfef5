package privacy

import (
	"bufio"
	_ "embed" // the page
	"encoding/json"
	"html/template"
	"strings"
	"time"

	"rapport/internal/audit"
	"rapport/internal/explain"
)

//go:embed export.html
var exportHTML string

var page = template.Must(template.New("export").Funcs(template.FuncMap{
	"day": func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05") },
	"when": func(t *time.Time) string {
		if t == nil {
			return "—"
		}
		return t.UTC().Format("2 January 2006, 15:04:05")
	},
	"plain": plain,
	"list":  func(s []string) string { return strings.Join(s, ", ") },
}).Parse(exportHTML))

// plain shows a JSON text without its quotes, and anything else as it is.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// htmlWriter writes a page block by block.
type htmlWriter struct{ out *bufio.Writer }

func (h *htmlWriter) block(name string, data any) error {
	return page.ExecuteTemplate(h.out, name, data)
}

func (h *htmlWriter) begin(x *Export, d *explain.Dossier) error {
	return h.block("begin", struct {
		*explain.Dossier
		House string
		Made  time.Time
	}{d, x.House, x.Now})
}

func (h *htmlWriter) event(e *explain.Event) error    { return h.block("event", e) }
func (h *htmlWriter) mails() error                    { return h.block("mails", nil) }
func (h *htmlWriter) mail(m *explain.MailStory) error { return h.block("mail", m) }
func (h *htmlWriter) row(e *audit.Entry) error        { return h.block("row", e) }
func (h *htmlWriter) end() error                      { return h.block("end", nil) }
func (h *htmlWriter) rows(recipients []Recipient, told []Told) error {
	return h.block("rows", struct {
		Recipients []Recipient
		Told       []Told
	}{recipients, told})
}

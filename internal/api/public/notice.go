package public

import (
	"html"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"rapport/internal/consent"
	"rapport/internal/fault"
)

// headline gives what a notice is called: its first heading, or its id.
func headline(n *consent.Notice) string {
	for line := range strings.SplitSeq(n.Body(), "\n") {
		if title, ok := strings.CutPrefix(line, "# "); ok && strings.TrimSpace(title) != "" {
			return strings.TrimSpace(title)
		}
	}
	return n.ID
}

// notice shows a text that was shown with a choice, in any version there ever was.
func (d *Door) notice(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		d.wrongMethod(w, r, "GET, HEAD")
		return
	}
	n, err := d.desk.Notice(r.Context(), consent.NoticeRef{ID: r.PathValue("id"), Version: r.PathValue("version"), Language: r.PathValue("language")})
	if fault.KindOf(err) == fault.NotFound {
		d.say(w, r, http.StatusNotFound, "bad_link")
		return
	}
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	p := d.start(r, n.Language)
	p.Language, p.Languages = n.Language, nil // The text is in one language, whatever the reader's is.
	p.Title, p.Body = headline(&n), markdown(n.Body())
	w.Header().Set("X-Notice-SHA256", n.Digest)
	d.show(w, r, http.StatusOK, "notice", p)
}

// markdown shows the little of Markdown that notices need: headings, paragraphs,
// lists, and links to the web. Everything else is shown as it stands.
func markdown(text string) template.HTML {
	var b strings.Builder
	first := true
	for block := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		lines := strings.Split(strings.Trim(block, "\n"), "\n")
		if first && strings.HasPrefix(lines[0], "# ") { // The page has it as its title.
			lines, first = lines[1:], false
		}
		for len(lines) > 0 && strings.HasPrefix(lines[0], "#") {
			level := "h2"
			if strings.HasPrefix(lines[0], "###") {
				level = "h3"
			}
			b.WriteString("<" + level + ">" + inline(strings.TrimLeft(lines[0], "# ")) + "</" + level + ">\n")
			lines = lines[1:]
		}
		switch {
		case len(lines) == 0 || strings.TrimSpace(strings.Join(lines, "")) == "":
		case strings.HasPrefix(lines[0], "- ") || strings.HasPrefix(lines[0], "* "):
			b.WriteString("<ul class=\"text\">")
			for i, line := range lines {
				item, begins := strings.CutPrefix(line, "- ")
				if !begins {
					item, begins = strings.CutPrefix(line, "* ")
				}
				switch {
				case begins && i > 0:
					b.WriteString("</li>\n<li>")
				case begins:
					b.WriteString("<li>")
				default:
					b.WriteString(" ")
				}
				b.WriteString(inline(item))
			}
			b.WriteString("</li></ul>\n")
		default:
			b.WriteString("<p>" + inline(strings.Join(lines, " ")) + "</p>\n")
		}
	}
	return template.HTML(b.String()) //nolint:gosec // Every text in it was escaped.
}

var anchor = regexp.MustCompile(`\[([^\]]+)\]\(([^)\s]+)\)`)

// inline escapes a text and makes its links.
func inline(s string) string {
	var b strings.Builder
	for {
		at := anchor.FindStringSubmatchIndex(s)
		if at == nil {
			b.WriteString(html.EscapeString(s))
			return b.String()
		}
		b.WriteString(html.EscapeString(s[:at[0]]))
		label, to := s[at[2]:at[3]], s[at[4]:at[5]]
		if u, err := url.Parse(to); err == nil && (u.Scheme == "https" || u.Scheme == "http" || u.Scheme == "mailto") {
			b.WriteString(`<a href="` + html.EscapeString(u.String()) + `" rel="noreferrer">` + html.EscapeString(label) + "</a>")
		} else {
			b.WriteString(html.EscapeString(s[at[0]:at[1]]))
		}
		s = s[at[1]:]
	}
}

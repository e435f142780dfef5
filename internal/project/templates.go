package project

import (
	"maps"
	"path"
	"slices"
	"strings"

	"rapport/internal/content"
	"rapport/internal/journey"
	"rapport/internal/purpose"
)

// templateFolders gives the files of each folder below templates/, by their
// path below that folder.
func (l *loader) templateFolders() map[string]map[string][]byte {
	out := map[string]map[string][]byte{}
	for p, b := range l.files {
		rest, ok := strings.CutPrefix(p, "templates/")
		if !ok {
			continue
		}
		name, below, deep := strings.Cut(rest, "/")
		if !deep {
			l.report.add(Problem{File: p, Severity: Error, Message: "this file is not read", Hint: "each template has a folder: templates/NAME/template.yaml and body.html"})
			continue
		}
		if out[name] == nil {
			out[name] = map[string][]byte{}
		}
		out[name][below] = b
	}
	return out
}

// readTemplates gives each folder of templates/ to its room. Without purposes
// it is still said what else is wrong.
func (l *loader) readTemplates() {
	folders := l.templateFolders()
	shared := folders[sharedPartials]
	delete(folders, sharedPartials)
	l.config.Templates, l.lent = map[string]*content.Template{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		dir := path.Join("templates", name)
		if !isName(name) {
			l.report.add(Problem{File: dir, Severity: Error, Message: "this cannot be a template's name", Hint: "use lower-case letters, digits, - and _, beginning with a letter"})
		}
		sheet := path.Join(dir, "template.yaml")
		f := l.parsed[sheet]
		if _, there := l.files[sheet]; !there {
			l.report.add(Problem{File: sheet, Severity: Error, Message: "the file is missing", Hint: "write subject and purpose into it"})
		}
		if f == nil {
			continue
		}
		for file := range share(folders[name], shared) {
			l.lent[name+"/"+file] = true
		}
		t, problems := content.ParseTemplate(name, f.root, folders[name], l.config.Policy)
		for _, p := range problems {
			s := Error
			if p.Warning {
				s = Warning
			}
			l.report.add(Problem{File: l.templateFile(name, p.File), Line: p.Line, Column: p.Column, Severity: s, Message: p.Message, Hint: p.Hint})
		}
		if t != nil {
			l.config.Templates[name] = t
		}
	}
}

// templateFile gives the path of a file that a template reads: its own, or one that
// all share.
func (l *loader) templateFile(name, file string) string {
	if l.lent[name+"/"+file] {
		return path.Join("templates", sharedPartials, path.Base(file))
	}
	return path.Join("templates", name, file)
}

// Content gives the templates with what all mails have in common, as the
// renderer takes them, for one version of the configuration.
func (c *Config) Content(version int) *content.Set {
	w := &c.Workspace
	return &content.Set{
		Version:   version,
		Templates: c.Templates,
		Workspace: content.Workspace{
			Name: w.Title, From: w.Sending.From, ReplyTo: w.Sending.ReplyTo, Domain: w.Sending.Domain,
			Postal: w.Sending.Postal, FeedbackID: w.Sending.FeedbackID, Zone: w.TimeZone, Locale: w.Locale,
		},
	}
}

// sharedPartials is the folder whose files every template can include as if
// they stood in its own partials/.
const sharedPartials = "_partials"

// share puts the shared partials beside a template's own; one of its own with
// the same name wins. It gives the names of those that were lent.
func share(files, shared map[string][]byte) map[string]bool {
	lent := map[string]bool{}
	for name, body := range shared {
		to := path.Join("partials", name)
		if _, own := files[to]; !own {
			files[to], lent[to] = body, true
		}
	}
	return lent
}

// templateNames lists the templates that have a folder, readable or not.
func (l *loader) templateNames() []string {
	var names []string
	for p := range l.files {
		if rest, ok := strings.CutPrefix(p, "templates/"); ok {
			if name, _, _ := strings.Cut(rest, "/"); name != sharedPartials {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// crossTemplate checks that a mail's template exists and serves its purpose.
func (l *loader) crossTemplate(f *file, s journey.SendRef, names []string) {
	if s.Template == "" {
		return
	}
	if !slices.Contains(names, s.Template) {
		hint := didYouMean(s.Template, names)
		if hint == "" {
			hint = "write templates/" + s.Template + "/template.yaml and body.html"
		}
		f.errorf(findValue(f.root, "send", s.Template), hint, "there is no template %q", s.Template)
		return
	}
	own := l.templatePurpose(s.Template)
	if own != "" && s.Purpose != "" && !serves(own, s.Purpose) {
		f.errorf(at(s.Line, s.Column), "send it for "+string(own)+", or use another template",
			"the template %q is for %q, this step sends it for %q", s.Template, own, s.Purpose)
	}
}

// templatePurpose gives what a template is for, also of one with mistakes, ""
// where that is no declared purpose about mail.
func (l *loader) templatePurpose(name string) purpose.Purpose {
	f := l.parsed[path.Join("templates", name, "template.yaml")]
	if f == nil || l.config.Policy == nil {
		return ""
	}
	n := child(f.root, "purpose")
	if n == nil || !l.config.Policy.Mailable(purpose.Purpose(n.Value)) {
		return ""
	}
	return purpose.Purpose(n.Value)
}

// serves tells whether a template for one purpose may be sent for another: for
// the same, and for one of its family.
func serves(template, send purpose.Purpose) bool {
	return send.Of(template)
}

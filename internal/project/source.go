package project

import (
	"net/url"

	"rapport/internal/purpose"
	"rapport/internal/source"
)

// The kinds of source.
const (
	ServerSource  = "server"  // a program that can keep a secret
	BrowserSource = "browser" // a public place: its keys are known to everybody
	FileSource    = "file"    // files handed to `rapport import`
)

// Source is one place that events come from: sources/<name>.yaml.
type Source struct {
	Name     string
	Title    string
	Kind     string
	Purpose  purpose.Purpose // why its data is collected
	Basis    purpose.Basis   // on which legal basis
	Keys     []Ref
	Origins  []string       // browser: the web origins that may send; empty: any
	UserHash Ref            // browser: the secret under which user ids are signed
	PerSec   float64        // events a second for each key; 0: the workspace's limit
	File     *source.Format // file: how its lines become events
}

// readSource reads one file of sources/.
func readSource(f *file, name string) Source {
	s := f.section(f.root, "a source", "title", "kind", "purpose", "basis", "keys", "origins", "user_hash", "events_per_second", "file")
	s.need("write server, browser or file", "kind")
	s.need("write why the data is collected, a name from purposes.yaml", "purpose")
	s.need("write the legal basis: consent, contract, legal_obligation, vital, public_task or legitimate_interest", "basis")
	out := Source{
		Name:     name,
		Title:    s.text("title"),
		Kind:     s.choice("kind", ServerSource, BrowserSource, FileSource),
		Purpose:  purpose.Purpose(s.text("purpose")),
		Basis:    purpose.Basis(s.text("basis")),
		UserHash: s.ref("user_hash"),
		PerSec:   s.number("events_per_second", 0, 10_000_000),
	}
	if out.Basis != "" && !out.Basis.Valid() {
		var words []string
		for _, b := range purpose.Bases() {
			words = append(words, string(b))
		}
		f.errorf(s.value("basis"), didYouMean(string(out.Basis), words), "%q is no legal basis", out.Basis)
	}
	for _, n := range s.items("keys") {
		if r := f.ref(n, "keys", "env", "file", "sha256"); !r.IsZero() {
			out.Keys = append(out.Keys, r)
		}
	}
	for _, n := range s.items("origins") {
		u, err := url.Parse(n.Value)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" {
			f.errorf(n, "write scheme and host only, for example https://www.shop.example", "%q is no web origin", n.Value)
			continue
		}
		out.Origins = append(out.Origins, u.Scheme+"://"+u.Host)
	}
	if out.Kind != BrowserSource {
		for _, k := range []string{"origins", "user_hash"} {
			if s.has(k) {
				f.errorf(s.key(k), "remove it, or write `kind: browser`", "%q is for browser sources only", k)
			}
		}
	}
	if n := s.value("file"); n != nil {
		format, problems := source.Parse(n)
		f.rule(problems)
		out.File = format
		if out.Kind != FileSource {
			f.errorf(s.key("file"), "remove it, or write `kind: file`", "\"file\" is for sources of kind file only")
		}
	}
	if out.Kind == FileSource && !s.has("file") && s.has("kind") {
		f.errorf(s.value("kind"), "write `file:` with format and event, as in docs/configuration.md", "a source of kind file says how lines become events")
	}
	if out.Kind == FileSource && len(out.Keys) > 0 {
		f.errorf(s.key("keys"), "remove them: whoever can run `rapport import` needs no key", "a source of kind file has no keys")
	}
	return out
}

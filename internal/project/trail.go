package project

import (
	"net/mail"
	"path/filepath"
	"slices"
	"time"
)

// Trail says how the trail of what was done is signed, and where its checkpoints go.
type Trail struct {
	Every     time.Duration // how long a row waits for a checkpoint at most
	File      string        // checkpoints are put at the end of this file, best on another machine; "": none
	Webhook   string        // and are sent to this address; "": none
	Private   bool          // which may be on this machine or in a private network
	Mail      []string      // addresses that are mailed the newest
	MailEvery time.Duration // so often at most
	Provider  string        // the way out of those mails; "": the workspace's
}

func trail(s *section) Trail {
	t := Trail{
		Every: s.duration("every", time.Minute, time.Second, day), File: s.text("file"), Private: s.choice("private", "false", "true") == "true",
		MailEvery: s.duration("mail_every", day, time.Minute, 90*day), Provider: s.text("provider"), Mail: s.addresses("mail"),
	}
	if t.File != "" && !filepath.IsAbs(t.File) {
		s.file.errorf(s.value("file"), "write for example /mnt/elsewhere/trail.ndjson", "the file of checkpoints is named from the root of the disk on")
	}
	t.Webhook = s.webhook("webhook", t.Private)
	return t
}

// maxMailed is how many addresses are mailed: more want a list of their own.
const maxMailed = 20

// addresses reads those of whoever is to be mailed.
func (s *section) addresses(key string) (out []string) {
	for _, n := range s.items(key) {
		a, err := mail.ParseAddress(n.Value)
		if err != nil || a.Name != "" {
			s.file.errorf(n, "write for example operator@shop.example", "%q takes mail addresses", key)
			continue
		}
		if !slices.Contains(out, a.Address) {
			out = append(out, a.Address)
		}
	}
	if len(out) > maxMailed {
		s.file.errorf(s.value(key), "write to a list of your own", "at most %d addresses are mailed", maxMailed)
	}
	return out
}

// crossTrail checks that mails with checkpoints have a way out.
func (l *loader) crossTrail() {
	t := &l.config.Workspace.Trail
	t.Provider = l.wayOut("trail", t.Provider)
}

// wayOut gives the provider of mails to operators: the one that is named, or the workspace's.
func (l *loader) wayOut(section, named string) string {
	if named == "" {
		return l.config.Workspace.Sending.Provider
	}
	if names := l.providerNames(); !slices.Contains(names, named) {
		f := l.parsed["rapport.yaml"]
		f.errorf(f.find(section, "provider"), didYouMean(named, names), "there is no provider %q", named)
	}
	return named
}

package project

import (
	"net/mail"
	"slices"
	"time"
)

// Alerts says what is told of what is wrong with the house, and to whom.
type Alerts struct {
	Mail              []string      // addresses
	Provider          string        // the way out of those mails; "": the workspace's
	HeldFor           time.Duration // how long something is down before that is told
	Backlog           int           // records that may wait to be walked
	CertificateBefore time.Duration // how long before its end a certificate is told of
	RequestBefore     time.Duration // how long before it is due a request of a person is told of
}

// maxAlerted is how many addresses are mailed: more want a list of their own.
const maxAlerted = 20

func alerts(s *section) Alerts {
	out := Alerts{
		Provider:          s.text("provider"),
		HeldFor:           s.duration("held_for", 10*time.Minute, time.Second, day),
		Backlog:           s.integer("backlog", 100_000, 1, 1_000_000_000),
		CertificateBefore: s.duration("certificate_before", 14*day, time.Hour, 60*day),
		RequestBefore:     s.duration("request_before", 7*day, time.Hour, 30*day),
	}
	for _, n := range s.items("mail") {
		a, err := mail.ParseAddress(n.Value)
		if err != nil || a.Name != "" {
			s.file.errorf(n, "write for example operator@shop.example", "%q takes mail addresses", "mail")
			continue
		}
		out.Mail = append(out.Mail, a.Address)
	}
	if len(out.Mail) > maxAlerted {
		s.file.errorf(s.value("mail"), "write to a list of your own", "at most %d addresses are mailed", maxAlerted)
	}
	return out
}

// crossAlerts checks that mails about alerts have a way out.
func (l *loader) crossAlerts() {
	a, names := &l.config.Workspace.Alerts, l.providerNames()
	if a.Provider == "" {
		a.Provider = l.config.Workspace.Sending.Provider
		return
	}
	if !slices.Contains(names, a.Provider) {
		f := l.parsed["rapport.yaml"]
		f.errorf(f.find("alerts", "provider"), didYouMean(a.Provider, names), "there is no provider %q", a.Provider)
	}
}

package project

import "time"

// Alerts says what is told of what is wrong with the house, and to whom.
type Alerts struct {
	Mail              []string      // addresses
	Provider          string        // the way out of those mails; "": the workspace's
	HeldFor           time.Duration // how long something is down before that is told
	Backlog           int           // records that may wait to be walked
	CertificateBefore time.Duration // how long before its end a certificate is told of
	BackupWithin      time.Duration // how old the last backup may be
	RequestBefore     time.Duration // how long before it is due a request of a person is told of
}

func alerts(s *section) Alerts {
	out := Alerts{
		Mail:              s.addresses("mail"),
		Provider:          s.text("provider"),
		HeldFor:           s.duration("held_for", 10*time.Minute, time.Second, day),
		Backlog:           s.integer("backlog", 100_000, 1, 1_000_000_000),
		CertificateBefore: s.duration("certificate_before", 14*day, time.Hour, 60*day),
		BackupWithin:      s.duration("backup_within", 7*day, time.Hour, 365*day),
		RequestBefore:     s.duration("request_before", 7*day, time.Hour, 30*day),
	}
	return out
}

// crossAlerts checks that mails about alerts have a way out.
func (l *loader) crossAlerts() {
	a := &l.config.Workspace.Alerts
	a.Provider = l.wayOut("alerts", a.Provider)
}

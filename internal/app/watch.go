package app

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"rapport/internal/alert"
	"rapport/internal/audit"
	"rapport/internal/breach"
	"rapport/internal/cert"
	"rapport/internal/destination"
	"rapport/internal/fault"
	"rapport/internal/project"
	"rapport/internal/rights"
)

// cleaning is how the last cleaning of log and state went.
type cleaning struct{ err error }

// watches look for what is wrong. docs/alerts.md lists their names.
func (h *House) watches() []alert.Watch {
	return []alert.Watch{
		{Name: "dead_letters", Look: h.lookAtLetters},
		{Name: "destination_down", Look: h.lookAtDestinations},
		{Name: "provider_down", Look: h.lookAtProviders},
		{Name: "disk_nearly_full", Look: h.lookAtDisk},
		{Name: "walk_behind", Look: h.lookAtWalk},
		{Name: "retention_behind", Look: h.lookAtCleaning},
		{Name: "certificate_ends", Look: h.lookAtCertificate},
		{Name: "request_due", Look: h.lookAtRequests},
		{Name: "checkpoint_stays", Look: h.lookAtCheckpoints},
		{Name: "breach_due", Look: h.lookAtBreaches},
		{Name: "backup_old", Look: h.lookAtBackups},
	}
}

func (h *House) alertsConfig() project.Alerts { return h.edition().config.Workspace.Alerts }

func (h *House) lookAtLetters(ctx context.Context, _ time.Time) (out []alert.Alert, err error) {
	lines, err := h.office.Lines(ctx)
	for i := range lines {
		out = append(out, deadAlert(&lines[i])...)
	}
	return out, err
}

// deadAlert says that a destination was given up on.
func deadAlert(l *destination.Line) []alert.Alert {
	if l.Dead == 0 {
		return nil
	}
	return []alert.Alert{{
		About: l.Name, Severity: alert.Warning,
		Text: fmt.Sprintf("The destination %s was given up on with %d items: they are dead letters, kept for 30 days.", l.Name, l.Dead),
		Do:   fmt.Sprintf("See why with `rapport destination dead %s`, mend it, then `rapport destination redrive %s --all`.", l.Name, l.Name),
	}}
}

func (h *House) lookAtDestinations(ctx context.Context, _ time.Time) (out []alert.Alert, err error) {
	lines, err := h.office.Lines(ctx)
	for i := range lines {
		if a, ok := downAlert(&lines[i], h.alertsConfig().HeldFor); ok {
			out = append(out, a)
		}
	}
	return out, err
}

// downAlert says what is wrong with a destination that is not told.
func downAlert(l *destination.Line, heldFor time.Duration) (alert.Alert, bool) {
	a := alert.Alert{About: l.Name, Severity: alert.Warning, Since: l.Since}
	switch l.State {
	case "down":
		a.After = heldFor
		a.Text = fmt.Sprintf("The destination %s takes nothing (%s): what it is to be told waits.", l.Name, l.Reason)
		a.Do = fmt.Sprintf("Look at the receiver; `rapport destination test %s` tries it, and what waits goes on by itself.", l.Name)
	case "disabled":
		a.Text = fmt.Sprintf("The destination %s asked not to be told any more (%s): what it is to be told waits.", l.Name, l.Reason)
		a.Do = fmt.Sprintf("Let it go on with `rapport destination enable %s`, or delete its file.", l.Name)
	case "unusable":
		a.Severity = alert.Danger
		a.Text = fmt.Sprintf("The destination %s cannot be told: %s.", l.Name, l.Reason)
		a.Do = "Give its secret and start the server again, or delete its file."
	default:
		return a, false
	}
	return a, true
}

func (h *House) lookAtProviders(context.Context, time.Time) (out []alert.Alert, err error) {
	d := h.sender.dispatcher()
	if d == nil {
		return nil, nil
	}
	for _, l := range d.Lanes() {
		if l.Down != "" {
			out = append(out, alert.Alert{
				About: l.Name, Severity: alert.Danger, After: h.alertsConfig().HeldFor,
				Text: fmt.Sprintf("No mail leaves by the provider %s (%s).", l.Name, l.Down),
				Do:   "Look at the provider's own status, the account's credentials and its limits; mails that wait leave by themselves once it takes them.",
			})
		}
	}
	return out, nil
}

func (h *House) lookAtDisk(context.Context, time.Time) ([]alert.Alert, error) {
	return diskAlert(h.space.latest()), nil
}

// diskAlert warns at twice of what events leave free.
func diskAlert(g *glance) []alert.Alert {
	if !g.known || g.free >= 2*g.floor {
		return nil
	}
	a := alert.Alert{
		Severity: alert.Warning,
		Text:     fmt.Sprintf("The disk of the data folder has %d MB free; below %d MB no events are taken.", g.free>>20, g.floor>>20),
		Do:       "Make room or enlarge the disk; `events.keep_log` says how long the log is kept, `limits.free_disk` what stays free.",
	}
	if g.low() {
		a.Severity = alert.Danger
		a.Text = fmt.Sprintf("No events are taken: the disk of the data folder has %d MB free, less than the %d MB that stay free for everything else.", g.free>>20, g.floor>>20)
	}
	return []alert.Alert{a}
}

func (h *House) lookAtWalk(context.Context, time.Time) (out []alert.Alert, err error) {
	for _, lane := range lanes {
		walked := h.walker.Walked(lane) // before the end, so that the lag is never below zero
		tail, _ := h.log.Tail(lane)
		out = append(out, lagAlert(lane.String(), tail-walked, h.alertsConfig())...)
	}
	return out, nil
}

// lagAlert says that too much waits to be walked.
func lagAlert(lane string, lag int64, conf project.Alerts) []alert.Alert {
	if lag <= int64(conf.Backlog) {
		return nil
	}
	return []alert.Alert{{
		About: lane, Severity: alert.Warning, After: conf.HeldFor,
		Text: fmt.Sprintf("%d records of the %s lane wait to be walked: segments, journeys and mails are that far behind, and the log keeps all of them.", lag, lane),
		Do:   "Wait if an import or a rush explains it; else look at the log of the server, and at the disk and the processor of its machine.",
	}}
}

func (h *House) lookAtCleaning(context.Context, time.Time) ([]alert.Alert, error) {
	return cleaningAlert(h.cleaning.Load()), nil
}

// cleaningAlert says that what is past its time is kept; c is nil before it was
// first tried.
func cleaningAlert(c *cleaning) []alert.Alert {
	if c == nil || c.err == nil {
		return nil
	}
	return []alert.Alert{{
		Severity: alert.Warning,
		Text:     "What is past its time could not be deleted: the log and the state hold more, and for longer, than the configuration says.",
		Do:       "The log of the server says why (\"cleaning failed\"); it is tried again every ten minutes.",
	}}
}

// urgent is how long before its end a certificate is a danger.
const urgent = 3 * 24 * time.Hour

func (h *House) lookAtCertificate(_ context.Context, now time.Time) ([]alert.Alert, error) {
	k := h.certificate.Load()
	if k == nil {
		return nil, nil
	}
	return certificateAlerts(k.Standing(), now, h.alertsConfig()), nil
}

// certificateAlerts says what is wrong with a certificate at an instant.
func certificateAlerts(s cert.Standing, now time.Time, conf project.Alerts) (out []alert.Alert) {
	for _, name := range s.Missing {
		out = append(out, alert.Alert{
			About: name, Severity: alert.Danger, After: conf.HeldFor,
			Text: fmt.Sprintf("There is no certificate for %s: nobody can reach it by https.", name),
			Do:   "The log of the server says why the authority gives none; the name must lead to this server, and port 443 of the outside to its --listen.",
		})
	}
	if left := s.Expires.Sub(now); !s.Expires.IsZero() && left < conf.CertificateBefore {
		a := alert.Alert{
			Severity: alert.Warning,
			Text:     fmt.Sprintf("The certificate of the doors ends at %s; then nobody can reach them.", s.Expires.UTC().Format(time.RFC3339)),
			Do:       "Put a new one into the files of --tls-cert and --tls-key: it is served at once. One by ACME is renewed by itself; the log says why it was not.",
		}
		if left < urgent {
			a.Severity = alert.Danger
		}
		out = append(out, a)
	}
	return out
}

// pressing is how long before it is due a request of a person is a danger.
const pressing = 2 * 24 * time.Hour

func (h *House) lookAtRequests(ctx context.Context, _ time.Time) (out []alert.Alert, err error) {
	now := h.clock.Now() // by which their clocks run
	conf := h.alertsConfig()
	err = h.requests().Each(ctx, rights.Query{Open: true}, func(r *rights.Request) (bool, error) {
		out = append(out, requestAlert(r, now, conf)...)
		return r.Due.Sub(now) < conf.RequestBefore, nil // The first due comes first.
	})
	return out, err
}

// requestAlert says that the clock of a request runs out.
func requestAlert(r *rights.Request, now time.Time, conf project.Alerts) []alert.Alert {
	left := r.Due.Sub(now)
	if !r.Open() || left >= conf.RequestBefore {
		return nil
	}
	a := alert.Alert{
		About: r.ID, Severity: alert.Warning,
		Text: fmt.Sprintf("What somebody asked for (%s) is to be answered until %s.", r.Kind, r.Due.UTC().Format(time.RFC3339)),
		Do:   fmt.Sprintf("`rapport privacy request show %s` says what is asked; carry it out with `rapport person` and --request %s, or close it with the reason.", r.ID, r.ID),
	}
	if left < pressing {
		a.Severity = alert.Danger
	}
	if left < 0 {
		a.Text = fmt.Sprintf("What somebody asked for (%s) was to be answered until %s, and is not.", r.Kind, r.Due.UTC().Format(time.RFC3339))
	}
	return []alert.Alert{a}
}

func (h *House) lookAtCheckpoints(ctx context.Context, _ time.Time) (out []alert.Alert, err error) {
	list, err := h.trail.Standing(ctx)
	for _, s := range list {
		out = append(out, staysAlert(s, h.alertsConfig())...)
	}
	return out, err
}

// staysAlert says that checkpoints of the trail do not leave the machine.
func staysAlert(s audit.Standing, conf project.Alerts) []alert.Alert {
	if !s.Stays {
		return nil
	}
	why := "it was not tried since the start"
	if s.Err != nil {
		why = cmp.Or(fault.CodeOf(s.Err), "the log of the server says why")
	}
	return []alert.Alert{{
		About: s.Place, Severity: alert.Warning, After: conf.HeldFor,
		Text: fmt.Sprintf("Checkpoints of the trail do not leave to %s (%s): whoever holds this machine could rewrite what they cover.", s.Place, why),
		Do:   "Look at the place, and at `trail` in rapport.yaml; what waits leaves by itself, in order.",
	}}
}

// soon is how long before it is due the telling of a breach is a danger.
const soon = 24 * time.Hour

func (h *House) lookAtBreaches(ctx context.Context, _ time.Time) (out []alert.Alert, err error) {
	now := h.clock.Now() // by which their clocks run
	list, err := h.breaches().Breaches(ctx, true, breach.MaxListed)
	for i := range list {
		out = append(out, breachAlert(&list[i], now)...)
	}
	return out, err
}

// breachAlert says that the clock of a breach runs, from its beginning on: 72 hours
// are soon over.
func breachAlert(b *breach.Breach, now time.Time) []alert.Alert {
	if !b.Open() || !b.Authority.IsZero() {
		return nil
	}
	a := alert.Alert{
		About: b.ID, Severity: alert.Warning,
		Text: fmt.Sprintf("The authority is to be told of a breach of personal data until %s, unless no risk is likely.", b.Due.UTC().Format(time.RFC3339)),
		Do:   fmt.Sprintf("`rapport privacy breach report %s` drafts what it is told; note with `rapport privacy breach change` when it was, or close the breach with the reason.", b.ID),
	}
	left := b.Due.Sub(now)
	if left < soon {
		a.Severity = alert.Danger
	}
	if left < 0 {
		a.Text = fmt.Sprintf("The authority was to be told of a breach of personal data until %s, and is not: say why when it is.", b.Due.UTC().Format(time.RFC3339))
	}
	return []alert.Alert{a}
}

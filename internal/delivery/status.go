package delivery

import (
	"slices"
	"strings"
	"time"

	"rapport/internal/fault"
)

// LaneStatus is how one provider stands, for an operator.
type LaneStatus struct {
	Name    string        `json:"name"`
	Claimed int           `json:"claimed"` // mails on their way to it, on the wire or before
	Paused  string        `json:"paused,omitempty"`
	For     time.Duration `json:"for,omitempty"`  // how long the pause lasts yet
	Down    string        `json:"down,omitempty"` // why it took nothing when it was last tried, also between two pauses
	Domains []DomainPause `json:"domains,omitempty"`
}

// DomainPause is a receiving domain that is held back or slowed down.
type DomainPause struct {
	Domain string        `json:"domain"`
	Paused string        `json:"paused,omitempty"`
	For    time.Duration `json:"for,omitempty"`
	Gap    time.Duration `json:"gap,omitempty"` // between two mails to it
}

// Lanes tells how each provider stands, by name, with at most 50 domains each.
func (d *Dispatcher) Lanes() []LaneStatus {
	now := d.cfg.Mono()
	out := make([]LaneStatus, 0, len(d.names))
	for _, name := range d.names {
		out = append(out, d.lanes[name].status(now))
	}
	slices.SortFunc(out, func(a, b LaneStatus) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (l *lane) status(now time.Time) LaneStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := LaneStatus{Name: l.name, Claimed: l.claimed}
	if l.stop.closed(now) {
		s.Paused, s.For = l.stop.reason, max(l.stop.until.Sub(now), 0)
	}
	if !l.stop.until.IsZero() {
		s.Down = l.stop.reason
	}
	for host, dom := range l.domains {
		p := DomainPause{Domain: host, Gap: dom.slow}
		if dom.stop.closed(now) {
			p.Paused, p.For = dom.stop.reason, max(dom.stop.until.Sub(now), 0)
		}
		if p.Paused != "" || p.Gap > 0 {
			s.Domains = append(s.Domains, p)
		}
	}
	slices.SortFunc(s.Domains, func(a, b DomainPause) int { return strings.Compare(a.Domain, b.Domain) })
	s.Domains = s.Domains[:min(len(s.Domains), 50)]
	return s
}

// Resume ends every pause of a provider and its receiving domains, because an
// operator has mended what was wrong. Mails that were put off come at the time
// they were given.
func (d *Dispatcher) Resume(provider string) error {
	l, ok := d.lanes[provider]
	if !ok {
		return fault.New(fault.NotFound, "provider_unknown", "there is no provider of that name")
	}
	l.mu.Lock()
	l.stop = brake{}
	l.pace.place = time.Time{}
	for _, dom := range l.domains {
		dom.stop, dom.refused, dom.slow = brake{}, 0, 0
		dom.pace = pacer{gap: gap(l.limits.DomainRate)}
	}
	l.mu.Unlock()
	d.intake.wake(nil)
	return nil
}

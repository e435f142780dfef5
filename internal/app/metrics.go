package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rapport/internal/eventlog"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
)

// gauges shows the house as /v1/status does, to whoever watches it: each time
// they look it asks the rooms, so nothing is counted twice.
type gauges struct {
	h   *House
	log *eventlog.Log // the house forgets it when it closes

	records, batches, duplicates, aside, derived, decided, merges, refused *prometheus.Desc
	appended, walked, lag                                                  *prometheus.Desc
	mails, skipped, claimed, paused, domains                               *prometheus.Desc
	fallbacks, failures, kept, version, backfilled, toBackfill, unread     *prometheus.Desc
	again                                                                  *prometheus.Desc
	free, floor, late, expired                                             *prometheus.Desc
	told, toldBehind, toldHeld, toldDead, toldUp                           *prometheus.Desc
	alerts, certificate                                                    *prometheus.Desc
}

var _ prometheus.Collector = (*gauges)(nil)

// registerMetrics lets the registry ask the house.
func (h *House) registerMetrics() error { return h.Metrics.Register(newGauges(h)) }

func newGauges(h *House) *gauges {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("rapport_"+name, help, labels, nil)
	}
	return &gauges{
		h: h, log: h.log,
		records:     d("walk_records_total", "Records walked since the start."),
		batches:     d("walk_batches_total", "Batches in which they were walked."),
		duplicates:  d("walk_duplicates_total", "Records passed over because their message id was known."),
		aside:       d("walk_set_aside_total", "Records that could not be walked and were set aside."),
		derived:     d("walk_derived_total", "Events that the walk derived."),
		decided:     d("walk_mails_total", "Mails that the walk decided."),
		merges:      d("walk_merges_total", "People who were found to be another."),
		refused:     d("walk_identifiers_refused_total", "Identifiers that could not be joined to a person."),
		appended:    d("lane_appended", "Position of the last record of a lane of the log.", "lane"),
		walked:      d("lane_walked", "Position up to which a lane is walked.", "lane"),
		lag:         d("lane_lag", "Records of a lane that wait to be walked.", "lane"),
		again:       d("mails_duplicate_possible", "Mails sent again after an unknown end: their readers may have two."),
		mails:       d("mails", "Mails kept, by state; unknown are those of which nobody knows whether they left.", "state"),
		skipped:     d("mails_skipped_total", "Mails that were not to be sent after all since the start, by the reason in their story.", "reason"),
		claimed:     d("provider_mails", "Mails on their way to a provider, on the wire or before.", "provider"),
		paused:      d("provider_paused", "1 while nothing is sent by a provider because it refuses us or cannot be reached.", "provider"),
		domains:     d("provider_domains_held", "Receiving domains that are paused or slowed down, at most 50.", "provider"),
		fallbacks:   d("content_fallbacks_total", "Values and blocks of templates that were missing and fell back since the start."),
		failures:    d("content_failures_total", "Mails that could not be made for their template's sake since the start."),
		kept:        d("rejects_kept", "Rejects that are kept and can be sent again, by code.", "code"),
		version:     d("config_version", "Configuration in effect."),
		backfilled:  d("backfill_people", "People brought to the configuration in effect, by id; 0 while there is no backfill."),
		toBackfill:  d("backfill_people_last", "Id of the last person to be brought there; 0 while there is no backfill."),
		free:        d("disk_free_bytes", "What is free on the disk of the data folder."),
		floor:       d("disk_floor_bytes", "What events leave free there: below it none are taken."),
		told:        d("destination_items_total", "Items of destinations since the start: delivered, dropped at a gate, dead, and failed attempts, with the reason.", "destination", "outcome", "reason"),
		toldBehind:  d("destination_behind", "Items between the newest and how far a destination has come, those that others want among them.", "destination"),
		toldHeld:    d("destination_waiting", "Items of a destination that wait to be tried again.", "destination"),
		toldDead:    d("destination_dead_letters", "Dead letters of a destination that are kept.", "destination"),
		toldUp:      d("destination_telling", "1 while a destination is told; 0 while it is down, disabled, unusable or asked to wait.", "destination"),
		alerts:      d("alerts", "What is wrong with the house, by name and severity: how many of it.", "name", "severity"),
		certificate: d("certificate_ends_seconds", "When the certificate of the doors ends, in Unix seconds; not there without one."),
		late:        d("walk_late_total", "Records about somebody who was erased, of which nothing was kept."),
		expired:     d("walk_traits_expired_total", "Traits that were taken away because they are kept no longer."),
		unread:      d("metrics_unread", "1 when the state store could not be asked for this page."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		g.records, g.batches, g.duplicates, g.aside, g.derived, g.decided, g.merges, g.refused, g.appended, g.walked, g.lag,
		g.mails, g.skipped, g.claimed, g.paused, g.domains, g.fallbacks, g.failures, g.kept, g.version, g.backfilled, g.toBackfill, g.unread, g.again, g.free, g.floor,
		g.told, g.toldBehind, g.toldHeld, g.toldDead, g.toldUp, g.late, g.expired, g.alerts, g.certificate,
	} {
		out <- d
	}
}

// patience is how long a page of metrics waits for the state store.
const patience = 2 * time.Second

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	s := g.h.walker.Stats()
	count(g.records, s.Walked)
	count(g.batches, s.Batches)
	count(g.duplicates, s.Duplicates)
	count(g.aside, s.SetAside)
	count(g.derived, s.Derived)
	count(g.decided, s.Mails)
	count(g.merges, s.Merges)
	count(g.refused, s.Refused)
	for _, lane := range lanes {
		walked := g.h.walker.Walked(lane) // before the end, so that the lag is never below zero
		tail, _ := g.log.Tail(lane)
		gauge(g.appended, float64(tail), lane.String())
		gauge(g.walked, float64(walked), lane.String())
		gauge(g.lag, float64(tail-walked), lane.String())
	}
	if d := g.h.sender.dispatcher(); d != nil {
		for _, l := range d.Lanes() {
			gauge(g.claimed, float64(l.Claimed), l.Name)
			gauge(g.paused, oneIf(l.Paused != ""), l.Name)
			gauge(g.domains, float64(len(l.Domains)), l.Name)
		}
	}
	skipped := g.h.sender.skips.Counts()
	if s.Withdrawn > 0 { // by the walk, which has no dispatcher
		skipped[outbox.Parted] += s.Withdrawn
	}
	if s.Erased > 0 {
		skipped[outbox.Erased] += s.Erased
	}
	count(g.late, s.Late)
	count(g.expired, s.Expired)
	for reason, n := range skipped {
		count(g.skipped, n, reason)
	}
	for c, n := range g.h.office.Counts() {
		count(g.told, n, c.Destination, c.Outcome, c.Reason)
	}
	count(g.fallbacks, int64(g.h.renderer.Fallbacks()))
	count(g.failures, int64(g.h.renderer.Failures()))
	gauge(g.version, float64(g.h.Version()))
	var done, last float64
	if b := g.h.walker.Backfill(); b.Version != 0 && !b.Done {
		done, last = float64(b.Next), float64(b.Last)
	}
	gauge(g.backfilled, done)
	gauge(g.toBackfill, last)
	if s := g.h.space.latest(); s.known {
		gauge(g.free, float64(s.free))
		gauge(g.floor, float64(s.floor))
	}
	if k := g.h.certificate.Load(); k != nil {
		if ends := k.Standing().Expires; !ends.IsZero() {
			gauge(g.certificate, float64(ends.Unix()))
		}
	}
	gauge(g.unread, oneIf(!g.fromState(gauge)))
}

// fromState tells what only the state store knows, or false.
func (g *gauges) fromState(gauge func(*prometheus.Desc, float64, ...string)) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var mails map[message.State]int64
	var rejects map[string]int64
	var again int64
	err := g.h.state.Read(ctx, func(tx store.Tx) (err error) {
		if mails, err = tx.Outbox().Counts(); err != nil {
			return err
		}
		if again, err = tx.Outbox().Duplicates(); err == nil {
			rejects, err = tx.Ingest().RejectCounts()
		}
		return err
	})
	if err != nil {
		g.h.logger.Warn("the state store could not be asked for metrics", "error", err)
		return false
	}
	for s := message.Pending; s <= message.Resolved; s++ {
		gauge(g.mails, float64(mails[s]), s.String())
	}
	gauge(g.again, float64(again))
	for code, n := range rejects {
		gauge(g.kept, float64(n), code)
	}
	open, err := g.h.board.Open(ctx)
	if err != nil {
		g.h.logger.Warn("the state store could not be asked for metrics", "error", err)
		return false
	}
	wrong := map[[2]string]int{}
	for _, a := range open {
		wrong[[2]string{a.Name, string(a.Severity)}]++
	}
	for k, n := range wrong {
		gauge(g.alerts, float64(n), k[0], k[1])
	}
	lines, err := g.h.office.Lines(ctx)
	if err != nil {
		g.h.logger.Warn("the state store could not be asked for metrics", "error", err)
		return false
	}
	for i := range lines {
		l := &lines[i]
		gauge(g.toldBehind, float64(l.Behind), l.Name)
		gauge(g.toldHeld, float64(l.Waiting), l.Name)
		gauge(g.toldDead, float64(l.Dead), l.Name)
		gauge(g.toldUp, oneIf(l.State == "telling"), l.Name)
	}
	return true
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

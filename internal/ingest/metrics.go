package ingest

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what this room does. Labels are names from the configuration
// and codes from a fixed list, never anything a sender wrote.
type Metrics struct {
	Events  *prometheus.CounterVec // by source and outcome: accepted, denied
	Rejects *prometheus.CounterVec // by source and code
	// Violations counts what is not as the spec or the tracking plan has it, by
	// source, event and code; an event that nobody planned is "(unplanned)".
	Violations *prometheus.CounterVec
	Unkept     prometheus.Counter // rejects that were counted but not kept
	Mended     prometheus.Counter // events in which unreadable text was replaced
	BadSentAt  prometheus.Counter // sentAt could not be read
	// BadTimestamp counts events whose timestamp is before 1971.
	BadTimestamp prometheus.Counter
	BadAddress   prometheus.Counter // an email trait that is no mail address
	BadUserHash  prometheus.Counter // context.userHash that does not fit
}

// NewMetrics makes the counters and registers them; with nil they only count.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "rapport_ingest_" + name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rapport_ingest_" + name, Help: help}, labels)
	}
	m := &Metrics{
		Events:       vec("events_total", "Events that were well-formed, by source and what became of them.", "source", "outcome"),
		Rejects:      vec("rejects_total", "Events and bodies refused as malformed, by source and code.", "source", "code"),
		Violations:   vec("violations_total", "Findings on events that are not as the spec or the tracking plan has them, by source, event and code.", "source", "event", "code"),
		Unkept:       counter("rejects_unkept_total", "Rejects beyond the rate at which they are kept."),
		Mended:       counter("mended_total", "Events in which invalid UTF-8, lone surrogates or NUL were replaced."),
		BadSentAt:    counter("bad_sent_at_total", "Events whose sentAt could not be read."),
		BadTimestamp: counter("bad_timestamp_total", "Events whose timestamp is before 1971; they happened when they arrived."),
		BadAddress:   counter("bad_address_total", "Events with an email trait that is no mail address."),
		BadUserHash:  counter("bad_user_hash_total", "Browser events whose signed user hash does not fit."),
	}
	if r != nil {
		r.MustRegister(m.Events, m.Rejects, m.Violations, m.Unkept, m.Mended, m.BadSentAt, m.BadTimestamp, m.BadAddress, m.BadUserHash)
	}
	return m
}

func (m *Metrics) taken(source string, accepted, denied int) {
	if accepted > 0 {
		m.Events.WithLabelValues(source, "accepted").Add(float64(accepted))
	}
	if denied > 0 {
		m.Events.WithLabelValues(source, "denied").Add(float64(denied))
	}
}

func (m *Metrics) reject(source, code string, n int) {
	m.Rejects.WithLabelValues(source, code).Add(float64(n))
}

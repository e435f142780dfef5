package app_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rapport/internal/app"
	"rapport/internal/telemetry"
)

// shown reads a page of metrics: name{label} → value.
func shown(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

// TestMetricsTellWhatTheStatusTells holds the page of metrics to /v1/status and
// to what was done.
func TestMetricsTellWhatTheStatusTells(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(to string) bool { return strings.HasPrefix(to, "away") })
	registry := telemetry.NewRegistry()
	space := func() (free, total int64, err error) { return 7 << 30, 10 << 30, nil }
	l := live(t, app.Options{Data: t.TempDir(), Metrics: registry, Space: space}, small(t, sink.Addr(), nil))
	for _, message := range []string{"m1", "m1", "m2"} {
		if code := l.track("Trigger", "ann", message); code != 200 {
			t.Fatalf("track: %d", code)
		}
	}
	if code := l.track("", "ann", "m3"); code != 200 {
		t.Fatalf("what is malformed is answered %d", code)
	}
	// A journey mails carl, whose address nobody knows.
	if w := l.ask("POST", "/v1/track", `{"messageId":"m4","userId":"carl","event":"Trigger"}`); w.Code != 200 {
		t.Fatalf("track without an address: %d %s", w.Code, w.Body)
	}
	if code, _ := l.receipt("bob", "k1"); code != 202 {
		t.Fatalf("send: %d", code)
	}
	l.settle()
	var status struct {
		Walk struct {
			Records, Duplicates, Mails, Derived int64
		}
		Lanes map[string]struct{ Appended, Walked int64 }
		Mails map[string]int64
	}
	for { // what sending says to the log is walked too, some time
		before := shown(t, registry)
		l.get("/v1/status", &status)
		after := shown(t, registry)
		if before["rapport_walk_records_total"] != after["rapport_walk_records_total"] {
			continue
		}
		for name, want := range map[string]float64{
			"rapport_walk_records_total":                float64(status.Walk.Records),
			"rapport_walk_duplicates_total":             1,
			"rapport_walk_mails_total":                  4,
			"rapport_mails_skipped_total no_address":    1,
			"rapport_mails skipped":                     1,
			"rapport_walk_set_aside_total":              0,
			"rapport_walk_derived_total":                float64(status.Walk.Derived),
			"rapport_lane_walked live":                  float64(status.Lanes["live"].Walked),
			"rapport_lane_lag bulk":                     0,
			"rapport_mails accepted":                    3,
			"rapport_mails unknown":                     0,
			"rapport_rejects_kept event_not_defined":    1,
			"rapport_provider_paused sink":              0,
			"rapport_provider_mails sink":               0,
			"rapport_content_fallbacks_total":           3, // nobody's first name is known
			"rapport_content_failures_total":            0,
			"rapport_config_version":                    1,
			"rapport_metrics_unread":                    0,
			"rapport_disk_free_bytes":                   7 << 30,
			"rapport_disk_floor_bytes":                  1 << 29,
			"rapport_backfill_people":                   0,
			"rapport_ingest_events_total accepted shop": 4,
		} {
			if got, ok := after[name]; !ok || got != want {
				t.Errorf("%s: got %v (%v), want %v", name, got, ok, want)
			}
		}
		break
	}
	if status.Mails["accepted"] != 3 || status.Walk.Duplicates != 1 {
		t.Errorf("the status tells %+v", status)
	}

	// Whoever looks while the house is closed gets a page all the same.
	l.end()
	if got := shown(t, registry); got["rapport_metrics_unread"] != 1 || got["rapport_walk_duplicates_total"] != 1 {
		t.Errorf("after the end: unread %v, duplicates %v", got["rapport_metrics_unread"], got["rapport_walk_duplicates_total"])
	}
}

package app

import (
	"testing"
	"time"

	"rapport/internal/alert"
	"rapport/internal/cert"
	"rapport/internal/destination"
	"rapport/internal/project"
)

func TestDownAlert(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for state, want := range map[string]struct {
		told     bool
		severity alert.Severity
		after    time.Duration
	}{
		"telling": {}, "waiting": {},
		"down":     {true, alert.Warning, time.Minute},
		"disabled": {true, alert.Warning, 0},
		"unusable": {true, alert.Danger, 0},
	} {
		a, told := downAlert(&destination.Line{Name: "crm", State: state, Since: since}, time.Minute)
		if told != want.told || told && (a.Severity != want.severity || a.After != want.after || a.About != "crm" || a.Text == "" || a.Do == "") {
			t.Errorf("%s: %v %+v", state, told, a)
		}
	}
}

func TestCertificateAlerts(t *testing.T) {
	t.Parallel()
	now, day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 24*time.Hour
	conf := project.Alerts{CertificateBefore: 14 * day, HeldFor: time.Minute}
	for name, row := range map[string]struct {
		standing cert.Standing
		want     []alert.Severity
	}{
		"long":          {cert.Standing{Expires: now.Add(15 * day)}, nil},
		"soon":          {cert.Standing{Expires: now.Add(13 * day)}, []alert.Severity{alert.Warning}},
		"in three days": {cert.Standing{Expires: now.Add(2 * day)}, []alert.Severity{alert.Danger}},
		"over":          {cert.Standing{Expires: now.Add(-day)}, []alert.Severity{alert.Danger}},
		"none yet":      {cert.Standing{Missing: []string{"a.example", "b.example"}}, []alert.Severity{alert.Danger, alert.Danger}},
	} {
		got := certificateAlerts(row.standing, now, conf)
		if len(got) != len(row.want) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		for i := range got {
			if got[i].Severity != row.want[i] {
				t.Errorf("%s: %+v", name, got[i])
			}
		}
	}
}

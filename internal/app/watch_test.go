package app

import (
	"errors"
	"testing"
	"time"

	"rapport/internal/alert"
	"rapport/internal/cert"
	"rapport/internal/destination"
	"rapport/internal/project"
	"rapport/internal/rights"
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

func TestRequestAlert(t *testing.T) {
	t.Parallel()
	now, day := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC), 24*time.Hour
	conf := project.Alerts{RequestBefore: 7 * day}
	for name, row := range map[string]struct {
		request rights.Request
		want    alert.Severity // "": none
	}{
		"long":    {rights.Request{Due: now.Add(7 * day)}, ""},
		"soon":    {rights.Request{Due: now.Add(7*day - 1)}, alert.Warning},
		"now":     {rights.Request{Due: now.Add(2*day - 1)}, alert.Danger},
		"overdue": {rights.Request{Due: now.Add(-1)}, alert.Danger},
		"closed":  {rights.Request{Due: now.Add(-1), Closed: now}, ""},
	} {
		row.request.ID, row.request.Kind = "req-1", rights.Erase
		got := requestAlert(&row.request, now, conf)
		if (len(got) == 0) != (row.want == "") || len(got) > 0 && (got[0].Severity != row.want || got[0].About != "req-1" || got[0].Text == "" || got[0].Do == "") {
			t.Errorf("%s: %+v, want %q", name, got, row.want)
		}
	}
}

// TestWatches holds the other watches to what is well and what is bad.
func TestWatches(t *testing.T) {
	t.Parallel()
	conf := project.Alerts{Backlog: 100, HeldFor: time.Minute}
	for name, row := range map[string]struct {
		got  []alert.Alert
		want alert.Severity // "": none
	}{
		"no dead letters":    {deadAlert(&destination.Line{Name: "crm"}), ""},
		"dead letters":       {deadAlert(&destination.Line{Name: "crm", Dead: 3}), alert.Warning},
		"room":               {diskAlert(&glance{known: true, free: 200, floor: 100}), ""},
		"little room":        {diskAlert(&glance{known: true, free: 199, floor: 100}), alert.Warning},
		"no room":            {diskAlert(&glance{known: true, free: 99, floor: 100}), alert.Danger},
		"nobody can say":     {diskAlert(&glance{floor: 100}), ""},
		"no floor":           {diskAlert(&glance{known: true}), ""},
		"walked":             {lagAlert("live", 100, conf), ""},
		"behind":             {lagAlert("live", 101, conf), alert.Warning},
		"not cleaned yet":    {cleaningAlert(nil), ""},
		"cleaned":            {cleaningAlert(&cleaning{}), ""},
		"could not be clean": {cleaningAlert(&cleaning{errors.New("full")}), alert.Warning},
	} {
		if (len(row.got) == 0) != (row.want == "") || len(row.got) > 0 && (row.got[0].Severity != row.want || row.got[0].Text == "" || row.got[0].Do == "") {
			t.Errorf("%s: %+v, want %q", name, row.got, row.want)
		}
	}
}

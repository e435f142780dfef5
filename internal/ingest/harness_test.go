package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/ingest"
	"rapport/internal/purpose"
)

var now = time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)

// logbook is a log in memory. It copies, as the log does, for the caller's
// memory is used again.
type logbook struct {
	mu      sync.Mutex
	steps   *[]string
	lane    eventlog.Lane
	records [][]byte
	fail    error
}

func (l *logbook) Append(_ context.Context, lane eventlog.Lane, records [][]byte) (int64, time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*l.steps = append(*l.steps, "append")
	if l.fail != nil {
		return 0, time.Time{}, l.fail
	}
	first := int64(len(l.records)) + 1
	l.lane = lane
	for _, r := range records {
		l.records = append(l.records, bytes.Clone(r))
	}
	return first, now, nil
}

// events reads what stands in the log.
func (l *logbook) events(t testing.TB) []event.Event {
	t.Helper()
	out := make([]event.Event, len(l.records))
	for i, r := range l.records {
		if err := out[i].Decode(r); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
	return out
}

// said is a statement that outlives its call.
type said struct {
	User  string
	Prefs []ingest.Preference
	GPC   bool
}

// doorman denies users by name.
type doorman struct {
	steps   *[]string
	denied  map[string]bool
	instead *event.Event
	said    []said
	fail    error
}

func (d *doorman) Narrow(_ context.Context, s []ingest.Statement) error {
	*d.steps = append(*d.steps, "narrow")
	if d.fail != nil {
		return d.fail
	}
	for _, x := range s {
		d.said = append(d.said, said{User: x.Event.UserID, Prefs: slices.Clone(x.Preferences), GPC: x.GPC})
	}
	return nil
}

func (d *doorman) Admit(_ *ingest.Source, s ingest.Statement) ingest.Verdict {
	if d.denied[s.Event.UserID] {
		return ingest.Verdict{Instead: d.instead}
	}
	return ingest.Verdict{Allow: true}
}

type bundle struct {
	*ingest.Ingest
	log     *logbook
	permit  *doorman
	keeper  *keeper
	metrics *ingest.Metrics
	steps   *[]string
}

// counting is a source of randomness that repeats itself from run to run.
type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.n
		c.n++
	}
	return len(p), nil
}

func setup(t testing.TB, change ...func(*ingest.Config)) *bundle {
	t.Helper()
	steps := new([]string)
	b := &bundle{
		log: &logbook{steps: steps}, permit: &doorman{steps: steps, denied: map[string]bool{}},
		keeper: newKeeper(), metrics: ingest.NewMetrics(nil), steps: steps,
	}
	c := ingest.Config{
		Log: b.log, Permit: b.permit, Keeper: b.keeper, Metrics: b.metrics, Rand: &counting{},
		Now: func() time.Time { return now }, Machine: func() time.Time { return now },
		Sources: func(name string) (ingest.Source, bool) { return source(name), name == "shop" },
	}
	for _, f := range change {
		f(&c)
	}
	in, err := ingest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	b.Ingest = in
	return b
}

func source(name string) ingest.Source {
	return ingest.Source{Name: name, Purpose: purpose.Profiling, Basis: purpose.LegitimateInterest, UserHash: []byte("the source's secret")}
}

func single(t event.Type, body string) ingest.Call {
	return ingest.Call{Source: source("shop"), Path: "/v1/" + t.String(), Type: t, Body: []byte(body)}
}

func batch(body string) ingest.Call {
	return ingest.Call{Source: source("shop"), Path: "/v1/batch", Body: []byte(body)}
}

var errDisk = errors.New("no space left on device")

package app

import (
	"context"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/ingest"
	"rapport/internal/plan/survey"
)

// surveyBytes is how much of the log is read at once.
const surveyBytes = 1 << 20

// survey looks through what the log holds of sources, the newest records of each
// lane, and counts. source is one of them, or "" for all; since leaves out what
// was received earlier.
func (h *House) survey(ctx context.Context, source string, since time.Time, most int64) ([]survey.Source, error) {
	s := survey.New()
	for _, lane := range []eventlog.Lane{eventlog.Live, eventlog.Bulk} {
		if err := h.surveyLane(ctx, s, lane, source, since, most); err != nil {
			return nil, err
		}
	}
	report := s.Report()
	for i := range report {
		counts, err := h.keptRejects(ctx, report[i].Source, since)
		if err != nil {
			return nil, err
		}
		report[i].Rejected = counts
	}
	return report, nil
}

func (h *House) surveyLane(ctx context.Context, s *survey.Survey, lane eventlog.Lane, source string, since time.Time, most int64) error {
	first, err := h.logStore.First(ctx, lane)
	if err != nil || first == 0 {
		return err
	}
	tail, _ := h.log.Tail(lane)
	var e event.Event
	for at := max(first, tail-most+1); at <= tail; {
		records, err := h.log.Read(ctx, lane, at, surveyBytes)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return nil
		}
		for i := range records {
			if e.Decode(records[i].Body) != nil { // The walk sets such aside and says so.
				continue
			}
			if (source == "" || e.Source == source) && !e.Received.Before(since) {
				s.Add(&e)
			}
		}
		at = records[len(records)-1].Pos + 1
	}
	return nil
}

// keptRejects counts what is kept of a source and was not taken, by code.
func (h *House) keptRejects(ctx context.Context, source string, since time.Time) (map[string]int64, error) {
	out := map[string]int64{}
	q := ingest.RejectQuery{Source: source, Since: since, Limit: 1000}
	for {
		list, err := h.ingest.Rejects(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range list {
			if !list[i].Sent {
				out[list[i].Code]++
			}
			q.Before = list[i].ID
		}
		if len(list) < q.Limit {
			return out, nil
		}
	}
}

package manage

import (
	"net/http"
	"time"

	"rapport/internal/access"
	"rapport/internal/doctor"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/message"
)

// laneStatus is how far a lane is walked.
type laneStatus struct {
	Appended int64 `json:"appended"`
	Walked   int64 `json:"walked"`
	Lag      int64 `json:"lag"` // records that wait
}

// walkStatus counts what the walk did since the process began.
type walkStatus struct {
	Records    int64 `json:"records"`
	Batches    int64 `json:"batches"`
	Duplicates int64 `json:"duplicates"`
	SetAside   int64 `json:"set_aside"`
	Derived    int64 `json:"derived"`
	Mails      int64 `json:"mails"`
	Merges     int64 `json:"merges"`
	Refused    int64 `json:"refused"` // identifiers that could not be joined
}

type status struct {
	Build         string                `json:"build,omitempty"`
	Now           time.Time             `json:"now"` // business time
	UptimeSeconds int64                 `json:"uptime_seconds"`
	Version       int                   `json:"version"` // of the configuration in effect
	Digest        string                `json:"digest"`
	Ready         bool                  `json:"ready"` // what was in the log at the start is walked
	Lanes         map[string]laneStatus `json:"lanes"`
	Walk          walkStatus            `json:"walk"`
	Backfill      *explain.Progress     `json:"backfill,omitempty"`
	Mails         map[string]int64      `json:"mails"`
	Unknown       int64                 `json:"unknown"`
	Duplicates    *int64                `json:"duplicate_possible,omitempty"`
	Rejects       map[string]int64      `json:"rejects"`
	Doors         *doctor.Doors         `json:"doors,omitempty"` // how the server is reached
}

// getStatus tells how the house stands.
func (h *Handler) getStatus(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	ctx := r.Context()
	out := status{
		Build: h.Build, Now: h.Now().UTC(), UptimeSeconds: int64(h.Machine().Sub(h.started).Seconds()),
		Version: h.Walk.Version().Number, Digest: h.Configuration().Digest, Lanes: map[string]laneStatus{},
		Ready: h.Walk.Walked(eventlog.Live) >= h.began,
	}
	for _, lane := range []eventlog.Lane{eventlog.Live, eventlog.Bulk} {
		walked := h.Walk.Walked(lane) // before the end, so that the lag is never below zero
		tail, _ := h.Log.Tail(lane)
		out.Lanes[lane.String()] = laneStatus{Appended: tail, Walked: walked, Lag: tail - walked}
	}
	s := h.Walk.Stats()
	out.Walk = walkStatus{s.Walked, s.Batches, s.Duplicates, s.SetAside, s.Derived, s.Mails, s.Merges, s.Refused}
	if b := h.Walk.Backfill(); b.Version != 0 && !b.Done {
		out.Backfill = &explain.Progress{Done: b.Next, Total: b.Last}
	}
	if h.Doors != nil {
		out.Doors = h.Doors()
	}
	var err error
	if out.Mails, err = h.Reader.States(ctx); err != nil {
		return err
	}
	out.Unknown = out.Mails[message.Uncertain.String()]
	if h.Duplicates != nil {
		n, err := h.Duplicates(ctx)
		if err != nil {
			return err
		}
		out.Duplicates = &n
	}
	if out.Rejects, err = h.Rejects.RejectCounts(ctx); err != nil {
		return err
	}
	if out.Rejects == nil {
		out.Rejects = map[string]int64{}
	}
	return h.answer(w, r, http.StatusOK, out)
}

package main

import (
	"encoding/json"
	"time"

	"rapport/internal/alert"
	"rapport/internal/destination"
	"rapport/internal/explain"
	"rapport/internal/project"
)

// The answers of the management API that no room names. What explain tells is
// read as explain wrote it.

type move struct {
	Enter int64 `json:"enter"`
	Leave int64 `json:"leave"`
}

type applyAnswer struct {
	Version  int               `json:"version"`
	DryRun   bool              `json:"dry_run"`
	Changes  []project.Change  `json:"changes"`
	Moves    map[string]move   `json:"moves"`
	Mails24h int64             `json:"mails_24h"`
	Problems []project.Problem `json:"problems"`
}

type sendAnswer struct {
	ID    string `json:"id"`
	State string `json:"state"`
	New   *bool  `json:"new"` // false: this idempotency key had been used for it before
}

type eventsAnswer struct {
	Events []explain.Event `json:"events"`
	Cursor string          `json:"cursor"`
}

type segmentsAnswer struct {
	Segments []explain.SegmentSize `json:"segments"`
}

type journeysAnswer struct {
	Journeys []explain.JourneyLine `json:"journeys"`
}

type mailsAnswer struct {
	Messages []explain.Mail `json:"messages"`
	Cursor   string         `json:"cursor"`
}

type alertsAnswer struct {
	Alerts []alert.Alert `json:"alerts"`
}

type destinationsAnswer struct {
	Destinations []destination.Line `json:"destinations"`
}

type deadAnswer struct {
	Dead   []destination.Letter `json:"dead"`
	Cursor string               `json:"cursor"`
}

type redriveAnswer struct {
	Redriven int64 `json:"redriven"`
}

type rejectsAnswer struct {
	Rejected []rejectAnswer   `json:"rejected"`
	Counts   map[string]int64 `json:"counts"`
	Cursor   string           `json:"cursor"`
}

type rejectAnswer struct {
	ID      int64           `json:"id"`
	At      time.Time       `json:"at"`
	Source  string          `json:"source"`
	Path    string          `json:"path"`
	Code    string          `json:"code"`
	Detail  string          `json:"detail"`
	Sent    bool            `json:"sent"`
	Payload json.RawMessage `json:"payload"`
}

type keysAnswer struct {
	Keys []keyAnswer `json:"keys"`
}

type keyAnswer struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Source  string    `json:"source"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Revoked time.Time `json:"revoked"`
	Key     string    `json:"key"` // only in the answer to its making
}

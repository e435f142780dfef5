package main

import (
	"encoding/json"
	"time"

	"rapport/internal/project"
)

// The answers of the management API, as far as these commands print them.

type move struct {
	Enter int64 `json:"enter"`
	Leave int64 `json:"leave"`
}

type applyAnswer struct {
	Version  int               `json:"version"`
	DryRun   bool              `json:"dry_run"`
	Digest   string            `json:"digest"`
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

type personAnswer struct {
	ID          string                     `json:"id"`
	FirstSeen   time.Time                  `json:"first_seen"`
	LastSeen    time.Time                  `json:"last_seen"`
	Identifiers []identifierAnswer         `json:"identifiers"`
	Traits      map[string]json.RawMessage `json:"traits"`
	Segments    []membershipAnswer         `json:"segments"`
	Journeys    []placeAnswer              `json:"journeys"`
	Permission  []permissionAnswer         `json:"permission"`
	Suppressed  []suppressionAnswer        `json:"suppressed"`
	Merged      []string                   `json:"merged"`
}

type identifierAnswer struct {
	Kind  string    `json:"kind"`
	Value string    `json:"value"`
	Since time.Time `json:"since"`
}

type membershipAnswer struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

type placeAnswer struct {
	Journey string    `json:"journey"`
	Step    string    `json:"step"`
	Entered time.Time `json:"entered"`
	Until   time.Time `json:"until"`
}

type permissionAnswer struct {
	Purpose string    `json:"purpose"`
	State   string    `json:"state"`
	Basis   string    `json:"basis"`
	Allowed bool      `json:"allowed"`
	At      time.Time `json:"at"`
	Method  string    `json:"method"`
}

type suppressionAnswer struct {
	Reason  string    `json:"reason"`
	Purpose string    `json:"purpose"`
	At      time.Time `json:"at"`
}

type eventsAnswer struct {
	Events []eventAnswer `json:"events"`
	Cursor string        `json:"cursor"`
}

type eventAnswer struct {
	At         time.Time       `json:"timestamp"`
	Type       string          `json:"type"`
	Name       string          `json:"event"`
	Source     string          `json:"source"`
	MessageID  string          `json:"message_id"`
	Properties json.RawMessage `json:"properties"`
}

type segmentsAnswer struct {
	Segments []segmentAnswer `json:"segments"`
}

type segmentAnswer struct {
	Name     string          `json:"name"`
	Title    string          `json:"title"`
	People   int64           `json:"people"`
	Backfill *backfillAnswer `json:"backfill"`
}

type backfillAnswer struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

type segmentExplainAnswer struct {
	Person  string      `json:"person"`
	Segment string      `json:"segment"`
	Member  bool        `json:"member"`
	Since   time.Time   `json:"since"`
	Changes time.Time   `json:"changes"` // when the answer changes if nothing happens
	Rule    explanation `json:"rule"`
}

type explanation struct {
	Text       string          `json:"text"`
	Truth      bool            `json:"truth"`
	Seen       json.RawMessage `json:"seen"`
	Note       string          `json:"note"` // the same in words
	ValidUntil time.Time       `json:"valid_until"`
	Children   []explanation   `json:"children"`
}

type journeysAnswer struct {
	Journeys []journeyAnswer `json:"journeys"`
}

type journeyAnswer struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Trigger string `json:"trigger"`
	Purpose string `json:"purpose"`
	Inside  int64  `json:"inside"`
	Entered int64  `json:"entered"`
	Stopped bool   `json:"stopped"`
}

type journeyExplainAnswer struct {
	Person  string       `json:"person"`
	Journey string       `json:"journey"`
	Inside  bool         `json:"inside"`
	Place   *placeAnswer `json:"place"`
	Gates   []gateAnswer `json:"gates"`
	History []noteAnswer `json:"history"`
	Mails   []mailAnswer `json:"mails"`
}

type gateAnswer struct {
	Gate   string    `json:"gate"`
	OK     bool      `json:"ok"`
	Detail string    `json:"detail"`
	At     time.Time `json:"at"`
}

type noteAnswer struct {
	At     time.Time `json:"at"`
	What   string    `json:"what"`
	Step   string    `json:"step"`
	Detail string    `json:"detail"`
}

type mailsAnswer struct {
	Messages []mailAnswer `json:"messages"`
	Cursor   string       `json:"cursor"`
}

type mailAnswer struct {
	ID       string    `json:"id"`
	Person   string    `json:"person"`
	Template string    `json:"template"`
	Purpose  string    `json:"purpose"`
	Class    string    `json:"class"`
	State    string    `json:"state"`
	Reason   string    `json:"reason"`
	Journey  string    `json:"journey"`
	Step     string    `json:"step"`
	Provider string    `json:"provider"`
	Subject  string    `json:"subject"`
	Decided  time.Time `json:"decided"`
	Due      time.Time `json:"due"`
	Attempts int       `json:"attempts"`
	// Duplicate is true when the mail was sent again after an unknown end.
	Duplicate bool `json:"duplicate_possible"`
}

type mailStoryAnswer struct {
	mailAnswer
	Key       string       `json:"key"`
	Cause     string       `json:"cause"`
	MessageID string       `json:"message_id"`
	Version   int          `json:"config_version"`
	Story     []stepAnswer `json:"story"`
	Parts     *partsAnswer `json:"parts"`
}

type stepAnswer struct {
	State  string          `json:"state"`
	At     time.Time       `json:"at"`
	Reason string          `json:"reason"`
	Detail json.RawMessage `json:"detail"`
}

type partsAnswer struct {
	From    string     `json:"from"`
	To      string     `json:"to"`
	Subject string     `json:"subject"`
	Headers [][]string `json:"headers"`
	Text    string     `json:"text"`
	HTML    string     `json:"html"`
}

type rejectsAnswer struct {
	Rejected []rejectAnswer   `json:"rejected"`
	Counts   map[string]int64 `json:"counts"`
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

// Package feedback takes what readers and providers send back: opens, clicks,
// unsubscribes, preferences, bounces. What comes in are signed tokens with what a
// request tells of who made it; what goes out are changes of permission, events
// for the log, and suppressions. It stores an open or a click only where tracking
// is permitted at that moment, marks what machines do, and never merges people.
package feedback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/purpose"
)

// Source is the source of the events that this room writes.
const Source = "feedback"

// The names of those events, as Segment's spec has them.
const (
	Opened  = "Email Opened"
	Clicked = "Email Link Clicked"
	Left    = consent.UnsubscribedEvent
)

// Name is one identifier of a person.
type Name struct {
	Kind string
	Hash id.Hash
}

// Mail is what this room needs to know of a mail that was sent.
type Mail struct {
	Person   id.Person
	Names    []Name // every identifier of that person as of now
	Purpose  purpose.Purpose
	Class    message.Class
	Template string
	Journey  string
	Step     string
	Sent     time.Time // business time of its handing over, zero if it is not known
}

// Mails finds mails. One that is not kept any more is an error of kind
// fault.NotFound. It is safe for concurrent use.
type Mails interface {
	Mail(ctx context.Context, m id.Message) (Mail, error)
	// Subject gives the subject that it was sent with, "" when that is not kept.
	Subject(ctx context.Context, m id.Message) (string, error)
}

// Log takes records into the live lane, durably.
type Log interface {
	AppendEvent(ctx context.Context, ev *event.Event) error
}

// Config is what a Desk is made of. All of it is required but what says so.
type Config struct {
	Signer     *Signer
	Permission *consent.Authority
	Mails      Mails
	Log        Log
	Now        func() time.Time // business time

	Links  func() *Signer                                                      // makes links under the address of now; nil: Signer does
	Asking func() Asking                                                       // how addresses are asked to confirm; nil: none is
	Hash   func(kind, value string) id.Hash                                    // the workspace's keyed hash; for Asking
	Rand   io.Reader                                                           // names opt-ins; for Asking
	Barred func(id.Hash) bool                                                  // nothing is kept under it, for its person was erased; nil: under none
	Prove  func(context.Context, []id.Hash, [][]byte) (*audit.Receipts, error) // receipts of records; nil: there are none

	Rights *Rights // what readers may ask of their data; nil: nothing; with Hash and Rand
}

// Desk answers readers. It is safe for concurrent use.
type Desk struct {
	Config
	seen seen
}

// New makes a Desk.
func New(c Config) (*Desk, error) {
	if c.Signer == nil || c.Permission == nil || c.Mails == nil || c.Log == nil || c.Now == nil {
		return nil, errors.New("feedback: Config needs Signer, Permission, Mails, Log and Now")
	}
	if c.Asking != nil && (c.Hash == nil || c.Rand == nil) {
		return nil, errors.New("feedback: Config.Asking needs Hash and Rand")
	}
	return &Desk{Config: c}, nil
}

// signer makes links under the address at which the house is reached now.
func (d *Desk) signer() *Signer {
	if d.Links != nil {
		return d.Links()
	}
	return d.Signer
}

// Open notes that a mail was opened, if that may be noticed. stored tells
// whether anything was written.
func (d *Desk) Open(ctx context.Context, token string, v Visit) (stored bool, err error) {
	t, err := d.Signer.Verify(OpenKind, token, "")
	if err != nil {
		return false, err
	}
	return d.notice(ctx, t, v, Opened, purpose.OpenTrack, "")
}

// Follow reads a link and tells whether it is ours; noticing that it was
// followed is Click's.
func (d *Desk) Follow(token, url string) (Token, error) {
	return d.Signer.Verify(ClickKind, token, url)
}

// Click notes that a link was followed, if that may be noticed.
func (d *Desk) Click(ctx context.Context, t Token, url string, v Visit) (stored bool, err error) {
	return d.notice(ctx, t, v, Clicked, purpose.ClickTrack, url)
}

func (d *Desk) notice(ctx context.Context, t Token, v Visit, name string, why purpose.Purpose, url string) (bool, error) {
	m, err := d.mail(ctx, t)
	if err != nil || m.Person == 0 { // The mail is not kept any more: nobody is left to ask or to tell of.
		return false, err
	}
	now := d.Now()
	if v.GPC {
		if err := d.signal(ctx, t, m.Names, v, now); err != nil {
			return false, err
		}
	}
	q := consent.Question{Subjects: hashes(m.Names), Operation: consent.Track, Purpose: why, Channel: purpose.Web, At: now}
	if d.Permission.Decide(ctx, q).Effect != consent.Allow {
		return false, nil
	}
	sign, machine := v.Machine(m.Sent, now)
	p := about(t, &m)
	p.Machine, p.Sign = machine, sign
	ev := &event.Event{Type: event.Outcome, Source: Source, Name: name, Person: int64(m.Person), Time: now, Original: now, Received: now}
	if machine {
		ev.Flags |= event.MachineMade
	}
	// One look or click a minute is worth a record, whatever a proxy repeats.
	ev.MessageID = fmt.Sprintf("%s/%s/%s/%d", strings.ToLower(strings.ReplaceAll(name, " ", "_")), t.Mail, who(machine), now.Unix()/60)
	if url != "" {
		p.LinkID, p.LinkURL = strconv.Itoa(t.Link), url
		ev.MessageID += fmt.Sprintf("/%d", t.Link)
	}
	if d.seen.has(ev.MessageID) {
		return false, nil
	}
	if p.Subject, err = d.Mails.Subject(ctx, t.Mail); err != nil {
		return false, fmt.Errorf("find the subject of %s: %w", t.Mail, err)
	}
	if ev.Properties, err = json.Marshal(p); err != nil {
		return false, fmt.Errorf("encode %s: %w", name, err)
	}
	if ev.Context, err = json.Marshal(map[string]string{"user_agent": cut(v.Agent)}); err != nil {
		return false, fmt.Errorf("encode %s: %w", name, err)
	}
	if err := d.Log.AppendEvent(ctx, ev); err != nil {
		return false, fmt.Errorf("log %s: %w", name, err)
	}
	d.seen.add(ev.MessageID)
	return true, nil
}

func who(machine bool) string {
	if machine {
		return "machine"
	}
	return "reader"
}

// properties are what an event of this room says, under Segment's names and ours.
type properties struct {
	Message  string          `json:"message_id"`
	Email    string          `json:"email_id"`
	Subject  string          `json:"email_subject,omitempty"`
	Campaign string          `json:"campaign_id,omitempty"`
	Named    string          `json:"campaign_name,omitempty"`
	Template string          `json:"template,omitempty"`
	Purpose  purpose.Purpose `json:"purpose,omitempty"`
	Class    string          `json:"class,omitempty"`
	Journey  string          `json:"journey,omitempty"`
	Step     string          `json:"step,omitempty"`
	LinkID   string          `json:"link_id,omitempty"`
	LinkURL  string          `json:"link_url,omitempty"`
	ListID   purpose.Purpose `json:"list_id,omitempty"`
	ListName string          `json:"list_name,omitempty"`
	Machine  bool            `json:"machine_suspected,omitempty"`
	Sign     string          `json:"machine_sign,omitempty"`
}

func about(t Token, m *Mail) properties {
	p := properties{
		Message: t.Mail.String(), Email: t.Mail.String(), Campaign: m.Journey, Template: m.Template,
		Purpose: m.Purpose, Class: m.Class.String(), Journey: m.Journey, Step: m.Step,
	}
	if p.Campaign == "" {
		p.Campaign = m.Template
	}
	p.Named = p.Campaign // Both are known by name alone.
	return p
}

func hashes(names []Name) []id.Hash {
	out := make([]id.Hash, len(names))
	for i, n := range names {
		out[i] = n.Hash
	}
	return out
}

// cut bounds what a stranger's header may weigh.
func cut(s string) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "")
	}
	return s
}

// Dead tells whether the outcome of a mail takes its address off every list, and
// gives the entry that does.
func Dead(address id.Hash, o message.Outcome, now time.Time) (consent.Suppression, bool) {
	return consent.Suppression{
		Address: address, Purpose: "*", Reason: consent.HardBounce, At: now, Source: Source,
	}, o.Suppress
}

// seen remembers the newest records, so that a proxy that asks a hundred times
// does not fill the log. It forgets the older half when it is full.
type seen struct {
	mu       sync.Mutex
	now, old map[string]struct{}
}

const seenMost = 20_000

func (s *seen) has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.now[key]; ok {
		return true
	}
	_, ok := s.old[key]
	return ok
}

func (s *seen) add(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || len(s.now) >= seenMost {
		s.old, s.now = s.now, make(map[string]struct{}, seenMost)
	}
	s.now[key] = struct{}{}
}

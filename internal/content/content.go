// Package content turns an intent into a whole mail: subject, HTML and text
// parts, headers, links. What comes in are templates that were checked, an
// intent, and a person seen through the purpose of the mail; what goes out is a
// message.Rendered or an error that says whether to skip, to wait or to give up.
// Preview and real send are one engine. It never sends, and never shows a
// template more of a person than the purpose permits.
package content

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"rapport/internal/consent"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/profile"
	"rapport/internal/purpose"
)

// Person is what rendering needs to know of somebody.
type Person struct {
	Email    string    // their address, "" for none
	Subjects []id.Hash // every identifier, addresses included
	View     profile.View
}

// People opens persons for a purpose. A person who is not there is an error of
// kind fault.NotFound. It is safe for concurrent use.
type People interface {
	Open(ctx context.Context, who id.Person, why purpose.Purpose) (Person, error)
}

// Permission is the part of the consent authority that is asked here.
type Permission interface {
	DecideAll(ctx context.Context, questions ...consent.Question) []consent.Decision
	Policy() *consent.Policy
}

// Links makes the addresses under which readers answer. They identify the mail
// by themselves and hold nothing personal. It is safe for concurrent use.
type Links interface {
	Unsubscribe(mail id.Message, address id.Hash, why purpose.Purpose) string
	Preferences(mail id.Message, address id.Hash, why purpose.Purpose) string
	Open(mail id.Message) string
	Click(mail id.Message, n int, url string) string
}

// Workspace is what all mails of a workspace have in common.
type Workspace struct {
	Name       string
	From       message.Address
	ReplyTo    string
	Domain     string // right of the @ in Message-IDs
	Postal     string // postal address, shown in marketing mails
	FeedbackID string // the sender's id in Feedback-ID, 5 to 15 characters; "" leaves the header out
	Zone       *time.Location
	Locale     string
}

// Set is all templates of one configuration version with the workspace they
// belong to. It is immutable.
type Set struct {
	Version   int
	Workspace Workspace
	Templates map[string]*Template
}

// Config is what a Renderer is made of. All of it is required but Budget.
type Config struct {
	People     People
	Permission Permission
	Links      Links
	Hasher     *id.Hasher
	Set        *Set
	Budget     time.Duration // machine time for one mail; 0 means two seconds
}

// Renderer makes mails. It is safe for concurrent use.
type Renderer struct {
	people     People
	permission Permission
	links      Links
	hasher     *id.Hasher
	budget     time.Duration
	set        atomic.Pointer[Set]
	zones      zones
	fallbacks  atomic.Uint64
	failures   atomic.Uint64
}

// New makes a Renderer.
func New(c Config) (*Renderer, error) {
	switch {
	case c.People == nil, c.Permission == nil, c.Links == nil, c.Hasher == nil:
		return nil, errors.New("content: Config needs People, Permission, Links and Hasher")
	case c.Set == nil:
		return nil, errors.New("content: Config.Set is missing")
	}
	r := &Renderer{people: c.People, permission: c.Permission, links: c.Links, hasher: c.Hasher, budget: c.Budget}
	if r.budget <= 0 {
		r.budget = 2 * time.Second
	}
	r.set.Store(c.Set)
	return r, nil
}

// Use lets another set of templates hold from the next mail on.
func (r *Renderer) Use(s *Set) { r.set.Store(s) }

// Fallbacks counts values and blocks that were missing and fell back since the start.
func (r *Renderer) Fallbacks() uint64 { return r.fallbacks.Load() }

// Failures counts mails that could not be made for their template's sake.
func (r *Renderer) Failures() uint64 { return r.failures.Load() }

// Package manage is the door at which operators and their programs knock. What
// comes in are requests with a management key; what goes out are answers of the
// rooms as JSON, or problems after RFC 9457. It decodes, checks who asks, calls
// one room and encodes. It never decides, never reads tables, and says nothing
// of a person to anybody without a management key.
package manage

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"rapport/internal/access"
	"rapport/internal/alert"
	"rapport/internal/api"
	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/doctor"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/message"
	"rapport/internal/privacy"
	"rapport/internal/processor"
	"rapport/internal/purpose"
	"rapport/internal/ratelimit"
	"rapport/internal/segment"
)

// DefaultPerSecond and DefaultBurst are how many requests each management key
// may make where nobody says otherwise.
const (
	DefaultPerSecond = 20_000
	DefaultBurst     = 40_000
)

// Keys are the keys that callers show.
type Keys interface {
	Find(secret string) (access.Key, bool)
	List() []access.Key
	Create(ctx context.Context, r access.Request) (secret string, key access.Key, err error)
	Revoke(ctx context.Context, id string) error
}

// Log takes records into a lane, durably, and tells where a lane ends.
type Log interface {
	Append(ctx context.Context, lane eventlog.Lane, records [][]byte) (first int64, at time.Time, err error)
	Tail(lane eventlog.Lane) (int64, time.Time)
}

// Walk tells how far the lanes are walked.
type Walk interface {
	Wait(ctx context.Context, lane eventlog.Lane, pos int64) error
	Walked(lane eventlog.Lane) int64
	Stats() processor.Stats
	Backfill() segment.Backfill
	Version() *processor.Version
}

// Reader answers what there is to tell.
type Reader interface {
	privacy.Reader
	Parting(ctx context.Context, who id.Person, names []identity.Name) (processor.Parted, id.Person, error)
	Erasing(ctx context.Context, who id.Person) (processor.Erased, error)
	PartedBy(ctx context.Context, who id.Person, request string, names []identity.Name) (out processor.Parted, same, found bool, err error)
	Find(ctx context.Context, kind, value string) (id.Person, error)
	Living(ctx context.Context, who id.Person) (id.Person, error)
	Person(ctx context.Context, who id.Person, why purpose.Purpose) (*explain.Person, error)
	Events(ctx context.Context, who id.Person, why purpose.Purpose, cursor string, limit int) ([]explain.Event, string, error)
	Segments(ctx context.Context) ([]explain.SegmentSize, error)
	Segment(ctx context.Context, name string, who id.Person, why purpose.Purpose) (*explain.Segment, error)
	Journeys() []explain.JourneyLine
	TakesRequests(journey string) (known, takes bool)
	Journey(ctx context.Context, name string, who id.Person, why purpose.Purpose) (*explain.Journey, error)
	Message(ctx context.Context, m id.Message, why purpose.Purpose) (*explain.MailStory, error)
	Mails(ctx context.Context, who id.Person, why purpose.Purpose, limit int) ([]explain.Mail, error)
	Newest(ctx context.Context, s message.State, before id.Message, limit int) ([]explain.Mail, error)
	States(ctx context.Context) (map[string]int64, error)
	ByKey(ctx context.Context, key string) (explain.Owed, bool, error)
	Keys(ctx context.Context, after id.Hash, limit int) ([]id.Hash, error)
	Asides(ctx context.Context, cursor string, limit int) ([]explain.Aside, string, error)
	Aside(ctx context.Context, lane eventlog.Lane, position int64) (*explain.Aside, error)
}

// Rejects is what came in and could not be taken, or not as it should be.
type Rejects interface {
	Rejects(ctx context.Context, q ingest.RejectQuery) ([]ingest.Reject, error)
	RejectCounts(ctx context.Context) (map[string]int64, error)
	Reject(ctx context.Context, id int64) (ingest.Reject, error)
	Resend(ctx context.Context, id int64, mended []byte, dry bool) (ingest.Receipt, error)
	DropReject(ctx context.Context, id int64) error
	Violations(ctx context.Context, q ingest.ViolationQuery) ([]ingest.Violation, error)
}

// Asides ends what was taken and could not be walked.
type Asides interface {
	ResendAside(ctx context.Context, lane eventlog.Lane, position int64, mended []byte, dry bool) (ingest.Receipt, error)
	DropAside(ctx context.Context, lane eventlog.Lane, position int64) error
}

// Trail keeps what was done, and proves it.
type Trail interface {
	Record(ctx context.Context, a audit.Act) error
	// Size gives the number of rows.
	Size(ctx context.Context) (int64, error)
	Search(ctx context.Context, q audit.Query) ([]audit.Entry, error)
	Prove(ctx context.Context, n int64) (*audit.Proof, error)
	Parcel(ctx context.Context) (p *audit.Parcel, ok bool, err error)
	CatchUp(ctx context.Context, ask bool) error
	Export(ctx context.Context, w io.Writer, from int64, details bool) error
	Receipts(ctx context.Context, what string, subjects []id.Hash, records [][]byte) (*audit.Receipts, error)
	Certify(lines []string) (string, error)
	Key() string
}

// Keyring is the keys under which everything is sealed. Answers are encoded as
// they are.
type Keyring interface {
	Status(ctx context.Context) (any, error)
	// Rotate begins a rotation, of the root key too where asked, and does not wait
	// for its end; Rotation tells how far that is.
	Rotate(root bool) (any, error)
	Rotation() (any, error)
}

// Consent is the authority on permission.
type Consent interface {
	Policy() *consent.Policy
	Submit(ctx context.Context, record, source string, entries []consent.Entry) error
	Suppress(ctx context.Context, s consent.Suppression) error
	Lift(ctx context.Context, address id.Hash, reason consent.Reason) error
	Notice(r consent.NoticeRef) (*consent.NoticeRef, bool)
	AllNotices(ctx context.Context) ([]consent.Notice, error)
	Records(ctx context.Context, subjects ...id.Hash) (*consent.History, error)
}

var (
	_ Keys    = (*access.Keys)(nil)
	_ Log     = (*eventlog.Log)(nil)
	_ Walk    = (*processor.Walker)(nil)
	_ Reader  = (*explain.Reader)(nil)
	_ Rejects = (*ingest.Ingest)(nil)
	_ Consent = (*consent.Authority)(nil)
	_ Trail   = (*audit.Trail)(nil)
)

// Template is what a request for one mail takes from its template.
type Template struct {
	Purpose purpose.Purpose
	Class   message.Class
}

// Configuration is what is in effect.
type Configuration struct {
	Version int       `json:"version"`
	Digest  string    `json:"digest"`
	Applied time.Time `json:"applied,omitzero"`
	Files   []string  `json:"files"`
}

// Config is what a Handler needs; all of it is required but what says so.
type Config struct {
	Keys    Keys
	Limits  *ratelimit.Keyed // requests, by key id
	Log     Log
	Walk    Walk
	Reader  Reader
	Rejects Rejects
	Asides  Asides
	Consent Consent
	Trail   Trail
	// Rights takes down what people ask of their data; Barred tells whether nothing
	// is kept under an identifier because its person was erased.
	Rights Rights
	Barred func(id.Hash) bool
	// Breaches is the register of breaches; Affected finds whom one concerns.
	Breaches Breaches
	Affected Affected
	// KnowsDestination tells whether the configuration in effect has one.
	KnowsDestination func(name string) bool
	// Destinations is who else is told.
	Destinations Destinations
	// Told lists the destinations that are told of people, or once were.
	Told func(ctx context.Context) ([]privacy.Told, error)
	// Doors tells how the server is reached, nil while it is not; may be nil.
	Doors func() *doctor.Doors
	// Alerts lists what is wrong with the house.
	Alerts  func(ctx context.Context) ([]alert.Alert, error)
	Desk    Desk
	Keyring Keyring
	Hash    func(kind, value string) id.Hash // the workspace's keyed hash

	Templates func(name string) (Template, bool) // of the configuration in effect
	Providers func(name string) bool
	Sources   func(name string) bool

	// House is the name of who is responsible, for readers.
	House         func() string
	Configuration func() Configuration
	// Plan says what a folder would change; its answer is encoded as it is.
	Plan func(ctx context.Context, files map[string][]byte) (any, error)
	// Apply lets a folder be in effect. expect is the version that the caller
	// has seen, 0 for any.
	Apply func(ctx context.Context, files map[string][]byte, expect int) (any, error)

	// Backup writes a copy of log and state, whole or with an error.
	Backup func(ctx context.Context, w io.Writer) error
	// Retention tells what is kept for a term only; its answer is encoded as it is.
	Retention func(ctx context.Context) (any, error)
	// Survey tells what the log holds of a source, or of all; its answer is encoded as it is.
	Survey func(ctx context.Context, source string, since time.Time, most int64) (any, error)

	// Import takes a batch of events into the bulk lane; nil: none are taken.
	Import Importer
	// ImportConsent takes permission that was given elsewhere; nil: none is taken.
	ImportConsent ConsentImporter
	// Duplicates counts mails that may have reached somebody twice. May be nil:
	// then the status does not say.
	Duplicates func(ctx context.Context) (int64, error)

	Now     func() time.Time // business time
	Machine func() time.Time // machine time: keys live in the real world
	Rand    io.Reader        // names requests and changes
	Build   string           // the program's version, for the status
	Logger  *slog.Logger     // may be nil
}

// Handler is the door. It is safe for concurrent use.
type Handler struct {
	Config
	once    *once
	known   known
	began   int64       // where the live lane ended when the door was built
	settled atomic.Bool // it is walked up to there
	started time.Time
	random  random
}

// New checks the configuration and makes a Handler.
func New(c Config) (*Handler, error) {
	switch {
	case c.Keys == nil || c.Limits == nil || c.Log == nil || c.Walk == nil || c.Reader == nil || c.Rejects == nil || c.Asides == nil || c.Consent == nil || c.Trail == nil || c.Desk == nil || c.Hash == nil || c.Destinations == nil || c.Alerts == nil || c.Keyring == nil || c.Rights == nil || c.Barred == nil:
		return nil, errors.New("manage: Config.Keys, Limits, Log, Walk, Reader, Rejects, Asides, Consent, Trail, Desk, Hash, Destinations, Alerts, Keyring, Rights and Barred are required")
	case c.Templates == nil || c.Providers == nil || c.Sources == nil || c.KnowsDestination == nil || c.Told == nil:
		return nil, errors.New("manage: Config.Templates, Providers, Sources, KnowsDestination and Told are required")
	case c.Breaches == nil || c.Affected == nil || c.Backup == nil || c.Retention == nil:
		return nil, errors.New("manage: Config.Breaches, Affected, Backup and Retention are required")
	case c.House == nil || c.Configuration == nil || c.Plan == nil || c.Apply == nil || c.Survey == nil:
		return nil, errors.New("manage: Config.House, Configuration, Plan, Apply and Survey are required")
	case c.Now == nil || c.Machine == nil || c.Rand == nil:
		return nil, errors.New("manage: Config.Now, Machine and Rand are required")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{Config: c, started: c.Machine(), random: random{from: c.Rand}}
	h.once = newOnce(keptKeys, func() int64 { return c.Walk.Walked(eventlog.Live) })
	h.known.keys, h.known.count = c.Reader.Keys, h.owedEver
	h.known.walked = func() int64 { return c.Walk.Walked(eventlog.Live) }
	h.known.tail = func() int64 {
		last, _ := c.Log.Tail(eventlog.Live)
		return last
	}
	h.began, _ = c.Log.Tail(eventlog.Live)
	return h, nil
}

// endpoint answers one method of one path. key is the caller's.
type endpoint func(w http.ResponseWriter, r *http.Request, key access.Key) error

// routes gives every path with its methods.
func (h *Handler) routes() map[string]map[string]endpoint {
	return map[string]map[string]endpoint{
		"/v1/config":                             {http.MethodGet: h.getConfig, http.MethodPost: h.postConfig},
		"/v1/send":                               {http.MethodPost: h.postSend},
		"/v1/people/{ref}":                       {http.MethodGet: h.getPerson},
		"/v1/people/{ref}/events":                {http.MethodGet: h.getEvents},
		"/v1/people/{ref}/export":                {http.MethodGet: h.getExport},
		"/v1/people/{ref}/trail":                 {http.MethodGet: h.getPersonTrail},
		"/v1/people/{ref}/unmerge":               {http.MethodPost: h.postUnmerge},
		"/v1/people/{ref}/erase":                 {http.MethodPost: h.postErase},
		"/v1/people/{ref}/correct":               {http.MethodPost: h.postCorrect},
		"/v1/people/{ref}/restrict":              {http.MethodPost: h.postRestrict},
		"/v1/people/{ref}/lift":                  {http.MethodPost: h.postLift},
		"/v1/people/{ref}/object":                {http.MethodPost: h.postObject},
		"/v1/admit":                              {http.MethodPost: h.postAdmit},
		"/v1/retention":                          {http.MethodGet: h.getRetention},
		"/v1/backup":                             {http.MethodGet: h.getBackup},
		"/v1/requests":                           {http.MethodGet: h.getRequests, http.MethodPost: h.postRequest},
		"/v1/requests/{id}":                      {http.MethodGet: h.getRequest},
		"/v1/requests/{id}/close":                {http.MethodPost: h.postClose},
		"/v1/requests/{id}/certificate":          {http.MethodGet: h.getCertificate},
		"/v1/breaches":                           {http.MethodGet: h.getBreaches, http.MethodPost: h.postBreach},
		"/v1/breaches/{id}":                      {http.MethodGet: h.getBreach, http.MethodPost: h.changeBreach},
		"/v1/breaches/{id}/close":                {http.MethodPost: h.closeBreach},
		"/v1/breaches/{id}/people":               {http.MethodGet: h.getBreachPeople},
		"/v1/breaches/{id}/report":               {http.MethodGet: h.getBreachReport},
		"/v1/segments":                           {http.MethodGet: h.getSegments},
		"/v1/segments/{name}/explain":            {http.MethodGet: h.explainSegment},
		"/v1/journeys":                           {http.MethodGet: h.getJourneys},
		"/v1/journeys/{name}/explain":            {http.MethodGet: h.explainJourney},
		"/v1/journeys/{name}/trigger":            {http.MethodPost: h.postTrigger},
		"/v1/messages":                           {http.MethodGet: h.getMessages},
		"/v1/messages/{id}":                      {http.MethodGet: h.getMessage},
		"/v1/rejected":                           {http.MethodGet: h.getRejects},
		"/v1/rejected/{id}":                      {http.MethodGet: h.getReject, http.MethodDelete: h.dropReject},
		"/v1/rejected/{id}/resend":               {http.MethodPost: h.resend},
		"/v1/violations":                         {http.MethodGet: h.getViolations},
		"/v1/sources/report":                     {http.MethodGet: h.getSources},
		"/v1/set-aside":                          {http.MethodGet: h.getAsides},
		"/v1/set-aside/{lane}/{position}":        {http.MethodGet: h.getAside, http.MethodDelete: h.dropAside},
		"/v1/set-aside/{lane}/{position}/resend": {http.MethodPost: h.resendAside},
		"/v1/import/{source}":                    {http.MethodPost: h.postImport},
		"/v1/import/{source}/consent":            {http.MethodPost: h.postImportConsent},
		"/v1/keys":                               {http.MethodGet: h.getKeys, http.MethodPost: h.postKey},
		"/v1/keys/{id}":                          {http.MethodDelete: h.deleteKey},
		"/v1/keyring":                            {http.MethodGet: h.getKeyring},
		"/v1/keyring/rotation":                   {http.MethodGet: h.getRotation, http.MethodPost: h.postRotation},
		"/v1/consent":                            {http.MethodGet: h.getConsent, http.MethodPost: h.postConsent},
		"/v1/consent/confirm":                    {http.MethodPost: h.postConfirm},
		"/v1/consent/receipts":                   {http.MethodGet: h.getReceipts},
		"/v1/notices":                            {http.MethodGet: h.getNotices},
		"/v1/suppressions":                       {http.MethodPost: h.postSuppression, http.MethodDelete: h.deleteSuppression},
		"/v1/audit":                              {http.MethodGet: h.getTrail},
		"/v1/audit/key":                          {http.MethodGet: h.getTrailKey},
		"/v1/audit/checkpoint":                   {http.MethodGet: h.getCheckpoint, http.MethodPost: h.postCheckpoint},
		"/v1/audit/bundle":                       {http.MethodGet: h.getBundle},
		"/v1/audit/rows/{n}/proof":               {http.MethodGet: h.getProof},
		"/v1/alerts":                             {http.MethodGet: h.getAlerts},
		"/v1/destinations":                       {http.MethodGet: h.getDestinations},
		"/v1/destinations/{name}":                {http.MethodGet: h.getDestination},
		"/v1/destinations/{name}/test":           {http.MethodPost: h.testDestination},
		"/v1/destinations/{name}/enable":         {http.MethodPost: h.enableDestination},
		"/v1/destinations/{name}/dead":           {http.MethodGet: h.getDead},
		"/v1/destinations/{name}/redrive":        {http.MethodPost: h.postRedrive},
		"/v1/status":                             {http.MethodGet: h.getStatus},
	}
}

// Register puts the door's paths on a mux, and an answer for every other path
// below /v1/ that no other door takes.
func (h *Handler) Register(mux *http.ServeMux) {
	for pattern, methods := range h.routes() {
		mux.Handle(pattern, h.route(pattern, methods))
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		h.fail(w, r, 0, fault.New(fault.NotFound, "no_such_path", "there is nothing at this path; docs/api.md lists what there is"))
	})
}

// Handler serves the door alone.
func (h *Handler) Handler() http.Handler {
	mux := http.NewServeMux()
	h.Register(mux)
	return mux
}

// route checks who asks and picks the method.
func (h *Handler) route(pattern string, methods map[string]endpoint) http.HandlerFunc {
	var names []string
	for m := range methods {
		names = append(names, m)
	}
	slices.Sort(names)
	allow := []string{strings.Join(names, ", ")}
	return func(w http.ResponseWriter, r *http.Request) {
		do, ok := methods[r.Method]
		if !ok && r.Method == http.MethodHead {
			do, ok = methods[http.MethodGet]
		}
		if !ok {
			w.Header()["Allow"] = allow
			h.fail(w, r, http.StatusMethodNotAllowed, fault.New(fault.Invalid, "method_not_allowed", "this path takes %s", allow[0]))
			return
		}
		key, status, err := h.admit(r)
		if err == nil {
			err = h.noted(r, pattern, key)
		}
		if err == nil {
			err = do(w, r, key)
		}
		if err != nil {
			if status == http.StatusUnauthorized {
				w.Header()["Www-Authenticate"] = challenge
			}
			if r.Context().Err() != nil {
				err = fault.Wrap(err, fault.Unavailable, "gave_up", "the caller left, or time ran out, before there was an answer")
			}
			var as *statusError
			if errors.As(err, &as) {
				status = as.status
			}
			h.fail(w, r, status, err)
		}
	}
}

var challenge = []string{`Bearer realm="rapport"`}

// admit tells whether a caller may ask at all, and how to answer when not.
func (h *Handler) admit(r *http.Request) (access.Key, int, error) {
	key, ok := h.Keys.Find(api.Secret(r.Header))
	switch {
	case !ok:
		return key, http.StatusUnauthorized, fault.New(fault.Denied, "key_required", "a valid management key is needed: send it as Authorization: Bearer KEY")
	case key.Kind != access.Manage:
		return key, http.StatusForbidden, fault.New(fault.Denied, "key_not_allowed", "this key may only write events; a management key is needed here")
	}
	// A browser adds what it remembers of Basic by itself, also for a foreign page.
	if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 && site[0] != "same-origin" && site[0] != "none" && r.Method != http.MethodGet {
		return key, http.StatusForbidden, fault.New(fault.Denied, "foreign_page", "a page of another origin may not change anything here")
	}
	if ok, wait := h.Limits.Allow(key.ID, 1); !ok {
		e := fault.New(fault.Limited, "too_many_requests", "the key's rate limit is reached; ask again after Retry-After")
		e.RetryAfter, e.Temp = wait, true
		return key, http.StatusTooManyRequests, e
	}
	return key, 0, nil
}

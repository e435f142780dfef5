// Package ingest takes what a door has read, validates it, asks permission,
// completes it and appends it to the log. What comes in are raw Segment-shaped
// JSON bodies; what goes out are durable records, or rejects that are kept with
// a code, so that nothing malformed disappears. What permission forbids is
// counted and never kept. It knows nothing of HTTP and never decides whom an
// event is about or whether it is a duplicate.
package ingest

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/plan"
	"rapport/internal/purpose"
	"rapport/internal/ratelimit"
)

// Appender is the log: Append returns once the records are durable. It does not
// keep the slices.
type Appender interface {
	Append(ctx context.Context, lane eventlog.Lane, records [][]byte) (first int64, at time.Time, err error)
}

// Preference is what somebody said about one consent category.
type Preference struct {
	Category string
	Granted  bool
}

// Statement is an event together with what it says on permission. It is valid
// during the call only.
type Statement struct {
	Event       *event.Event
	Preferences []Preference // context.consent.categoryPreferences
	GPC         bool         // the request bore Sec-GPC: 1
	At          time.Time    // when permission is asked for, which may be long after the event came
}

// Verdict is the answer for one event.
type Verdict struct {
	Allow bool
	// Instead is the record that is appended when the event itself is not
	// allowed but what it said on permission must stand in the log; nil for none.
	Instead *event.Event
}

// Permit is the authority on permission, as this room needs it. It is safe for
// concurrent use.
type Permit interface {
	// Narrow makes durable whatever the statements narrow, before it returns.
	// The same statement again changes nothing. What widens is left to the walk.
	Narrow(ctx context.Context, said []Statement) error
	// Admit tells whether an event may be kept, collected by this source.
	Admit(src *Source, s Statement) Verdict
}

// Keeper runs functions over rejects and violations in the state store; a write is durable
// before it returns. The roof joins it to the store.
type Keeper interface {
	Write(ctx context.Context, fn func(Store) error) error
	Read(ctx context.Context, fn func(Store) error) error
}

// Source is one place that events come from.
type Source struct {
	Name      string
	Disabled  bool
	Purpose   purpose.Purpose // why its data is collected
	Basis     purpose.Basis   // on which legal basis
	Browser   bool            // its keys are public
	PerSecond float64         // events that each of its keys may bring a second; zero: as all keys
	UserHash  []byte          // the secret under which user ids are signed; nil: none are
	Plan      *plan.Plan      // the tracking plan that it follows; nil: none
}

// Limits bound what one call may bring. A zero means the default.
type Limits struct {
	EventBytes   int     // one event: 32 KB
	BatchBytes   int     // one batch: 500 KB
	BatchItems   int     // 2,500
	Depth        int     // nesting of one event: 32
	Keys         int     // members of all objects of one event: 1,000
	MessageID    int     // characters: 100
	ID           int     // bytes of any other identifier: 500
	Name         int     // bytes of an event's name: 500
	Externals    int     // external ids of one event that are read: 20
	KeptRejects  int     // rejects kept, oldest go first: 10,000
	RejectsASec  float64 // rejects kept a second and source; beyond, they are only counted: 1,000
	RejectsBurst float64 // 10,000
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		at *int
		to int
	}{
		{&l.EventBytes, 32 << 10}, {&l.BatchBytes, 500 << 10}, {&l.BatchItems, 2500}, {&l.Depth, 32}, {&l.Keys, 1000},
		{&l.MessageID, 100}, {&l.ID, 500}, {&l.Name, 500}, {&l.Externals, 20}, {&l.KeptRejects, 10_000},
	} {
		if *d.at <= 0 {
			*d.at = d.to
		}
	}
	if l.RejectsASec <= 0 {
		l.RejectsASec = 1000
	}
	if l.RejectsBurst <= 0 {
		l.RejectsBurst = 10_000
	}
	return l
}

// Config is what an Ingest needs.
type Config struct {
	Log     Appender
	Permit  Permit
	Keeper  Keeper
	Sources func(name string) (Source, bool) // for sending rejects again
	Now     func() time.Time                 // business time
	Machine func() time.Time                 // machine time, for rates
	Rand    io.Reader                        // makes message ids; crypto/rand when nil
	Limits  Limits
	Room    func() error // says why no events may be taken for now; nil: they always may
	Hash    plan.Hash    // makes digests of personal data that a plan wants hashed; nil: it is masked
	// Erased tells whether a payload names somebody of whom nothing is kept any more;
	// nil: there is nobody.
	Erased  func(payload []byte) bool
	Metrics *Metrics
	Logger  *slog.Logger
}

// Call is one request from a door.
type Call struct {
	Source  Source
	Browser bool         // it came with a public browser key
	Bulk    bool         // it goes to the bulk lane and its entries are initial
	Path    string       // the route it came by, kept with rejects
	Type    event.Type   // what the route says each body is; event.Unknown: a batch
	Body    []byte       // a single event or a batch; it is not kept and not changed
	GPC     bool         // Sec-GPC: 1
	Strict  bool         // all or nothing: a malformed item, or one that breaks the spec, refuses the call
	Remote  netip.Addr   // the client, for context.ip of client-side calls
	Agent   string       // its user agent, for the same
	Sent    string       // when the sender sent it by its own clock, where the body does not say; what is no time counts as nothing
	arrived time.Time    // when a reject that is sent again first came; zero: now
	resent  int64        // the reject that is sent again; zero: none, below: something kept elsewhere
	kept    *event.Event // what is sent again mended, as it was when it was taken; nil: it never was
	dry     bool         // nothing is written, only said
}

// Rejection is one item that was not taken.
type Rejection struct {
	Index  int    // place in the batch; -1 for the call as a whole
	Code   string // stable, see the Code constants
	Detail string // what was wrong, without values
	ID     int64  // of the kept reject; zero when it is only counted
	// Pointer is the JSON pointer below the item to what is wrong, "" for the item.
	Pointer string
}

// Receipt tells what became of a call.
type Receipt struct {
	Lane     eventlog.Lane
	First    int64 // position of the first record appended; zero when there is none
	Last     int64
	At       time.Time // the instant they bear
	Accepted int       // events appended
	Denied   int       // events that permission forbids
	Rejected []Rejection
}

// Ingest is the room's one service. It is safe for concurrent use.
type Ingest struct {
	log     Appender
	permit  Permit
	keeper  Keeper
	sources func(string) (Source, bool)
	now     func() time.Time
	machine func() time.Time
	room    func() error
	hash    plan.Hash
	erased  func([]byte) bool
	limits  Limits
	metrics *Metrics
	logger  *slog.Logger
	pace    *ratelimit.Keyed
	pool    sync.Pool

	ledger ledger // what was taken although it breaks the spec

	randMu sync.Mutex
	rand   *bufio.Reader
}

// New checks the configuration and makes an Ingest.
func New(c Config) (*Ingest, error) {
	switch {
	case c.Log == nil || c.Permit == nil || c.Keeper == nil:
		return nil, errors.New("ingest: Config.Log, Permit and Keeper are required")
	case c.Now == nil || c.Machine == nil:
		return nil, errors.New("ingest: Config.Now and Machine are required")
	}
	in := &Ingest{
		log: c.Log, permit: c.Permit, keeper: c.Keeper, sources: c.Sources, now: c.Now, machine: c.Machine,
		hash: c.Hash, erased: c.Erased, limits: c.Limits.withDefaults(), metrics: c.Metrics, logger: c.Logger,
	}
	if in.sources == nil {
		in.sources = func(string) (Source, bool) { return Source{}, false }
	}
	if in.room = c.Room; in.room == nil {
		in.room = func() error { return nil }
	}
	if in.erased == nil {
		in.erased = func([]byte) bool { return false }
	}
	if in.metrics == nil {
		in.metrics = NewMetrics(nil)
	}
	if in.logger == nil {
		in.logger = slog.New(slog.DiscardHandler)
	}
	source := c.Rand
	if source == nil {
		source = rand.Reader
	}
	in.rand = bufio.NewReaderSize(source, 4096)
	var err error
	in.pace, err = ratelimit.NewKeyed(ratelimit.Config{
		PerSecond: in.limits.RejectsASec, Burst: in.limits.RejectsBurst, Now: c.Machine,
	})
	if err != nil {
		return nil, err
	}
	in.pool.New = func() any { return new(work) }
	return in, nil
}

// Limits gives what is enforced, defaults filled in.
func (in *Ingest) Limits() Limits { return in.limits }

// MaxBody gives how many bytes the body of a route may have at most.
func (in *Ingest) MaxBody(t event.Type) int {
	if t == event.Unknown {
		return in.limits.BatchBytes
	}
	return in.limits.EventBytes
}

// Take validates a call, asks permission for each event and returns once what
// may be kept is durable. A malformed item of a batch does not stop the others;
// it is in the receipt and, unless too many come, kept. An Invalid fault means
// that nothing was taken and trying the same again cannot help; Unavailable,
// that it may.
func (in *Ingest) Take(ctx context.Context, c Call) (Receipt, error) {
	if c.Source.Disabled {
		return Receipt{}, in.disabled(c.Source.Name)
	}
	w := in.pool.Get().(*work)
	defer in.release(w)
	w.begin(in, &c)

	p := in.split(w)
	if p.code == CodeEmptyBatch && !c.Strict {
		w.reject(-1, p, c.Body)
		if err := in.keep(ctx, w); err != nil {
			return Receipt{}, err
		}
		return Receipt{Rejected: w.rejected}, nil // Segment's answer is a success, and trying again does not help.
	}
	if !p.ok() {
		return in.refuse(ctx, w, p)
	}
	if err := in.parseAll(w); err != nil {
		return Receipt{}, err
	}
	if c.Strict && len(w.rejected) > 0 {
		if err := in.keep(ctx, w); err != nil {
			return Receipt{}, err
		}
		return Receipt{Rejected: w.rejected}, strictFault(c.Type, w.rejected)
	}
	if w.call.Type != event.Unknown && len(w.rejected) > 0 && unreadable(w.rejected[0].Code) {
		if err := in.keep(ctx, w); err != nil {
			return Receipt{}, err
		}
		return Receipt{Rejected: w.rejected}, fault.New(fault.Invalid, w.rejected[0].Code, "%s", w.rejected[0].Detail)
	}
	if c.dry {
		var r Receipt
		in.admit(w, &r)
		return r, nil
	}
	return in.commit(ctx, w)
}

func (in *Ingest) disabled(source string) error {
	in.metrics.reject(source, CodeSourceDisabled, 1)
	return fault.New(fault.Denied, CodeSourceDisabled, "the source is disabled; enable it in its file")
}

// unreadable tells whether a code says that a single event could not be read at
// all. As with Segment its caller hears of that, and of nothing else.
func unreadable(code string) bool {
	switch code {
	case CodeJSON, CodeTooDeep, CodeTooManyKeys, CodeDuplicateKey, CodeNumberRange:
		return true
	}
	return false
}

// commit asks permission, keeps what was malformed and appends the rest.
func (in *Ingest) commit(ctx context.Context, w *work) (Receipt, error) {
	// What was taken once has said its no, durably, when it came; said again it
	// would take back a yes that came since.
	if len(w.said) > 0 && w.call.kept == nil {
		if err := in.permit.Narrow(ctx, w.said); err != nil {
			return Receipt{}, unavailable(err, "permission could not be written down")
		}
	}
	// What narrows permission stands by now, also where its event must come again.
	if err := in.room(); err != nil {
		return Receipt{}, unavailable(err, "there is no room")
	}
	r := Receipt{Lane: eventlog.Live}
	if w.call.Bulk {
		r.Lane = eventlog.Bulk
	}
	in.admit(w, &r)
	if len(w.rejected) > 0 {
		if err := in.keep(ctx, w); err != nil {
			return Receipt{}, err
		}
		r.Rejected = w.rejected
	}
	if len(w.ends) > 0 {
		first, at, err := in.log.Append(ctx, r.Lane, w.slices())
		if err != nil {
			return Receipt{}, unavailable(err, "the log could not be written")
		}
		r.First, r.Last, r.At = first, first+int64(len(w.ends))-1, at
	}
	in.note(ctx, w)
	in.metrics.taken(w.call.Source.Name, r.Accepted, r.Denied)
	return r, w.refused()
}

// admit asks permission for each event and encodes what may be kept.
func (in *Ingest) admit(w *work, r *Receipt) {
	said := 0
	for i := range w.events {
		e := &w.events[i]
		s := Statement{Event: e, GPC: w.call.GPC}
		if said < len(w.said) && w.said[said].Event == e {
			s = w.said[said]
			said++
		}
		s.At = w.received
		v := in.permit.Admit(&w.call.Source, s)
		if v.Allow {
			if w.setApart(i) {
				continue
			}
			w.unname(i)
			r.Accepted++
		} else {
			r.Denied++
			w.forget(i)
			if e = v.Instead; e == nil {
				continue
			}
		}
		w.encoded = e.Append(w.encoded)
		w.ends = append(w.ends, len(w.encoded))
	}
	if len(w.judged) > 0 && !w.call.dry {
		in.tell(w)
	}
}

// TooLarge counts and keeps that a body was turned away unread because it has
// more bytes than MaxBody, or would have, unpacked. There is no payload to keep.
func (in *Ingest) TooLarge(ctx context.Context, c Call) error {
	w := in.pool.Get().(*work)
	defer in.release(w)
	w.begin(in, &c)
	p := in.tooLarge(c.Type)
	p.detail += "; it was turned away unread, so there is no payload"
	w.reject(-1, p, nil)
	return in.keep(ctx, w)
}

func (in *Ingest) tooLarge(t event.Type) problem {
	code := CodeBatchTooLarge
	if t != event.Unknown {
		code = CodeEventTooLarge
	}
	return problem{code, fmt.Sprintf("the body has more than %d bytes", in.MaxBody(t))}
}

// refuse turns down a call as a whole.
func (in *Ingest) refuse(ctx context.Context, w *work, p problem) (Receipt, error) {
	w.reject(-1, p, w.call.Body)
	if err := in.keep(ctx, w); err != nil {
		return Receipt{}, err
	}
	kind := fault.Invalid
	if p.code == CodeBatchTooLarge || p.code == CodeEventTooLarge || p.code == CodeBatchTooLong {
		kind = fault.Limited
	}
	return Receipt{Rejected: w.rejected}, fault.New(kind, p.code, "%s", p.detail)
}

// unavailable gives an error that has no kind of its own the one that says that
// trying again may help: nothing that is durable must be lost by a caller who
// gives up.
func unavailable(err error, detail string) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Kind != fault.Internal {
		return err
	}
	e := fault.Wrap(err, fault.Unavailable, "not_durable", "%s; try again", detail)
	e.RetryAfter = time.Second
	return e
}

// Package processor walks each record of the log through identity, profile,
// segment, journey and outbox in one transaction and moves its position. What
// comes in are records in the order of a lane; what goes out are changed rows,
// owed mails and derived events. It holds no rule of its own.
package processor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/group"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/journey"
	"rapport/internal/outbox"
	"rapport/internal/person"
	"rapport/internal/profile"
	"rapport/internal/purview"
	"rapport/internal/rights"
	"rapport/internal/rule"
	"rapport/internal/segment"
	"rapport/internal/timer"
)

// ErrMoved says that another walker has moved the lane's position: this batch
// must not commit.
var ErrMoved = errors.New("another walker has moved the lane")

// ErrLost is in the error of a state that is not this process's any more, or not
// as this process left it: no batch can commit, and no record is to blame.
var ErrLost = errors.New("the state is not as this process left it")

// ErrNoVersion is what Config.Load wraps when the log names a configuration that
// the state does not hold: the state is older than its log, and walking on
// would decide again what it has forgotten.
var ErrNoVersion = errors.New("the state is older than its log: restore both from one backup; missing is")

// Books is what the walk's transaction touches.
type Books struct {
	Persons  person.Store
	Identity identity.Store
	History  profile.Store
	Segment  segment.Store
	Group    group.Store
	Timer    timer.Store
	Consent  consent.Store
	Outbox   outbox.Store
	Walk     Store
	Rights   rights.Store
	// Forget has the rooms that the walk does not know forget somebody, counts what
	// they did, and gives the number under which destinations are told.
	Forget func(Forgotten, *Erased) (told int64, err error)
	// Tell is told of each event once it is walked, and of each entry into a
	// segment and exit from one; nil: nobody listens.
	Tell func(Happening) error
	// Pressed tells that somebody said no and waits for this transaction to end; nil: nobody ever does.
	Pressed func() bool
}

// Happening is one thing that was walked.
type Happening struct {
	Who     id.Person
	Event   *event.Event // valid during the call only
	Segment string       // what was entered or left, or ""
	Entered bool
	Initial bool   // it was so already, or is imported
	Reason  string // why it was left, where that is not that the rule holds no more
}

// Keeper runs functions over the books in one transaction. The roof joins it to
// the state store.
type Keeper interface {
	// Write commits what fn did, or nothing. idle lets other writers go first.
	Write(ctx context.Context, idle bool, fn func(Books) error) error
	// Read runs fn in a snapshot.
	Read(ctx context.Context, fn func(Books) error) error
	// Ahead says whom a batch that comes soon names. It may fail: the batch asks itself.
	Ahead(ctx context.Context, hashes []id.Hash, people []id.Person) error
}

// Version is what the walk needs of one configuration version. It is immutable.
type Version struct {
	Number   int
	Schema   *profile.Schema
	Segments *segment.Catalog
	Journeys *journey.Catalog
	Terms    map[string]*profile.Term // how long traits are kept that are not kept for ever
	Purview  *purview.Table           // what each purpose may see; nil: everything
}

// Clock is business time and how to wait for it.
type Clock interface {
	Now() time.Time
	// After gives a channel that receives once business time has moved by d.
	After(d time.Duration) <-chan time.Time
}

// Config is what a Walker needs.
type Config struct {
	Log      *eventlog.Log
	Keeper   Keeper
	Resolver *identity.Resolver
	Hasher   *id.Hasher
	Consent  *consent.Authority
	Clock    Clock
	Logger   *slog.Logger
	Mono     func() time.Time // machine time
	Window   time.Duration    // of duplicates; 24 h when zero
	// Load compiles a configuration version. It is called when its record is walked.
	Load func(ctx context.Context, number int) (*Version, error)
	// Applied tells that a version is in effect; may be nil.
	Applied func(*Version)
	// Erased tells whose data are gone by a commit, of which identifiers events were
	// not kept any more at some time in it, and of which they are kept again at its end;
	// may be nil.
	Erased func(gone []id.Person, barred, admitted []id.Hash)
	// Admits writes down that events of an identifier are kept again from the record at
	// a position on, before that is committed; may be nil.
	Admits func(h id.Hash, lane eventlog.Lane, pos int64) error
	// Barred tells of an identifier whether nothing is kept under it, also where a state
	// that is older than an erasure knows nobody of that name; may be nil.
	Barred func(id.Hash) bool
	// Owed tells which mails a commit added; may be nil.
	Owed func([]id.Message)
}

// Walker walks the lanes of one log into one state store. Run it once.
type Walker struct {
	Config

	// The rest down to mu belongs to the goroutine that walks.
	set          workingSet
	packer       packer
	seen         *seen
	batchSeen    map[id.Hash]time.Time // hashes of the batch in hand, and when they came
	p            *pass
	failure      error     // of a call that cannot return one
	began        time.Time // the transaction, in machine time
	short        bool      // the last one ended early for somebody
	now          int64     // instant of the record in hand
	safe         int64     // instant up to which the live lane is known
	instantFloor int64     // highest instant walked on the live lane
	subject      subject
	props        rule.Object
	change       profile.Change
	work         segment.Work
	turn         journey.Turn
	queue, round []derived
	cascade      cascade
	counts       map[string]int64
	former       map[uint32]string // names of segments by key, those that are no more among them
	pending      segment.Backfill
	spoke        []id.Hash   // identifiers of whom the record in hand says something of permission
	denied       []id.Hash   // those of them under which it says no
	named        []id.Person // people who go by another identifier since the record in hand
	oneByOne     int         // people that a backfill still takes singly
	relayedTo    int64
	lastLive     time.Time // machine time of the last live batch

	armed   chan struct{} // an alarm was armed
	relayed chan struct{} // a relay row waits
	hurried chan struct{} // somebody waits for it

	mu       sync.Mutex
	version  *Version
	walked   [2]int64      // positions, by lane
	moved    chan struct{} // closed and replaced at each commit
	rung     timer.Alarm   // how far the scanner has come
	behind   int64         // earliest instant armed since the scanner last looked
	backfill segment.Backfill
	stats    Stats
}

// packer is a profile.Packer that is made with the first transaction.
type packer struct{ *profile.Packer }

func (p *packer) begin(s profile.Store) (err error) {
	if p.Packer == nil {
		p.Packer, err = profile.NewPacker(s)
		return err
	}
	return p.Begin(s)
}

// Stats counts what a walker did since it was opened.
type Stats struct {
	Walked, Duplicates, SetAside, Derived, Mails, Merges, Refused, Withdrawn int64
	Batches                                                                  int64

	Late    int64 // records about somebody who was erased
	Erased  int64 // mails that do not leave because of that
	Expired int64 // traits that were kept no longer
}

// New checks the configuration. Open must be called before anything else.
func New(c Config) (*Walker, error) {
	if c.Log == nil || c.Keeper == nil || c.Resolver == nil || c.Hasher == nil || c.Consent == nil || c.Clock == nil || c.Mono == nil || c.Load == nil {
		return nil, errors.New("processor: Log, Keeper, Resolver, Hasher, Consent, Clock, Mono and Load are required")
	}
	if c.Window == 0 {
		c.Window = 24 * time.Hour
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Walker{
		Config: c, seen: newSeen(c.Window), batchSeen: map[id.Hash]time.Time{}, counts: map[string]int64{}, former: map[uint32]string{},
		moved: make(chan struct{}), armed: make(chan struct{}, 1), relayed: make(chan struct{}, 1), hurried: make(chan struct{}, 1),
	}
	w.subject.w = w
	w.work.Permit = w.computes
	w.set.init(w)
	return w, nil
}

// Open checks that log and state belong together and reads where the walk
// stands and which configuration is in effect.
func (w *Walker) Open(ctx context.Context) error {
	var logID string
	err := w.Keeper.Read(ctx, func(b Books) error {
		var err error
		if logID, err = b.Walk.LogID(); err != nil {
			return err
		}
		for lane := range w.walked {
			if w.walked[lane], err = b.Walk.Position(eventlog.Lane(lane)); err != nil {
				return err
			}
		}
		w.backfill, _, err = b.Segment.Backfill()
		return err
	})
	if err != nil {
		return fmt.Errorf("read where the walk stands: %w", err)
	}
	if err := w.checkLog(ctx, logID); err != nil {
		return err
	}
	_, at := w.Log.Tail(eventlog.Live)
	if pos, _ := w.Log.Tail(eventlog.Live); pos == w.walked[eventlog.Live] && !at.IsZero() {
		w.instantFloor = at.UnixMilli()
	}
	if w.backfill.Version == 0 {
		w.version = &Version{Schema: profile.NewSchema(nil), Segments: noSegments(), Journeys: noJourneys()}
		return nil
	}
	if w.version, err = w.Load(ctx, w.backfill.Version); err != nil {
		return fmt.Errorf("compile configuration %d: %w", w.backfill.Version, err)
	}
	if w.Applied != nil {
		w.Applied(w.version)
	}
	return nil
}

// noSegments and noJourneys are the catalogs of an installation to which no
// configuration was applied yet.
func noSegments() *segment.Catalog {
	c, err := segment.Compile(nil)
	if err != nil {
		panic(err) // Nothing at all always compiles.
	}
	return c
}

func noJourneys() *journey.Catalog {
	c, err := journey.Compile(0, nil)
	if err != nil {
		panic(err) // Nothing at all always compiles.
	}
	return c
}

func (w *Walker) checkLog(ctx context.Context, known string) error {
	own := w.Log.ID()
	if known == "" {
		return w.Keeper.Write(ctx, false, func(b Books) error { return b.Walk.SetLogID(own) })
	}
	if known != own {
		return fault.New(fault.Conflict, "log_and_state_differ",
			"the state belongs to log %s, the data folder holds log %s: restore both from one backup", known, own)
	}
	for lane, pos := range w.walked {
		if tail, _ := w.Log.Tail(eventlog.Lane(lane)); tail < pos {
			return fault.New(fault.Conflict, "log_too_short",
				"the state has walked lane %d up to %d, the log ends at %d: restore both from one backup", lane, pos, tail)
		}
	}
	return nil
}

// LoadSeen reads the duplicate window from the state store. It must be done
// before the first batch is walked and takes as long as reading 16 bytes for
// each event of the window.
func (w *Walker) LoadSeen(ctx context.Context) error {
	since, err := w.SeenSince(ctx)
	if err != nil {
		return err
	}
	return w.Keeper.Read(ctx, func(b Books) error { return b.Walk.EachSeen(since, w.remember16) })
}

// SeenSince gives the instant from which the duplicate window is needed: the
// window before the oldest record that is not walked yet, however long ago that
// came. What is older may be dropped.
func (w *Walker) SeenSince(ctx context.Context) (time.Time, error) {
	oldest := w.Clock.Now()
	for _, lane := range []eventlog.Lane{eventlog.Live, eventlog.Bulk} {
		recs, err := w.Log.Read(ctx, lane, w.Walked(lane)+1, 1)
		if err != nil {
			return time.Time{}, fmt.Errorf("read the next record: %w", err)
		}
		if len(recs) > 0 && recs[0].At.Before(oldest) {
			oldest = recs[0].At
		}
	}
	return w.seen.since(oldest), nil
}

// Version gives the configuration in effect.
func (w *Walker) Version() *Version {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.version
}

// Stats gives a copy of the counters.
func (w *Walker) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// Walked gives how far a lane is walked.
func (w *Walker) Walked(lane eventlog.Lane) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.walked[lane]
}

// Wait returns once a lane is walked up to a position, or with the context's error.
func (w *Walker) Wait(ctx context.Context, lane eventlog.Lane, pos int64) error {
	for {
		w.mu.Lock()
		done, moved := w.walked[lane] >= pos, w.moved
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reserved is the source name under which the house's own records stand.
const reserved = "rapport"

// personKind is the kind under which the trail hashes a person's number.
const personKind = audit.PersonKind

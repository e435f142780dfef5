// Package destination tells other systems what happened here: events that were
// walked, people who entered or left a segment, where mails stand, and what was
// said of permission, by signed webhooks. What comes in are items, written in the
// transaction of what they tell of; what goes out are requests after Standard
// Webhooks, in order for each person, again over days where they fail. Each
// destination has a queue, a breaker and dead letters of its own. Filters and
// permission are asked again at every attempt. It dials nobody itself and reads
// no profile.
package destination

import (
	"context"
	"net/http"
	"slices"
	"time"

	"rapport/internal/fetch"
	"rapport/internal/id"
	"rapport/internal/purpose"
	"rapport/internal/purview"
	"rapport/internal/rule"
)

// Kind says what an item tells of. The numbers are kept for ever.
type Kind uint8

// The kinds. Erasures go to every destination and ask nobody's permission.
const (
	Event   Kind = 1 // an event of a source was walked; Body is the event as the log keeps it
	Segment Kind = 2 // somebody entered or left a segment; Name is the segment's
	Message Kind = 3 // where a mail stands, or what its reader did; Name is the state
	Consent Kind = 4 // what was said of permission; Name is the purpose
	Erasure Kind = 5 // somebody was erased; Body says by which identifiers they were known
	Alert   Kind = 6 // something is wrong with the house; it concerns nobody
	trial   Kind = 7 // an operator tries a destination; never written down
)

// Flag is what must be known of an item without opening it.
type Flag uint8

// The flags.
const (
	Initial Flag = 1 << iota // it was so already: entered by a backfill, or imported
	Narrows                  // permission was narrowed: whoever may have acted on it must hear of it
	Left                     // Segment: left, not entered
)

// Item is one thing to be told, whoever wants to hear it.
type Item struct {
	Seq     int64 // given by the store; orders what is told
	Kind    Kind
	Flags   Flag
	Name    string
	At      time.Time
	Person  id.Person // zero: nobody, or somebody known by Subject only
	Subject id.Hash   // Consent: the identifier with which it was said
	Body    []byte    // a JSON object, but for Event
}

// Choice is which of some names are wanted.
type Choice struct {
	All   bool
	Names []string
}

// Has tells whether a name is wanted.
func (c Choice) Has(name string) bool { return c.All || slices.Contains(c.Names, name) }

// Empty tells whether nothing is wanted.
func (c Choice) Empty() bool { return !c.All && len(c.Names) == 0 }

// Definition is one destination, ready to be told.
type Definition struct {
	Name        string
	URL         string
	Secrets     []Secret // one, or two while one takes the other's place
	Purpose     purpose.Purpose
	Sees        *purview.Scope // what the purpose may see; nil: everything
	Events      Choice         // names of track events, and identify, page, screen, group and alias
	Where       *rule.Where
	Segments    Choice
	Messages    Choice
	Consent     Choice // purposes
	Alerts      bool
	Existing    bool     // also what is Initial
	Identifiers []string // kinds of identifiers that it is told
	Integration string   // its name in the integrations of an event
	Connections int      // requests at a time
	Unusable    string   // why it cannot be told, "" when it can
	Client      Client
}

// Client posts. fetch.Client is one.
type Client interface {
	Post(ctx context.Context, address string, headers http.Header, body []byte) (fetch.Answer, error)
}

var _ Client = (*fetch.Client)(nil)

// Name is one identifier of a person.
type Name struct{ Kind, Value string }

// Party is whom an item is about, as of now.
type Party struct {
	Person   id.Person
	Subjects []id.Hash // under which their permission is kept
	Names    []Name
}

// Gate knows people and permission. It is safe for concurrent use.
type Gate interface {
	// Whom finds whom items are about, one for each, nil where nobody is known.
	Whom(ctx context.Context, items []*Item) ([]*Party, error)
	// Permit asks whether a party's data of a class may leave for a purpose. An error
	// says that nobody can tell: the item waits and is asked about again.
	Permit(ctx context.Context, p *Party, why purpose.Purpose, class purpose.Class) (ok bool, reason string, err error)
}

// Keeper runs functions over this room's rows in one transaction.
type Keeper interface {
	Write(ctx context.Context, durable bool, fn func(Store) error) error
	Read(ctx context.Context, fn func(Store) error) error
}

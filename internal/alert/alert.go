// Package alert tells people that something is wrong with the house, and that it
// is over. What comes in is what watches find now; what goes
// out are lines of the log, items for other systems, and mails. An alert is told
// once when it begins, once more if a warning becomes a danger, and once when it
// ends, however often it is looked for and however often the house is opened in
// between: what is told is kept. It mends nothing, and knows nobody's personal data.
package alert

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Severity says how soon somebody should look.
type Severity string

// The severities.
const (
	Warning Severity = "warning" // it will hurt if it goes on
	Danger  Severity = "danger"  // it hurts now
)

// Alert is one thing that is wrong.
type Alert struct {
	Name     string    `json:"name"`            // what kind of thing: small letters and _
	About    string    `json:"about,omitempty"` // which one, where there are several
	Severity Severity  `json:"severity"`
	Text     string    `json:"text"`           // what is wrong, without personal data and secrets
	Do       string    `json:"do"`             // what to do about it
	Since    time.Time `json:"since,omitzero"` // zero: since it was first seen
	Ended    time.Time `json:"ended,omitzero"`

	// After is how long it must hold before it is told.
	After time.Duration `json:"-"`
}

// Owed is what is to be mailed of an alert.
type Owed uint8

// What may be owed. The numbers are kept.
const (
	Nothing   Owed = 0
	Beginning Owed = 1
	End       Owed = 2
)

// Row is an alert as it is kept.
type Row struct {
	Alert
	Mail Owed
}

// Store keeps alerts that have not ended, or whose end is not mailed yet. It is
// one accessor of a transaction and is used by one goroutine at a time.
type Store interface {
	// Alerts lists them in order of name and what they are about.
	Alerts() ([]Row, error)
	// PutAlert writes one, new or again; DropAlert deletes it.
	PutAlert(r Row) error
	DropAlert(name, about string) error
}

// Tell gives an alert to other systems: "began" or "ended", and the alert in JSON.
type Tell func(what string, at time.Time, body []byte) error

// Keeper runs functions over this room's rows in one transaction, with what other
// systems are told of in it.
type Keeper interface {
	Write(ctx context.Context, fn func(Store, Tell) error) error
	Read(ctx context.Context, fn func(Store) error) error
}

// Watch looks for alerts of one name. What Look gives holds now, and what it does
// not give is over; an error says that nobody knows, and changes nothing.
type Watch struct {
	Name string
	Look func(ctx context.Context, now time.Time) ([]Alert, error)
}

// Mailer mails to whoever is to know. ErrNobody says that this is nobody.
type Mailer interface {
	Mail(ctx context.Context, subject, text string) error
}

// ErrNobody is given by a Mailer that has nobody to mail to.
var ErrNobody = errors.New("nobody is to be mailed")

// Config is what a Board needs. Keeper, Mailer and Now are required.
type Config struct {
	Keeper  Keeper
	Mailer  Mailer
	Watches []Watch
	Now     func() time.Time // wall-clock time
	Every   time.Duration    // how often is looked; zero: half a minute of machine time
	Logger  *slog.Logger
}

// most is how many alerts are open at a time; those beyond it are only logged.
const most = 1000

// key names an alert.
type key struct{ name, about string }

// Board keeps what is wrong. Run it once; the rest is safe for concurrent use.
type Board struct {
	Config

	mu      sync.Mutex
	read    bool // whether open is what the store holds
	open    map[key]Row
	pending map[key]time.Time // when those were first seen that must hold for some time
	logged  map[key]bool      // beginnings that are in the log, though not yet in the store
	unsent  bool              // the last mail failed, and that is in the log
}

// New checks the configuration and makes a Board.
func New(c Config) (*Board, error) {
	if c.Keeper == nil || c.Mailer == nil || c.Now == nil {
		return nil, errors.New("alert: Keeper, Mailer and Now are required")
	}
	if c.Every <= 0 {
		c.Every = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Board{Config: c, open: map[key]Row{}, pending: map[key]time.Time{}, logged: map[key]bool{}}, nil
}

// Run looks until the context ends.
func (b *Board) Run(ctx context.Context) error {
	tick := time.NewTicker(b.Every) // machine time
	defer tick.Stop()
	for {
		if err := b.Look(ctx); err != nil && ctx.Err() == nil {
			b.Logger.Error("alerts cannot be kept; they are in the log and told once they can be", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Look asks every watch once, and tells what has begun and what has ended.
func (b *Board) Look(ctx context.Context) error {
	now := b.Now()
	var found []Alert
	known := map[string]bool{}
	for _, w := range b.Watches {
		list, err := w.Look(ctx, now)
		if err != nil {
			if ctx.Err() == nil {
				b.Logger.Warn("nobody can tell whether something is wrong", "alert", w.Name, "error", err)
			}
			continue
		}
		known[w.Name] = true
		for _, a := range list {
			a.Name = w.Name
			found = append(found, a)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.load(ctx); err != nil {
		b.onlyLog(b.ripe(found, known, now))
		return err
	}
	begun := b.ripe(found, known, now)
	holds := map[key]bool{}
	for i := range found {
		holds[key{found[i].Name, found[i].About}] = true
	}
	var ended []Row
	for k, r := range b.open {
		if r.Ended.IsZero() && known[k.name] && !holds[k] {
			ended = append(ended, r)
		}
	}
	if err := b.write(ctx, begun, ended, now); err != nil {
		return err
	}
	return b.mail(ctx)
}

// Open lists what is wrong now, in order of name.
func (b *Board) Open(ctx context.Context) ([]Alert, error) {
	out := []Alert{}
	err := b.Keeper.Read(ctx, func(s Store) error {
		rows, err := s.Alerts()
		out = out[:0]
		for _, r := range rows {
			if r.Ended.IsZero() {
				out = append(out, r.Alert)
			}
		}
		return err
	})
	return out, err
}

// ripe gives those that are not known yet and have held long enough, each with
// since when.
func (b *Board) ripe(found []Alert, known map[string]bool, now time.Time) (out []Alert) {
	seen := map[key]bool{}
	for _, a := range found {
		k := key{a.Name, a.About}
		if seen[k] {
			continue
		}
		seen[k] = true
		if r, ok := b.open[k]; ok && r.Ended.IsZero() {
			if r.Severity == Warning && a.Severity == Danger { // It has become worse, and is told again.
				a.Since = r.Since
				out = append(out, a)
			}
			continue
		}
		first, waits := b.pending[k]
		if !waits {
			first = now
			b.pending[k] = now
		}
		if a.Since.IsZero() {
			a.Since = first
		}
		if now.Sub(first) >= a.After {
			out = append(out, a)
		}
	}
	for k := range b.pending {
		if known[k.name] && !seen[k] {
			delete(b.pending, k)
			delete(b.logged, k)
		}
	}
	return out
}

// body writes what other systems are told.
func (a *Alert) body() []byte {
	raw, _ := json.Marshal(a) // Texts and instants always marshal.
	return raw
}

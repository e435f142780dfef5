package alert_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rapport/internal/alert"
)

// shelf is a Keeper in memory that may be broken.
type shelf struct {
	rows   map[[2]string]alert.Row
	told   []string
	broken error
}

func (s *shelf) Write(_ context.Context, fn func(alert.Store, alert.Tell) error) error {
	if s.broken != nil {
		return s.broken
	}
	rows, told := maps.Clone(s.rows), slices.Clone(s.told)
	err := fn(s, func(what string, _ time.Time, body []byte) error {
		s.told = append(s.told, what+" "+string(body))
		return nil
	})
	if err != nil {
		s.rows, s.told = rows, told
	}
	return err
}

func (s *shelf) Read(_ context.Context, fn func(alert.Store) error) error {
	return errors.Join(s.broken, fn(s))
}

func (s *shelf) Alerts() ([]alert.Row, error) {
	return slices.SortedFunc(maps.Values(s.rows), func(a, b alert.Row) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.About, b.About))
	}), nil
}

func (s *shelf) PutAlert(r alert.Row) error { s.rows[[2]string{r.Name, r.About}] = r; return nil }

func (s *shelf) DropAlert(name, about string) error {
	delete(s.rows, [2]string{name, about})
	return nil
}

// post keeps mails, and may be broken.
type post struct {
	subjects, texts []string
	broken          error
}

func (p *post) Mail(_ context.Context, subject, text string) error {
	if p.broken == nil {
		p.subjects, p.texts = append(p.subjects, subject), append(p.texts, text)
	}
	return p.broken
}

// bench is a Board with one watch and a clock that is moved by hand.
type bench struct {
	*testing.T
	shelf shelf
	post  post
	now   time.Time
	found []alert.Alert
	blind error
	board *alert.Board
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, shelf: shelf{rows: map[[2]string]alert.Row{}}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	b.open()
	return b
}

// open makes the Board anew over what is kept.
func (b *bench) open() {
	b.Helper()
	var err error
	b.board, err = alert.New(alert.Config{
		Keeper: &b.shelf, Mailer: &b.post, Now: func() time.Time { return b.now },
		Watches: []alert.Watch{{Name: "down", Look: func(context.Context, time.Time) ([]alert.Alert, error) { return b.found, b.blind }}},
	})
	if err != nil {
		b.Fatal(err)
	}
}

// look looks a minute later and holds what was told and mailed so far against
// what is wanted: the first words.
func (b *bench) look(what string, told, mailed []string) {
	b.Helper()
	b.now = b.now.Add(time.Minute)
	if err := b.board.Look(b.Context()); err != nil {
		b.Fatal(what, err)
	}
	b.holds(what, told, mailed)
}

func (b *bench) holds(what string, told, mailed []string) {
	b.Helper()
	var words []string
	for _, t := range b.shelf.told {
		word, _, _ := strings.Cut(t, " ")
		words = append(words, word)
	}
	if !slices.Equal(words, told) || !slices.Equal(b.post.subjects, mailed) {
		b.Errorf("%s: told %q, mailed %q; want %q, %q", what, words, b.post.subjects, told, mailed)
	}
}

func crm(after time.Duration) []alert.Alert {
	return []alert.Alert{{About: "crm", Severity: alert.Warning, Text: "It is down.", Do: "Mend it.", After: after}}
}

func TestOnceOverRestarts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.look("nothing", nil, nil)
	b.found = crm(0)
	b.look("begun", []string{"began"}, []string{"down (crm)"})
	b.look("still", []string{"began"}, []string{"down (crm)"})
	b.open()
	b.look("opened again", []string{"began"}, []string{"down (crm)"})
	b.blind = errors.New("nobody knows")
	b.found = nil
	b.look("nobody knows", []string{"began"}, []string{"down (crm)"})
	b.blind = nil
	b.look("over", []string{"began", "ended"}, []string{"down (crm)", "over: down (crm)"})
	b.open()
	b.look("opened after its end", []string{"began", "ended"}, []string{"down (crm)", "over: down (crm)"})
	if len(b.shelf.rows) != 0 {
		t.Errorf("%v is kept", b.shelf.rows)
	}
	if text := b.post.texts[0]; !strings.Contains(text, "WARNING: down (crm)\nIt is down.\nWhat to do: Mend it.\nSince 2026-03-01 12:02:00 UTC.") {
		t.Errorf("the mail says\n%s", text)
	}
}

func TestItMustHold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.found = crm(3 * time.Minute)
	b.look("first", nil, nil)
	b.found = nil
	b.look("gone", nil, nil)
	b.found = crm(3 * time.Minute)
	b.look("again", nil, nil)
	b.look("a minute", nil, nil)
	b.look("two minutes", nil, nil)
	b.look("three minutes", []string{"began"}, []string{"down (crm)"})
	if since := b.shelf.rows[[2]string{"down", "crm"}].Since; !since.Equal(b.now.Add(-3 * time.Minute)) {
		t.Errorf("it is said to have begun at %s", since)
	}
}

func TestWorseIsToldAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.found = crm(0)
	b.look("a warning", []string{"began"}, []string{"down (crm)"})
	b.found[0].Severity = alert.Danger
	b.look("a danger", []string{"began", "began"}, []string{"down (crm)", "down (crm)"})
	b.found[0].Severity = alert.Warning
	b.look("a warning again", []string{"began", "began"}, []string{"down (crm)", "down (crm)"})
	b.found = nil
	b.look("over", []string{"began", "began", "ended"}, []string{"down (crm)", "down (crm)", "over: down (crm)"})
}

func TestMailIsOwed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.post.broken = errors.New("no way out")
	b.found = append(crm(0), alert.Alert{About: "erp", Severity: alert.Danger, Text: "Down too.", Do: "Mend it."})
	b.look("mail is broken", []string{"began", "began"}, nil)
	b.open()
	b.found = b.found[1:]
	b.look("one is over before anybody was mailed", []string{"began", "began", "ended"}, nil)
	b.post.broken = nil
	b.look("mail works", []string{"began", "began", "ended"}, []string{"down (erp)"})
	b.post.broken = errors.New("no way out")
	b.found = nil
	b.look("over", []string{"began", "began", "ended", "ended"}, []string{"down (erp)"})
	b.post.broken = nil
	b.open()
	b.look("its end is mailed", []string{"began", "began", "ended", "ended"}, []string{"down (erp)", "over: down (erp)"})
}

func TestNobodyIsMailed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.post.broken = alert.ErrNobody
	b.found = crm(0)
	b.look("begun", []string{"began"}, nil)
	b.found = nil
	b.look("over", []string{"began", "ended"}, nil)
	if len(b.shelf.rows) != 0 {
		t.Errorf("%v is kept", b.shelf.rows)
	}
}

func TestABrokenStoreIsToldLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.found = crm(0)
	b.shelf.broken = errors.New("no store")
	for range 2 {
		if err := b.board.Look(t.Context()); err == nil {
			t.Error("nobody says that the store is broken")
		}
	}
	b.shelf.broken = nil
	b.look("mended", []string{"began"}, []string{"down (crm)"})
}

package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// What other systems are told that became of an alert.
const (
	Began = "began"
	Over  = "ended"
)

// load reads what was told before the house was opened.
func (b *Board) load(ctx context.Context) error {
	if b.read {
		return nil
	}
	open := map[key]Row{}
	err := b.Keeper.Read(ctx, func(s Store) error {
		clear(open)
		rows, err := s.Alerts()
		for _, r := range rows {
			open[key{r.Name, r.About}] = r
		}
		return err
	})
	if err == nil {
		b.open, b.read = open, true
	}
	return err
}

// write keeps what has begun and ended, gives it to other systems in the same
// transaction, and logs it.
func (b *Board) write(ctx context.Context, begun []Alert, ended []Row, now time.Time) error {
	if room := most - len(b.open); len(begun) > room {
		b.onlyLog(begun[room:])
		begun = begun[:room]
	}
	if len(begun)+len(ended) == 0 {
		return nil
	}
	next := maps.Clone(b.open)
	err := b.Keeper.Write(ctx, func(s Store, tell Tell) error {
		next = maps.Clone(b.open)
		for _, a := range begun {
			if err := begin(s, tell, next, a, now); err != nil {
				return err
			}
		}
		for _, r := range ended {
			if err := end(s, tell, next, r, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.read = false // What the store holds now is asked again.
		b.onlyLog(begun)
		return fmt.Errorf("keep alerts: %w", err)
	}
	b.open = next
	b.onlyLog(begun)
	for _, a := range begun {
		delete(b.pending, key{a.Name, a.About})
		delete(b.logged, key{a.Name, a.About})
	}
	for i := range ended {
		b.log(slog.LevelInfo, "an alert is over", &ended[i].Alert)
	}
	return nil
}

func begin(s Store, tell Tell, open map[key]Row, a Alert, now time.Time) error {
	k := key{a.Name, a.About}
	r := Row{Alert: a, Mail: Beginning}
	if before, ok := open[k]; ok && before.Mail == End && (before.Severity == Danger || a.Severity == Warning) {
		r.Mail = Nothing // Whoever is mailed has not heard yet that it was over.
	}
	open[k] = r
	if err := s.PutAlert(r); err != nil {
		return err
	}
	return tell(Began, now, a.body())
}

func end(s Store, tell Tell, open map[key]Row, r Row, now time.Time) error {
	r.Ended = now
	if err := tell(Over, now, r.body()); err != nil {
		return err
	}
	k := key{r.Name, r.About}
	if r.Mail == Beginning { // Nobody was mailed of it, and nobody need be.
		delete(open, k)
		return s.DropAlert(r.Name, r.About)
	}
	r.Mail = End
	open[k] = r
	return s.PutAlert(r)
}

// onlyLog puts beginnings into the log, each once.
func (b *Board) onlyLog(begun []Alert) {
	for i := range begun {
		if k := (key{begun[i].Name, begun[i].About}); !b.logged[k] {
			b.logged[k] = true
			b.log(level(begun[i].Severity), "an alert has begun", &begun[i])
		}
	}
}

func level(s Severity) slog.Level {
	if s == Danger {
		return slog.LevelError
	}
	return slog.LevelWarn
}

func (b *Board) log(l slog.Level, what string, a *Alert) {
	//nolint:sloglint // The message is one of two constants.
	b.Logger.Log(context.Background(), l, what, "alert", a.Name, "about", a.About, "severity", string(a.Severity), "text", a.Text, "do", a.Do, "since", a.Since)
}

// mail sends one mail of everything that is owed. What fails is owed still. A
// crash between the mail and its being noted has it mailed again.
func (b *Board) mail(ctx context.Context) error {
	var owed []Row
	for _, r := range b.open {
		if r.Mail != Nothing {
			owed = append(owed, r)
		}
	}
	if len(owed) == 0 {
		return nil
	}
	slices.SortFunc(owed, func(x, y Row) int {
		return strings.Compare(x.Name+"\x00"+x.About, y.Name+"\x00"+y.About)
	})
	subject, text := letter(owed)
	if err := b.Mailer.Mail(ctx, subject, text); err != nil && !errors.Is(err, ErrNobody) {
		if ctx.Err() == nil && !b.unsent {
			b.unsent = true
			b.Logger.Warn("alerts could not be mailed, trying again", "alerts", len(owed), "error", err)
		}
		return nil // The other ways have told it; mail may be what is broken.
	}
	b.unsent = false
	next := maps.Clone(b.open)
	err := b.Keeper.Write(context.WithoutCancel(ctx), func(s Store, _ Tell) error {
		next = maps.Clone(b.open)
		for _, r := range owed {
			k := key{r.Name, r.About}
			if r.Mail == End {
				delete(next, k)
				if err := s.DropAlert(r.Name, r.About); err != nil {
					return err
				}
				continue
			}
			r.Mail = Nothing
			next[k] = r
			if err := s.PutAlert(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note which alerts were mailed: %w", err)
	}
	b.open = next
	return nil
}

// letter writes a mail: what has begun, the worst first, and what is over.
func letter(owed []Row) (subject, text string) {
	var danger, warning, over []Row
	for _, r := range owed {
		switch {
		case r.Mail == End:
			over = append(over, r)
		case r.Severity == Danger:
			danger = append(danger, r)
		default:
			warning = append(warning, r)
		}
	}
	all := slices.Concat(danger, warning, over)
	first := all[0].title()
	if all[0].Mail == End {
		first = "over: " + first
	}
	if len(all) > 1 {
		first += fmt.Sprintf(" and %d more", len(all)-1)
	}
	var t strings.Builder
	for _, part := range []struct {
		title string
		list  []Row
	}{{"DANGER", danger}, {"WARNING", warning}, {"OVER", over}} {
		for i := range part.list {
			r := &part.list[i]
			fmt.Fprintf(&t, "%s: %s\n%s\n", part.title, r.title(), r.Text)
			if r.Mail == End {
				fmt.Fprintf(&t, "From %s to %s.\n\n", stamp(r.Since), stamp(r.Ended))
				continue
			}
			fmt.Fprintf(&t, "What to do: %s\nSince %s.\n\n", r.Do, stamp(r.Since))
		}
	}
	return first, t.String()
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// title names an alert for people.
func (a *Alert) title() string {
	name := strings.ReplaceAll(a.Name, "_", " ")
	if a.About != "" {
		name += " (" + a.About + ")"
	}
	return name
}

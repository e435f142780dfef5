package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"rapport/internal/source"
)

// progress shows how far an import is: a bar that is written over again where
// somebody watches, else a line every few seconds.
type progress struct {
	c     *console
	in    *input
	began time.Time
	last  time.Time
	from  int64 // lines of an earlier import
	sum   sums
	drawn bool
}

func newProgress(c *console, in *input, from int64) *progress {
	return &progress{c: c, in: in, began: c.now(), last: c.now(), from: from}
}

// at shows the state, now and then.
func (p *progress) at(sum sums) {
	p.sum = sum
	pause := 5 * time.Second
	if p.c.watched {
		pause = 100 * time.Millisecond
	}
	if now := p.c.now(); now.Sub(p.last) >= pause {
		p.last = now
		p.draw(now)
	}
}

func (p *progress) draw(now time.Time) {
	line := p.text(now)
	if !p.c.watched {
		p.c.note("%s", line)
		return
	}
	p.drawn = true
	_, _ = fmt.Fprintf(p.c.err, "\r\x1b[K%s", line) // Progress nobody sees stops nothing.
}

// barWidth is how many characters the bar has.
const barWidth = 24

// text writes the state in one line.
func (p *progress) text(now time.Time) string {
	took := now.Sub(p.began)
	rate := float64(p.sum.Lines-p.from) / max(took.Seconds(), 0.001)
	tail := fmt.Sprintf("%s lines, %s/s", thousands(p.sum.Lines), thousands(int64(rate)))
	if bad := p.sum.Bad + p.sum.Rejected; bad > 0 {
		tail += fmt.Sprintf(", %s bad", thousands(bad))
	}
	if p.in.size == 0 {
		return tail
	}
	share := min(float64(p.in.raw.Load())/float64(p.in.size), 1)
	filled := int(share * barWidth)
	if share > 0.01 {
		left := time.Duration(float64(took) * (1 - share) / share)
		tail += ", " + left.Round(time.Second).String() + " left"
	}
	return fmt.Sprintf("[%s%s] %3.0f %%  %s", strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled), 100*share, tail)
}

// say shows a sentence above the bar.
func (p *progress) say(format string, args ...any) {
	if p.drawn {
		_, _ = fmt.Fprint(p.c.err, "\r\x1b[K") // As above.
	}
	p.c.note(format, args...)
}

// end leaves the last state standing.
func (p *progress) end() {
	if p.drawn {
		p.draw(p.c.now())
		_, _ = fmt.Fprintln(p.c.err) // As above.
	}
}

var errEnough = errors.New("enough lines")

// dryLine is what --dry-run shows of one line.
type dryLine struct {
	Line     int64             `json:"line"`
	Bad      string            `json:"bad,omitempty"`
	Events   []json.RawMessage `json:"events,omitempty"`
	Consents []json.RawMessage `json:"consent,omitempty"`
}

// dryRun shows what the first lines would become.
func (c *console) dryRun(ctx context.Context, fl importFlags, m *mapped, name string, in *input) error {
	shown, bad := 0, int64(0)
	err := m.format.Read(ctx, filepath.Base(name), in, func(l source.Line) error {
		if shown >= fl.rows {
			return errEnough
		}
		shown++
		out := dryLine{Line: l.Number}
		if l.Err != nil {
			bad++
			out.Bad = l.Err.Error()
		}
		for i := range l.Events {
			out.Events = append(out.Events, source.AppendWire(nil, &l.Events[i]))
		}
		for i := range l.Consents {
			out.Consents = append(out.Consents, l.Consents[i].AppendWire(nil))
		}
		return c.dry(out)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	c.note("%s shown, %s bad; nothing was sent", count(int64(shown), "line", "lines"), thousands(bad))
	if bad > 0 {
		return &exitError{code: exitPartly, err: errors.New("some of the lines shown are bad")}
	}
	return nil
}

func (c *console) dry(l dryLine) error {
	if c.json {
		b, err := json.Marshal(l)
		c.printf("%s\n", b)
		return err
	}
	switch {
	case l.Bad != "":
		c.printf("line %d  %s\n", l.Line, c.red("bad: "+clean(l.Bad)))
	case len(l.Events)+len(l.Consents) == 0:
		c.printf("line %d  %s\n", l.Line, c.dim("makes nothing"))
	}
	for _, e := range l.Events {
		c.printf("line %d  %s\n", l.Line, clean(string(e)))
	}
	for _, e := range l.Consents {
		c.printf("line %d  consent %s\n", l.Line, clean(string(e)))
	}
	return nil
}

// Package privacy carries out what a person, or who protects their data, may ask
// for. What comes in is a person and where to write, or a configuration; what goes
// out is everything that the house holds about that person, room by room, as JSON
// for machines or as a page to read, and the record of processing. It reads through
// explain and the trail, and decides nothing.
package privacy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"rapport/internal/audit"
	"rapport/internal/explain"
	"rapport/internal/id"
)

// Reader is what is known of people.
type Reader interface {
	Dossier(ctx context.Context, who id.Person) (*explain.Dossier, error)
	EachEvent(ctx context.Context, d *explain.Dossier, fn func(explain.Event) error) error
	EachMail(ctx context.Context, d *explain.Dossier, fn func(*explain.MailStory) error) error
}

// Rows gives the rows of the trail that concern somebody, of one act or with "" of
// all, newest first, page by page: those below a number, the newest with a negative one.
type Rows func(ctx context.Context, act string, below int64, limit int) ([]audit.Entry, error)

// ExportedAct is what the row says of a copy that was written.
const ExportedAct = "person.exported"

// Export is one person's export.
type Export struct {
	Reader Reader
	Rows   Rows
	Told   func(ctx context.Context) ([]Told, error) // who is told by configuration, or once was
	House  string                                    // who is responsible, for the reader
	Now    time.Time
}

// format is the number of the form of the JSON document.
const format = 1

// writer is a form in which an export is written, part by part, in this order.
type writer interface {
	begin(x *Export, d *explain.Dossier) error
	event(e *explain.Event) error
	mails() error // events are over
	mail(m *explain.MailStory) error
	rows(recipients []Recipient, told []Told) error // mails are over
	row(e *audit.Entry) error
	end() error
}

// Recipient is whom the house handed the person's data to.
type Recipient struct {
	Name   string    `json:"name"`
	Kind   string    `json:"kind"` // "provider": mails were handed over to it; "key": it was given copies of everything
	Mails  int       `json:"mails"`
	Copies int       `json:"copies"`
	Last   time.Time `json:"last"`
}

// JSON writes one JSON document. It reads and writes piece by piece: what it holds
// at once is a page of the timeline, a page of the list of mails, and one mail with its
// text.
func (x *Export) JSON(ctx context.Context, who id.Person, w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	return x.write(ctx, who, &jsonWriter{out: out}, out)
}

// HTML writes a page for people to read, which asks nothing of any server.
func (x *Export) HTML(ctx context.Context, who id.Person, w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	return x.write(ctx, who, &htmlWriter{out: out}, out)
}

func (x *Export) write(ctx context.Context, who id.Person, w writer, out *bufio.Writer) error {
	d, err := x.Reader.Dossier(ctx, who)
	if err != nil {
		return err
	}
	if err := w.begin(x, d); err != nil {
		return err
	}
	if err := x.Reader.EachEvent(ctx, d, func(e explain.Event) error { return w.event(&e) }); err != nil {
		return fmt.Errorf("export the timeline: %w", err)
	}
	if err := w.mails(); err != nil {
		return err
	}
	to := map[string]*Recipient{}
	err = x.Reader.EachMail(ctx, d, func(m *explain.MailStory) error {
		handed(to, m)
		return w.mail(m)
	})
	if err != nil {
		return fmt.Errorf("export the mails: %w", err)
	}
	if err := x.eachRow(ctx, ExportedAct, func(e *audit.Entry) error { copied(to, e); return nil }); err != nil {
		return fmt.Errorf("look for copies in the trail: %w", err)
	}
	told, err := x.Told(ctx)
	if err != nil {
		return fmt.Errorf("look for destinations: %w", err)
	}
	if err := w.rows(recipients(to), permitted(told, d)); err != nil {
		return err
	}
	if err := x.eachRow(ctx, "", w.row); err != nil {
		return fmt.Errorf("export the trail: %w", err)
	}
	if err := w.end(); err != nil {
		return err
	}
	return out.Flush()
}

// rowsAtOnce is how many rows of the trail are read at once.
const rowsAtOnce = 500

func (x *Export) eachRow(ctx context.Context, act string, fn func(*audit.Entry) error) error {
	for below := int64(-1); ; {
		rows, err := x.Rows(ctx, act, below, rowsAtOnce)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := fn(&rows[i]); err != nil {
				return err
			}
			below = rows[i].N
		}
		if len(rows) < rowsAtOnce {
			return nil
		}
	}
}

// handed counts a mail that was, or may have been, handed to a provider.
func handed(to map[string]*Recipient, m *explain.MailStory) {
	for _, s := range m.Story {
		if s.State != "handing_over" {
			continue
		}
		name := m.Provider
		var said struct{ Provider string }
		if json.Unmarshal(s.Detail, &said) == nil && said.Provider != "" { // The one that it was in the end.
			name = said.Provider
		}
		r := to[name]
		if r == nil {
			r = &Recipient{Name: name, Kind: "provider"}
			to[name] = r
		}
		if r.Mails++; s.At.After(r.Last) {
			r.Last = s.At
		}
		return
	}
}

// copied counts a copy that was given to a key, this one among them, whether somebody
// had taken a request down for it or not. Whoever takes their own on the page is no
// recipient.
func copied(to map[string]*Recipient, e *audit.Entry) {
	if !strings.HasPrefix(e.Actor, "key/") {
		return
	}
	r := to[e.Actor]
	if r == nil {
		r = &Recipient{Name: e.Actor, Kind: "key"}
		to[e.Actor] = r
	}
	if r.Copies++; e.At.After(r.Last) {
		r.Last = e.At
	}
}

func recipients(to map[string]*Recipient) []Recipient {
	out := []Recipient{}
	for _, name := range slices.Sorted(maps.Keys(to)) {
		out = append(out, *to[name])
	}
	return out
}

// jsonWriter writes one object whose lists are written as they are read.
type jsonWriter struct {
	out  *bufio.Writer
	some bool // the list in hand has items
}

func (j *jsonWriter) begin(x *Export, d *explain.Dossier) error {
	head := struct {
		Format int       `json:"format"`
		House  string    `json:"house"`
		Made   time.Time `json:"made"`
	}{format, x.House, x.Now.UTC()}
	for _, part := range []struct {
		name  string
		value any
	}{
		{`{"about":`, head},
		{`,"person":`, map[string]any{"id": d.Name, "first_seen": d.FirstSeen, "last_seen": d.LastSeen, "joined_with": some(d.Merged), "parted_from": some(d.Parted)}},
		{`,"identifiers":`, d.Identifiers}, {`,"traits":`, d.Traits}, {`,"segments":`, d.Segments}, {`,"journeys":`, d.Journeys},
		{`,"permission":`, d.Permission}, {`,"permission_history":`, d.Said}, {`,"suppressed":`, d.Suppressed},
	} {
		if err := j.put(part.name, part.value); err != nil {
			return err
		}
	}
	return j.open(`,"events":[`)
}

// some gives a list that is written as one, also when it is empty.
func some(list []string) []string { return append([]string{}, list...) }

func (j *jsonWriter) put(before string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, _ = j.out.WriteString(before) // The last write tells of an error of any.
	_, err = j.out.Write(raw)
	return err
}

func (j *jsonWriter) open(text string) error {
	j.some = false
	_, err := j.out.WriteString(text)
	return err
}

func (j *jsonWriter) item(v any) error {
	before := "\n"
	if j.some {
		before = ",\n"
	}
	j.some = true
	return j.put(before, v)
}

func (j *jsonWriter) event(e *explain.Event) error    { return j.item(e) }
func (j *jsonWriter) mails() error                    { return j.open(`],"messages":[`) }
func (j *jsonWriter) mail(m *explain.MailStory) error { return j.item(m) }
func (j *jsonWriter) row(e *audit.Entry) error        { return j.item(e) }
func (j *jsonWriter) end() error                      { return j.open("]}\n") }
func (j *jsonWriter) rows(recipients []Recipient, told []Told) error {
	if err := j.put(`],"recipients":`, recipients); err != nil {
		return err
	}
	if err := j.put(`,"may_have_been_told":`, told); err != nil {
		return err
	}
	return j.open(`,"trail":[`)
}

package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/alert"
	"rapport/internal/cert"
	"rapport/internal/destination"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/outbox"
	"rapport/internal/processor"
	"rapport/internal/project"
	"rapport/internal/store"
	"rapport/internal/store/move"
)

// Tell appends a record as a door would.
func Tell(ctx context.Context, h *House, e *event.Event) error {
	return (*journal)(h).AppendEvent(ctx, e)
}

// Reader gives the room that answers questions.
func Reader(h *House) *explain.Reader { return h.reader }

// Space watches a disk.
type Space struct{ s *space }

// NewSpace looks for the first time.
func NewSpace(least int64, look func() (int64, int64, error), now func() time.Time, l *slog.Logger) Space {
	return Space{newSpace(&space{look: look, least: least, now: now, logger: l})}
}

// Room says why nothing new may be taken.
func (s Space) Room() error { return s.s.room() }

// DiskSpace asks the system.
var DiskSpace = diskSpace

// Logged reads what stands in a lane of the log.
func Logged(ctx context.Context, h *House, lane eventlog.Lane) (out []event.Event, err error) {
	for next := int64(1); ; {
		recs, err := h.log.Read(ctx, lane, next, 1<<20)
		if err != nil || len(recs) == 0 {
			return out, err
		}
		for _, r := range recs {
			var e event.Event
			if err := e.Decode(bytes.Clone(r.Body)); err != nil {
				return out, err
			}
			out = append(out, e)
		}
		next = recs[len(recs)-1].Pos + 1
	}
}

// SetAside puts a record among those that could not be walked.
func SetAside(ctx context.Context, h *House, a processor.Aside) error {
	return h.state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) error { return tx.Processor().SetAside(a) })
}

// Enqueue has an item told, as a room does that has no other way.
func Enqueue(ctx context.Context, h *House, it destination.Item) error {
	return h.state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) error {
		_, err := tx.Destination().Tell(it)
		return err
	})
}

// Holds gives the tables of a folder or database that nobody serves in which a text
// stands for whoever has today's keys, as it is or within bytes.
func Holds(ctx context.Context, where, data, text string) (tables []string, err error) {
	p, err := openPlace(ctx, where, data, RootKey{}, slog.New(slog.DiscardHandler), false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	house, err := p.opened()
	if err != nil {
		return nil, err
	}
	all, err := house.State.Tables(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		has, err := holds(ctx, house.State, &all[i], text)
		if err != nil {
			return nil, err
		}
		if has {
			tables = append(tables, all[i].Name)
		}
	}
	return tables, nil
}

// Counted gives the counters of a folder or database that nobody serves, by what
// they count, without those that are at zero.
func Counted(ctx context.Context, where, data string) (map[int64]int64, error) {
	out := map[int64]int64{}
	err := eachRow(ctx, where, data, "counter", func(_ *move.Table, r move.Row) {
		if n := r[1].(int64); n != 0 {
			out[r[0].(int64)] = n
		}
	})
	return out, err
}

// MailRows gives where each mail of a folder or database that nobody serves stands,
// by its columns without those that are left out.
func MailRows(ctx context.Context, where, data string, without ...string) (out []string, err error) {
	err = eachRow(ctx, where, data, "mail", func(t *move.Table, r move.Row) {
		line := ""
		for i, c := range t.Columns {
			if !slices.Contains(without, c.Name) {
				line += fmt.Sprintf("%s %v; ", c.Name, r[i])
			}
		}
		out = append(out, line)
	})
	return out, err
}

func eachRow(ctx context.Context, where, data, table string, fn func(*move.Table, move.Row)) error {
	p, err := openPlace(ctx, where, data, RootKey{}, slog.New(slog.DiscardHandler), false)
	if err != nil {
		return err
	}
	all, err := p.State.Tables(ctx)
	for i := range all {
		var after move.Row
		for all[i].Name == table {
			var rows []move.Row
			if rows, err = p.State.Rows(ctx, &all[i], after); err != nil || len(rows) == 0 {
				break
			}
			for _, r := range rows {
				fn(&all[i], r)
			}
			after = all[i].KeyOf(rows[len(rows)-1])
		}
	}
	return errors.Join(err, p.close())
}

func holds(ctx context.Context, s move.State, t *move.Table, text string) (bool, error) {
	var after move.Row
	for {
		rows, err := s.Rows(ctx, t, after)
		if err != nil || len(rows) == 0 {
			return false, err
		}
		for _, r := range rows {
			for _, v := range r {
				switch v := v.(type) {
				case string:
					if strings.Contains(v, text) {
						return true, nil
					}
				case []byte:
					if bytes.Contains(v, []byte(text)) {
						return true, nil
					}
				}
			}
			after = t.KeyOf(r)
		}
	}
}

// TrailKey gives the public key of the trail.
func (h *House) TrailKey() string { return h.trail.Key() }

// Mark notes in the log how far the state is.
func (h *House) Mark(ctx context.Context) error { return h.mark(ctx) }

// Retain takes what is kept no longer, as each day does.
func (h *House) Retain(ctx context.Context) error { return h.retain(ctx) }

// ToTLS answers plain HTTP beside doors for whose name an authority is asked.
func ToTLS(t *testing.T, port string) http.Handler {
	t.Helper()
	k, err := cert.New(cert.Config{Names: []string{"mail.shop.example"}, Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return toTLS(k, port)
}

// PortOf gives the port of the doors as others reach them.
var PortOf = portOf

// DieAfterErasing has, once what it gives is called, nothing follow what the walk
// commits about the erased, as if the process ended with the commit. It is for a
// house that does not run yet.
func (h *House) DieAfterErasing() (die func()) {
	var dead atomic.Bool
	follow := h.walker.Erased
	h.walker.Erased = func(gone []id.Person, barred, admitted []id.Hash) {
		if !dead.Load() {
			follow(gone, barred, admitted)
		}
	}
	return func() { dead.Store(true) }
}

// DieBeforeAdmitting has no admission commit, as if the process ended before it, and
// gives a channel that is closed once one has come so far. It is for a house that does
// not run yet.
func (h *House) DieBeforeAdmitting() <-chan struct{} {
	far := make(chan struct{})
	first := sync.OnceFunc(func() { close(far) })
	h.walker.Admits = func(x id.Hash, lane eventlog.Lane, pos int64) error {
		defer first()
		return cmp.Or(h.admits(x, lane, pos), error(fault.New(fault.Unavailable, "died", "the process ended")))
	}
	return far
}

// Admit appends the record of somebody who comes back and waits for nothing.
func (h *House) Admit(ctx context.Context, messageID, kind, value string) error {
	subject := h.hasher.Sum(kind, value)
	props, err := json.Marshal(processor.AdmitRequest{Subject: subject.String()})
	if err != nil {
		return err
	}
	now := h.clock.Now().UTC().Truncate(time.Millisecond)
	e := event.Event{Type: event.Rights, Name: processor.AdmitRecord, Source: house, MessageID: messageID, Time: now, Received: now, Properties: props}
	_, _, err = h.log.Append(ctx, eventlog.Live, [][]byte{e.Append(nil)})
	return err
}

// Erasures counts what is kept for telling destinations of erasures.
func Erasures(ctx context.Context, h *House) (n int, err error) {
	err = h.state.Read(ctx, func(tx store.Tx) error {
		list, err := tx.Destination().Erasures()
		n = len(list)
		return err
	})
	return n, err
}

// Mails runs a function over the mails.
func Mails(ctx context.Context, h *House, fn func(outbox.Store) error) error {
	return h.state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) error { return fn(tx.Outbox()) })
}

// RequestAlerts tells which requests are due.
func RequestAlerts(ctx context.Context, h *House) ([]alert.Alert, error) {
	return h.lookAtRequests(ctx, time.Time{})
}

// Clean lets go of what the log and the state keep no longer.
func Clean(ctx context.Context, h *House) error { return h.clean(ctx, h.clock.Now()) }

// Tail gives the position of the newest record of a lane.
func Tail(h *House, lane eventlog.Lane) int64 {
	tail, _ := h.log.Tail(lane)
	return tail
}

// Sends gives what is closed once mails leave.
func Sends(h *House) <-chan struct{} { return h.settled }

// Permitted tells in how many words something was permitted or not under a name.
func Permitted(ctx context.Context, h *House, kind, value string) (n int, err error) {
	err = h.state.Read(ctx, func(tx store.Tx) error {
		held, err := tx.Consent().Standing(h.resolver.Hash(kind, value))
		n = len(held)
		return err
	})
	return n, err
}

// StoreVersion keeps a configuration under the next number, and lets nobody know.
func StoreVersion(ctx context.Context, h *House, v project.Version) (err error) {
	if v.Number, err = h.nextNumber(ctx); err != nil {
		return err
	}
	return h.storeVersion(ctx, v)
}

// Bar has nothing be kept under an address for now, as after a restore to before its
// person was erased; Unbar ends that.
func Bar(h *House, address string)   { h.barred.Change([]id.Hash{h.hasher.Sum("email", address)}, nil) }
func Unbar(h *House, address string) { h.barred.Change(nil, []id.Hash{h.hasher.Sum("email", address)}) }

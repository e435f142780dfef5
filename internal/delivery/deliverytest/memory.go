package deliverytest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/processor"
	"rapport/internal/store"
)

// Memory is a state store of the outbox and the relay in memory, with real
// transactions: what fails leaves nothing behind. It survives the Dispatchers
// that are opened on it, so that a test can end one at any instant and open the
// next, and its commits can be made to fail.
type Memory struct {
	write sync.Mutex // one writer at a time
	mu    sync.RWMutex
	mails map[id.Message]*kept
	keys  map[string]id.Message
	uses  map[id.Message]use
	rows  []processor.RelayRow

	hookMu  sync.Mutex
	before  func(store.WriteOptions) error
	commits int
	durable int
}

type kept struct {
	mail  outbox.Mail
	story []outbox.Step
	parts []byte
}

type use struct {
	who id.Person
	at  time.Time
}

var _ store.State = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{mails: map[id.Message]*kept{}, keys: map[string]id.Message{}, uses: map[id.Message]use{}}
}

// BeforeCommit sets what is asked before each commit; its error rolls back.
func (m *Memory) BeforeCommit(fn func(store.WriteOptions) error) {
	m.hookMu.Lock()
	defer m.hookMu.Unlock()
	m.before = fn
}

// Commits gives the number of commits so far, and how many were durable.
func (m *Memory) Commits() (all, durable int) {
	m.hookMu.Lock()
	defer m.hookMu.Unlock()
	return m.commits, m.durable
}

// Write implements store.State.
func (m *Memory) Write(ctx context.Context, o store.WriteOptions, fn func(store.Tx) error) error {
	m.write.Lock()
	defer m.write.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	tx := &memoryTx{m: m}
	err := fn(tx)
	m.hookMu.Lock()
	defer m.hookMu.Unlock()
	if err == nil && m.before != nil {
		err = m.before(o)
	}
	if err != nil {
		for _, u := range slices.Backward(tx.undo) {
			u()
		}
		return err
	}
	m.commits++
	if o.Durable {
		m.durable++
	}
	return nil
}

// Read implements store.State.
func (m *Memory) Read(_ context.Context, fn func(store.Tx) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return fn(&memoryTx{m: m, readOnly: true})
}

// Ahead implements store.State: here nothing is waited for.
func (m *Memory) Ahead(context.Context, []id.Hash, []id.Person) ([]id.Person, error) { return nil, nil }

// Waiting implements store.State: here nobody waits whose turn is known.
func (m *Memory) Waiting(store.Priority) int { return 0 }

// Meta, SetMeta and Close implement store.State; nothing is kept there.
func (m *Memory) Meta(context.Context, string) ([]byte, error) { return nil, nil }

// SetMeta implements store.State.
func (m *Memory) SetMeta(context.Context, string, []byte) error { return nil }

// Close implements store.State.
func (m *Memory) Close() error { return nil }

// Events decodes what was relayed to the log, in order.
func (m *Memory) Events() ([]event.Event, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]event.Event, len(m.rows))
	for i, r := range m.rows {
		if err := out[i].Decode(bytes.Clone(r.Body)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// memoryTx is one transaction. Only the accessors that sending needs are there.
type memoryTx struct {
	store.Tx
	m        *Memory
	readOnly bool
	undo     []func()
}

// Outbox implements store.Tx.
func (t *memoryTx) Outbox() outbox.Store { return (*memoryOutbox)(t) }

// Processor implements store.Tx.
func (t *memoryTx) Processor() processor.Store { return &memoryRelay{t: t} }

type memoryRelay struct {
	processor.Store
	t *memoryTx
}

// AppendRelay implements processor.Store.
func (r *memoryRelay) AppendRelay(body []byte) error {
	m := r.t.m
	m.rows = append(m.rows, processor.RelayRow{Seq: int64(len(m.rows) + 1), Body: bytes.Clone(body)})
	n := len(m.rows) - 1
	r.t.undo = append(r.t.undo, func() { m.rows = m.rows[:n] })
	return nil
}

// Relay implements processor.Store.
func (r *memoryRelay) Relay(after int64, limit int) ([]processor.RelayRow, error) {
	rows := r.t.m.rows[min(int(after), len(r.t.m.rows)):]
	return slices.Clone(rows[:min(limit, len(rows))]), nil
}

type memoryOutbox memoryTx

var _ outbox.Store = (*memoryOutbox)(nil)

var errReadOnly = errors.New("memory: a write in a reading transaction")

// Insert implements outbox.Store.
func (o *memoryOutbox) Insert(in message.Intent, at time.Time) (id.Message, bool, error) {
	if o.readOnly {
		return id.Message{}, false, errReadOnly
	}
	if old, ok := o.m.keys[in.Key]; ok {
		return old, false, nil
	}
	notBefore := in.Due
	if notBefore.IsZero() {
		notBefore = in.Decided
	}
	k := &kept{mail: outbox.Mail{Intent: in, State: message.Pending, NotBefore: notBefore}}
	k.story = []outbox.Step{{Seq: 1, State: message.Pending, At: at}}
	o.m.mails[in.ID], o.m.keys[in.Key] = k, in.ID
	o.undo = append(o.undo, func() { delete(o.m.mails, in.ID); delete(o.m.keys, in.Key) })
	return in.ID, true, nil
}

// ByKey implements outbox.Store.
func (o *memoryOutbox) ByKey(key string) (id.Message, bool, error) {
	m, ok := o.m.keys[key]
	return m, ok, nil
}

// Keys implements outbox.Store.
func (o *memoryOutbox) Keys(after id.Hash, limit int) ([]id.Hash, error) {
	var out []id.Hash
	for key := range o.m.keys {
		if h := outbox.KeyHash(key); bytes.Compare(h[:], after[:]) > 0 {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b id.Hash) int { return bytes.Compare(a[:], b[:]) })
	return out[:min(limit, len(out))], nil
}

// Get implements outbox.Store.
func (o *memoryOutbox) Get(m id.Message) (outbox.Mail, bool, error) {
	k, ok := o.m.mails[m]
	if !ok {
		return outbox.Mail{}, false, nil
	}
	return k.mail, true, nil
}

// Named implements outbox.Store.
func (o *memoryOutbox) Named(ids []id.Message) (out []outbox.Mail, err error) {
	for _, m := range ids {
		if k, ok := o.m.mails[m]; ok {
			out = append(out, k.mail)
		}
	}
	return out, nil
}

func (o *memoryOutbox) list(less func(a, b *outbox.Mail) int, limit int, want func(*outbox.Mail) bool) []outbox.Mail {
	var out []outbox.Mail
	for _, k := range o.m.mails {
		if want(&k.mail) {
			out = append(out, k.mail)
		}
	}
	slices.SortFunc(out, func(a, b outbox.Mail) int { return less(&a, &b) })
	return out[:min(limit, len(out))]
}

func owed(m *outbox.Mail) bool { return m.State == message.Pending || m.State == message.Deferred }

func byID(a, b *outbox.Mail) int { return bytes.Compare(a.ID[:], b.ID[:]) }

// Owed implements outbox.Store.
func (o *memoryOutbox) Owed(until time.Time, limit int) ([]outbox.Mail, error) {
	order := func(a, b *outbox.Mail) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), a.NotBefore.Compare(b.NotBefore), byID(a, b))
	}
	return o.list(order, limit, func(m *outbox.Mail) bool { return owed(m) && !m.NotBefore.After(until) }), nil
}

// NextOwed implements outbox.Store.
func (o *memoryOutbox) NextOwed(after time.Time) (time.Time, bool, error) {
	var next time.Time
	for _, k := range o.m.mails {
		if owed(&k.mail) && k.mail.NotBefore.After(after) && (next.IsZero() || k.mail.NotBefore.Before(next)) {
			next = k.mail.NotBefore
		}
	}
	return next, !next.IsZero(), nil
}

// InState implements outbox.Store.
func (o *memoryOutbox) InState(s message.State, after id.Message, limit int) ([]outbox.Mail, error) {
	return o.list(byID, limit, func(m *outbox.Mail) bool {
		return m.State == s && bytes.Compare(m.ID[:], after[:]) > 0
	}), nil
}

// Move implements outbox.Store.
func (o *memoryOutbox) Move(m *outbox.Mail, steps ...outbox.Step) error {
	if o.readOnly {
		return errReadOnly
	}
	k, ok := o.m.mails[m.ID]
	if !ok || k.mail.Token != m.Token {
		return outbox.ErrStale
	}
	was := k.mail
	m.Token++
	k.mail = *m
	k.mail.Intent = was.Intent
	o.undo = append(o.undo, func() { k.mail = was })
	for _, s := range steps {
		o.tell(k, s)
	}
	return nil
}

func (o *memoryOutbox) tell(k *kept, s outbox.Step) {
	n := len(k.story)
	s.Seq = n + 1
	k.story = append(k.story, s)
	o.undo = append(o.undo, func() { k.story = k.story[:n] })
}

// Note implements outbox.Store.
func (o *memoryOutbox) Note(m id.Message, s outbox.Step) error {
	if k, ok := o.m.mails[m]; ok {
		o.tell(k, s)
	}
	return nil
}

// Story implements outbox.Store.
func (o *memoryOutbox) Story(m id.Message) ([]outbox.Step, error) {
	k, ok := o.m.mails[m]
	if !ok {
		return nil, nil
	}
	return slices.Clone(k.story), nil
}

// OfPerson implements outbox.Store.
func (o *memoryOutbox) OfPerson(who id.Person, limit int) ([]outbox.Mail, error) {
	return o.OfPersonBefore(who, id.Message{}, limit)
}

// OfPersonBefore implements outbox.Store.
func (o *memoryOutbox) OfPersonBefore(who id.Person, before id.Message, limit int) ([]outbox.Mail, error) {
	newest := func(a, b *outbox.Mail) int { return byID(b, a) }
	return o.list(newest, limit, func(m *outbox.Mail) bool {
		return m.Person == who && (before.IsZero() || bytes.Compare(m.ID[:], before[:]) < 0)
	}), nil
}

// Newest implements outbox.Store.
func (o *memoryOutbox) Newest(state message.State, before id.Message, limit int) ([]outbox.Mail, error) {
	newest := func(a, b *outbox.Mail) int { return byID(b, a) }
	return o.list(newest, limit, func(m *outbox.Mail) bool {
		below := before.IsZero() || bytes.Compare(m.ID[:], before[:]) < 0
		return below && (state == 0 || m.State == state)
	}), nil
}

// Reassign implements outbox.Store.
func (o *memoryOutbox) Reassign(from, to id.Person) error {
	for _, k := range o.m.mails {
		if k.mail.Person == from {
			k.mail.Person = to
			o.undo = append(o.undo, func() { k.mail.Person = from })
		}
	}
	return nil
}

// Give implements outbox.Store: dispatch never divides a person's mails.
func (o *memoryOutbox) Give(id.Message, id.Person, id.Person) error { return errNotHere }

// Share implements outbox.Store, as Give does.
func (o *memoryOutbox) Share(id.Message, id.Person) error { return errNotHere }

// Forget implements outbox.Store: dispatch erases nobody.
func (o *memoryOutbox) Forget(id.Message, id.Person, bool) error { return errNotHere }

// Older implements outbox.Store: dispatch takes nothing away from a mail.
func (o *memoryOutbox) Older(id.Message, time.Time, int) ([]outbox.Mail, error) {
	return nil, errNotHere
}

// Rewrite implements outbox.Store, as Older does.
func (o *memoryOutbox) Rewrite(id.Message, string, []byte, []byte) error { return errNotHere }

// Entrust implements outbox.Store: nothing is sealed.
func (o *memoryOutbox) Entrust(id.Message, []id.Person, id.Person) error { return nil }

var errNotHere = errors.New("memory: mails are not divided here")

// Counts implements outbox.Store.
func (o *memoryOutbox) Counts() (map[message.State]int64, error) {
	out := map[message.State]int64{}
	for _, k := range o.m.mails {
		out[k.mail.State]++
	}
	return out, nil
}

// Duplicates implements outbox.Store.
func (o *memoryOutbox) Duplicates() (n int64, err error) {
	for _, k := range o.m.mails {
		if k.mail.Duplicate {
			n++
		}
	}
	return n, nil
}

// SaveParts implements outbox.Store.
func (o *memoryOutbox) SaveParts(m id.Message, parts []byte) error {
	if k, ok := o.m.mails[m]; ok {
		was := k.parts
		k.parts = bytes.Clone(parts)
		o.undo = append(o.undo, func() { k.parts = was })
	}
	return nil
}

// Parts implements outbox.Store.
func (o *memoryOutbox) Parts(m id.Message) ([]byte, error) {
	if k, ok := o.m.mails[m]; ok {
		return bytes.Clone(k.parts), nil
	}
	return nil, nil
}

// Reserve implements outbox.Store.
func (o *memoryOutbox) Reserve(who id.Person, m id.Message, at time.Time) error {
	was, had := o.m.uses[m]
	o.m.uses[m] = use{who, at}
	o.undo = append(o.undo, func() { o.restore(m, was, had) })
	return nil
}

// Release implements outbox.Store.
func (o *memoryOutbox) Release(m id.Message) error {
	was, had := o.m.uses[m]
	delete(o.m.uses, m)
	o.undo = append(o.undo, func() { o.restore(m, was, had) })
	return nil
}

func (o *memoryOutbox) restore(m id.Message, was use, had bool) {
	if had {
		o.m.uses[m] = was
	} else {
		delete(o.m.uses, m)
	}
}

// DropUses implements outbox.Store.
func (o *memoryOutbox) DropUses(before time.Time, limit int) (int, error) {
	n := 0
	for m, u := range o.m.uses {
		if n < limit && u.at.Before(before) {
			delete(o.m.uses, m)
			o.undo = append(o.undo, func() { o.restore(m, u, true) })
			n++
		}
	}
	return n, nil
}

// Used implements outbox.Store.
func (o *memoryOutbox) Used(who id.Person, after time.Time) (int, error) {
	n := 0
	for _, u := range o.m.uses {
		if u.who == who && u.at.After(after) {
			n++
		}
	}
	return n, nil
}

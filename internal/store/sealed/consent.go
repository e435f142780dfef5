package sealed

import (
	"errors"
	"fmt"

	"rapport/internal/consent"
	"rapport/internal/id"
	"rapport/internal/seal"
)

// ledger seals what a statement rests on under the key of the identifier that it
// came with: whose that is may not be known yet.
type ledger struct {
	consent.Store
	t *tx
}

func evidenceLabel(e *consent.Entry) []byte {
	return append(append([]byte("evidence/"), e.Subject[:]...), e.Record...)
}

func factsLabel(e *consent.Entry) []byte {
	return append(append([]byte("facts/"), e.Subject[:]...), e.Record...)
}

func optInLabel(o *consent.OptIn) []byte { return append([]byte("opt-in/"), o.ID[:]...) }

// name seals something that was said under an identifier; nothing stays nothing.
func (t *tx) name(h id.Hash, label, plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return plain, nil
	}
	if err := t.mintName(h); err != nil {
		return nil, err
	}
	body, err := t.ring.Seal(nil, seal.Name(h), label, plain)
	if err != nil {
		return nil, fmt.Errorf("seal what was said: %w", err)
	}
	return body, nil
}

// mintName makes the key of an identifier. Unlike people, of whom one follows the
// other, identifiers cannot be made ahead.
func (t *tx) mintName(h id.Hash) error {
	if t.names == nil {
		return errReading
	}
	return t.names.Mint(seal.Name(h))
}

var errReading = errors.New("a transaction that only reads seals nothing")

// Append seals evidence and facts. Which notice was shown stays readable: it
// names a text, and the store looks permission up by it.
func (l *ledger) Append(e consent.Entry) (seq int64, added bool, err error) {
	e.Shown = e.Notice()
	if e.Evidence, err = l.t.name(e.Subject, evidenceLabel(&e), e.Evidence); err != nil {
		return 0, false, err
	}
	if e.Facts, err = l.t.name(e.Subject, factsLabel(&e), e.Facts); err != nil {
		return 0, false, err
	}
	return l.Store.Append(e)
}

func (l *ledger) Ledger(subject id.Hash) ([]consent.Entry, error) {
	list, err := l.Store.Ledger(subject)
	if err != nil {
		return nil, err
	}
	for n := range list {
		e := &list[n]
		if e.Evidence, err = l.t.openKept(evidenceLabel(e), e.Evidence); err != nil {
			return nil, err
		}
		if e.Facts, err = l.t.openKept(factsLabel(e), e.Facts); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (l *ledger) PutOptIn(o consent.OptIn) (err error) {
	if o.Body, err = l.t.name(o.Address, optInLabel(&o), o.Body); err != nil {
		return err
	}
	return l.Store.PutOptIn(o)
}

func (l *ledger) OptIn(m id.Message) (consent.OptIn, bool, error) {
	o, found, err := l.Store.OptIn(m)
	if err == nil && found {
		o.Body, err = l.t.openKept(optInLabel(&o), o.Body)
	}
	return o, found, err
}

func (l *ledger) OptIns(address id.Hash) ([]consent.OptIn, error) {
	list, err := l.Store.OptIns(address)
	if err != nil {
		return nil, err
	}
	for n := range list {
		if list[n].Body, err = l.t.openKept(optInLabel(&list[n]), list[n].Body); err != nil {
			return nil, err
		}
	}
	return list, nil
}

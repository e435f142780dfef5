package seal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rapport/internal/fault"
)

// rotateAtOnce is how many data keys are wrapped anew in one transaction.
const rotateAtOnce = 500

// Status tells which keys there are.
type Status struct {
	Wrapping []WrappingStatus `json:"wrapping_keys"` // oldest first; the last is in use
	Keys     int64            `json:"data_keys"`
	People   int64            `json:"keys_of_people"`
	Names    int64            `json:"keys_of_identifiers"`
	Days     int64            `json:"keys_of_days"`
}

// WrappingStatus is one wrapping key and how many data keys are under it.
type WrappingStatus struct {
	Number int       `json:"number"`
	Made   time.Time `json:"made"`
	Keys   int64     `json:"data_keys"`
}

// Status counts the keys.
func (r *Ring) Status(ctx context.Context) (out Status, err error) {
	list, err := r.c.Store.Wrapping()
	if err != nil {
		return out, fmt.Errorf("read the wrapping keys: %w", err)
	}
	under := map[int]int64{}
	err = r.each(ctx, func(rows []Row) error {
		for _, row := range rows {
			_, number, err := r.unwrap(row.Key, row.Body)
			if err != nil {
				return err
			}
			under[number]++
			out.Keys++
			switch kind(row.Key[0]) {
			case person:
				out.People++
			case day:
				out.Days++
			case name:
				out.Names++
			case house, record:
			}
		}
		return nil
	})
	for _, w := range list {
		out.Wrapping = append(out.Wrapping, WrappingStatus{Number: w.Number, Made: w.Made, Keys: under[w.Number]})
	}
	return out, err
}

// each reads all data keys, a page at a time.
func (r *Ring) each(ctx context.Context, fn func([]Row) error) error {
	for after := []byte(nil); ; {
		rows, err := r.c.Store.After(after, rotateAtOnce)
		if err != nil {
			return fmt.Errorf("read keys: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(rows); err != nil {
			return err
		}
		after = rows[len(rows)-1].Key
	}
}

// Pending tells whether a rotation was begun and has not ended.
func (r *Ring) Pending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.wrapping) > 1
}

// Rotate makes a wrapping key, wraps all data keys anew under it and retires the
// former ones, while everything goes on. Where an earlier one was interrupted it
// goes on with that. told hears how many keys are done.
func (r *Ring) Rotate(ctx context.Context, told func(done int64)) error {
	if !r.rotating.TryLock() {
		return ErrRotating
	}
	defer r.rotating.Unlock()
	if !r.Pending() {
		if err := r.newWrapping(); err != nil {
			return err
		}
	}
	return r.resume(ctx, told)
}

// ErrRotating is the answer to a second rotation.
var ErrRotating = fault.New(fault.Conflict, "rotation_runs", "the keys are being rotated already: wait until that has ended")

// resume wraps anew what is still under former wrapping keys and retires those
// that nothing uses any more.
func (r *Ring) resume(ctx context.Context, told func(done int64)) error {
	r.mu.Lock()
	current := r.current
	r.mu.Unlock()
	done := int64(0)
	err := r.each(ctx, func(rows []Row) error {
		anew := make([]Row, 0, len(rows))
		for _, row := range rows {
			raw, number, err := r.unwrap(row.Key, row.Body)
			if err != nil {
				return err
			}
			if number == current {
				continue
			}
			body, err := r.wrap(row.Key, raw)
			if err != nil {
				return err
			}
			anew = append(anew, Row{Key: slices.Clone(row.Key), Body: body})
		}
		if err := r.c.Store.Replace(anew); err != nil {
			return fmt.Errorf("write keys: %w", err)
		}
		if done += int64(len(anew)); told != nil {
			told(done)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.retire(ctx)
}

// retire drops the wrapping keys that wrap nothing.
func (r *Ring) retire(ctx context.Context) error {
	s, err := r.Status(ctx)
	if err != nil {
		return err
	}
	for _, w := range s.Wrapping[:max(len(s.Wrapping)-1, 0)] {
		if w.Keys > 0 {
			continue
		}
		if err := r.c.Store.DropWrapping(w.Number); err != nil {
			return fmt.Errorf("retire a wrapping key: %w", err)
		}
		r.mu.Lock()
		delete(r.wrapping, w.Number)
		r.mu.Unlock()
	}
	return nil
}

// Reroot writes the wrapping keys anew under another root, from which on only
// that one opens them. One that it opens already was done before an interruption.
func (r *Ring) Reroot(root Root) error {
	if !r.rotating.TryLock() {
		return ErrRotating
	}
	defer r.rotating.Unlock()
	list, err := r.c.Store.Wrapping()
	if err != nil {
		return fmt.Errorf("read the wrapping keys: %w", err)
	}
	for _, w := range list {
		raw, err := r.c.Root.Decrypt(w.Body, wrappingLabel(w.Number))
		if err != nil {
			if _, again := root.Decrypt(w.Body, wrappingLabel(w.Number)); again == nil {
				continue
			}
			return rootFails(err)
		}
		if w.Body, err = root.Encrypt(raw, wrappingLabel(w.Number)); err != nil {
			return fmt.Errorf("wrap under the new root key: %w", err)
		}
		if err := r.c.Store.ReplaceWrapping(w); err != nil {
			return fmt.Errorf("write a wrapping key: %w", err)
		}
	}
	r.c.Root = root
	return nil
}

package app

import (
	"context"
	"fmt"
	"slices"

	"rapport/internal/privacy"
	"rapport/internal/project"
	"rapport/internal/store"
)

// recipients remembers which destinations the versions up to one have told, and when.
type recipients struct {
	number int            // the last version that was read
	list   []privacy.Told // in order of their beginning; an end is missing where one is still told
}

// read adds one version. A destination that changes what it is told, or where it is,
// ends and begins.
func (t *recipients) read(v *project.Version) {
	at := v.Applied.UTC()
	var now []privacy.Told
	for _, d := range project.DestinationsIn(v.Files) {
		now = append(now, privacy.ToldBy(&d))
	}
	for i := range t.list {
		was := &t.list[i]
		if was.Until != nil {
			continue
		}
		n := len(now)
		now = slices.DeleteFunc(now, func(is privacy.Told) bool { return is.Same(was) })
		if len(now) == n {
			was.Until = &at
		}
	}
	for _, is := range now {
		is.Since = &at
		t.list = append(t.list, is)
	}
}

// told lists the destinations that any version up to one tells, or once told.
func (e *editions) told(ctx context.Context, number int) ([]privacy.Told, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for t := &e.recipients; t.number < number; t.number++ {
		v, found, err := e.version(ctx, t.number+1)
		if err != nil {
			return nil, err
		}
		if found {
			t.read(&v)
		}
	}
	return slices.Clone(e.recipients.list), nil
}

// version reads one that is stored; some numbers were never used.
func (e *editions) version(ctx context.Context, number int) (v project.Version, found bool, err error) {
	err = e.state.Read(ctx, func(tx store.Tx) (err error) {
		v, found, err = tx.Project().Version(number)
		return err
	})
	if err != nil {
		err = fmt.Errorf("read configuration %d: %w", number, err)
	}
	return v, found, err
}

// mayBeTold lists the destinations that are told of people, or once were.
func (h *House) mayBeTold(ctx context.Context) ([]privacy.Told, error) {
	return h.editions.told(ctx, h.Version())
}

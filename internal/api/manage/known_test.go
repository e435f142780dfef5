package manage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"rapport/internal/id"
)

// shelf stands for an outbox with keys in it.
type shelf struct {
	keys   []id.Hash
	pages  int
	tail   int64
	walked int64
	err    error
}

func newShelf(n int) *shelf {
	s := &shelf{}
	for i := range n {
		s.keys = append(s.keys, id.Hash(digestOf(fmt.Appendf(nil, "old/%d", i))))
	}
	return s
}

func (s *shelf) known() *known {
	return &known{
		tail: func() int64 { return s.tail }, walked: func() int64 { return s.walked },
		count: func(context.Context) (int64, error) { return int64(len(s.keys)), s.err },
		keys: func(_ context.Context, after id.Hash, limit int) ([]id.Hash, error) {
			s.pages++
			slices.SortFunc(s.keys, func(a, b id.Hash) int { return bytes.Compare(a[:], b[:]) })
			from, _ := slices.BinarySearchFunc(s.keys, after, func(a, b id.Hash) int { return bytes.Compare(a[:], b[:]) })
			for from < len(s.keys) && bytes.Compare(s.keys[from][:], after[:]) <= 0 {
				from++
			}
			return s.keys[from:min(from+limit, len(s.keys))], s.err
		},
	}
}

func newKey(i int) digest { return digestOf(fmt.Appendf(nil, "new/%d", i)) }

func TestKnownNeverDeniesAKeyThatIsThere(t *testing.T) {
	t.Parallel()
	s := newShelf(3*keysAtOnce + 17)
	k := s.known()
	ctx := t.Context()
	asked := 0
	for ; !k.ready; asked++ {
		if !k.may(ctx, newKey(asked)) {
			t.Fatalf("a key was denied after %d of the pages", s.pages)
		}
		k.add(newKey(asked))
	}
	for _, h := range s.keys {
		if !k.may(ctx, digest(h)) {
			t.Fatal("a key of the outbox is denied")
		}
	}
	for i := range asked {
		if i > 0 && !k.may(ctx, newKey(i)) {
			t.Fatal("a key that was asked under while it learned is denied")
		}
	}
	wrong := 0
	for i := 1000; i < 11_000; i++ {
		if k.may(ctx, newKey(i)) {
			wrong++
		}
	}
	if wrong > 100 {
		t.Errorf("%d of 10,000 new keys are taken for known ones", wrong)
	}
	if s.pages != 4 {
		t.Errorf("%d pages were read", s.pages)
	}
}

func TestKnownGrowsWithWhatComes(t *testing.T) {
	t.Parallel()
	s := newShelf(10)
	k := s.known()
	ctx := t.Context()
	for i := range fewestKnown + 100 {
		k.may(ctx, newKey(i))
		k.add(newKey(i))
		s.keys = append(s.keys, id.Hash(newKey(i)))
	}
	for n := 0; !k.ready || k.held > k.room; n++ {
		if k.may(ctx, newKey(-1)); n > 100 {
			t.Fatal("it never has them all again")
		}
	}
	for _, h := range s.keys {
		if !k.may(ctx, digest(h)) {
			t.Fatal("a key is denied after the filter grew")
		}
	}
	if k.room < 2*fewestKnown {
		t.Errorf("cut for %d keys", k.room)
	}
}

// A key whose record was written before the filter was cut is found only once it
// has been walked.
func TestKnownWaitsForTheWalk(t *testing.T) {
	t.Parallel()
	s := newShelf(0)
	s.tail = 1
	k := s.known()
	early := newKey(0)
	for range 3 {
		if !k.may(t.Context(), newKey(1)) {
			t.Fatal("a key was denied before the walk came so far")
		}
	}
	s.keys, s.walked = append(s.keys, id.Hash(early)), 1
	k.may(t.Context(), newKey(1))
	if !k.may(t.Context(), early) || k.may(t.Context(), newKey(1)) {
		t.Error("the filter is not what was walked")
	}
}

func TestKnownSaysPerhapsWhileTheOutboxCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newShelf(5)
	s.err = errors.New("busy")
	k := s.known()
	for i := range 3 {
		if !k.may(t.Context(), newKey(i)) {
			t.Fatal("a key was denied unread")
		}
	}
	s.err = nil
	k.may(t.Context(), newKey(3))
	if k.may(t.Context(), newKey(4)) {
		t.Error("it did not learn after the error")
	}
}

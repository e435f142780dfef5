package seal_test

import (
	"crypto/rand"
	"fmt"
	"sync"
	"testing"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/seal"
)

// TestNoKeyIsLostToARotation: keys are made, used and destroyed while others are
// wrapped anew, and the next process opens every one that was not destroyed.
func TestNoKeyIsLostToARotation(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), rootKey(t)
	s := shelf(t, dir)
	r := ringOver(t, s, root)
	const people = 40
	bodies := make([][]byte, people)
	var group sync.WaitGroup
	for i := range people {
		group.Go(func() {
			k := seal.Person(id.Person(1 + i*300)) // none of which is made ahead with another
			if err := r.Mint(k); err != nil {
				t.Error(err)
				return
			}
			var err error
			if bodies[i], err = r.Seal(nil, k, nil, fmt.Append(nil, i)); err != nil {
				t.Error(err)
			}
			if i%4 == 0 {
				if err := r.Destroy(k); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Go(func() {
		for range 3 {
			if err := r.Rotate(t.Context(), nil); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
	if r.Pending() {
		t.Error("a rotation has not ended")
	}
	for _, r := range []*seal.Ring{r, ringOver(t, s, root)} {
		for i, b := range bodies {
			got, err := r.Open(nil, nil, b)
			if gone := fault.CodeOf(err) == seal.CodeDestroyed; gone != (i%4 == 0) || !gone && string(got) != fmt.Sprint(i) {
				t.Errorf("person %d: %q, %v", i, got, err)
			}
		}
	}
}

// TestNoKeyIsMadeOverOldOnes: a store that has lost its wrapping keys, or all its
// keys, is refused.
func TestNoKeyIsMadeOverOldOnes(t *testing.T) {
	t.Parallel()
	root := rootKey(t)
	s := shelf(t, t.TempDir())
	c := seal.Config{Store: s, Root: root, Rand: rand.Reader, Now: now}
	if _, err := seal.Open(c); fault.CodeOf(err) != "wrapping_key_missing" {
		t.Errorf("an empty store of a house that is not new: %v", err)
	}
	c.Fresh = true
	r, err := seal.Open(c)
	must(t, err)
	must(t, r.Mint(seal.House()))
	must(t, s.DropWrapping(1))
	if _, err := seal.Open(c); fault.CodeOf(err) != "wrapping_key_missing" {
		t.Errorf("keys whose wrapping key is gone: %v", err)
	}
}

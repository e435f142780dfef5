package seal_test

import (
	"testing"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/seal"
)

// TestADraftIsKeptOrGone: its keys seal at once; kept they open everywhere, also
// where a rotation came between, dropped they are as if they had never been.
func TestADraftIsKeptOrGone(t *testing.T) {
	t.Parallel()
	s, root := shelf(t, t.TempDir()), rootKey(t)
	r := ringOver(t, s, root)
	first, other := seal.Name(id.Hash{1}), seal.Name(id.Hash{2})
	d := r.Draft()
	must(t, d.Mint(first))
	body, err := r.Seal(nil, first, nil, []byte("secret"))
	must(t, err)
	d.Drop()
	if _, err := r.Open(nil, nil, body); fault.CodeOf(err) != seal.CodeDestroyed {
		t.Errorf("dropped: %v", err)
	}
	d = r.Draft()
	for _, k := range []seal.ID{first, other, first} {
		must(t, d.Mint(k))
	}
	bodies := map[seal.ID][]byte{}
	for _, k := range []seal.ID{first, other} {
		bodies[k], err = r.Seal(nil, k, nil, []byte("secret"))
		must(t, err)
	}
	must(t, r.Rotate(t.Context(), nil))
	must(t, d.Keep())
	d = r.Draft()
	must(t, d.Mint(first)) // It is there: nothing is made over it.
	must(t, d.Keep())
	for _, r := range []*seal.Ring{r, ringOver(t, s, root)} {
		for k, b := range bodies {
			if got, err := r.Open(nil, nil, b); err != nil || string(got) != "secret" {
				t.Errorf("%s: %q, %v", k, got, err)
			}
		}
	}
}

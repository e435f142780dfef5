package seal_test

import (
	"testing"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/seal"
)

// TestWhoseKeyIsOnlyMissing is not erased, and the highest number is known of all that
// had a key, whether it was destroyed or not.
func TestWhoseKeyIsOnlyMissing(t *testing.T) {
	t.Parallel()
	s, root := shelf(t, t.TempDir()), rootKey(t)
	r := ringOver(t, s, root)
	must(t, r.Mint(seal.House(), seal.Name(id.Hash{1}), seal.Day(1, 20_000)))
	if got := ringOver(t, s, root).LastPerson(); got != 0 {
		t.Errorf("with keys of nobody the highest number is %d", got)
	}
	must(t, r.Mint(seal.Person(1)))
	ahead := ringOver(t, s, root).LastPerson()
	must(t, r.Destroy(seal.Person(ahead+5)))
	if got := ringOver(t, s, root).LastPerson(); got != ahead+5 || ahead < 1 {
		t.Errorf("the highest number is %d, was %d", got, ahead)
	}
	for who, code := range map[id.Person]string{ahead + 4: seal.CodeOlder, ahead + 5: seal.CodeDestroyed} {
		_, err := r.Seal(nil, seal.Person(who), nil, []byte("x"))
		if fault.CodeOf(err) != code || fault.Temporary(err) != (code == seal.CodeOlder) {
			t.Errorf("%d: %v", who, err)
		}
	}
}

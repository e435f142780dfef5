package manage

import (
	"errors"
	"testing"

	"rapport/internal/fault"
	"rapport/internal/id"
)

func nth(n byte) (d digest) { d[0] = n; return d }

func TestOnceForgetsOnlyWhatIsWalked(t *testing.T) {
	t.Parallel()
	walked := int64(0)
	o := newOnce(2, func() int64 { return walked })
	begin := func(n byte) {
		t.Helper()
		a, mine, err := o.begin(nth(n), nth(n))
		if err != nil || !mine {
			t.Fatalf("key %d: mine %t, %v", n, mine, err)
		}
		o.end(nth(n), a, id.Message{n}, int64(n), nil)
	}
	known := func(n byte) bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.young.asked[nth(n)] != nil || o.old.asked[nth(n)] != nil
	}
	for n := range byte(4) {
		begin(n + 1)
	}
	if _, _, err := o.begin(nth(5), nth(5)); fault.CodeOf(err) != "walk_behind" || !fault.Temporary(err) {
		t.Fatalf("with four keys that are not walked: %v", err)
	}
	if !known(1) {
		t.Error("a key that is not walked was forgotten")
	}
	walked = 2
	begin(5)
	if known(1) || known(2) || !known(3) || !known(5) {
		t.Error("want the first two forgotten and the others known")
	}
	if len(o.young.asked)+len(o.old.asked) > 4 {
		t.Error("more is remembered than may be")
	}
}

func TestOnceLetsAFailedKeyGo(t *testing.T) {
	t.Parallel()
	o := newOnce(2, func() int64 { return 0 })
	a, _, _ := o.begin(nth(1), nth(1))
	b, mine, err := o.begin(nth(1), nth(1))
	if mine || err != nil || b != a {
		t.Fatal("a second request under the key began by itself")
	}
	done := o.done(b)
	o.end(nth(1), a, id.Message{}, 0, errors.New("no room"))
	<-done
	if b.err == nil || o.done(b) != nil {
		t.Error("who waited does not hear of the failure")
	}
	if _, mine, _ := o.begin(nth(1), nth(1)); !mine {
		t.Error("a failed key cannot be tried again")
	}
}

func TestOnceKeepsAGenerationThatIsOnItsWay(t *testing.T) {
	t.Parallel()
	o := newOnce(1, func() int64 { return 100 })
	first, _, _ := o.begin(nth(1), nth(1))
	second, _, err := o.begin(nth(2), nth(2))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.begin(nth(3), nth(3)); fault.CodeOf(err) != "walk_behind" {
		t.Fatalf("a request on its way would have been forgotten: %v", err)
	}
	o.end(nth(1), first, id.Message{}, 1, nil)
	o.end(nth(2), second, id.Message{}, 2, nil)
	if _, mine, err := o.begin(nth(3), nth(3)); err != nil || !mine {
		t.Error(err)
	}
}

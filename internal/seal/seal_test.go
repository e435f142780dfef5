package seal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/seal"
	"rapport/internal/seal/keyset"
	"rapport/internal/store/sqlitestore"
)

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// shelf opens keys.db in a folder.
func shelf(t *testing.T, dir string) *sqlitestore.Keyring {
	t.Helper()
	k, err := sqlitestore.OpenKeyring(sqlitestore.KeyringConfig{Path: filepath.Join(dir, "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

func ringOver(t *testing.T, s seal.Store, root seal.Root) *seal.Ring {
	t.Helper()
	r, err := seal.Open(seal.Config{Store: s, Root: root, Rand: rand.Reader, Now: now, Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rootKey(t *testing.T) *keyset.Keyset {
	t.Helper()
	k, err := keyset.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSealedBodiesOpenOnlyWhereTheyStand: with their own key, under their own
// label, and whole.
func TestSealedBodiesOpenOnlyWhereTheyStand(t *testing.T) {
	t.Parallel()
	r := ringOver(t, shelf(t, t.TempDir()), rootKey(t))
	for _, k := range []seal.ID{seal.House(), seal.Person(1), seal.Person(700), seal.Name(id.Hash{1, 2}), seal.Day(1, 20_000)} {
		want := seal.CodeDestroyed
		if k == seal.Person(1) || k == seal.Person(700) { // Of people it is known who was erased.
			want = seal.CodeOlder
		}
		if _, err := r.Seal(nil, k, nil, []byte("x")); fault.CodeOf(err) != want {
			t.Fatalf("%s seals before it is made: %v", k, err)
		}
		must(t, r.Mint(k))
		body, err := r.Seal([]byte("before"), k, []byte("here"), []byte("secret"))
		must(t, err)
		if !bytes.HasPrefix(body, []byte("before")) || bytes.Contains(body, []byte("secret")) {
			t.Fatalf("%q", body)
		}
		body = body[len("before"):]
		if !seal.Sealed(body) || len(body) > len("secret")+seal.Overhead {
			t.Errorf("%s: %d bytes, sealed %v", k, len(body), seal.Sealed(body))
		}
		again, err := r.Seal(nil, k, []byte("here"), []byte("secret"))
		must(t, err)
		if bytes.Equal(again, body) {
			t.Error("the same twice is sealed alike")
		}
		plain, err := r.Open([]byte(">"), []byte("here"), body)
		if err != nil || string(plain) != ">secret" {
			t.Errorf("%s: %q, %v", k, plain, err)
		}
		if _, err := r.Open(nil, []byte("there"), body); fault.CodeOf(err) != "seal_broken" {
			t.Errorf("%s opens elsewhere: %v", k, err)
		}
		for i := range body {
			changed := bytes.Clone(body)
			changed[i] ^= 1
			if got, err := r.Open(nil, []byte("here"), changed); err == nil {
				t.Errorf("%s: byte %d changed, opened as %q", k, i, got)
			}
			if _, err := r.Open(nil, []byte("here"), body[:i]); err == nil {
				t.Errorf("%s: cut to %d bytes it opens", k, i)
			}
		}
	}
}

// TestADestroyedKeyOpensNothing in this process or the next, and leaves no trace
// in the file; others go on.
func TestADestroyedKeyOpensNothing(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), rootKey(t)
	s := shelf(t, dir)
	r := ringOver(t, s, root)
	must(t, r.Mint(seal.Person(1)))
	var wrapped []byte
	must(t, s.Get([][]byte{seal.Person(1).Key()}, func(_ int, body []byte) error { wrapped = bytes.Clone(body); return nil }))
	bodies := map[id.Person][]byte{}
	for _, who := range []id.Person{1, 2} {
		body, err := r.Seal(nil, seal.Person(who), nil, []byte("secret"))
		must(t, err)
		bodies[who] = body
	}
	must(t, r.Destroy(seal.Person(1)))
	for _, r := range []*seal.Ring{r, ringOver(t, s, root)} {
		if _, err := r.Open(nil, nil, bodies[1]); fault.CodeOf(err) != seal.CodeDestroyed {
			t.Errorf("what was destroyed: %v", err)
		}
		if got, err := r.Open(nil, nil, bodies[2]); err != nil || string(got) != "secret" {
			t.Errorf("what was not: %q, %v", got, err)
		}
	}
	must(t, s.Close())
	for _, name := range []string{"keys.db", "keys.db-wal"} {
		if bytes.Contains(read(t, filepath.Join(dir, name)), wrapped) {
			t.Errorf("%s still holds the wrapped key", name)
		}
	}
}

// TestRotation wraps everything anew while bodies are sealed and opened, retires
// what nothing uses, and goes on where it was interrupted.
func TestRotation(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), rootKey(t)
	broken := &interrupted{Keyring: shelf(t, dir)}
	r := ringOver(t, broken, root)
	bodies := [][]byte{}
	for n := 1; n <= 1300; n++ {
		must(t, r.Mint(seal.Person(id.Person(n))))
		body, err := r.Seal(nil, seal.Person(id.Person(n)), nil, fmt.Appendf(nil, "secret %d", n))
		must(t, err)
		bodies = append(bodies, body)
	}
	whole := func(r *seal.Ring) {
		t.Helper()
		for i, b := range bodies {
			if got, err := r.Open(nil, nil, b); err != nil || string(got) != fmt.Sprintf("secret %d", i+1) {
				t.Fatalf("body %d: %q, %v", i, got, err)
			}
		}
	}
	broken.after = 2
	if err := r.Rotate(t.Context(), nil); !errors.Is(err, errPower) {
		t.Fatalf("the interruption: %v", err)
	}
	status, err := r.Status(t.Context())
	must(t, err)
	if len(status.Wrapping) != 2 || status.Wrapping[0].Keys == 0 || status.Wrapping[1].Keys == 0 {
		t.Errorf("interrupted: %+v", status)
	}
	broken.after = -1
	r = ringOver(t, broken, root)
	whole(r)
	must(t, r.Rotate(t.Context(), nil)) // which goes on with that one
	status, err = r.Status(t.Context())
	must(t, err)
	if len(status.Wrapping) != 1 || status.Wrapping[0].Number != 2 || status.Wrapping[0].Keys != status.Keys || status.People < 1300 {
		t.Errorf("resumed: %+v", status)
	}
	fresh, err := root.Rotated()
	must(t, err)
	must(t, r.Reroot(fresh))
	alone, err := fresh.Alone()
	must(t, err)
	whole(ringOver(t, broken, alone))
	if _, err := seal.Open(seal.Config{Store: broken, Root: root, Rand: rand.Reader, Now: now}); fault.CodeOf(err) != "root_key_wrong" {
		t.Errorf("the former root: %v", err)
	}
}

var errPower = errors.New("the power fails")

// interrupted fails after some transactions.
type interrupted struct {
	*sqlitestore.Keyring
	after int // transactions that pass; below zero: all
}

func (i *interrupted) Replace(rows []seal.Row) error {
	if i.after == 0 {
		return errPower
	}
	i.after--
	return i.Keyring.Replace(rows)
}

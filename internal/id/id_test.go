package id_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"rapport/internal/id"
)

func TestPersonsReadAndWrite(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]id.Person{"per_1": 1, "per_9223372036854775807": 9223372036854775807, "per_0": 0, "per_-1": 0, "1": 0, "per_": 0, "per_x": 0, "PER_1": 0} {
		got, err := id.ParsePerson(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
}

func TestMailsSortByTimeAndFollowFromTheirKey(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_000)
	a, again := id.NewMessage(at, "key"), id.NewMessage(at, "key")
	if a != again || a == id.NewMessage(at, "other key") {
		t.Error("the id must follow from time and key")
	}
	var names []string
	for i := range 100 {
		names = append(names, id.NewMessage(at.Add(time.Duration(i*i)*time.Millisecond), "k").String())
	}
	if !slices.IsSorted(names) {
		t.Error("ids must sort by time")
	}
	back, err := id.ParseMessage(a.String())
	if err != nil || back != a || a.IsZero() {
		t.Errorf("got %s, %v", back, err)
	}
	for _, bad := range []string{"", "msg_", "msg_short", a.String()[4:], a.String() + "0", "msg_!!!!!!!!!!!!!!!!!!!!!!!!!!"} {
		if _, err := id.ParseMessage(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestHashesKeepKindsAndKeysApart(t *testing.T) {
	t.Parallel()
	if _, err := id.NewHasher(make([]byte, 31)); err == nil {
		t.Error("a short key was taken")
	}
	one, err := id.NewHasher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	other, err := id.NewHasher(append(make([]byte, 31), 1))
	if err != nil {
		t.Fatal(err)
	}
	want := one.Sum("email", "x")
	for name, h := range map[string]id.Hash{"another kind": one.Sum("user_id", "x"), "another value": one.Sum("email", "y"), "another key": other.Sum("email", "x"), "a shifted border": one.Sum("emai", "lx")} {
		if h == want {
			t.Errorf("%s gives the same hash", name)
		}
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				if one.SumBytes("email", []byte("x")) != want {
					t.Error("hashes differ between goroutines")
					return
				}
			}
		})
	}
	group.Wait()
}

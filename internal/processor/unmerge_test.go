package processor_test

import (
	"fmt"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/processor"
	"rapport/internal/profile"
)

// shelf keeps packs of history in memory.
type shelf map[int64][]byte

func (s shelf) LastPack() (int64, error) { return int64(len(s)), nil }
func (s shelf) AppendPack(n int64, body []byte) error {
	s[n] = append([]byte(nil), body...)
	return nil
}
func (s shelf) Pack(n int64) ([]byte, error) { return s[n], nil }

// TestDivide holds whose each entry of a history is to the rule, and counts what
// retention has taken.
func TestDivide(t *testing.T) {
	t.Parallel()
	hasher, err := id.NewHasher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	r := identity.New(identity.Config{Hasher: hasher})
	of := func(kind, value string) identity.Identifier {
		return identity.Identifier{Kind: kind, Value: value, Hash: r.Hash(kind, value)}
	}
	staying, leaving := []identity.Identifier{of("user_id", "ann"), of("email", "ann@shop.example")}, []identity.Identifier{of("anonymous_id", "bob"), of("email", "bob@shop.example")}
	entries := []struct {
		e    event.Event
		want string
	}{
		{event.Event{UserID: "ann", MessageID: "a1"}, "stay"},
		{event.Event{Anonymous: "bob", MessageID: "b1"}, "leave"},
		{event.Event{UserID: "ann", Anonymous: "bob", MessageID: "joins"}, "stay"},
		{event.Event{Email: "bob@shop.example", Anonymous: "carl", MessageID: "b2"}, "leave"},
		{event.Event{Anonymous: "stranger", MessageID: "refused"}, "stay"},
		{event.Event{Source: "rapport", MessageID: "b1/1"}, "leave"},
		{event.Event{Source: "rapport", MessageID: "a1/2"}, "stay"},
		{event.Event{Source: "rapport", MessageID: "b1/1/1"}, "leave"},
		{event.Event{Source: "rapport", MessageID: "due/1/2/1"}, "both"},
		{event.Event{Source: "rapport", MessageID: "msg_1/sent", Type: event.Outcome}, "both"},
	}
	books := shelf{}
	packer, err := profile.NewPacker(books)
	if err != nil {
		t.Fatal(err)
	}
	p := profile.Profile{}
	for i := range entries {
		e := entries[i].e
		if e.Type == 0 {
			e.Type = event.Track
		}
		e.Received = time.Unix(int64(1000+i), 0).UTC()
		e.Time = e.Received
		at, err := packer.Add(&e, head(&p))
		if err != nil {
			t.Fatal(err)
		}
		p.Heads, p.Events = []profile.Pointer{at}, p.Events+1
		if i%3 == 2 {
			if err := packer.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := packer.Flush(); err != nil {
		t.Fatal(err)
	}
	got, err := processor.Divide(books, &p, r, leaving, staying)
	if err != nil || got.Lost != 0 || got.Both != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	where := map[string]string{}
	for _, e := range got.Stay {
		where[e.MessageID] = "stay"
	}
	for _, e := range got.Leave {
		if where[e.MessageID] == "stay" {
			where[e.MessageID] = "both"
		} else {
			where[e.MessageID] = "leave"
		}
	}
	for _, x := range entries {
		if where[x.e.MessageID] != x.want {
			t.Errorf("%s: %s, want %s", x.e.MessageID, where[x.e.MessageID], x.want)
		}
	}
	delete(books, 1) // Retention takes the oldest pack, of three entries.
	got, err = processor.Divide(books, &p, r, leaving, staying)
	if err != nil || got.Lost != 3 || fmt.Sprint(len(got.Stay)+len(got.Leave)-got.Both) != "7" {
		t.Errorf("after retention: %+v, %v", got, err)
	}
}

func head(p *profile.Profile) profile.Pointer {
	if len(p.Heads) == 0 {
		return 0
	}
	return p.Heads[0]
}

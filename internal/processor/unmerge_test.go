package processor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/store"
)

// shelf keeps packs of history in memory.
type shelf map[int64][]byte

func (s shelf) LastPack() (int64, error) { return int64(len(s)), nil }
func (s shelf) AppendPack(n int64, body []byte) error {
	s[n] = append([]byte(nil), body...)
	return nil
}
func (s shelf) RewritePack(n int64, body []byte) error { return s.AppendPack(n, body) }
func (s shelf) Pack(n int64) ([]byte, error)           { return s[n], nil }

// merged is a merge log in memory, and sent a person's mails.
type merged struct {
	identity.Store
	merges []identity.Merge
}

func (m merged) Merges(id.Person) ([]identity.Merge, error) { return m.merges, nil }

type sent struct {
	outbox.Store
	mails []outbox.Mail
}

func (s sent) OfPerson(id.Person, int) ([]outbox.Mail, error) { return s.mails, nil }

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
	second := func(n int) time.Time { return time.Unix(int64(1000+n), 0).UTC() }
	rec := identity.Record{Identifiers: append(staying, leaving...)}
	// Bob was person 2 until the third entry.
	moved := identity.Record{Identifiers: leaving}
	log := merged{merges: []identity.Merge{{Into: 1, From: 2, At: second(2), Rule: "anonymous", Cause: "joins", Moved: moved.Append(nil)}}}
	var post sent
	for _, m := range []struct {
		name  byte
		cause string
		at    int
	}{
		{1, "b1", 1}, {2, "b1", 3}, {3, "a1", 1}, {4, "due/2/1001000/1", 1}, {5, "due/1/1001000/1", 1}, {6, "due/2/1001000/1", 9}, {7, "unknown", 1},
		{8, id.Message{1}.String() + "/accepted", 1}, {9, id.Message{1}.String() + "/accepted/1", 9}, {10, id.Message{2}.String() + "/accepted", 9},
		{11, "group/00/11/0-0/2/1", 1}, {12, "version/3/1/2", 1}, {13, "version/3/2/2", 9},
		{14, id.Message{1}.String() + "/failed", 9}, {15, "email_opened/" + id.Message{1}.String() + "/reader/99", 1},
	} {
		mail := outbox.Mail{}
		mail.ID, mail.Person, mail.Cause, mail.Decided = id.Message{m.name}, 1, m.cause, second(m.at)
		post.mails = append(post.mails, mail)
	}
	outcome := func(source, messageID string, mail byte) event.Event {
		return event.Event{
			Type: event.Outcome, Source: source, MessageID: strings.ReplaceAll(messageID, "MAIL", id.Message{mail}.String()), Person: 1,
			Properties: fmt.Appendf(nil, `{"message_id":%q}`, id.Message{mail}),
		}
	}
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
		{event.Event{Source: "rapport", MessageID: "due/2/2/1", Received: second(1)}, "leave"},
		{event.Event{Source: "rapport", MessageID: "due/1/3/1", Received: second(1)}, "stay"},
		{event.Event{Source: "rapport", MessageID: "group/00/11/0-0/2/1", Received: second(1)}, "leave"},
		{event.Event{Source: "rapport", MessageID: "version/3/1/1", Received: second(1)}, "stay"},
		{event.Event{Source: "rapport", MessageID: "version/4/1/1"}, "both"},
		{event.Event{Source: "rapport", MessageID: "merge/b1/1", Received: second(1)}, "leave"},
		{event.Event{Source: "rapport", MessageID: "merge/joins/then/1"}, "both"},
		{outcome("delivery", "MAIL/accepted", 99), "both"},
		{outcome("delivery", "MAIL/accepted", 1), "leave"},
		{outcome("feedback", "email_link_clicked/MAIL/reader/17/2", 1), "leave"},
		{outcome("feedback", "email_opened/MAIL/reader/17", 3), "stay"},
		{event.Event{Source: "rapport", MessageID: id.Message{1}.String() + "/accepted/1"}, "leave"},
		{outcome("delivery", "MAIL/accepted", 2), "both"},
		{event.Event{Source: "rapport", Anonymous: "bob", MessageID: "trigger/gift/1", Name: "gift", Type: event.Trigger}, "leave"},
		{event.Event{Source: "rapport", Person: 1, MessageID: "send/1", Type: event.Send}, "both"},
		{event.Event{Source: "other", UserID: "ann", MessageID: "b2"}, "stay"},
		{event.Event{Source: "rapport", MessageID: "b2/2"}, "both"},
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
		if e.Received.IsZero() {
			e.Received = second(i)
		}
		e.Time = e.Received
		at, err := packer.Add(1, &e, head(&p))
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
	got, err := processor.Divide(&processor.Books{History: books, Identity: log, Outbox: post}, 1, &p, r, &rec, leaving)
	if err != nil || got.Lost != 0 || got.Both != 7 {
		t.Fatalf("%+v, %v", got, err)
	}
	where := map[*event.Event]string{}
	for _, e := range got.Stay {
		where[e] = "stay"
	}
	for _, e := range got.Leave {
		if where[e] == "stay" {
			where[e] = "both"
		} else {
			where[e] = "leave"
		}
	}
	for e, is := range where {
		for _, x := range entries {
			if x.e.MessageID == e.MessageID && x.e.UserID == e.UserID && is != x.want {
				t.Errorf("%s: %s, want %s", e.MessageID, is, x.want)
			}
		}
	}
	if len(where) != len(entries) {
		t.Errorf("%d entries of %d", len(where), len(entries))
	}
	var mails []string
	for _, m := range got.Mails {
		mails = append(mails, fmt.Sprint(m.ID[0], m.Stays, m.Leaves, m.Theirs))
	}
	same(t, "mails", []string{
		"1 false true true", "2 true true true", "3 true false false", "4 false true true", "5 true false false", "6 true true true", "7 true true false",
		"8 false true true", "9 true true true", "10 true true true", "11 false true true", "12 true false false", "13 true true true", "14 true true true", "15 false true true",
	}, mails)
	delete(books, 1) // Retention takes the oldest pack, of three entries.
	got, err = processor.Divide(&processor.Books{History: books, Identity: log, Outbox: post}, 1, &p, r, &rec, leaving)
	if err != nil || got.Lost != 3 || len(got.Stay)+len(got.Leave)-got.Both != len(entries)-3 {
		t.Errorf("after retention %d are lost, %v", got.Lost, err)
	}
}

func head(p *profile.Profile) profile.Pointer {
	if len(p.Heads) == 0 {
		return 0
	}
	return p.Heads[0]
}

// TestPartingJudgesByWhatWasKnownThen: what a browser said of somebody who was
// nobody yet counts as it did, although they are known today.
func TestPartingJudgesByWhatWasKnownThen(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	for _, email := range []string{"first@shop.example", "second@shop.example"} {
		h.do(event.Event{Type: event.Identify, Anonymous: "a1", Flags: event.FromBrowser, Traits: fmt.Appendf(nil, `{"email":%q}`, email)})
	}
	h.do(event.Event{Type: event.Identify, UserID: "u1", Anonymous: "a1"})
	h.do(event.Event{Type: event.Identify, Anonymous: "a1", Flags: event.FromBrowser, Traits: []byte(`{"email":"thief@shop.example"}`)})
	h.do(event.Event{Type: event.Identify, UserID: "u1", Anonymous: "a2"})
	same(t, "before", `"second@shop.example"`, string(h.person("user_id", "u1").Traits["email"]))
	h.parts(h.person("user_id", "u1").ID, "a2")
	same(t, "after", `"second@shop.example"`, string(h.person("user_id", "u1").Traits["email"]))
}

// TestPartingKeepsWhatIsLostThroughAnother: traits and groups of which retention
// has left no event stay with who stays, however often somebody is parted.
func TestPartingKeepsWhatIsLostThroughAnother(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{Type: event.Identify, UserID: "u1", Traits: []byte(`{"plan":"pro","name":"Ann"}`)})
	h.do(event.Event{Type: event.Group, UserID: "u1", GroupID: "lost", Traits: []byte(`{"plan":"pro"}`)})
	h.must(h.state.Read(context.Background(), func(tx store.Tx) (err error) {
		h.trouble.lost, err = tx.Profile().LastPack()
		return err
	}))
	h.reopen()
	h.do(event.Event{Type: event.Identify, UserID: "u1", Traits: []byte(`{"name":"Anna"}`)})
	h.do(event.Event{Type: event.Group, UserID: "u1", GroupID: "kept"})
	for _, device := range []string{"a1", "a2"} {
		h.do(event.Event{Type: event.Group, UserID: "u1", Anonymous: device, GroupID: "both"})
		h.do(event.Event{Type: event.Group, Anonymous: device, GroupID: "of-" + device})
	}
	for _, device := range []string{"a1", "a2"} {
		h.parts(h.person("user_id", "u1").ID, device)
		p := h.person("user_id", "u1")
		same(t, "a trait of lost events", `"pro"`, string(p.Traits["plan"]))
		same(t, "a trait that came again", `"Anna"`, string(p.Traits["name"]))
		groups := string(p.Traits["$groups"])
		for _, name := range []string{"lost", "kept", "both"} {
			if !strings.Contains(groups, `"id":"`+name+`"`) {
				t.Errorf("after %s left the group %s is missing: %s", device, name, groups)
			}
		}
		if strings.Contains(groups, `of-`+device) {
			t.Errorf("the group of %s stayed: %s", device, groups)
		}
		if groups := string(h.person("anonymous_id", device).Traits["$groups"]); strings.Contains(groups, "lost") || !strings.Contains(groups, "of-"+device) {
			t.Errorf("%s has the groups %s", device, groups)
		}
	}
	same(t, "set aside", 0, len(h.asides()))
}

// quiet is a shop in which somebody is mailed a day after they were last seen.
const quiet = `
segments:
  quiet: {rule: {all: [{did: Seen}, {not: {did: Seen, within: 1d}}]}}
journeys:
  miss: {purpose: service, trigger: {enters: quiet}, steps: [{send: note}]}
`

// TestPartingLeavesAnothersMailAlone: a mail that is only shared with who is
// parted now is withdrawn from nobody.
func TestPartingLeavesAnothersMailAlone(t *testing.T) {
	t.Parallel()
	h := setup(t, quiet)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "t2"})
	h.do(event.Event{Name: "Seen", UserID: "ann", Anonymous: "t2"})
	h.at(25 * time.Hour)
	h.at(48 * time.Hour)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "t1"})
	ann := h.person("user_id", "ann").ID
	same(t, "mails", 1, len(h.mails(ann)))
	h.parts(ann, "t1", "t2")
	tim := h.person("anonymous_id", "t1").ID
	same(t, "mails that both have", h.mails(ann), h.mails(tim))
	h.parts(tim, "t2")
	same(t, "state", message.Pending, h.mails(ann)[0].State)
	same(t, "mails of whose device saw none of it", 0, len(h.mails(tim)))
	same(t, "mails of whose device did", h.mails(ann), h.mails(h.person("anonymous_id", "t2").ID))
}

// TestWhatIsWalkedAfterAPartingFindsWhoseItIs: what became of a mail, and what
// names somebody by the number they had before they were joined.
func TestWhatIsWalkedAfterAPartingFindsWhoseItIs(t *testing.T) {
	t.Parallel()
	h := setup(t, quiet)
	h.do(event.Event{Type: event.Identify, UserID: "ann"})
	h.do(event.Event{Name: "Seen", Anonymous: "bob"})
	bob := h.person("anonymous_id", "bob").ID
	h.at(25 * time.Hour)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	ann := h.person("user_id", "ann").ID
	mail := h.mails(ann)[0]
	h.parts(ann, "bob")
	h.do(event.Event{
		Type: event.Outcome, Source: "feedback", MessageID: "email_opened/" + mail.ID.String() + "/reader/1", Name: "Email Opened",
		Person: int64(ann), Properties: fmt.Appendf(nil, `{"message_id":%q}`, mail.ID),
	})
	h.do(event.Event{Type: event.Trigger, Source: "rapport", MessageID: "trigger/gift/1", Name: "gift", Person: int64(bob)})
	for who, want := range map[string][]string{"user_id:ann": {"identify", "identify", "Person Parted"}, "anonymous_id:bob": {"Seen", "Person Parted", "Email Opened", "gift"}} {
		kind, value, _ := strings.Cut(who, ":")
		var got []string
		for _, name := range h.names(kind, value) {
			if !strings.HasPrefix(name, "Audience") {
				got = append(got, name)
			}
		}
		same(t, who, want, got)
	}
}

// parts has an operator part devices from somebody.
func (h *house) parts(who id.Person, devices ...string) {
	h.t.Helper()
	var names []identity.Name
	for _, d := range devices {
		names = append(names, identity.Name{Kind: identity.Anonymous, Value: d})
	}
	h.partsOf(who, names...)
}

// partsOf parts names of any kind from a record.
func (h *house) partsOf(who id.Person, names ...identity.Name) {
	h.t.Helper()
	h.sequence++
	props, err := json.Marshal(processor.UnmergeRequest{Identifiers: names})
	h.must(err)
	h.do(event.Event{Type: event.Unmerge, Source: "rapport", MessageID: fmt.Sprint("unmerge/", h.sequence), Person: int64(who), Properties: props})
	if aside := h.asides(); len(aside) > 0 {
		h.t.Fatalf("%d records are set aside: %v", len(aside), aside)
	}
}

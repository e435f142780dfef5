package bench

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"rapport/internal/delivery/deliverytest"
	"rapport/internal/store/pgstore/pgtest"
)

// The same input and the same kills come to the same house, whichever store it
// is over: who is known by what, with which traits, in which segments, what
// happened to them in which order, and which mails they had.
func TestTheSameInputAndKillsComeToTheSame(t *testing.T) {
	t.Parallel()
	digests := map[string]string{}
	onBothStoresInTurn(t, func(t *testing.T, store, database string) {
		sink := scripted(t, func(string, int) deliverytest.Fault { return deliverytest.Fault{} })
		f := newFaulty(t, sink.Addr())
		f.database = database
		f.start("--listen", freeAddress(t))
		for i := range 240 {
			path, body := happeningOf(i)
			if i%18 == 13 { // killed at any moment of taking and walking this one, and what was not acknowledged comes again
				f.quiet(time.Minute) // A mail on the wire may be of unknown end; that is another test's.
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _, _, _ = f.tryAsk("POST", path, body) // Whether it was taken is not known.
				}()
				<-time.After(time.Duration(i%7) * time.Millisecond)
				f.kill()
				<-done
				f.start("--listen", freeAddress(t))
			}
			if status, _, answer := f.ask("POST", path+"?wait=processed&timeout=30s", body); status != 200 {
				t.Fatalf("event %d: %d %s", i, status, answer)
			}
		}
		f.quiet(time.Minute)
		all, err := json.MarshalIndent(f.everybody(), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		digests[store] = fmt.Sprintf("sha256:%x", sha256.Sum256(all))
		t.Logf("%s: %s", store, digests[store])
		if len(digests) == 2 && digests["embedded"] != digests["PostgreSQL"] {
			t.Errorf("the stores differ: %v; this one holds\n%s", digests, all)
		}
	})
}

// onBothStoresInTurn runs a test over files, then over a PostgreSQL of its own.
func onBothStoresInTurn(t *testing.T, test func(t *testing.T, store, database string)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { test(t, "embedded", "") })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, "PostgreSQL", ownDatabase(t, pgtest.Server(t))) })
}

// happeningOf is the i-th thing that somebody does.
func happeningOf(i int) (path, body string) {
	who, device := fmt.Sprintf("u%d", i/6%12), fmt.Sprintf("d%d", i/6%9)
	switch i % 6 {
	case 0:
		return "/v1/identify", fmt.Sprintf(`{"messageId":"m%d","userId":%q,"traits":{"email":"%s@same.example","country":"DE","score":%d}}`, i, who, who, i%100)
	case 1:
		return "/v1/track", fmt.Sprintf(`{"messageId":"m%d","anonymousId":%q,"event":"Product Viewed"}`, i, device)
	case 2:
		return "/v1/identify", fmt.Sprintf(`{"messageId":"m%d","userId":%q,"anonymousId":%q}`, i, who, device)
	case 3:
		return "/v1/track", fmt.Sprintf(`{"messageId":"m%d","userId":%q,"event":"Order Completed","properties":{"total":%d}}`, i, who, i)
	case 4:
		return "/v1/batch", fmt.Sprintf(`{"batch":[{"type":"group","messageId":"m%d","userId":%q,"groupId":"g%d","traits":{"size":%d}}]}`, i, who, i%3, i)
	}
	return "/v1/track", fmt.Sprintf(`{"messageId":"m%d","userId":%q,"event":"Trigger","properties":{"ref":"r%d"}}`, i, who, i)
}

// knownPerson is what a house holds of one person, without what is drawn or measured:
// ids of mails, and times.
type knownPerson struct {
	Identifiers []string
	Traits      map[string]json.RawMessage
	Segments    []string
	Events      []string
	Mails       []string
}

// everybody reads all people whom happeningOf names.
func (f *faulty) everybody() map[string]knownPerson {
	f.t.Helper()
	out := map[string]knownPerson{}
	for i := range 12 + 9 {
		ref := fmt.Sprintf("user_id:u%d", i)
		if i >= 12 {
			ref = fmt.Sprintf("anonymous_id:d%d", i-12)
		}
		out[ref] = f.known(ref)
	}
	return out
}

func (f *faulty) known(ref string) (out knownPerson) {
	f.t.Helper()
	ctx, at := context.Background(), url.PathEscape(ref)
	var p struct {
		Identifiers []struct{ Kind, Value string }
		Traits      map[string]json.RawMessage
		Segments    []struct{ Name string }
	}
	if err := f.call(ctx, "GET", "/v1/people/"+at, nil, &p); err != nil {
		f.t.Fatal(err)
	}
	for _, x := range p.Identifiers {
		out.Identifiers = append(out.Identifiers, x.Kind+":"+x.Value)
	}
	for _, s := range p.Segments {
		out.Segments = append(out.Segments, s.Name)
	}
	out.Traits = map[string]json.RawMessage{}
	for name, value := range p.Traits {
		if name[0] != '$' { // It says when a call named the group.
			out.Traits[name] = value
		}
	}
	for cursor := ""; ; {
		var page struct {
			Events []struct {
				Type, Event, Source string
				MessageID           string `json:"message_id"`
			}
			Cursor string
		}
		if err := f.call(ctx, "GET", "/v1/people/"+at+"/events?limit=200&cursor="+url.QueryEscape(cursor), nil, &page); err != nil {
			f.t.Fatal(err)
		}
		for _, e := range page.Events {
			if e.Source != "rapport" && len(e.MessageID) < 6 { // what somebody sent
				out.Events = append(out.Events, e.Type+" "+e.Event+" "+e.MessageID)
			}
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	var list struct {
		Messages []struct{ State, Template, Journey, Step, Subject string }
	}
	if err := f.call(ctx, "GET", "/v1/messages?limit=200&person="+url.QueryEscape(ref), nil, &list); err != nil {
		f.t.Fatal(err)
	}
	for _, m := range list.Messages {
		out.Mails = append(out.Mails, m.State+" "+m.Journey+" "+m.Template+" "+m.Subject)
	}
	slices.Sort(out.Mails)
	return out
}

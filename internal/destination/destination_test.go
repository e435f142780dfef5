package destination

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rapport/internal/event"
	"rapport/internal/id"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func secretText(size int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", size)))
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		secretText(24): true, secretText(32): true, secretText(64): true, " " + secretText(32) + "\n": true,
		secretText(23): false, secretText(65): false, "": false, "whsec_": false, "whsec_not base64!": false,
		strings.TrimPrefix(secretText(32), "whsec_"): false, "whsk_" + strings.TrimPrefix(secretText(32), "whsec_"): false,
	} {
		s, err := ParseSecret(text)
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && text != "" && strings.Contains(err.Error(), strings.TrimPrefix(text, "whsec_")) && len(text) > 6 {
			t.Errorf("the error tells the secret: %v", err)
		}
		for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, []Secret{s})} {
			if ok && (strings.Contains(shown, "kkkk") || strings.Contains(shown, "107 107")) {
				t.Errorf("the secret shows itself: %s", shown)
			}
		}
	}
}

// TestSignatures: the public library takes what any secret of a rotation signed,
// and nothing that was changed on the way.
func TestSignatures(t *testing.T) {
	t.Parallel()
	first, second := secretText(32), secretText(48)
	var secrets []Secret
	for _, text := range []string{first, second} {
		s, err := ParseSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, s)
	}
	body := []byte(`{"type":"x"}`)
	head := sign(secrets, "whk_1", time.Now(), body)
	for _, text := range []string{first, second} {
		wh, err := standardwebhooks.NewWebhook(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := wh.Verify(body, head); err != nil {
			t.Errorf("refused: %v", err)
		}
		if err := wh.Verify([]byte(`{"type":"y"}`), head); err == nil {
			t.Error("another body is taken")
		}
		for _, name := range []string{"Webhook-Id", "Webhook-Timestamp"} {
			changed := head.Clone()
			changed.Set(name, changed.Get(name)+"1")
			if err := wh.Verify(body, changed); err == nil {
				t.Errorf("another %s is taken", name)
			}
		}
		old := sign(secrets, "whk_1", time.Now().Add(-time.Hour), body)
		if err := wh.Verify(body, old); err == nil {
			t.Error("what is an hour old is taken")
		}
	}
	stranger, err := standardwebhooks.NewWebhook(secretText(24))
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Verify(body, head); err == nil {
		t.Error("a secret that did not sign is content")
	}
}

func TestAnIDIsForEver(t *testing.T) {
	t.Parallel()
	it := Item{Seq: 7, Kind: Event, Name: "Seen", At: noon}
	const want = "whk_06eajh8a02xgcxsh4p0mnyzx90"
	if got := idOf(&it); got != want {
		t.Errorf("the item that was %s is now %s", want, got)
	}
	seen := map[string]bool{idOf(&it): true}
	for _, other := range []Item{{Seq: 8, Kind: Event, Name: "Seen", At: noon}, {Seq: 7, Kind: Segment, Name: "Seen", At: noon}, {Seq: 7, Kind: Event, Name: "Sees", At: noon}, {Seq: 7, Kind: Event, Name: "Seen", At: noon.Add(time.Millisecond)}} {
		if name := idOf(&other); seen[name] {
			t.Errorf("%+v has the id of another", other)
		} else {
			seen[name] = true
		}
	}
}

func TestScheduleGoesOverDays(t *testing.T) {
	t.Parallel()
	var least, most time.Duration
	for n := 1; n < MaxAttempts; n++ {
		if low, high := after(n, 0), after(n, 0.999999); low >= high || n > 1 && low <= after(n-1, 0) {
			t.Errorf("wait %d is %s to %s", n, low, high)
		}
		least, most = least+after(n, 0), most+after(n, 0.999999)
	}
	if least < 2*24*time.Hour || most > MaxAge {
		t.Errorf("from the first attempt to the last it takes %s to %s", least, most)
	}
	if after(0, 0.5) != after(1, 0.5) || after(99, 0.5) != after(MaxAttempts-1, 0.5) {
		t.Error("beyond its ends the schedule does not stand still")
	}
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	var b breaker
	now := noon
	for n := 1; n < tripsAt; n++ {
		if b.failed(now, 0.5) || b.open() {
			t.Fatalf("open after %d", n)
		}
	}
	if b.worked(); b.row != 0 {
		t.Error("a success does not begin the row anew")
	}
	for n := 1; n <= tripsAt; n++ {
		if got := b.failed(now, 0.5); got != (n == tripsAt) {
			t.Errorf("failure %d says it opened: %t", n, got)
		}
	}
	last := time.Duration(0)
	for range 20 {
		until, open := b.rests(now)
		if !open || !b.open() {
			t.Fatal("it is closed")
		}
		if rest := until.Sub(now); rest < last || rest > mostRest {
			t.Errorf("it rests %s after %s", rest, last)
		} else {
			last = rest
		}
		if b.failed(now, 0.5) { // on the wire when it opened
			t.Error("it opens twice")
		}
		if now = until; b.failed(now, 0.5) {
			t.Error("what stays open is told as new")
		}
	}
	if last != mostRest {
		t.Errorf("it rests %s at last", last)
	}
	if !b.worked() || b.open() || b.worked() {
		t.Error("a success does not close it once")
	}
}

func TestWants(t *testing.T) {
	t.Parallel()
	seen := &event.Event{Type: event.Track, Name: "Seen"}
	barred := &event.Event{Type: event.Track, Name: "Seen", Integrations: event.Integrations(`{"CRM":false}`)}
	page := &event.Event{Type: event.Page, Name: "Seen"}
	all := Definition{Events: Choice{All: true}, Segments: Choice{All: true}, Messages: Choice{All: true}, Consent: Choice{All: true}, Alerts: true, Integration: "CRM"}
	some := Definition{Events: Choice{Names: []string{"Seen"}}, Segments: Choice{Names: []string{"vips"}}, Messages: Choice{Names: []string{"accepted"}}, Consent: Choice{Names: []string{"news"}}}
	existing := some
	existing.Existing = true
	for _, tt := range []struct {
		name                      string
		it                        Item
		e                         *event.Event
		all, some, none, existing bool
	}{
		{"an event", Item{Kind: Event, Name: NameOf(seen)}, seen, true, true, false, true},
		{"one its sender keeps back", Item{Kind: Event, Name: NameOf(barred)}, barred, false, true, false, true},
		{"another event", Item{Kind: Event, Name: "Left"}, seen, true, false, false, false},
		{"a page of that name", Item{Kind: Event, Name: NameOf(page)}, page, true, false, false, false},
		{"an imported event", Item{Kind: Event, Flags: Initial, Name: "Seen"}, seen, false, false, false, true},
		{"a segment", Item{Kind: Segment, Name: "vips"}, nil, true, true, false, true},
		{"another segment", Item{Kind: Segment, Name: "idle"}, nil, true, false, false, false},
		{"a mail", Item{Kind: Message, Name: "accepted"}, nil, true, true, false, true},
		{"another state", Item{Kind: Message, Name: "opened"}, nil, true, false, false, false},
		{"a word", Item{Kind: Consent, Name: "news", Flags: Narrows}, nil, true, true, false, true},
		{"another purpose", Item{Kind: Consent, Name: "ads"}, nil, true, false, false, false},
		{"an erasure", Item{Kind: Erasure}, nil, true, true, true, true},
		{"an alert", Item{Kind: Alert, Name: "x"}, nil, true, false, false, false},
		{"what cannot be read", Item{}, nil, false, false, false, false},
	} {
		for _, d := range []struct {
			name string
			def  Definition
			want bool
		}{{"all", all, tt.all}, {"some", some, tt.some}, {"none", Definition{}, tt.none}, {"existing", existing, tt.existing}} {
			if got, _ := d.def.wants(&tt.it, tt.e); got != d.want {
				t.Errorf("%s: who wants %s gets it: %t", tt.name, d.name, got)
			}
		}
	}
}

// TestWhoIsAsked: what narrows and what erases is told without permission.
func TestWhoIsAsked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		it          Item
		asks, about bool
	}{
		{Item{Kind: Event}, true, true}, {Item{Kind: Segment}, true, true}, {Item{Kind: Message}, true, true},
		{Item{Kind: Consent}, true, true}, {Item{Kind: Consent, Flags: Narrows}, false, true},
		{Item{Kind: Erasure}, false, false}, {Item{Kind: Alert}, false, false},
	} {
		if tt.it.asks() != tt.asks || tt.it.about() != tt.about {
			t.Errorf("%+v asks %t, is about %t", tt.it, tt.it.asks(), tt.it.about())
		}
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	ann := &Party{Person: 1, Names: []Name{{"user_id", "42"}, {"email", "ann@shop.example"}, {"email", "a@shop.example"}}}
	e := &event.Event{
		Type: event.Track, Name: `Q"uote`, MessageID: "m1", Source: "shop", UserID: "42", Anonymous: "d-1", Time: noon, Received: noon.Add(time.Second),
		Properties: []byte(`{"total":39.50}`), Context: []byte(`{"ip":"8.8.8.8"}`),
	}
	for _, tt := range []struct {
		name    string
		it      Item
		e       *event.Event
		p       *Party
		kinds   []string
		options string
		want    string
	}{
		{"an event", Item{Kind: Event, At: noon}, e, ann, []string{"user_id", "email"}, "", `{"type":"event.track","timestamp":"2026-03-01T12:00:00Z","data":{"message_id":"m1","source":"shop","event":"Q\"uote","user_id":"42","received_at":"2026-03-01T12:00:01Z","properties":{"total":39.50},"person":{"id":"per_1","identifiers":{"email":["ann@shop.example","a@shop.example"],"user_id":["42"]}}}}`},
		{"who may know nobody", Item{Kind: Event, At: noon}, e, ann, nil, `{"a":1}`, `{"type":"event.track","timestamp":"2026-03-01T12:00:00Z","data":{"message_id":"m1","source":"shop","event":"Q\"uote","received_at":"2026-03-01T12:00:01Z","properties":{"total":39.50},"person":{"id":"per_1"},"options":{"a":1}}}`},
		{"an exit", Item{Kind: Segment, Flags: Left, Name: "vips", At: noon, Body: []byte(`{"segment":"vips"}`)}, nil, ann, nil, "", `{"type":"segment.exited","timestamp":"2026-03-01T12:00:00Z","data":{"segment":"vips","person":{"id":"per_1"}}}`},
		{"a mail", Item{Kind: Message, Name: "accepted", At: noon, Body: []byte(` {} `)}, nil, ann, nil, "", `{"type":"message.accepted","timestamp":"2026-03-01T12:00:00Z","data":{"person":{"id":"per_1"}}}`},
		{"an erasure", Item{Kind: Erasure, At: noon, Body: []byte(`{"user_id":"42"}`)}, nil, nil, nil, "", `{"type":"person.erased","timestamp":"2026-03-01T12:00:00Z","data":{"user_id":"42"}}`},
		{"no body", Item{Kind: Alert, Name: "disk", At: noon}, nil, nil, nil, "", `{"type":"alert.disk","timestamp":"2026-03-01T12:00:00Z","data":{}}`},
	} {
		var options []byte
		if tt.options != "" {
			options = []byte(tt.options)
		}
		got, err := envelope(&tt.it, tt.e, tt.p, &Definition{Identifiers: tt.kinds}, options)
		if err != nil || !json.Valid(got) {
			t.Fatalf("%s: %v in %s", tt.name, err, got)
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	disk, walk := []byte(`{"name":"disk_nearly_full","severity":"danger"}`), []byte(`{"name":"walk_behind","about":"live"}`)
	same := [][2]Item{
		{{Seq: 1, Person: 3}, {Seq: 2, Person: 3, Subject: id.Hash{1}}},
		{{Seq: 1, Subject: id.Hash{1}}, {Seq: 2, Subject: id.Hash{1}}},
		{{Seq: 1, Kind: Alert, Name: "began", Body: disk}, {Seq: 2, Kind: Alert, Name: "ended", Body: disk}},
	}
	for _, pair := range same {
		if keyOf(&pair[0]) != keyOf(&pair[1]) {
			t.Errorf("%+v and %+v do not wait for each other", pair[0], pair[1])
		}
	}
	seen := map[int64]Item{}
	for _, it := range []Item{{Seq: 1, Person: 3}, {Seq: 2, Person: 4}, {Seq: 3, Subject: id.Hash{1}}, {Seq: 4, Subject: id.Hash{2}}, {Seq: 5}, {Seq: 6}, {Seq: 7, Kind: Alert, Body: disk}, {Seq: 8, Kind: Alert, Body: walk}, {Seq: 9, Kind: Alert}} {
		if other, ok := seen[keyOf(&it)]; ok {
			t.Errorf("%+v waits for %+v", it, other)
		}
		seen[keyOf(&it)] = it
	}
}

package manage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"rapport/internal/api/manage"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/outbox"
	"rapport/internal/processor"
	"rapport/internal/store"
)

func ledgerOf(h *house, address string, rows *int) func(store.Tx) error {
	return func(tx store.Tx) error {
		list, err := tx.Consent().Ledger(h.hasher.Sum("email", address))
		*rows = len(list)
		return err
	}
}

// mail reads what a request led to.
func (h *house) mail(name string) outbox.Mail {
	h.t.Helper()
	m, err := id.ParseMessage(name)
	h.must(err)
	var out outbox.Mail
	var found bool
	h.must(h.state.Read(h.t.Context(), func(tx store.Tx) (err error) {
		out, found, err = tx.Outbox().Get(m)
		return err
	}))
	if !found {
		h.t.Fatalf("there is no mail %s", name)
	}
	return out
}

func (h *house) send(key, body string) *httptest.ResponseRecorder {
	h.t.Helper()
	return h.ask("POST", "/v1/send", body, "Idempotency-Key: "+key)
}

func TestSendIsOwedAsItWasAsked(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.ann()
	for _, c := range []struct{ name, body, want string }{
		{
			"an address alone", `{"template":"receipt","to":"New@Shop.Example"}`,
			`per_2 receipt service transactional "new@shop.example"   01T00`,
		},
		{
			"a person", `{"template":"receipt","person":{"user_id":"42"},"data":{"b":1,"a":[2]},"provider":"relay","valid_for":"36h"}`,
			`per_1 receipt service transactional "" relay {"a":[2],"b":1} 03T00`,
		},
		{
			"a person as text", `{"template":"news","person":"email:Ann@shop.example","purpose":"marketing.newsletter"}`,
			`per_1 news marketing.newsletter triggered ""   01T00`,
		},
		{
			"a person by number, another address", `{"template":"receipt","person":{"id":"per_1"},"to":"office@shop.example"}`,
			`per_1 receipt service transactional "office@shop.example"   01T00`,
		},
		{
			"a device", `{"template":"receipt","person":{"anonymous_id":"device-1"}}`,
			`per_1 receipt service transactional ""   01T00`,
		},
	} {
		key := strings.ReplaceAll(c.name, " ", "-")
		w := h.send(key, c.body)
		got := h.answerOf(http.StatusAccepted, w)
		if got["state"] != "pending" || got["new"] != true {
			t.Errorf("%s: got %v", c.name, got)
		}
		h.walked()
		m := h.mail(got["id"].(string))
		if m.Key != "api/"+key || !m.Decided.Equal(start) {
			t.Errorf("%s: key %q, decided %s", c.name, m.Key, m.Decided)
		}
		line := fmt.Sprintf("%s %s %s %s %q %s %s %s", m.Person, m.Template, m.Purpose, m.Class, m.To, m.Provider, m.Data, m.ValidUntil.Format("02T15"))
		if line != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, line, c.want)
		}
	}
}

func TestSendRefuses(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.ann()
	tail, _ := h.log.Tail(eventlog.Live)
	key := []string{"Idempotency-Key: k1"}
	deep := `{"template":"receipt","to":"a@shop.example","data":{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`
	for _, s := range []scenario{
		{name: "no key", body: `{}`, status: 400, has: []string{"idempotency_key_required"}},
		{name: "a key with blanks", body: `{}`, header: []string{"Idempotency-Key: a b"}, status: 400, has: []string{"bad_idempotency_key"}},
		{name: "a long key", body: `{}`, header: []string{"Idempotency-Key: " + strings.Repeat("k", 256)}, status: 400, has: []string{"bad_idempotency_key"}},
		{name: "no body", header: key, status: 400, has: []string{"bad_json"}},
		{name: "no object", body: `[]`, header: key, status: 400, has: []string{"wrong_type"}},
		{name: "more behind it", body: `{"template":"receipt","to":"ann@shop.example"}{}`, header: key, status: 400, has: []string{"bad_json"}},
		{name: "cut short", body: `{"template":"receipt","to":"ann@shop.exam`, header: key, status: 400, has: []string{"bad_json"}},
		{name: "said twice", body: `{"template":"receipt","to":"ann@shop.example","to":"ann@shop.example"}`, header: key, status: 400, has: []string{"bad_json"}},
		{name: "unknown field", body: `{"template":"receipt","too":"ann@shop.example"}`, header: key, status: 400, has: []string{"unknown_field", `"/too"`}},
		{name: "an address as a field", body: `{"ann@shop.example":1}`, header: key, status: 400, has: []string{"unknown_field"}},
		{name: "no template", body: `{"to":"ann@shop.example"}`, header: key, status: 400, has: []string{"template_required"}},
		{name: "no such template", body: `{"template":"ann@shop.example","to":"ann@shop.example"}`, header: key, status: 422, has: []string{"no_such_template"}},
		{name: "nobody", body: `{"template":"receipt"}`, header: key, status: 400, has: []string{"recipient_required"}},
		{name: "no address", body: `{"template":"receipt","to":"ann@shop.example, eve@shop.example"}`, header: key, status: 400, has: []string{"bad_address", `"/to"`}},
		{name: "a line break in an address", body: `{"template":"receipt","to":"ann@shop.example\r\nBcc: eve@shop.example"}`, header: key, status: 400, has: []string{"bad_address"}},
		{name: "marketing to nobody", body: `{"template":"news","to":"ann@shop.example"}`, header: key, status: 422, has: []string{"person_required"}},
		{name: "another purpose", body: `{"template":"news","person":"user_id:42","purpose":"service"}`, header: key, status: 422, has: []string{"other_purpose"}},
		{name: "no such provider", body: `{"template":"receipt","to":"ann@shop.example","provider":"pigeon"}`, header: key, status: 422, has: []string{"no_such_provider"}},
		{name: "no such person", body: `{"template":"receipt","person":{"id":"per_77"}}`, header: key, status: 404, has: []string{"no_such_person"}},
		{name: "no such kind", body: `{"template":"receipt","person":{"phone":"1"}}`, header: key, status: 400, has: []string{"bad_person"}},
		{name: "two people", body: `{"template":"receipt","person":{"user_id":"1","email":"ann@shop.example"}}`, header: key, status: 400, has: []string{"bad_person"}},
		{name: "everybody", body: `{"template":"receipt","person":{"user_id":"null"}}`, header: key, status: 400, has: []string{"bad_person"}},
		{name: "no duration", body: `{"template":"receipt","to":"ann@shop.example","valid_for":"soon"}`, header: key, status: 400, has: []string{"bad_duration"}},
		{name: "data that is no object", body: `{"template":"receipt","to":"ann@shop.example","data":[12.5]}`, header: key, status: 400, has: []string{"wrong_type", "/data"}},
		{name: "too deep", body: deep, header: key, status: 400, has: []string{"too_deep"}},
		{name: "too large", body: `{"data":{"a":"` + strings.Repeat("x", 64<<10) + `"}}`, header: key, status: 413, has: []string{"payload_too_large", "65536"}},
		{name: "a wrong kind of value", body: `{"template":7}`, header: key, status: 400, has: []string{"wrong_type", `"/template"`}},
	} {
		s.method, s.path = "POST", "/v1/send"
		t.Run(s.name, func(t *testing.T) { s.run(t, h) })
	}
	if now, _ := h.log.Tail(eventlog.Live); now != tail {
		t.Errorf("refused requests left %d records", now-tail)
	}
	// A refusal leaves the key free.
	h.answerOf(202, h.send("k1", `{"template":"receipt","to":"ann@shop.example"}`))
}

func TestOneKeyIsOneMail(t *testing.T) {
	t.Parallel()
	h := setup(t)
	const body = `{"template":"receipt","to":"ann@shop.example","data":{"a":1,"b":2}}`
	first := h.answerOf(202, h.send("k1", body))
	h.clock.Move(time.Hour)
	check := func(when string) {
		t.Helper()
		for _, same := range []string{body, `{"data": {"b":2, "a":1}, "to":"Ann@SHOP.example", "template":"receipt"}`} {
			got := h.answerOf(200, h.send("k1", same))
			if got["id"] != first["id"] || got["new"] != false || got["state"] != "pending" {
				t.Errorf("%s: got %v, want %v again", when, got, first["id"])
			}
		}
		for _, other := range []string{strings.Replace(body, "ann@", "eve@", 1), strings.Replace(body, `"a":1`, `"a":1.0`, 1), strings.Replace(body, `{"template"`, `{"valid_for":"1h","template"`, 1)} {
			w := h.send("k1", other)
			if w.Code != 422 || !strings.Contains(w.Body.String(), "idempotency_key_reused") {
				t.Errorf("%s: another request got %d %s", when, w.Code, w.Body)
			}
		}
	}
	check("from memory")
	h.walked()
	h.knock()
	check("from the outbox")
	h.stop()
	h.open()
	h.walking()
	check("after a restart")
	h.walked()
	if n := len(h.records(event.Send)); n != 1 {
		t.Errorf("the log has %d requests, want 1", n)
	}
	h.answerOf(202, h.send("k2", body))
}

// records gives the records of a type in the live lane.
func (h *house) records(kind event.Type) (out []event.Event) {
	h.t.Helper()
	recs, err := h.log.Read(h.t.Context(), eventlog.Live, 1, 64<<20)
	h.must(err)
	for _, r := range recs {
		var e event.Event
		h.must(e.Decode(r.Body))
		if e.Type == kind {
			out = append(out, e)
		}
	}
	return out
}

func TestARestartWaitsForWhatIsNotWalked(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.stop()
	h.open() // nobody walks
	const body = `{"template":"receipt","to":"ann@shop.example"}`
	first := h.answerOf(202, h.send("k1", body))
	h.clock.Move(time.Hour)
	h.knock()
	answer := make(chan *httptest.ResponseRecorder)
	go func() { answer <- h.send("k1", body) }()
	h.walking()
	if got := h.answerOf(200, <-answer); got["id"] != first["id"] || got["new"] != false {
		t.Errorf("got %v, want %v again", got, first["id"])
	}
	h.walked()
	if n := len(h.records(event.Send)); n != 1 {
		t.Errorf("the log has %d requests, want 1", n)
	}
}

func TestManyAtOnceAreOneMail(t *testing.T) {
	t.Parallel()
	h := setup(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	ids, fresh := map[any]int{}, 0
	for range 32 {
		group.Go(func() {
			w := h.send("k1", `{"template":"receipt","to":"ann@shop.example"}`)
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code > 202 {
				t.Errorf("got %d %s", w.Code, w.Body)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[got["id"]]++
			if got["new"] == true {
				fresh++
			}
		})
	}
	group.Wait()
	if len(ids) != 1 || fresh != 1 {
		t.Errorf("got %d ids, %d of them new; want one mail", len(ids), fresh)
	}
	h.walked()
	if n := len(h.records(event.Send)); n != 1 {
		t.Errorf("the log has %d requests, want 1", n)
	}
}

// failing is a log that cannot write, or that panics, until it is mended.
type failing struct {
	manage.Log
	err    error
	panics bool
}

func (f *failing) Append(ctx context.Context, lane eventlog.Lane, records [][]byte) (int64, time.Time, error) {
	if f.panics {
		panic("a defect")
	}
	if f.err != nil {
		return 0, time.Time{}, f.err
	}
	return f.Log.Append(ctx, lane, records)
}

func TestWhatIsNotDurableIsNotAccepted(t *testing.T) {
	t.Parallel()
	h := setup(t)
	f := &failing{Log: h.log, err: fault.New(fault.Unavailable, "disk_full", "no room")}
	h.config.Log = f
	h.knock()
	const body = `{"template":"receipt","to":"ann@shop.example"}`
	w := h.send("k1", body)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	f.err = errors.New("the address ann@shop.example could not be written")
	if w := h.send("k1", body); w.Code != 500 || strings.Contains(w.Body.String(), "ann@") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	f.panics = true
	func() {
		defer func() { _ = recover() }() // The server does it.
		h.send("k1", body)
	}()
	f.panics, f.err = false, nil
	h.answerOf(202, h.send("k1", body))
}

// behind is a walk that does not come on.
type behind struct {
	manage.Walk
	position int64
}

func (b *behind) Walked(eventlog.Lane) int64                       { return b.position }
func (b *behind) Wait(context.Context, eventlog.Lane, int64) error { return context.DeadlineExceeded }

func TestWhoWaitsForTheWalkHearsThatItIsLate(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.config.Walk = &behind{Walk: h.walker}
	h.knock()
	for _, s := range []scenario{
		{name: "a person", path: "/v1/people/user_id:42?min_position=1000", status: 503, has: []string{"not_walked_yet"}},
		{name: "events", path: "/v1/people/user_id:42/events?min_position=1000", status: 503, has: []string{"not_walked_yet"}},
		{name: "a request for a mail", method: "POST", path: "/v1/send", header: []string{"Idempotency-Key: k"}, body: `{"template":"receipt","to":"ann@shop.example"}`, status: 503, has: []string{"not_walked_yet"}},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t, h) })
	}
}

func TestTheRecordIsWhatTheWalkReads(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.answerOf(202, h.send("k\"1\\", `{"template":"receipt","to":"ann@shop.example","data":{"x":"<é\u0000>"},"valid_for":"1h"}`))
	got := h.records(event.Send)[0]
	var req processor.SendRequest
	h.must(json.Unmarshal(got.Properties, &req))
	want := processor.SendRequest{
		Key: `api/k"1\`, To: "ann@shop.example", Template: "receipt", Purpose: "service", Class: 1,
		Data: req.Data, ValidUntil: start.Add(time.Hour).UnixMilli(),
	}
	if fmt.Sprint(req) != fmt.Sprint(want) || got.Email != "ann@shop.example" || got.Source != "rapport" {
		t.Errorf("got %+v, want %+v", req, want)
	}
	var data struct{ X string }
	h.must(json.Unmarshal(req.Data, &data))
	if data.X != "<é\x00>" {
		t.Errorf("got data %q", data.X)
	}
}

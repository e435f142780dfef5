package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rapport/internal/app"
	"rapport/internal/project"
)

// whsec makes a secret out of a word.
func whsec(word string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%-32s", word)))
}

// secrets knows SECRET_ONE, SECRET_TWO and so on.
func secrets(name string) (string, bool) { return whsec(name), strings.HasPrefix(name, "SECRET_") }

// message is what a receiver was sent.
type message struct {
	ID   string
	At   time.Time // webhook-timestamp
	Type string
	Data map[string]any
	Raw  []byte
	head http.Header
}

// receiver takes webhooks, checks each with the public library under the secrets
// it knows, and answers what it is told to.
type receiver struct {
	t       *testing.T
	server  *httptest.Server
	secrets []string
	answer  func(m *message, w http.ResponseWriter)

	mu   sync.Mutex
	came chan struct{}
	all  []*message
	took []*message // those that were answered with a success, in that order
}

// answered notes which status a message gets.
type answered struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// taken gives the messages that were taken, in order.
func (r *receiver) taken() []*message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.took)
}

// heard gives all that has come, taken or not, in order.
func (r *receiver) heard() []*message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

func receiving(t *testing.T, secrets ...string) *receiver {
	t.Helper()
	r := &receiver{t: t, secrets: secrets, came: make(chan struct{})}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) answers(fn func(m *message, w http.ResponseWriter)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = fn
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	for _, s := range r.secrets {
		wh, err := standardwebhooks.NewWebhook(s)
		if err == nil {
			err = wh.Verify(body, req.Header)
		}
		if err != nil {
			r.t.Errorf("the public library refuses a signature: %v", err)
		}
	}
	m := &message{ID: req.Header.Get("webhook-id"), Raw: body, head: req.Header}
	seconds, err := strconv.ParseInt(req.Header.Get("webhook-timestamp"), 10, 64)
	if err != nil {
		r.t.Error(err)
	}
	m.At = time.Unix(seconds, 0)
	if err := json.Unmarshal(body, m); err != nil {
		r.t.Errorf("%v in %s", err, body)
	}
	r.mu.Lock()
	answer := r.answer
	r.all = append(r.all, m)
	close(r.came)
	r.came = make(chan struct{})
	r.mu.Unlock()
	a := &answered{w, http.StatusOK}
	if answer != nil {
		answer(m, a)
	}
	if a.status < 300 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.took = append(r.took, m)
	}
}

// wait waits until something holds of what has come.
func (r *receiver) wait(what string, holds func(all []*message) bool) []*message {
	r.t.Helper()
	patience := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		all, came := slices.Clone(r.all), r.came
		r.mu.Unlock()
		if holds(all) {
			return all
		}
		select {
		case <-came:
		case <-patience:
			var types []string
			for _, m := range all {
				types = append(types, m.Type)
			}
			r.t.Fatalf("%s: only this came: %q", what, types)
		}
	}
}

// types waits for so many messages and gives their types.
func (r *receiver) types(n int) (out []string) {
	r.t.Helper()
	for _, m := range r.wait(fmt.Sprint(n, " messages"), func(all []*message) bool { return len(all) >= n }) {
		out = append(out, m.Type)
	}
	return out
}

// hook is a destination's file.
func hook(r *receiver, more string) string {
	return "kind: webhook\nurl: " + r.server.URL + "/in\nprivate: true\npurpose: marketing.newsletter\nsecrets: env:SECRET_ONE\n" + more
}

// told opens a house with destinations.
func told(t *testing.T, database string, clock *app.Clock, files map[string]string) (*lived, func(map[string]string) *project.Config) {
	t.Helper()
	sink := taking(t, func(string) bool { return false })
	with := func(files map[string]string) *project.Config { return small(t, sink.Addr(), files) }
	o := app.Options{Data: t.TempDir(), Database: database, Clock: clock, Secrets: project.Secrets{Env: secrets}}
	return live(t, o, with(files)), with
}

func handClock() *app.Clock { return app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0) }

// line reads how a destination does.
type line struct {
	State, Reason, Last   string
	Behind, Waiting, Dead int64
	Counts                map[string]int64
	At                    time.Time `json:"last_at"`
}

func (l *lived) line(name string) (out line) {
	l.t.Helper()
	l.get("/v1/destinations/"+name, &out)
	return out
}

// until waits until something holds of how a destination does.
func (l *lived) until(name, what string, holds func(line) bool) line {
	l.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		out := l.line(name)
		if holds(out) {
			return out
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%s: %s: %+v", name, what, out)
		}
		time.Sleep(2 * time.Millisecond) // The server decides when.
	}
}

// TestDestinationsAreTold: events, segment changes, message states and consent
// reach whoever wants them and nobody else, signed as the public library expects,
// and a withdrawal is told although it forbids the rest.
func TestDestinationsAreTold(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		all, some := receiving(t, whsec("SECRET_ONE")), receiving(t, whsec("SECRET_ONE"), whsec("SECRET_TWO"))
		l, _ := told(t, database, handClock(), map[string]string{
			"destinations/all.yaml":  hook(all, "events: all\nsegments: all\nmessages: [accepted]\nconsent: all\nidentifiers: [user_id, email]\n"),
			"destinations/some.yaml": strings.Replace(hook(some, "events: [Trigger]\nwhere: {ref: m2}\n"), "env:SECRET_ONE", "[env:SECRET_ONE, env:SECRET_TWO]", 1),
		})
		for _, id := range []string{"m1", "m2"} {
			if code := l.track("Trigger", "ann", id); code != 200 {
				t.Fatal(code)
			}
		}
		l.told()
		got := all.wait("events, the segment and two mails", func(all []*message) bool { return len(all) >= 5 })
		var types []string
		for _, m := range got {
			types = append(types, m.Type)
			person, _ := m.Data["person"].(map[string]any)
			if person["id"] != "per_1" || fmt.Sprint(person["identifiers"]) != "map[email:[ann@people.example] user_id:[ann]]" {
				t.Errorf("%s is about %v", m.Type, person)
			}
		}
		want := []string{"event.track", "event.track", "message.accepted", "message.accepted", "segment.entered"}
		if slices.Sort(types); !slices.Equal(types, want) {
			t.Errorf("told %q, want %q", types, want)
		}
		if m := some.wait("what the comparison lets through", func(all []*message) bool { return len(all) > 0 }); m[0].Data["message_id"] != "m2" || len(strings.Fields(m[0].head.Get("webhook-signature"))) != 2 {
			t.Errorf("%s %v", m[0].Raw, m[0].head)
		} else if person := m[0].Data["person"]; strings.Contains(fmt.Sprint(person), "@") {
			t.Errorf("an address is told to who does not want it: %v", person)
		}
		if code := l.object("ann"); code > 299 {
			t.Fatal(code)
		}
		if code := l.track("Trigger", "ann", "m3"); code != 200 {
			t.Fatal(code)
		}
		l.told()
		if got := all.types(6); got[5] != "consent.changed" {
			t.Errorf("told %q", got)
		}
		// The event after the objection is dropped with the reason of the gate.
		out := l.until("all", "what was forbidden is dropped", func(x line) bool { return x.Counts["dropped.objected"] > 0 && x.Behind == 0 })
		if out.State != "telling" || out.Counts["delivered"] != 6 {
			t.Errorf("%+v", out)
		}
		all.mu.Lock()
		defer all.mu.Unlock()
		if data := all.all[5].Data; data["purpose"] != "marketing.newsletter" || data["state"] != "objected" {
			t.Errorf("consent: %v", data)
		}
		if len(all.all) != 6 {
			t.Errorf("%d messages came", len(all.all))
		}
	})
}

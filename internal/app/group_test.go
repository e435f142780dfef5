package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
)

// TestGroups: people belong to groups, rules ask what is known of them, and a
// change of a group reaches all of its members, also of one that is larger than
// a transaction.
func TestGroups(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		dir, at := t.TempDir(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		config := small(t, sink.Addr(), map[string]string{
			"segments/enterprise.yaml": "rule: {trait: $group.plan, is: enterprise}\n",
			"segments/partners.yaml":   "rule: {trait: $groups, any_item: {kind: partner, employees: {gt: 100}}}\n",
			"journeys/welcome.yaml":    "purpose: service\ntrigger: {enters: enterprise}\nsteps: [{set: {welcomed: true}}]\n",
		})
		l := live(t, app.Options{Data: dir, Database: database, Clock: app.NewClock(at, 0)}, config)
		send := func(path, body string) {
			t.Helper()
			if w := l.ask(http.MethodPost, path, body); w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		const many = 450 // more than two waves
		for i := range many {
			send("/v1/batch", fmt.Sprintf(`{"batch":[{"type":"group","messageId":"g%d","userId":"u%d","groupId":"firm","traits":{"name":"Firm"}}]}`, i, i))
		}
		send("/v1/batch", `{"batch":[{"type":"group","messageId":"other","userId":"u1","groupId":"club","traits":{"kind":"partner","employees":50}}]}`)
		l.told()
		if n := l.people("enterprise"); n != 0 {
			t.Fatalf("%d are enterprise before anybody said so", n)
		}
		send("/v1/batch", `{"batch":[{"type":"group","messageId":"plan","userId":"u0","groupId":"firm","traits":{"plan":"enterprise"}}]}`)
		l.told()
		// u1's newest group is the club.
		if n := l.people("enterprise"); n != many-1 {
			t.Errorf("%d are enterprise, want %d", n, many-1)
		}
		w := l.ask("GET", "/v1/people/user_id:u300", "")
		if s := w.Body.String(); !strings.Contains(s, `"welcomed":true`) || !strings.Contains(s, `"$group":{"id":"firm"`) || !strings.Contains(s, `"plan":"enterprise"`) {
			t.Errorf("u300 is %s", s)
		}
		// Conditions of any_item hold in one and the same group.
		send("/v1/batch", `{"batch":[{"type":"group","messageId":"size","userId":"u0","groupId":"firm","traits":{"employees":5000}}]}`)
		l.told()
		if n := l.people("partners"); n != 0 {
			t.Errorf("%d are partners by traits of two groups", n)
		}
		send("/v1/batch", `{"batch":[{"type":"group","messageId":"grows","userId":"u1","groupId":"club","traits":{"employees":500}}]}`)
		l.told()
		if n := l.people("partners"); n != 1 {
			t.Errorf("%d are partners, want 1", n)
		}
		// An identify cannot write the house's own names, and an older call changes nothing.
		send("/v1/identify", `{"messageId":"forged","userId":"u2","traits":{"$group":{"plan":"partner"},"ok":1}}`)
		send("/v1/batch", `{"batch":[{"type":"group","messageId":"older","userId":"u3","groupId":"firm","timestamp":"2020-01-01T00:00:00Z","traits":{"plan":"basic"}}]}`)
		l.told()
		if n := l.people("enterprise"); n != many-1 {
			t.Errorf("%d are enterprise after a forged and an older call, want %d", n, many-1)
		}
		// Two who turn out to be one belong to the groups of both.
		send("/v1/batch", `{"batch":[{"type":"group","messageId":"device","anonymousId":"d1","groupId":"club","traits":{}},{"type":"identify","messageId":"one","userId":"u4","anonymousId":"d1"}]}`)
		l.told()
		if n := l.people("partners"); n != 2 {
			t.Errorf("%d are partners after a merge, want 2", n)
		}
	})
}

// told waits until everything is walked, also what state has to say to the log.
func (l *lived) told() {
	l.t.Helper()
	l.settle()
	if err := l.house.Told(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// people gives how many are in a segment.
func (l *lived) people(segment string) int {
	l.t.Helper()
	var list struct {
		Segments []struct {
			Name   string
			People int
		}
	}
	l.get("/v1/segments", &list)
	for _, s := range list.Segments {
		if s.Name == segment {
			return s.People
		}
	}
	l.t.Fatalf("there is no segment %s", segment)
	return 0
}

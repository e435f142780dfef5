package manage_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/processor"
	"rapport/internal/store"
)

func TestSetAsideIsShown(t *testing.T) {
	t.Parallel()
	h := setup(t)
	if got := h.answerOf(http.StatusOK, h.ask("GET", "/v1/set-aside", ""))["set_aside"].([]any); len(got) != 0 {
		t.Fatalf("got %v, want an empty list", got)
	}
	e := event.Event{
		Type: event.Track, Name: "Order Completed", Source: "shop", MessageID: "m-1", UserID: "42", Time: start, Received: start,
		Properties: []byte(`{"card":"secret"}`),
	}
	h.must(h.state.Write(t.Context(), store.WriteOptions{Durable: true}, func(tx store.Tx) error {
		for _, a := range []processor.Aside{
			{Lane: eventlog.Live, Pos: 7, At: start, Code: "derived_loop", Error: "it goes round", Body: e.Append(nil)},
			{Lane: eventlog.Bulk, Pos: 7, At: start.Add(1e9), Code: "unreadable", Error: "no event", Body: []byte("\xff\xffjunk")},
		} {
			if err := tx.Processor().SetAside(a); err != nil {
				return err
			}
		}
		return nil
	}))

	w := h.ask("GET", "/v1/set-aside", "")
	list := h.answerOf(http.StatusOK, w)["set_aside"].([]any)
	if len(list) != 2 || strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), `"event"`) {
		t.Fatalf("got %s", w.Body)
	}
	first, second := list[0].(map[string]any), list[1].(map[string]any)
	if first["lane"] != "bulk" || first["position"] != 7.0 || first["code"] != "unreadable" || first["type"] != nil {
		t.Errorf("got %v", first)
	}
	for k, v := range map[string]any{
		"lane": "live", "position": 7.0, "at": "2026-03-01T12:00:00Z", "code": "derived_loop", "error": "it goes round",
		"type": "track", "name": "Order Completed", "source": "shop", "message_id": "m-1",
	} {
		if second[k] != v {
			t.Errorf("%s: got %v, want %v", k, second[k], v)
		}
	}
	for cursor, want := range map[string][2]string{"": {"bulk", "bulk/7"}, "bulk/7": {"live", "live/7"}, "live/7": {"", ""}} {
		page := h.answerOf(http.StatusOK, h.ask("GET", "/v1/set-aside?limit=1&cursor="+url.QueryEscape(cursor), ""))
		lane := ""
		if rows := page["set_aside"].([]any); len(rows) > 0 {
			lane = rows[0].(map[string]any)["lane"].(string)
		}
		if lane != want[0] || page["cursor"] != want[1] {
			t.Errorf("behind %q: got %v, want one of %q and %q next", cursor, page, want[0], want[1])
		}
	}
	if page := h.answerOf(http.StatusOK, h.ask("GET", "/v1/set-aside", "")); page["cursor"] != "" {
		t.Errorf("the last page goes on at %v", page["cursor"])
	}

	one := h.answerOf(http.StatusOK, h.ask("GET", "/v1/set-aside/live/7", ""))["event"].(map[string]any)
	if one["properties"].(map[string]any)["card"] != "secret" || one["identifiers"].(map[string]any)["user_id"] != "42" {
		t.Errorf("got %v", one)
	}
	junk := h.answerOf(http.StatusOK, h.ask("GET", "/v1/set-aside/bulk/7", ""))
	if raw, err := base64.StdEncoding.DecodeString(junk["bytes"].(string)); err != nil || string(raw) != "\xff\xffjunk" || junk["event"] != nil {
		t.Errorf("got %v, %v", junk, err)
	}
	for path, want := range map[string]string{
		"/v1/set-aside/live/8": "404 not_set_aside", "/v1/set-aside/slow/7": "400 bad_lane", "/v1/set-aside/live/x": "400 bad_position",
		"/v1/set-aside/live/0": "400 bad_position", "/v1/set-aside?limit=0": "400 bad_limit",
		"/v1/set-aside?cursor=live": "400 bad_cursor", "/v1/set-aside?cursor=slow/7": "400 bad_cursor", "/v1/set-aside?cursor=live/0": "400 bad_cursor",
		"/v1/set-aside/live/7?x=1": "400 unknown_parameter",
	} {
		status, code, _ := strings.Cut(want, " ")
		if w := h.ask("GET", path, ""); http.StatusText(w.Code) == "" || status != w.Result().Status[:3] || !strings.Contains(w.Body.String(), code) {
			t.Errorf("%s: got %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	if w := h.ask("GET", "/v1/set-aside/live/7", "", "Authorization: Bearer rpk_other"); w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("without a management key: %d %s", w.Code, w.Body)
	}
}

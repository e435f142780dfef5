package app_test

import (
	"net/http"
	"strings"
	"testing"

	"rapport/internal/app"
)

// TestNothingComesLate: what cannot be taken of somebody who was erased is kept as
// rejected, without what it says, and nothing is permitted under their identifiers.
func TestNothingComesLate(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	data := t.TempDir()
	l := live(t, app.Options{Data: data, Clock: handClock()}, small(t, sink.Addr(), rightsConfig))
	l.lives(marker)
	if w := l.ask("POST", "/v1/identify", `{"messageId":"shop-id","userId":"ann-marker","context":{"externalIds":[{"id":"ann-marker-till","type":"till","collection":"users","encoding":"none"}]}}`); w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	l.settle()
	l.erase("user_id:" + marker)
	for name, c := range map[string]struct {
		path, body string
		status     int
		reason     string
	}{
		"no name":     {"/v1/batch", `{"batch":[{"type":"track","messageId":"late-1","userId":"ann-marker","event":""}]}`, 200, "event_not_defined"},
		"an address":  {"/v1/batch", `{"batch":[{"type":"track","messageId":"late-2","anonymousId":"x","event":"","context":{"traits":{"email":"Ann-Marker@people.example"}}}]}`, 200, "event_not_defined"},
		"their till":  {"/v1/batch", `{"batch":[{"type":"track","messageId":"late-3","context":{"externalIds":[{"type":"till","id":"ann-marker-till"}]},"event":""}]}`, 200, "event_not_defined"},
		"broken off":  {"/v1/track", `{"messageId":"late-4","userId":"ann-marker","event":`, 400, "json_invalid"},
		"never begun": {"/v1/track", `messageId=late-5&userId=ann-marker&event=x`, 400, "bad_request"},
		"broken":      {"/v1/track", `{"messageId":"late-6",,"userId":"ann-marker","event":"Seen"}`, 400, "json_invalid"},
		"a grant":     {"/v1/consent", `{"subject":"email:Ann-Marker@people.example","purpose":"marketing.newsletter","state":"granted","url":"http://shop.example/ann-marker"}`, 404, "person_erased"},
		"a no":        {"/v1/consent", `{"subject":"user_id:ann-marker","purpose":"marketing.newsletter","state":"withdrawn","evidence":{"said":"ann-marker"},"url":"http://shop.example/ann-marker"}`, 200, "withdrawn"},
	} {
		if w := l.ask("POST", c.path, c.body); w.Code != c.status || !strings.Contains(w.Body.String(), c.reason) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := l.ask("POST", "/v1/track", `{"messageId":"other","userId":"eve-lives","event":`); w.Code != http.StatusBadRequest {
		t.Fatal(w.Code, w.Body)
	}
	var kept struct {
		Rejects []struct {
			ID   int64
			Code string
		} `json:"rejected"`
	}
	l.get("/v1/rejected", &kept)
	if len(kept.Rejects) != 7 {
		t.Errorf("%d are kept as rejected, want 7", len(kept.Rejects))
	}
	l.settle()
	l.end()
	if got, err := app.Holds(t.Context(), data, data, marker); err != nil || got != nil {
		t.Errorf("she is in %v %v", got, err)
	}
	if got, err := app.Holds(t.Context(), data, data, "eve-lives"); err != nil || len(got) != 1 || got[0] != "reject" {
		t.Errorf("what another sent is in %v %v", got, err)
	}
}

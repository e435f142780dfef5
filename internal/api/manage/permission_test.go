package manage_test

import (
	"strings"
	"testing"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/identity"
	"rapport/internal/purpose"
)

// may asks whether the address may be mailed for a purpose, in the words of the gate.
func (h *house) may(p purpose.Purpose, address string) consent.Decision {
	h.t.Helper()
	a := h.hasher.Sum(identity.Email, address)
	return h.consent.Decide(h.t.Context(), consent.Question{Address: a, Operation: consent.HandOver, Purpose: p, Channel: purpose.Email, At: h.clock.Now()})
}

func TestConsentHoldsWhenTheAnswerComes(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.ann()
	const news = "marketing.newsletter"
	h.answerOf(200, h.ask("POST", "/v1/consent", `{"subject":{"kind":"email","value":"Ann@shop.example"},"purpose":"`+news+`","state":"granted","evidence":{"form":"till"}}`))
	h.walked()
	if d := h.may(news, "ann@shop.example"); d.Effect != consent.Allow {
		t.Fatalf("after a grant: %v %s", d.Effect, d.Reason)
	}
	h.clock.Move(1)
	got := h.answerOf(200, h.ask("POST", "/v1/consent", `{"subject":"email:ann@shop.example","purpose":"`+news+`","state":"withdrawn"}`, "Idempotency-Key: phone-7"))
	if d := h.may(news, "ann@shop.example"); d.Effect == consent.Allow { // not walked for certain
		t.Fatal("a withdrawal does not hold when its answer has come")
	}
	if got["record"] != "rapport/consent/key/phone-7" || got["subjects"] != 1.0 {
		t.Errorf("got %v", got)
	}
	h.walked()
	again := h.answerOf(200, h.ask("POST", "/v1/consent", `{"subject":"email:ann@shop.example","purpose":"`+news+`","state":"withdrawn"}`, "Idempotency-Key: phone-7"))
	if again["record"] != got["record"] {
		t.Errorf("the same again: %v", again)
	}
	h.walked()
	rows := 0
	h.must(h.state.Read(t.Context(), ledgerOf(h, "ann@shop.example", &rows)))
	if rows != 2 {
		t.Errorf("the ledger has %d rows, want the grant and the withdrawal", rows)
	}
}

func TestConsentOfAPersonIsKeptUnderAllTheirNames(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.ann()
	got := h.answerOf(200, h.ask("POST", "/v1/consent", `{"subject":"id:per_1","purpose":"marketing.newsletter","state":"objected"}`))
	if got["subjects"] != 4.0 {
		t.Errorf("got %v, want it under 4 identifiers", got)
	}
	if d := h.may("marketing.newsletter", "ann@shop.example"); d.Effect == consent.Allow {
		t.Error("the address may still be mailed")
	}
	h.walked()
	tail, _ := h.log.Tail(eventlog.Live)
	recs, err := h.log.Read(t.Context(), eventlog.Live, tail, 1<<20)
	h.must(err)
	var e event.Event
	h.must(e.Decode(recs[0].Body))
	if e.Type != event.Consent || strings.Contains(string(e.Properties), "@") || strings.Contains(string(e.Properties), "device-1") {
		t.Errorf("the record is %v with %s", e.Type, e.Properties)
	}
}

func TestConsentRefusesWhatNobodyCanSay(t *testing.T) {
	t.Parallel()
	const path, ann = "/v1/consent", `"subject":"email:ann@shop.example"`
	together(t, []scenario{
		{name: "no such purpose", method: "POST", path: path, body: `{` + ann + `,"purpose":"marketing.sms","state":"granted"}`, status: 400, has: []string{"no_such_purpose"}},
		{name: "a family", method: "POST", path: path, body: `{` + ann + `,"purpose":"marketing","state":"withdrawn"}`, status: 200},
		{name: "a contract", method: "POST", path: path, body: `{` + ann + `,"purpose":"service","state":"withdrawn"}`, status: 422, has: []string{"purpose_not_objectable"}},
		{name: "no such word", method: "POST", path: path, body: `{` + ann + `,"purpose":"marketing.newsletter","state":"perhaps"}`, status: 400, has: []string{"bad_state"}},
		{name: "no address", method: "POST", path: path, body: `{"subject":"email:ann@","purpose":"marketing.newsletter","state":"granted"}`, status: 400, has: []string{"bad_address", "/subject"}},
		{name: "nobody", method: "POST", path: path, body: `{"subject":"","purpose":"marketing.newsletter","state":"granted"}`, status: 400, has: []string{"bad_subject"}},
		{name: "nobody by number", method: "POST", path: path, body: `{"subject":"id:per_9","purpose":"marketing.newsletter","state":"granted"}`, status: 404},
		{name: "everybody", method: "POST", path: path, body: `{"subject":"user_id:null","purpose":"marketing.newsletter","state":"granted"}`, status: 400, has: []string{"bad_subject"}},
		{name: "unknown part of a subject", method: "POST", path: path, body: `{"subject":{"kind":"email","address":"ann@shop.example"},"purpose":"marketing.newsletter","state":"granted"}`, status: 400, has: []string{"wrong_type"}},
		{name: "an address as evidence", method: "POST", path: path, body: `{` + ann + `,"purpose":"marketing.newsletter","state":"granted","evidence":{"by":"ann@shop.example"}}`, status: 400, has: []string{"evidence_names_somebody"}},
		{name: "evidence that is no object", method: "POST", path: path, body: `{` + ann + `,"purpose":"marketing.newsletter","state":"granted","evidence":"phone"}`, status: 400, has: []string{"wrong_type", "/evidence"}},
	})
}

func TestSuppressionsStopMailAndAreTakenBack(t *testing.T) {
	t.Parallel()
	const path, ann = "/v1/suppressions", "ann@shop.example"
	stopped := func(p purpose.Purpose, want bool) func(t *testing.T, h *house) {
		return func(t *testing.T, h *house) {
			if got := h.may(p, ann).Effect != consent.Allow; got != want {
				t.Errorf("mail for %s stopped: %t, want %t", p, got, want)
			}
		}
	}
	together(t, []scenario{
		{name: "marketing", method: "POST", path: path, body: `{"email":"Ann@shop.example"}`, status: 200, has: []string{`"reason":"manual"`}, then: stopped(purpose.Service, false)},
		{name: "all", method: "POST", path: path, body: `{"email":"ann@shop.example","reason":"manual","purpose":"*"}`, status: 200, then: stopped(purpose.Service, true)},
		{name: "shown", path: "/v1/people/user_id:42", status: 200, has: []string{`"suppressed":[{"reason":"manual"`}},
		{name: "a bounce is not said", method: "POST", path: path, body: `{"email":"ann@shop.example","reason":"hard_bounce"}`, status: 400, has: []string{"bad_reason"}},
		{name: "no such purpose", method: "POST", path: path, body: `{"email":"ann@shop.example","purpose":"marketing.sms"}`, status: 400, has: []string{"no_such_purpose"}},
		{name: "no address", method: "POST", path: path, body: `{"email":"Ann <ann@shop.example>"}`, status: 400, has: []string{"bad_address"}},
		{name: "a complaint stays", method: "DELETE", path: path, body: `{"email":"ann@shop.example","reason":"complaint"}`, status: 422, has: []string{"not_yours_to_lift"}},
		{name: "no such reason", method: "DELETE", path: path, body: `{"email":"ann@shop.example","reason":"mood"}`, status: 400, has: []string{"bad_reason"}},
		{name: "with a purpose", method: "DELETE", path: path, body: `{"email":"ann@shop.example","purpose":"*"}`, status: 400},
		{name: "taken back", method: "DELETE", path: path, body: `{"email":"ann@shop.example"}`, status: 204, then: stopped(purpose.Service, false)},
	})
}

package manage

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/message"
	"rapport/internal/processor"
)

func FuzzSendBody(f *testing.F) {
	for _, seed := range []string{
		`{"template":"receipt","to":"ann@shop.example"}`,
		`{"template":"receipt","person":{"user_id":"42"},"data":{"order":{"total":12.50,"lines":[1,2]}},"valid_for":"36h","provider":"relay","purpose":"service"}`,
		`{"template":"t","person":"email:ann@shop.example"}`,
		`{"template":"t","person":{"id":"per_1"},"to":"\u0041@shop.example"}`,
		`{"template":"t","person":{"anonymous_id":null}}`,
		`{"template":"t","data":{"a":{"b":[{"c":"]}\\\""}]}},"to":"a@b.test"}`,
		`{"template":"t","data":{"a":1,"a":2}}`, `{"template":"\ud800"}`, `[`, `{}`, ``, `null`, `{"to":1}`, "{\"template\":\"\xff\"}",
		`{"template":"t","to":"a@b.test"} x`, `{"data":{"n":1e999,"m":-0}, "template":"t","to":"a@b.test"}`,
	} {
		f.Add([]byte(seed))
	}
	received := time.UnixMilli(1_772_366_400_000).UTC()
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := parseSend(bytes.Clone(body))
		if err != nil {
			var known *fault.Error
			if !errors.As(err, &known) || known.Kind != fault.Invalid || strings.Contains(err.Error(), "@") {
				t.Fatalf("the error tells too much or too little: %v", err)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatal("what is not JSON was taken")
		}
		if req.to != "" {
			if again, ok := ingest.NormalizeAddress(req.to); !ok || again != req.to {
				t.Fatalf("the address is not in its one spelling: %q", req.to)
			}
		}
		req.class, req.decidedPurpose = message.Triggered, "marketing.newsletter"
		d := json.NewDecoder(bytes.NewReader(req.appendRecord(nil, "api/k", received)))
		d.DisallowUnknownFields()
		var got processor.SendRequest
		if err := d.Decode(&got); err != nil {
			t.Fatalf("the walk cannot read the record: %v", err)
		}
		want := processor.SendRequest{
			Key: "api/k", To: req.to, Template: req.template, Purpose: "marketing.newsletter", Class: message.Triggered,
			Provider: req.provider, Data: json.RawMessage(req.data),
		}
		if req.validFor > 0 {
			want.ValidUntil = received.UnixMilli() + req.validFor
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("the record differs from the request (-want +got):\n%s", diff)
		}
		// The same request, spelt otherwise, is the same; decoding sorts and escapes.
		var v map[string]any
		n := json.NewDecoder(bytes.NewReader(body))
		n.UseNumber()
		if err := n.Decode(&v); err != nil {
			t.Fatal(err)
		}
		other, err := json.MarshalIndent(v, " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseSend(other)
		if err != nil {
			t.Fatalf("spelt otherwise it is refused: %v\n%s", err, other)
		}
		if !bytes.Equal(again.appendCanonical(nil), req.appendCanonical(nil)) {
			t.Fatalf("spelt otherwise it is another request:\n%s\n%s", body, other)
		}
	})
}

func TestWhatMakesRequestsTheSame(t *testing.T) {
	t.Parallel()
	canon := func(body string) string {
		t.Helper()
		req, err := parseSend([]byte(body))
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return string(req.appendCanonical(nil))
	}
	bodies := []string{
		`{"template":"t","to":"a@b.test"}`,
		`{"template":"t","person":"email:a@b.test"}`,
		`{"template":"t","person":"user_id:a@b.test"}`,
		`{"template":"t","person":"email:a@b.test","to":"a@b.test"}`,
		`{"template":"t","to":"a@b.test","provider":"p"}`,
		`{"template":"t","to":"a@b.test","purpose":"p"}`,
		`{"template":"t","to":"a@b.test","valid_for":"1h"}`,
		`{"template":"t","to":"a@b.test","data":{}}`,
		`{"template":"t","to":"a@b.test","data":{"id":9007199254740993}}`,
		`{"template":"t","to":"a@b.test","data":{"id":9007199254740992}}`,
	}
	seen := map[string]string{}
	for _, b := range bodies {
		c := canon(b)
		if other, dup := seen[c]; dup {
			t.Errorf("two requests are one: %s and %s", other, b)
		}
		seen[c] = b
	}
	if canon(`{"template":"t","person":{"email":"A@b.test"}}`) != canon(`{"person":"email:a@B.test","template":"t"}`) {
		t.Error("two spellings of one request differ")
	}
	if canon(`{"template":"t","to":"a@b.test","valid_for":"1h"}`) != canon(`{"template":"t","to":"a@b.test","valid_for":"60m"}`) {
		t.Error("two spellings of one duration differ")
	}
}

package ingest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

// TestRejects holds every code to an input that earns it: the item is counted
// and kept as it came, and nothing reaches the log.
func TestRejects(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 501)
	for _, tt := range []struct {
		name string
		call ingest.Call
		code string
		kind fault.Kind // of the error; Internal here means that there is none
	}{
		{"no identifier", single(event.Track, `{"event":"A"}`), ingest.CodeNoUser, 0},
		{"identifiers are null and empty", single(event.Track, `{"event":"A","userId":null,"anonymousId":""}`), ingest.CodeNoUser, 0},
		{"no event", single(event.Track, `{"userId":"u"}`), ingest.CodeEventMissing, 0},
		{"event is a number", single(event.Track, `{"userId":"u","event":7}`), ingest.CodeEventNotString, 0},
		{"event is too long", single(event.Track, `{"userId":"u","event":"`+long+`"}`), ingest.CodeNameTooLong, 0},
		{"properties are an array", single(event.Track, `{"userId":"u","event":"A","properties":[1]}`), ingest.CodeProperties, 0},
		{"traits are a string", single(event.Identify, `{"userId":"u","traits":"x"}`), ingest.CodeTraits, 0},
		{"context.traits are a number", single(event.Track, `{"userId":"u","event":"A","context":{"traits":3}}`), ingest.CodeTraits, 0},
		{"context is an array", single(event.Track, `{"userId":"u","event":"A","context":[]}`), ingest.CodeContext, 0},
		{"page name is a number", single(event.Page, `{"userId":"u","name":1}`), ingest.CodeNameNotString, 0},
		{"page category is a bool", single(event.Page, `{"userId":"u","category":true}`), ingest.CodeCategory, 0},
		{"user id is a number", single(event.Identify, `{"userId":12}`), ingest.CodeIDNotString, 0},
		{"anonymous id is an object", single(event.Identify, `{"anonymousId":{}}`), ingest.CodeIDNotString, 0},
		{"message id is a number", single(event.Identify, `{"userId":"u","messageId":5}`), ingest.CodeIDNotString, 0},
		{"user id is too long", single(event.Identify, `{"userId":"`+long+`"}`), ingest.CodeIDTooLong, 0},
		{"message id is too long", single(event.Identify, `{"userId":"u","messageId":"`+strings.Repeat("m", 101)+`"}`), ingest.CodeMessageIDLong, 0},
		{"user id holds a line end", single(event.Identify, `{"userId":"u\r\nBcc: x"}`), ingest.CodeIDText, 0},
		{"user id holds NUL", single(event.Identify, `{"userId":"u\u0000"}`), ingest.CodeIDText, 0},
		{"user id holds a lone surrogate", single(event.Identify, `{"userId":"u\ud83d"}`), ingest.CodeIDText, 0},
		{"user id is no UTF-8", single(event.Identify, "{\"userId\":\"u\xff\"}"), ingest.CodeIDText, 0},
		{"group without id", single(event.Group, `{"userId":"u"}`), ingest.CodeIDRequired, 0},
		{"alias without previous", single(event.Alias, `{"userId":"u"}`), ingest.CodeIDRequired, 0},
		{"alias without user", single(event.Alias, `{"previousId":"a","anonymousId":"b"}`), ingest.CodeIDRequired, 0},
		{"timestamp is text", single(event.Track, `{"userId":"u","event":"A","timestamp":"yesterday"}`), ingest.CodeTimestamp, 0},
		{"consent is a bool", single(event.Track, `{"userId":"u","event":"A","context":{"consent":true}}`), ingest.CodeConsentObject, 0},
		{"consent without preferences", single(event.Track, `{"userId":"u","event":"A","context":{"consent":{}}}`), ingest.CodeConsentMissing, 0},
		{"preferences are an array", single(event.Track, `{"userId":"u","event":"A","context":{"consent":{"categoryPreferences":[]}}}`), ingest.CodeConsentObject, 0},
		{"a preference is a word", single(event.Track, `{"userId":"u","event":"A","context":{"consent":{"categoryPreferences":{"ads":"no"}}}}`), ingest.CodeConsentBool, 0},
		{"consent version is a word", single(event.Track, `{"userId":"u","event":"A","context":{"consent":{"version":"2","categoryPreferences":{}}}}`), ingest.CodeConsentVersion, 0},
		{"advertising id is a number", single(event.Track, `{"userId":"u","event":"A","context":{"device":{"advertisingId":1}}}`), ingest.CodeAdvertisingID, 0},
		{"type is missing", batch(`{"batch":[{"userId":"u"}]}`), ingest.CodeTypeUnknown, 0},
		{"type is one of the house's own", batch(`{"batch":[{"userId":"u","type":"outcome"}]}`), ingest.CodeTypeUnknown, 0},
		{"item is a number", batch(`{"batch":[7]}`), ingest.CodeJSON, 0},

		{"duplicate key", single(event.Track, `{"userId":"u","event":"A","properties":{"a":1,"a":2}}`), ingest.CodeDuplicateKey, fault.Invalid},
		{"duplicate key by escape", single(event.Track, `{"userId":"u","event":"A","user\u0049d":"v"}`), ingest.CodeDuplicateKey, fault.Invalid},
		{"NaN", single(event.Track, `{"userId":"u","event":"A","properties":{"a":NaN}}`), ingest.CodeJSON, fault.Invalid},
		{"1e400", single(event.Track, `{"userId":"u","event":"A","properties":{"a":1e400}}`), ingest.CodeNumberRange, fault.Invalid},
		{"-1e400", single(event.Track, `{"userId":"u","event":"A","properties":{"a":[-1E+400]}}`), ingest.CodeNumberRange, fault.Invalid},
		{"a thousand digits", single(event.Track, `{"userId":"u","event":"A","properties":{"a":`+strings.Repeat("9", 1000)+`}}`), ingest.CodeNumberRange, fault.Invalid},
		{"33 levels", single(event.Track, `{"userId":"u","event":"A","properties":`+strings.Repeat(`{"a":`, 32)+`1`+strings.Repeat(`}`, 32)+`}`), ingest.CodeTooDeep, fault.Invalid},
		{"1,001 keys", single(event.Track, `{"userId":"u","event":"A","properties":{`+strings.Repeat(`"a":1,`, 998)+`"b":1}}`), ingest.CodeTooManyKeys, fault.Invalid},
		{"cut short", single(event.Track, `{"userId":"u","event":"A"`), ingest.CodeJSON, fault.Invalid},
		{"more behind it", single(event.Track, `{"userId":"u","event":"A"} {}`), ingest.CodeJSON, fault.Invalid},
		{"not an object", single(event.Track, `[]`), ingest.CodeBadRequest, fault.Invalid},
		{"empty", single(event.Track, ``), ingest.CodeBadRequest, fault.Invalid},
		{"too large", single(event.Track, `{"userId":"u","event":"A","properties":{"a":"`+strings.Repeat("x", 32<<10)+`"}}`), ingest.CodeEventTooLarge, fault.Limited},
		{"batch is no JSON", batch(`{"batch":[`), ingest.CodeBadRequest, fault.Invalid},
		{"batch is no array", batch(`{"batch":{}}`), ingest.CodeBadRequest, fault.Invalid},
		{"batch is missing", batch(`{"userId":"u"}`), ingest.CodeBadRequest, fault.Invalid},
		{"batch twice", batch(`{"batch":[{"type":"page","userId":"u"}],"batch":[{"type":"page","userId":"v"}]}`), ingest.CodeBadRequest, fault.Invalid},
		{"batch context is no object", batch(`{"batch":[{"type":"page","userId":"u"}],"context":7}`), ingest.CodeContext, fault.Invalid},
		{"batch too long", batch(`{"batch":[` + strings.Repeat(`{},`, 2500) + `{}]}`), ingest.CodeBatchTooLong, fault.Limited},
		{"batch too large", batch(`{"batch":["` + strings.Repeat("x", 500<<10) + `"]}`), ingest.CodeBatchTooLarge, fault.Limited},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r, err := b.Take(t.Context(), tt.call)
			if (err != nil) != (tt.kind != fault.Internal) || err != nil && (fault.KindOf(err) != tt.kind || fault.CodeOf(err) != tt.code) {
				t.Fatalf("error is %v, want kind %v", err, tt.kind)
			}
			if len(r.Rejected) != 1 || r.Rejected[0].Code != tt.code || r.Accepted != 0 {
				t.Fatalf("receipt is %+v, want one rejection %q", r, tt.code)
			}
			if len(b.log.records) != 0 {
				t.Fatalf("%d records in the log", len(b.log.records))
			}
			kept, err := b.Reject(t.Context(), r.Rejected[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			if kept.Code != tt.code || kept.Source != "shop" || kept.Path != tt.call.Path || !kept.At.Equal(now) || kept.Detail == "" {
				t.Errorf("kept %+v", kept)
			}
			if !strings.Contains(string(tt.call.Body), string(kept.Payload)) && !strings.Contains(string(kept.Payload), `"batch":[`) {
				t.Errorf("payload %q is not what came", kept.Payload)
			}
			if strings.Contains(kept.Detail, "Bcc") || strings.Contains(kept.Detail, "yesterday") {
				t.Errorf("detail %q repeats a value", kept.Detail)
			}
		})
	}
}

func TestTakes(t *testing.T) {
	t.Parallel()
	type want struct {
		event.Event
		Props, Traits, Context string
	}
	base := func(e event.Event) event.Event {
		e.Source, e.Received = "shop", now
		if e.Time.IsZero() {
			e.Time = now
		}
		return e
	}
	for _, tt := range []struct {
		name string
		call ingest.Call
		want want
	}{
		{"track", single(event.Track, `{"event":"Order Completed","messageId":"m","userId":"u","anonymousId":"a","properties":{"total":9.90}}`),
			want{Event: event.Event{Type: event.Track, Name: "Order Completed", MessageID: "m", UserID: "u", Anonymous: "a"}, Props: `{"total":9.90}`}},
		{"identify with an address", single(event.Identify, `{"messageId":"m","userId":"u","traits":{"email":" Ada@Mail.EXAMPLE ","age":36}}`),
			want{Event: event.Event{Type: event.Identify, MessageID: "m", UserID: "u", Email: "ada@mail.example"}, Traits: `{"email":" Ada@Mail.EXAMPLE ","age":36}`}},
		{"identify with a bad address keeps the event", single(event.Identify, `{"messageId":"m","userId":"u","traits":{"email":"nobody"}}`),
			want{Event: event.Event{Type: event.Identify, MessageID: "m", UserID: "u"}, Traits: `{"email":"nobody"}`}},
		{"track with context.traits", single(event.Track, `{"event":"A","messageId":"m","userId":"u","context":{"traits":{"email":"a@b.example"}}}`),
			want{Event: event.Event{Type: event.Track, Name: "A", MessageID: "m", UserID: "u", Email: "a@b.example"}, Traits: `{"email":"a@b.example"}`, Context: `{"traits":{"email":"a@b.example"}}`}},
		{"page with category", single(event.Page, `{"messageId":"m","userId":"u","name":"Home","category":"Shop","properties":{ "url":"https://x.example/" }}`),
			want{Event: event.Event{Type: event.Page, Name: "Home", MessageID: "m", UserID: "u"}, Props: `{ "url":"https://x.example/","category":"Shop"}`}},
		{"page with category and nothing else", single(event.Page, `{"messageId":"m","userId":"u","category":"Shop"}`),
			want{Event: event.Event{Type: event.Page, MessageID: "m", UserID: "u"}, Props: `{"category":"Shop"}`}},
		{"group", single(event.Group, `{"messageId":"m","userId":"u","groupId":"g","traits":{"email":"office@firm.example"},"context":{"traits":{"email":"a@b.example"}}}`),
			want{Event: event.Event{Type: event.Group, MessageID: "m", UserID: "u", GroupID: "g", Email: "a@b.example"}, Traits: `{"email":"office@firm.example"}`, Context: `{"traits":{"email":"a@b.example"}}`}},
		{"alias", single(event.Alias, `{"messageId":"m","userId":"u","previousId":"a"}`),
			want{Event: event.Event{Type: event.Alias, MessageID: "m", UserID: "u", Previous: "a"}}},
		{"group of the context", single(event.Track, `{"event":"A","messageId":"m","userId":"u","context":{"groupId":"g"}}`),
			want{Event: event.Event{Type: event.Track, Name: "A", MessageID: "m", UserID: "u", GroupID: "g"}, Context: `{"groupId":"g"}`}},
		{"external ids", single(event.Track, `{"event":"A","messageId":"m","anonymousId":"a","context":{"externalIds":[{"id":"77","type":"Shopify_ID","collection":"users","encoding":"none"},{"id":"x","type":"acc","collection":"accounts","encoding":"none"},{"id":"z","type":"user_id","collection":"users","encoding":"none"},{"id":"E@x.example","type":"email","collection":"users","encoding":"none"}]}}`),
			want{Event: event.Event{Type: event.Track, Name: "A", MessageID: "m", Anonymous: "a", Email: "e@x.example", External: []event.ExternalID{{Type: "shopify_id", Value: "77"}}},
				Context: `{"externalIds":[{"id":"77","type":"Shopify_ID","collection":"users","encoding":"none"},{"id":"x","type":"acc","collection":"accounts","encoding":"none"},{"id":"z","type":"user_id","collection":"users","encoding":"none"},{"id":"E@x.example","type":"email","collection":"users","encoding":"none"}]}`}},
		{"an id is made from the source of randomness", single(event.Track, `{"event":"A","userId":"u"}`),
			want{Event: event.Event{Type: event.Track, Name: "A", MessageID: "made-000102030405060708090a0b", UserID: "u"}}},
		{"text is mended once", single(event.Track, "{\"event\":\"A\\ud83d\",\"messageId\":\"m\",\"userId\":\"u\",\"properties\":{\"n\":\"a\\u0000b\xff\\ud83d\\ude00\u202e\u200b\"}}"),
			want{Event: event.Event{Type: event.Track, Name: "A\ufffd", MessageID: "m", UserID: "u"}, Props: "{\"n\":\"a\\ufffdb\ufffd\\ud83d\\ude00\u202e\u200b\"}"}},
		{"a byte order mark", single(event.Track, "\ufeff"+`{"event":"A","messageId":"m","userId":"u"}`),
			want{Event: event.Event{Type: event.Track, Name: "A", MessageID: "m", UserID: "u"}}},
		{"32 levels", single(event.Track, `{"event":"A","messageId":"m","userId":"u","properties":`+strings.Repeat(`{"a":`, 30)+`{}`+strings.Repeat(`}`, 30)+`}`),
			want{Event: event.Event{Type: event.Track, Name: "A", MessageID: "m", UserID: "u"}, Props: strings.Repeat(`{"a":`, 30) + `{}` + strings.Repeat(`}`, 30)}},
		{"batch context below the item's", batch(`{"context":{"library":{"name":"x"},"locale":"de"},"batch":[{"type":"track","event":"A","messageId":"m","userId":"u","context":{"locale":"en"}}]}`),
			want{Event: event.Event{Type: event.Track, Name: "A", MessageID: "m", UserID: "u"}, Context: `{"locale":"en","library":{"name":"x"}}`}},
		{"batch context alone", batch(`{"batch":[{"type":"track","event":"A","messageId":"m","userId":"u"}],"context":{"locale":"de"}}`),
			want{Event: event.Event{Type: event.Track, Name: "A", MessageID: "m", UserID: "u"}, Context: `{"locale":"de"}`}},
		{"the route's type wins", single(event.Track, `{"type":"identify","event":"A","messageId":"m","userId":"u"}`),
			want{Event: event.Event{Type: event.Track, Name: "A", MessageID: "m", UserID: "u"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r, err := b.Take(t.Context(), tt.call)
			if err != nil || r.Accepted != 1 || len(r.Rejected) != 0 || r.First != 1 || r.Last != 1 || r.Lane != eventlog.Live {
				t.Fatalf("receipt %+v, error %v", r, err)
			}
			e := b.log.events(t)[0]
			got := want{Event: e, Props: string(e.Properties), Traits: string(e.Traits), Context: string(e.Context)}
			got.Properties, got.Event.Traits, got.Event.Context = nil, nil, nil
			tt.want.Event = base(tt.want.Event)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			if string(tt.want.Props) != "" && !json.Valid([]byte(got.Props)) {
				t.Errorf("properties are not JSON: %s", got.Props)
			}
		})
	}
}

func TestClientSide(t *testing.T) {
	t.Parallel()
	mac := hmac.New(sha256.New, source("shop").UserHash)
	mac.Write([]byte("u"))
	signed := hex.EncodeToString(mac.Sum(nil))
	for _, tt := range []struct {
		name    string
		change  func(*ingest.Call)
		body    string
		flags   event.Flag
		context string
	}{
		{"server", nil, `{"event":"A","userId":"u","context":{"a":1}}`, 0, `{"a":1}`},
		{"server speaks for a client", nil, `{"event":"A","userId":"u","context":{"direct":true}}`, 0, `{"direct":true,"ip":"192.0.2.7","userAgent":"Agent/1 \"x\""}`},
		{"browser", func(c *ingest.Call) { c.Browser = true }, `{"event":"A","userId":"u"}`, event.FromBrowser, `{"ip":"192.0.2.7","userAgent":"Agent/1 \"x\""}`},
		{"browser says its own", func(c *ingest.Call) { c.Browser = true }, `{"event":"A","userId":"u","context":{"ip":"198.51.100.1","userAgent":"B"}}`, event.FromBrowser, `{"ip":"198.51.100.1","userAgent":"B"}`},
		{"browser over IPv6", func(c *ingest.Call) { c.Browser, c.Remote, c.Agent = true, netip.MustParseAddr("2001:db8::1"), "" }, `{"event":"A","userId":"u","context":{"a":1}}`, event.FromBrowser, `{"a":1}`},
		{"signed browser", func(c *ingest.Call) { c.Browser, c.Agent = true, "" }, `{"event":"A","userId":"u","context":{"userHash":"` + signed + `"}}`, event.Verified, `{"ip":"192.0.2.7"}`},
		{"signed for another", func(c *ingest.Call) { c.Browser, c.Agent = true, "" }, `{"event":"A","userId":"v","context":{"userHash":"` + signed + `"}}`, event.FromBrowser, `{"ip":"192.0.2.7"}`},
		{"hash is no hash", func(c *ingest.Call) { c.Browser, c.Agent = true, "" }, `{"event":"A","userId":"u","context":{"userHash":17}}`, event.FromBrowser, `{"ip":"192.0.2.7"}`},
		{"source without a secret", func(c *ingest.Call) { c.Browser, c.Agent, c.Source.UserHash = true, "", nil }, `{"event":"A","userId":"u","context":{"userHash":"` + signed + `"}}`, event.FromBrowser, `{"ip":"192.0.2.7"}`},
		{"the hash is not kept of a server either", nil, `{"event":"A","userId":"u","context":{"userHash":"` + signed + `","a":1}}`, 0, `{"a":1}`},
		{"bulk", func(c *ingest.Call) { c.Bulk = true }, `{"event":"A","userId":"u"}`, event.Bulk, ``},
		{"global privacy control", func(c *ingest.Call) { c.GPC = true }, `{"event":"A","userId":"u"}`, event.GPC, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c := single(event.Track, tt.body)
			c.Remote, c.Agent = netip.MustParseAddr("::ffff:192.0.2.7"), `Agent/1 "x"`
			if tt.change != nil {
				tt.change(&c)
			}
			if r, err := b.Take(t.Context(), c); err != nil || r.Accepted != 1 {
				t.Fatal(r, err)
			}
			e := b.log.events(t)[0]
			if e.Flags != tt.flags || string(e.Context) != tt.context {
				t.Errorf("got flags %b and context %s, want %b and %s", e.Flags, e.Context, tt.flags, tt.context)
			}
			if want := map[bool]eventlog.Lane{true: eventlog.Bulk, false: eventlog.Live}[c.Bulk]; b.log.lane != want {
				t.Errorf("lane %v, want %v", b.log.lane, want)
			}
		})
	}
}

// TestClock is fault 21: clocks that are wrong, unset, in the future, or step.
func TestClock(t *testing.T) {
	t.Parallel()
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tt := range []struct {
		name, times string
		want        time.Time
	}{
		{"none", ``, now},
		{"sent at once", `,"timestamp":"2026-11-23T14:59:59.000Z","sentAt":"2026-11-23T14:59:59.000Z"`, now},
		{"clock an hour slow", `,"timestamp":"2026-11-23T13:59:50.500Z","sentAt":"2026-11-23T14:00:00.000Z"`, now.Add(-9500 * time.Millisecond)},
		{"clock an hour fast", `,"timestamp":"2026-11-23T15:59:50Z","sentAt":"2026-11-23T16:00:00Z"`, now.Add(-10 * time.Second)},
		{"clock in 2099", `,"timestamp":"2099-01-01T00:00:00.000Z","sentAt":"2099-01-01T00:00:05.000Z"`, now.Add(-5 * time.Second)},
		{"2099 without sentAt", `,"timestamp":"2099-01-01T00:00:00.000Z"`, now},
		{"2099, sent today", `,"timestamp":"2099-01-01T00:00:00Z","sentAt":"2026-11-23T15:00:00Z"`, now},
		{"clock never set", `,"timestamp":"1970-01-01T00:05:00.000Z","sentAt":"1970-01-01T00:06:00.000Z"`, now.Add(-time.Minute)},
		{"unset without sentAt", `,"timestamp":"1970-01-01T00:00:00.000Z"`, now},
		{"unset, then set", `,"timestamp":"1970-01-01T00:00:00.000Z","sentAt":"2026-11-23T15:00:00.000Z"`, now},
		{"zero", `,"timestamp":0`, now},
		{"history", `,"timestamp":"1997-03-04T00:00:00Z","sentAt":"2026-11-23T15:00:00Z"`, at("1997-03-04T00:00:00Z")},
		{"clock stepped back before sending", `,"timestamp":"2026-11-23T15:00:00Z","sentAt":"2026-11-23T14:00:00Z"`, now},
		{"originalTimestamp first", `,"originalTimestamp":"2026-11-23T14:00:00Z","timestamp":"2026-11-23T12:00:00Z"`, now.Add(-time.Hour)},
		{"sentAt unreadable", `,"timestamp":"2026-11-23T14:00:00Z","sentAt":"soon"`, now.Add(-time.Hour)},
		{"zone without colon", `,"timestamp":"2026-11-23T15:30:00+0100"`, now.Add(-30 * time.Minute)},
		{"no zone", `,"timestamp":"2026-11-23T14:30:00"`, now.Add(-30 * time.Minute)},
		{"microseconds", `,"timestamp":"2026-11-23T14:59:59.123456+00:00"`, now.Add(-877 * time.Millisecond)},
		{"day only", `,"timestamp":"2026-11-22"`, at("2026-11-22T00:00:00Z")},
		{"milliseconds since 1970", `,"timestamp":1763910000000`, time.UnixMilli(1763910000000).UTC()},
		{"leap day", `,"timestamp":"2024-02-29T00:00:00.000Z"`, at("2024-02-29T00:00:00Z")},
		{"the year 9999, 300 years ahead of its sending", `,"timestamp":"9999-12-31T23:59:59Z","sentAt":"0001-01-01T00:00:00Z"`, now},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if r, err := b.Take(t.Context(), single(event.Track, `{"event":"A","userId":"u"`+tt.times+`}`)); err != nil || r.Accepted != 1 {
				t.Fatal(r, err)
			}
			e := b.log.events(t)[0]
			if !e.Time.Equal(tt.want) || e.Time.After(e.Received) || !e.Received.Equal(now) {
				t.Errorf("got %v, want %v", e.Time, tt.want)
			}
		})
	}
	for _, bad := range []string{`"2026-02-30T00:00:00.000Z"`, `"2026-11-23T25:00:00.000Z"`, `"99999"`, `true`, `-5`, `99999999999999999`} {
		b := setup(t)
		r, err := b.Take(t.Context(), single(event.Track, `{"event":"A","userId":"u","timestamp":`+bad+`}`))
		if err != nil || len(r.Rejected) != 1 || r.Rejected[0].Code != ingest.CodeTimestamp {
			t.Errorf("%s: %+v, %v", bad, r, err)
		}
	}
}

// TestOriginalIsKept holds the sender's own time beside the corrected one.
func TestOriginalIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.Take(t.Context(), single(event.Track, `{"event":"A","userId":"u","timestamp":"2099-01-01T00:00:00.000Z"}`)); err != nil {
		t.Fatal(err)
	}
	if got := b.log.events(t)[0].Original; got.Year() != 2099 {
		t.Errorf("original is %v", got)
	}
}

package plan_test

import (
	"strings"
	"testing"

	"rapport/internal/event"
)

const careful = `
events:
  Note Written:
    properties:
      note: string
      contact: {type: string, class: personal}
      vault: {type: string, class: sensitive}
traits:
  plan: string
personal_data:
  default: report
  email: mask
  phone: hash
  card: drop
  iban: mask
  ip: ignore
  secret: drop
  places: [properties.support_address]
  client_ip: truncate
  user_agent: reduce
`

func TestPersonalData(t *testing.T) {
	t.Parallel()
	set := compiled(t, careful)
	for name, tt := range map[string]struct {
		e      event.Event
		want   event.Event // what differs
		fields string
	}{
		"masked in a text": {
			event.Event{Type: event.Track, Name: "Note Written", Properties: []byte(`{"note":"ask ann@shop.example or \u0022bob@shop.example\u0022"}`)},
			event.Event{Properties: []byte(`{"note":"ask [email] or \"[email]\""}`)}, "properties.note email masked",
		},
		"hashed in one spelling": {
			event.Event{Type: event.Track, Name: "Note Written", Properties: []byte(`{"note":"+49 (0)30 1234567","phone":"+49 030 1234567"}`)},
			event.Event{Properties: []byte(`{"note":"` + digest("phone", "+490301234567") + `","phone":"` + digest("phone", "+490301234567") + `"}`)}, "properties.note phone hashed, properties.phone phone hashed",
		},
		"hashed before": {e: event.Event{Type: event.Track, Name: "Other", Properties: []byte(`{"phone":"` + strings.Repeat("0a", 32) + `"}`)}},
		"dropped": {
			event.Event{Type: event.Track, Name: "Other", Properties: []byte(`{"a":1,"card":"4111-1111-1111-1111","n":4111111111111111,"list":["x","4111111111111111","y"],"password":"hunter2"}`)},
			event.Event{Properties: []byte(`{"a":1,"list":["x","y"]}`)}, "properties.card card taken out, properties.n card taken out, properties.list card taken out, properties.password secret taken out",
		},
		"a name of a field": {
			event.Event{Type: event.Track, Name: "Other", Properties: []byte(`{"ann@shop.example":true}`)},
			event.Event{Properties: []byte(`{}`)}, "properties.[email] email taken out",
		},
		"where it may be": {e: event.Event{
			Type: event.Track, Name: "Note Written",
			Properties: []byte(`{"contact":"ann@shop.example","support_address":"help@shop.example","vault":"4111111111111111"}`), Traits: []byte(`{"email":"ann@shop.example","address":{"street":"+49 30 1234567"}}`),
		}},
		"a card is nowhere merely personal": {
			event.Event{Type: event.Track, Name: "Note Written", Properties: []byte(`{"contact":"4111111111111111"}`)},
			event.Event{Properties: []byte(`{}`)}, "properties.contact card taken out",
		},
		"reported": {
			e: event.Event{Type: event.Identify, UserID: "078-05-1120", Traits: []byte(`{"ssn":"078-05-1120"}`)}, fields: "traits.ssn national_id kept, userId national_id kept",
		},
		"the context": {
			event.Event{Type: event.Track, Name: "Other", Context: []byte(`{"ip":"198.51.100.7","userAgent":"Chrome/126.0.6478.127","userAgentData":{"brands":[],"model":"Pixel"},"page":{"url":"https://shop.example/?e=ann%40shop.example"},"traits":{"email":"ann@shop.example","note":"bob@shop.example"},"library":{"name":"x@y.example"}}`)},
			event.Event{Context: []byte(`{"ip":"198.51.100.0","userAgent":"Chrome/126.0.0.0","userAgentData":{"brands":[]},"page":{"url":"https://shop.example/?e=[email]"},"traits":{"email":"ann@shop.example","note":"[email]"},"library":{"name":"x@y.example"}}`)},
			"context.page.url email masked, traits.note email masked",
		},
		"a name of an event": {
			event.Event{Type: event.Page, Name: "Order of ann@shop.example"}, event.Event{Name: "Order of [email]"}, "event email masked",
		},
		"also what tells of violations": {
			event.Event{Type: event.Track, Name: "Violation Generated", Properties: []byte(`{"a":"ann@shop.example"}`)},
			event.Event{Properties: []byte(`{"a":"[email]"}`)}, "properties.a email masked",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := tt.e
			v := set.For("x").Judge(&e, digest)
			var fields []string
			for _, x := range v.Violations {
				if x.Code != "personal_data" {
					continue
				}
				for _, secret := range []string{"ann@", "bob@", "4111", "078-05", "+49"} {
					if strings.Contains(x.Field+x.Description, secret) {
						t.Errorf("a violation carries the datum: %+v", x)
					}
				}
				_, what, _ := strings.Cut(x.Description, "personal data (")
				kind, act, _ := strings.Cut(what, "); it was ")
				fields = append(fields, x.Field+" "+kind+" "+act)
			}
			if got := strings.Join(fields, ", "); got != tt.fields {
				t.Errorf("found %s\nwant  %s", got, tt.fields)
			}
			for what, pair := range map[string][3]string{
				"properties": {string(tt.e.Properties), string(tt.want.Properties), string(e.Properties)},
				"traits":     {string(tt.e.Traits), string(tt.want.Traits), string(e.Traits)},
				"context":    {string(tt.e.Context), string(tt.want.Context), string(e.Context)},
				"name":       {tt.e.Name, tt.want.Name, e.Name},
			} {
				want := pair[1]
				if want == "" {
					want = pair[0]
				}
				if pair[2] != want {
					t.Errorf("%s\n%s, want\n%s", what, pair[2], want)
				}
			}
			again := e
			set.For("x").Judge(&again, digest)
			if string(again.Properties) != string(e.Properties) || string(again.Context) != string(e.Context) {
				t.Errorf("judged again it becomes %s %s", again.Properties, again.Context)
			}
		})
	}
}

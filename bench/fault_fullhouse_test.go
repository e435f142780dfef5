package bench

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"rapport/internal/delivery/deliverytest"
)

// fullHouseSink takes mails, lets some wait, and refuses an address for good.
func fullHouseSink(t *testing.T) *deliverytest.Sink {
	t.Helper()
	return scripted(t, func(to string, _ int) deliverytest.Fault {
		switch to {
		case "later@full.example":
			return deliverytest.Fault{Refuse: &smtp.SMTPError{Code: 451, Message: "later"}}
		case "dead@full.example":
			return deliverytest.Fault{Refuse: &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}}
		}
		return deliverytest.Fault{}
	})
}

// fullHouse is a configuration under which every table gets rows; its checkpoints
// leave for a file.
func fullHouse(t *testing.T, trail string) map[string]string {
	t.Helper()
	return map[string]string{
		"rapport.yaml": `workspace: full
base_url: http://127.0.0.1:8420
sending:
  from: Full <hello@full.example>
  postal_address: 1 Sample Street, Sampletown
  provider: sink
  caps: [{mails: 3, per: 24h}]
limits: {events_per_second: 1000000, burst: 1000000, manage_per_second: 100000}
trail: {every: 1s, file: ` + trail + `}
consent: {confirm_with: confirm}
`,
		"purposes.yaml": `purposes:
  service: {title: Service, description: What you asked for., basis: contract}
  marketing.newsletter: {title: News, description: News., basis: legitimate_interest}
  marketing.club: {title: Club, description: The club., basis: consent, notice: club, double_opt_in: true}
  profiling: {title: Profile, description: A profile., basis: legitimate_interest, scope: device}
`,
		"notices/club.en.md":              "---\nversion: 1\n---\n# The club\n\nWe write.\n",
		"templates/confirm/template.yaml": "subject: Confirm\npurpose: service\nclass: transactional\ntracking: false\n",
		"templates/confirm/body.html":     `<p>{% if trigger.confirm_url %}<a href="{{ trigger.confirm_url }}">Confirm</a>{% endif %}</p>`,
		"journeys/slow.yaml":              "trigger: {event: Began}\npurpose: service\nsteps: [{wait: 24h}, {send: receipt}]\n",
		"segments/counted.yaml":           "rule: {trait: n, gte: 3}\n",
		"segments/lit.yaml":               "rule: {trait: lamp, is: lit}\n",
		"segments/dark.yaml":              "rule: {trait: lamp, is: dark}\n",
		"journeys/lit.yaml":               "trigger: {enters: lit}\npurpose: service\nreentry: always\nsteps: [{set: {lamp: dark}}]\n",
		"journeys/dark.yaml":              "trigger: {enters: dark}\npurpose: service\nreentry: always\nsteps: [{set: {lamp: lit}}]\n",
		"destinations/away.yaml":          "kind: webhook\nurl: http://127.0.0.1:9/in\nprivate: true\npurpose: profiling\nsecrets: file:away.secret\nevents: all\nconsent: all\n",
		"away.secret":                     "whsec_" + base64.StdEncoding.EncodeToString([]byte("this-is-no-secret-but-thirty-two")) + "\n",
	}
}

// fillEveryTable has people leave something in every table, and stops the server.
func (f *faulty) fillEveryTable(trail string) {
	f.t.Helper()
	f.start()
	for i := range 12 {
		f.says("/v1/identify", `{"messageId":"i%d","userId":"u%d","anonymousId":"d%d","traits":{"email":"u%d@full.example","n":%d}}`, i, i, i, i, i)
		f.says("/v1/track", `{"messageId":"o%d","userId":"u%d","event":"Order Completed","properties":{"total":%d}}`, i, i, i)
		f.says("/v1/batch", `{"batch":[{"type":"group","messageId":"g%d","userId":"u%d","groupId":"g%d","traits":{"size":%d}}]}`, i, i, i%3, i)
		f.says("/v1/track", `{"messageId":"b%d","userId":"u%d","event":"Began"}`, i, i)
		f.trigger(fmt.Sprint(i), fmt.Sprintf("u%d@full.example", i))
	}
	f.trigger("later", "later@full.example")
	f.trigger("dead", "dead@full.example")
	f.says("/v1/track", `{"messageId":"none","userId":"nowhere","event":"Trigger"}`) // It has no address to be mailed at.
	f.says("/v1/identify", `{"messageId":"lamp","userId":"lamp","traits":{"lamp":"lit"}}`)
	f.says("/v1/batch", `{"batch":[{"type":"track","messageId":"bad","userId":"u1"}]}`)
	// A device joins, has mails of the time together, and is parted again.
	f.says("/v1/track", `{"messageId":"p1","anonymousId":"phone","event":"Seen"}`)
	f.says("/v1/identify", `{"messageId":"p2","userId":"u2","anonymousId":"phone"}`)
	f.says("/v1/track", `{"messageId":"p3","anonymousId":"phone","event":"Trigger","properties":{"ref":"phone"}}`)
	f.says("/v1/identify", `{"messageId":"e1","userId":"gone","traits":{"email":"gone@full.example"}}`)
	until(f.t, "mails have left", time.Minute, func() bool {
		st, err := f.status(f.t.Context())
		return err == nil && st.Mails["accepted"] >= 12 && st.Mails["claimed"]+st.Mails["handing_over"]+st.Mails["pending"] == 0
	})
	for i, c := range [][2]string{
		{"/v1/people/user_id:u2/unmerge", `{"identifiers":[{"kind":"anonymous_id","value":"phone"}],"reason":"one device"}`},
		{"/v1/people/user_id:gone/erase", `{"law":"gdpr"}`},
		{"/v1/requests", `{"kind":"export","person":"user_id:u1"}`},
		{"/v1/consent", `{"subject":"user_id:u3","purpose":"marketing.newsletter","state":"objected","form":"footer"}`},
		{"/v1/consent/confirm", `{"email":"new@full.example","purposes":["marketing.club"]}`},
		{"/v1/breaches", `{"nature":"A source leaked.","scope":{"from":"2020-01-01T00:00:00Z","sources":["shop"]}}`},
		{"/v1/suppressions", `{"email":"u4@full.example","reason":"manual"}`},
		{"/v1/import/shop", `{"batch":[{"type":"track","messageId":"bulk","userId":"u5","event":"Seen"}]}`},
	} {
		if status, _, answer := f.ask("POST", c[0], c[1], "Idempotency-Key", fmt.Sprint("full-", i)); status > 299 {
			f.t.Fatalf("%s: %d %s", c[0], status, answer)
		}
	}
	if err := f.settle(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	// That a checkpoint has left is noted before the next one leaves.
	for n := range 2 {
		until(f.t, "a checkpoint has left", time.Minute, func() bool {
			raw, err := os.ReadFile(trail)
			return err == nil && bytes.Count(raw, []byte("\n")) > n
		})
		f.says("/v1/track", `{"messageId":"left%d","userId":"u6","event":"Seen"}`, n)
	}
	if code := f.stop(time.Minute); code != 0 {
		f.t.Fatalf("it stops with %d: %s", code, f.said)
	}
}

// says sends an event, waits until it is walked, and wants 200.
func (f *faulty) says(path, format string, args ...any) {
	f.t.Helper()
	if status, _, answer := f.ask("POST", path+"?wait=processed&timeout=30s", fmt.Sprintf(format, args...)); status != 200 {
		f.t.Fatalf("%s: %d %s", path, status, answer)
	}
}

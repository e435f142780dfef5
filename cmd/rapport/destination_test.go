package main

import (
	"strings"
	"testing"
)

const crmLine = `{"name":"crm","state":"down","reason":"timeout","until":"2026-03-01T12:05:00Z","behind":1200,"waiting":14,"dead":2,"last":"refused","last_status":500,
	"last_at":"2026-03-01T12:00:00Z","counts":{"delivered":5000,"failed":24,"failed.timeout":24},"purpose":"service","max_attempts":10}`

// TestDestinationCommands holds what is asked of the server, what is printed and
// how the command ends.
func TestDestinationCommands(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, args, line, answer, body string
		code                           int
		says                           []string
	}{
		{"list", "list", "GET /v1/destinations", `{"destinations":[` + crmLine + `]}`, "", exitOK, []string{"crm", "down (timeout)", "1,200", "14", "5,000"}},
		{"status", "status crm", "GET /v1/destinations/crm", crmLine, "", exitOK, []string{"dead letters", "refused 500", "nothing before", "failed.timeout", "24"}},
		{"test", "test crm", "POST /v1/destinations/crm/test", `{"delivered":true,"status":204,"webhook_id":"whk_1"}`, "", exitOK, []string{"crm took whk_1 and answered 204"}},
		{"test that fails", "test crm", "POST /v1/destinations/crm/test", `{"delivered":false,"status":500,"reason":"refused","webhook_id":"whk_1"}`, "", exitFailure, []string{"did not take whk_1: refused 500"}},
		{"dead", "dead crm --limit 5", "GET /v1/destinations/crm/dead?limit=5", `{"dead":[{"seq":4711,"type":"event.track","name":"Seen\u001b[31m","person":"per_7","attempts":10,"reason":"refused","status":500}],"cursor":"4711"}`, "", exitOK, []string{"4711", "event.track", "Seen", "per_7", "refused 500"}},
		{"redrive some", "redrive crm 4711 4712", "POST /v1/destinations/crm/redrive", `{"redriven":2}`, `{"all":false,"seqs":[4711,4712]}`, exitOK, []string{"2 dead letters are told again"}},
		{"redrive all", "redrive crm --all", "POST /v1/destinations/crm/redrive", `{"redriven":2}`, `{"all":true}`, exitOK, []string{"2 dead letters"}},
		{"redrive none", "redrive crm", "", "", "", exitUsage, []string{"--all"}},
		{"redrive both", "redrive crm 1 --all", "", "", "", exitUsage, []string{"--all"}},
		{"redrive what is no number", "redrive crm x", "", "", "", exitUsage, []string{"is no SEQ"}},
		{"enable", "enable crm", "POST /v1/destinations/crm/enable", crmLine, "", exitOK, []string{"down (timeout)"}},
		{"nothing named", "status", "", "", "", exitUsage, []string{"lacks DESTINATION"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, map[string]string{tt.line: tt.answer})
			code := b.run(t, append([]string{"destination"}, strings.Fields(tt.args)...)...)
			printed := b.out.String() + b.err.String()
			if code != tt.code {
				t.Errorf("exit code %d, want %d: %s", code, tt.code, printed)
			}
			for _, want := range tt.says {
				if !strings.Contains(printed, want) {
					t.Errorf("%q lacks %q", printed, want)
				}
			}
			if strings.Contains(printed, "\x1b[31m") {
				t.Errorf("what a sender wrote colours the terminal: %q", printed)
			}
			switch {
			case tt.line == "" && len(b.asked) > 0:
				t.Errorf("asked %+v", b.asked)
			case tt.line != "" && (len(b.asked) != 1 || b.asked[0].Line != tt.line || b.asked[0].Body != tt.body):
				t.Errorf("asked %+v", b.asked)
			}
		})
	}
}

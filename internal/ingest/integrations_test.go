package ingest_test

import (
	"strings"
	"testing"

	"rapport/internal/event"
	"rapport/internal/ingest"
)

// TestIntegrations holds that what a batch says on destinations lies below what
// its items say, that the log keeps it, and that a reject takes it along.
func TestIntegrations(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ batch, item, want string }{
		"neither":                {``, ``, ``},
		"of the item":            {``, `{"CRM":false}`, `{"CRM":false}`},
		"of the batch":           {`{"CRM":false}`, ``, `{"CRM":false}`},
		"an empty item's":        {`{"CRM":false}`, `{ }`, `{"CRM":false}`},
		"both empty":             {`{}`, `{}`, ``},
		"the item wins":          {`{"All":false,"CRM":true}`, `{"CRM":{"list":7}}`, `{"CRM":{"list":7},"All":false}`},
		"the item says all":      {`{"All":false, "CRM":true}`, `{"All":true}`, `{"All":true,"CRM":true}`},
		"an item's null wins":    {`{"CRM":false}`, `{"CRM":null}`, `{"CRM":null}`},
		"a name to be escaped":   {`{"A\"B":true}`, `{"CRM":true}`, `{"CRM":true,"A\"B":true}`},
		"no object in the item":  {`{"CRM":false}`, `true`, `{"CRM":false}`},
		"no object in the batch": {`["CRM"]`, `{"Ads":false}`, `{"Ads":false}`},
		"nulls":                  {`null`, `null`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := `{"type":"track","event":"A","userId":"u"`
			if tt.item != "" {
				body += `,"integrations":` + tt.item
			}
			body = `{"batch":[` + body + `},{"type":"none"}]`
			if tt.batch != "" {
				body += `,"integrations":` + tt.batch
			}
			b := setup(t)
			r, err := b.Take(t.Context(), batch(body+"}"))
			if err != nil || r.Accepted != 1 || len(r.Rejected) != 1 {
				t.Fatal(r, err)
			}
			if got := b.log.events(t)[0].Integrations; string(got) != tt.want {
				t.Errorf("the log has %q, want %q", got, tt.want)
			}
			kept, err := b.Reject(t.Context(), r.Rejected[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			if tt.batch != "" && tt.batch[0] == '{' && len(tt.batch) > 2 && !strings.Contains(string(kept.Payload), `"integrations":`+tt.batch) {
				t.Errorf("the reject forgot them: %s", kept.Payload)
			}
		})
	}
}

func TestIntegrationsOfABatchMustBeSound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, err := b.Take(t.Context(), batch(`{"batch":[{"type":"page","userId":"u"}],"integrations":{"A":1,"A":2}}`))
	if err == nil || len(r.Rejected) != 1 || r.Rejected[0].Code != ingest.CodeBadRequest || len(b.log.records) != 0 {
		t.Errorf("%+v, %v, %d records", r, err, len(b.log.records))
	}
}

func TestIntegrationsOfASingleEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.Take(t.Context(), single(event.Identify, `{"userId":"u","integrations":{"All":false,"CRM":true}}`)); err != nil {
		t.Fatal(err)
	}
	e := b.log.events(t)[0]
	if ok, _ := e.Integrations.Allows("Ads"); ok {
		t.Error("it may go to a destination that it forbids")
	}
	if ok, _ := e.Integrations.Allows("CRM"); !ok {
		t.Error("it may not go where it should")
	}
}

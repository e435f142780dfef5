package manage_test

import (
	"context"
	"testing"
	"time"

	"rapport/internal/api/manage"
	"rapport/internal/destination"
	"rapport/internal/purpose"
	"rapport/internal/store"
)

// nobody is a gate before which nobody is known.
type nobody struct{}

func (nobody) Whom(_ context.Context, items []*destination.Item) ([]*destination.Party, error) {
	return make([]*destination.Party, len(items)), nil
}

func (nobody) Permit(context.Context, *destination.Party, purpose.Purpose, purpose.Class) (bool, string, error) {
	return false, "no_subject", nil
}

// office is a real one over the house's state, which tells nobody anything.
func (h *house) office() manage.Destinations {
	o, err := destination.New(destination.Config{
		Keeper: store.Destinations{State: h.state}, Gate: nobody{}, Now: h.clock.Now, After: h.clock.After, Mono: time.Now, Wall: h.clock.Now, Rand: func() float64 { return 0 },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := o.Use(h.t.Context(), []destination.Definition{{Name: "crm", Purpose: "service", Unusable: "its secret is not there"}}); err != nil {
		h.t.Fatal(err)
	}
	return o
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"all", "GET", "/v1/destinations", "", 200, ""},
		{"one", "GET", "/v1/destinations/crm", "", 200, ""},
		{"another", "GET", "/v1/destinations/erp", "", 404, "no_such_destination"},
		{"a parameter too many", "GET", "/v1/destinations?x=1", "", 400, "unknown_parameter"},
		{"try one without a secret", "POST", "/v1/destinations/crm/test", "", 409, "destination_unusable"},
		{"try another", "POST", "/v1/destinations/erp/test", "", 404, "no_such_destination"},
		{"enable", "POST", "/v1/destinations/crm/enable", "", 200, ""},
		{"enable another", "POST", "/v1/destinations/erp/enable", "", 404, "no_such_destination"},
		{"dead letters", "GET", "/v1/destinations/crm/dead?limit=5", "", 200, ""},
		{"of another", "GET", "/v1/destinations/erp/dead", "", 404, "no_such_destination"},
		{"behind nothing", "GET", "/v1/destinations/crm/dead?cursor=x", "", 400, "bad_cursor"},
		{"drive all again", "POST", "/v1/destinations/crm/redrive", `{"all":true}`, 200, ""},
		{"drive some again", "POST", "/v1/destinations/crm/redrive", `{"seqs":[1,2]}`, 200, ""},
		{"which?", "POST", "/v1/destinations/crm/redrive", `{}`, 400, "bad_redrive"},
		{"both?", "POST", "/v1/destinations/crm/redrive", `{"all":true,"seqs":[1]}`, 400, "bad_redrive"},
		{"of another again", "POST", "/v1/destinations/erp/redrive", `{"all":true}`, 404, "no_such_destination"},
		{"delete", "DELETE", "/v1/destinations/crm", "", 405, "method_not_allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := h.answerOf(tt.status, h.ask(tt.method, tt.path, tt.body)); tt.code != "" && got["code"] != tt.code {
				t.Errorf("%v, want %s", got, tt.code)
			}
		})
	}
}

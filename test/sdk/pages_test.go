package sdk

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// TestPages lets a browser without JavaScript subscribe, confirm and choose on the
// pages for readers, and holds each page against WCAG 2.2 AA with axe.
func TestPages(t *testing.T) {
	t.Parallel()
	need(t, exists("npm/node_modules/playwright-core"), "playwright-core")
	need(t, exists("npm/node_modules/axe-core"), "axe-core")
	chromium, err := exec.LookPath("chromium")
	need(t, err == nil, "chromium")
	h := demo(t)
	out := run(t, h, "", "mira", 0, exec.Command("node", "npm/pages.mjs"), "CHROMIUM="+chromium)
	var did struct{ Pages, Receipts int }
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &did); err != nil || did.Pages < 32 || did.Receipts == 0 {
		t.Errorf("%d pages, %d receipts, %v", did.Pages, did.Receipts, err)
	}
	var history struct {
		Records []struct {
			Type   string   `json:"event_type"`
			Of     []string `json:"purposes"`
			Notice struct{ ID, Version, Language string }
		}
	}
	h.get(t, "/v1/consent?subject=email:mira%40mail.example", &history)
	confirmed := false
	for _, r := range history.Records {
		confirmed = confirmed || r.Type == "confirmed" && r.Of[0] == "marketing.newsletter"
	}
	if !confirmed {
		t.Errorf("records %+v", history.Records)
	}
}

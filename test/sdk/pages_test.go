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
	out := run(t, h, h.manage, "mira", 0, exec.Command("node", "npm/pages.mjs"), "CHROMIUM="+chromium)
	var did struct{ Pages, Receipts int }
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &did); err != nil || did.Pages < 64 || did.Receipts == 0 {
		t.Errorf("%d pages, %d receipts, %v", did.Pages, did.Receipts, err)
	}
	var person struct{ ID string }
	if h.get(t, "/v1/people/email:mira%40mail.example", &person) {
		t.Errorf("who was erased is there as %s", person.ID)
	}
}

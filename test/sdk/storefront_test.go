package sdk

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/test/program"
)

var (
	shopOpen = regexp.MustCompile(`the shop\s+(http://127\.0\.0\.1:\d+)/`)
	shopData = regexp.MustCompile(`RAPPORT_DATA=(\S+)`)
)

// demo runs the true binary's demo until its visitors have been there. A second
// is half an hour of business time, so that a reminder takes some seconds.
func demo(t *testing.T) house {
	t.Helper()
	rapport, err := program.Build()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, rapport, "demo", "--visitors", "5", "--took", "0", "--speed", "1800", "--listen", "127.0.0.1:0")
	temp := t.TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	var said strings.Builder
	for !strings.Contains(said.String(), "Ctrl-C") {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			cancel()
			t.Fatalf("the demo ended: %v\n%s", err, said.String())
		}
	}
	t.Cleanup(func() {
		cancel()
		rest, _ := io.ReadAll(lines)
		_ = cmd.Wait()
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("the demo left %v behind, %v\n%s", left, err, rest)
		}
	})
	url, data := shopOpen.FindStringSubmatch(said.String()), shopData.FindStringSubmatch(said.String())
	if url == nil || data == nil {
		t.Fatalf("the demo does not say where it is:\n%s", said.String())
	}
	key, err := os.ReadFile(filepath.Join(data[1], "manage.key"))
	if err != nil {
		t.Fatal(err)
	}
	return house{url: url[1], manage: strings.TrimSpace(string(key))}
}

// TestStorefront lets a browser walk through the demo's shop, from the choice
// about consent to the unsubscribe link, and holds what Rapport knows then
// against what the visitor did.
func TestStorefront(t *testing.T) {
	t.Parallel()
	need(t, exists("npm/node_modules/playwright-core"), "playwright-core")
	chromium, err := exec.LookPath("chromium")
	need(t, err == nil, "chromium")
	h := demo(t)
	run(t, h, "", "ada", 0, exec.Command("node", "npm/storefront.mjs"), "CHROMIUM="+chromium)

	const who = "email:ada@mail.example"
	p := h.person(t, who, 15)
	if string(p.Traits["first_name"]) != `"Ada"` || len(p.Identifiers) < 3 {
		t.Errorf("the person is %s, known as %v", p.Traits, p.Identifiers)
	}
	got := map[string]int{}
	for _, e := range h.timeline(t, who) {
		if e.Type == "track" && !strings.HasPrefix(e.Event, "Audience ") { // Segments say that by themselves.
			got[e.Event]++
		}
	}
	want := map[string]int{
		"Segment Consent Preference Updated": 1, "Product Viewed": 1, "Signed Up": 1, "Product Added": 1, "Checkout Started": 1, "Order Completed": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events, want -, got +:\n%s", diff)
	}
	var mails struct {
		Messages []struct{ Template, State string }
	}
	h.get(t, "/v1/messages?person="+strings.ReplaceAll(who, "@", "%40"), &mails)
	sent := map[string]int{}
	for _, m := range mails.Messages {
		if m.State == "accepted" {
			sent[m.Template]++
		}
	}
	for _, template := range []string{"welcome", "basket", "order-confirmation"} {
		if sent[template] != 1 {
			t.Errorf("%d mails of %s were sent: %v", sent[template], template, mails.Messages)
		}
	}
	var picture struct {
		Permission []struct {
			Purpose string
			Allowed bool
			State   string
		}
	}
	h.get(t, "/v1/people/"+strings.ReplaceAll(who, "@", "%40"), &picture)
	allowed := map[string]bool{}
	for _, g := range picture.Permission {
		allowed[g.Purpose] = g.Allowed
	}
	if allowed["marketing.newsletter"] || !allowed["marketing.reminders"] || !allowed["service"] {
		t.Errorf("after unsubscribing from the newsletter: %v", picture.Permission)
	}
}

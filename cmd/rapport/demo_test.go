package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// program runs this test binary as the command rapport.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "rapport")
	if err := os.Symlink(self, bin); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// demoOnce runs a demo to its summary, with its folder below temp.
func demoOnce(t *testing.T, temp string, args ...string) *demoSummary {
	t.Helper()
	cmd := program(t, append([]string{"demo", "--once", "--json", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temp, "RAPPORT_KEY=of-another-server", "RAPPORT_URL=http://127.0.0.1:1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var s demoSummary
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return &s
}

// TestDemo runs the true binary's demo and holds its summary to what a new user
// is promised: every mail of every journey arrives, nobody is mailed without
// permission, nothing comes twice, and nothing is left behind.
func TestDemo(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	s := demoOnce(t, temp, "--visitors", "120", "--seed", "7")
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	arrived, total := map[string]int64{}, int64(0)
	for _, j := range s.Journeys {
		arrived[j.Journey+"/"+j.Mail] += j.States["accepted"]
		total += j.States["accepted"]
		for state := range j.States {
			if state != "accepted" && state != "skipped" && state != "pending" {
				t.Errorf("%s has mails that are %s", j.Mail, state)
			}
		}
	}
	for _, mail := range []string{
		"welcome/welcome", "welcome/first-order", "abandoned-cart/basket", "post-purchase/order-confirmation", "post-purchase/brewing", "win-back/win-back",
	} {
		if arrived[mail] == 0 {
			t.Errorf("no mail of %s arrived: %v", mail, arrived)
		}
	}
	if total != int64(s.Tally.Mails) {
		t.Errorf("the inbox has %d mails, the ledger %d", s.Tally.Mails, total)
	}
	if got := arrived["post-purchase/order-confirmation"]; got != int64(s.Tally.Orders) {
		t.Errorf("%d confirmations for %d orders", got, s.Tally.Orders)
	}
	if s.Tally.WithoutConsent != 0 || s.Tally.Duplicates != 0 || s.SetAside != 0 || len(s.Rejected) != 0 {
		t.Errorf("without consent %d, twice %d, set aside %d, rejected %v", s.Tally.WithoutConsent, s.Tally.Duplicates, s.SetAside, s.Rejected)
	}
	if s.Tally.Visitors != 120 || s.Tally.Unsubscribed == 0 || s.Tally.Clicked == 0 || len(s.Segments) != 6 || s.Message == "" {
		t.Errorf("summary %+v", s)
	}
	sizes := int64(0)
	for _, g := range s.Segments {
		sizes += g.People
	}
	if sizes == 0 {
		t.Error("every segment is empty")
	}
}

// TestDemoIsReproducible: the same seed does the same, another does not.
func TestDemoIsReproducible(t *testing.T) {
	t.Parallel()
	run := func(seed string) string {
		s := demoOnce(t, t.TempDir(), "--visitors", "25", "--seed", seed)
		raw, err := json.Marshal([]any{s.Tally, s.Segments, s.Journeys, s.Notable})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	a, b, c := run("3"), run("3"), run("4")
	if a != b {
		t.Errorf("the same seed gave\n%s\n%s", a, b)
	}
	if a == c {
		t.Error("another seed gave the same")
	}
}

var shopLine = regexp.MustCompile(`the shop\s+(http://\S+)/\n`)

// TestDemoStaysOpen: it takes another port where its own is taken and says so,
// serves shop, inbox and API, keeps its folder when told to, and ends with
// Ctrl-C.
func TestDemoStaysOpen(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	taken, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	temp := t.TempDir()
	cmd := program(t, "demo", "--visitors", "5", "--took", "0", "--keep", "--listen", taken.Addr().String())
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewReader(stderr)
	for !strings.Contains(said.String(), "Ctrl-C closes") {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			t.Fatalf("it ended: %v\n%s", err, said.String())
		}
	}
	if !strings.Contains(said.String(), taken.Addr().String()+" is taken, so the shop opens at http://127.0.0.1:") {
		t.Errorf("said\n%s", said.String())
	}
	at := shopLine.FindStringSubmatch(said.String())
	if at == nil {
		t.Fatalf("no address in\n%s", said.String())
	}
	for path, want := range map[string]string{
		"/": "<title>Kestrel Coffee</title>", "/shop": "<title>Kestrel Coffee</title>", "/shop/shop.js": "Segment wire",
		"/shop/settings.json": `{"write_key":"`, "/inbox/": "Development inbox", "/healthz": "ok",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at[1]+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %v\n%.300s", path, res.StatusCode, err, body)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(lines)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, rest)
	}
	kept, err := filepath.Glob(filepath.Join(temp, "rapport-demo-*", "data", "state.db"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept %v, %v", kept, err)
	}
}

// TestDemoEndsAtOnce: Ctrl-C in the middle of the visitors is no error and
// leaves nothing.
func TestDemoEndsAtOnce(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	cmd := program(t, "demo", "--took", "10m", "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	for line := ""; !strings.Contains(line, "days of business time"); {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(lines)
	if err := cmd.Wait(); err != nil || !strings.Contains(string(rest), "The shop is closed. Nothing is left of it.") {
		t.Errorf("it ended with %v\n%s", err, rest)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var inboxLine = regexp.MustCompile(`address=(http://127\.0\.0\.1:[0-9]+) .*inbox=http://(127\.0\.0\.1:[0-9]+)/inbox/`)

// started starts a server and gives its addresses as inboxLine has them, once it
// says where they are.
func started(t *testing.T, args ...string) (cmd *exec.Cmd, rest *bufio.Reader, at []string) {
	t.Helper()
	return startedSaying(t, inboxLine, args...)
}

// startedSaying starts a server and waits for a line.
func startedSaying(t *testing.T, wanted *regexp.Regexp, args ...string) (cmd *exec.Cmd, rest *bufio.Reader, at []string) {
	t.Helper()
	cmd = program(t, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rest = bufio.NewReader(stderr)
	var said strings.Builder
	for at == nil {
		line, err := rest.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			t.Fatalf("it ended: %v\n%s", err, said.String())
		}
		at = wanted.FindStringSubmatch(line)
	}
	return cmd, rest, at
}

// TestServeAsInitWrites starts a server from the folder that init writes: it
// says where the inbox is, asks for the person of a marketing mail, and another server that finds the address taken says
// with which flag to choose another.
func TestServeAsInitWrites(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	if _, err := writeScaffold(dir); err != nil {
		t.Fatal(err)
	}
	serve := func(data, admin string) []string {
		return []string{"serve", "--config", dir, "--data", data, "--listen", "127.0.0.1:0", "--admin", admin}
	}
	data := filepath.Join(t.TempDir(), "data")
	cmd, lines, at := started(t, serve(data, "127.0.0.1:0")...)
	// The template that init writes is marketing: no mail of it without a person.
	key, err := os.ReadFile(filepath.Join(data, "manage.key"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at[1]+"/v1/send", strings.NewReader(`{"template":"welcome","to":"ann@shop.example"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	req.Header.Set("Idempotency-Key", "a")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(body), "person_required") {
		t.Errorf("marketing without a person: %d %s, %v", res.StatusCode, body, err)
	}
	out, err := program(t, serve(filepath.Join(t.TempDir(), "data"), at[2])...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot listen on "+at[2]) || !strings.Contains(string(out), "choose another address with --admin") {
		t.Errorf("a second server: %v\n%s", err, out)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(lines)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, rest)
	}
}

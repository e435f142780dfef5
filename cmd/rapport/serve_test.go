package main

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var inboxLine = regexp.MustCompile(`inbox=http://(127\.0\.0\.1:[0-9]+)/inbox/`)

// TestServeNamesTheInbox starts a server from the folder that init writes: it
// says where the inbox is, and another server that finds the address taken says
// with which flag to choose another.
func TestServeNamesTheInbox(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	if _, err := writeScaffold(dir); err != nil {
		t.Fatal(err)
	}
	serve := func(admin string) []string {
		return []string{"serve", "--config", dir, "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0", "--admin", admin}
	}
	cmd := program(t, serve("127.0.0.1:0")...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	var said strings.Builder
	var at []string
	for at == nil {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			t.Fatalf("it ended: %v\n%s", err, said.String())
		}
		at = inboxLine.FindStringSubmatch(line)
	}
	out, err := program(t, serve(at[1])...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot listen on "+at[1]) || !strings.Contains(string(out), "choose another address with --admin") {
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

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// served are the servers of scripts, by the script's folder: one each at a time.
type served struct {
	mu   sync.Mutex
	list map[string]*scriptServer
}

// scriptServer is a true server that a script has started.
type scriptServer struct {
	cmd     *exec.Cmd
	drained chan struct{}
	said    bytes.Buffer
	url     string
	key     string // of the source "server"
}

// servesFor starts a server in a script, over the script's store: `serves CONFIG
// [flag…]`. The data folder is RAPPORT_DATA, or data; RAPPORT_URL then names the
// server.
func (s *served) servesFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: serves CONFIG [flag…]")
	}
	if ts.Getenv("RAPPORT_DATA") == "" {
		ts.Setenv("RAPPORT_DATA", ts.MkAbs("data"))
	}
	cmd := exec.Command(lookPath(ts, "rapport"), append([]string{"serve", "--config", ts.MkAbs(args[0]), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args[1:]...)...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TZ", "RAPPORT_DATABASE", "RAPPORT_DATA", "AWAY_SECRET"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	errs, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	server := &scriptServer{cmd: cmd, drained: make(chan struct{})}
	lines := bufio.NewReader(io.TeeReader(errs, &server.said))
	for server.url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			ts.Fatalf("the server ended: %v\n%s", cmd.Wait(), server.said.String())
		}
		if at := inboxLine.FindStringSubmatch(line); at != nil {
			server.url = at[1]
		}
	}
	go func() { defer close(server.drained); _, _ = io.Copy(io.Discard, lines) }()
	s.mu.Lock()
	s.list[ts.MkAbs(".")] = server
	s.mu.Unlock()
	ts.Defer(func() { _ = s.stop(ts) }) // A script that fails leaves it running.
	ts.Setenv("RAPPORT_URL", server.url)
	ts.Check(server.makeKey(ts.Getenv("RAPPORT_DATA")))
}

// stopsFor ends the server of a script, which must go in order.
func (s *served) stopsFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: stops")
	}
	ts.Check(s.stop(ts))
}

func (s *served) stop(ts *testscript.TestScript) error {
	s.mu.Lock()
	server := s.list[ts.MkAbs(".")]
	delete(s.list, ts.MkAbs("."))
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	if err := server.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	<-server.drained
	if err := server.cmd.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, server.said.String())
	}
	return nil
}

// happensFor sends a file of events as the source "server", waits until they are
// walked, and what comes of them is done: `happens FILE`.
func (s *served) happensFor(ts *testscript.TestScript, neg bool, args []string) {
	s.mu.Lock()
	server := s.list[ts.MkAbs(".")]
	s.mu.Unlock()
	if neg || len(args) != 1 || server == nil {
		ts.Fatalf("usage: happens FILE, while a server runs")
	}
	status, answer, err := server.ask(http.MethodPost, "/v1/batch?wait=processed&timeout=30s", ts.ReadFile(args[0]), "Basic", server.key)
	ts.Check(err)
	if status != http.StatusOK {
		ts.Fatalf("%s: %d %s", args[0], status, answer)
	}
	ts.Check(server.rests(ts.Getenv("RAPPORT_DATA")))
}

// tells runs a command until it prints what matches a pattern: what became of a mail
// comes into its person's story a moment after the mail's end.
func tells(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: tells PATTERN COMMAND…")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(30 * time.Second); ; {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never matches %s", strings.Join(args[1:], " "), args[0])
		}
		<-time.After(20 * time.Millisecond) // A foreign process tells by being asked.
	}
}

// rests waits until no mail is on its way and all is walked.
func (s *scriptServer) rests(data string) error {
	manage, err := os.ReadFile(filepath.Join(data, "manage.key"))
	if err != nil {
		return err
	}
	for {
		status, answer, err := s.ask(http.MethodGet, "/v1/status", "", "Bearer", strings.TrimSpace(string(manage)))
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("status %d %s: %w", status, answer, err)
		}
		var st struct {
			Lanes map[string]struct{ Appended, Walked int64 }
			Mails map[string]int64
		}
		if err := json.Unmarshal(answer, &st); err != nil {
			return err
		}
		live, bulk := st.Lanes["live"], st.Lanes["bulk"]
		if live.Walked == live.Appended && bulk.Walked == bulk.Appended && st.Mails["pending"]+st.Mails["claimed"]+st.Mails["handing_over"] == 0 {
			return nil
		}
		<-time.After(20 * time.Millisecond) // A foreign process tells by being asked.
	}
}

// makeKey makes a key for the events of a script.
func (s *scriptServer) makeKey(data string) error {
	manage, err := os.ReadFile(filepath.Join(data, "manage.key"))
	if err != nil {
		return err
	}
	status, answer, err := s.ask(http.MethodPost, "/v1/keys", `{"kind":"ingest","source":"server","name":"script"}`, "Bearer", strings.TrimSpace(string(manage)))
	if err != nil {
		return err
	}
	var made struct{ Key string }
	if err := json.Unmarshal(answer, &made); err != nil || made.Key == "" {
		return errors.Join(fmt.Errorf("no key: %d %s", status, answer), err)
	}
	s.key = made.Key
	return nil
}

func (s *scriptServer) ask(method, path, body, scheme, secret string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if scheme == "Basic" {
		req.SetBasicAuth(secret, "")
	} else {
		req.Header.Set("Authorization", scheme+" "+secret)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// lookPath finds a program as the script does.
func lookPath(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, name); isProgram(path) {
			return path
		}
	}
	ts.Fatalf("there is no program %s", name)
	return ""
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// notesFor keeps what the last command printed, where it fits a pattern, in a
// variable: `notes NAME PATTERN`, of whose one group that is.
func notesFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: notes NAME PATTERN")
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	found := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("%s is not in\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}

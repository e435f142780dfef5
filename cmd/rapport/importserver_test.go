package main

import (
	"bufio"
	"bytes"
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
	"testing"
	"time"
)

// live is a true server with a folder of its own.
type live struct {
	t    *testing.T
	url  string
	data string
	key  string
}

// serveFiles starts a server from a folder that init writes and these files.
func serveFiles(t *testing.T, files map[string]string) *live {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if _, err := writeScaffold(dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &live{t: t, data: filepath.Join(t.TempDir(), "data")}
	cmd := program(t, "serve", "--config", dir, "--data", s.data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	for s.url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the server ended: %v %s", err, line)
		}
		if at := inboxLine.FindStringSubmatch(line); at != nil {
			s.url = at[1]
		}
	}
	drained := make(chan struct{})
	go func() { defer close(drained); _, _ = io.Copy(io.Discard, lines) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-drained
		_ = cmd.Wait() // How it ends is another test's matter.
	})
	key, err := os.ReadFile(filepath.Join(s.data, "manage.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.key = strings.TrimSpace(string(key))
	return s
}

func (s *live) get(path string, answer any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(b, answer) != nil {
		s.t.Fatalf("%s: %d %s, %v", path, res.StatusCode, b, err)
	}
}

// walked waits until everything that came in is walked.
func (s *live) walked() {
	s.t.Helper()
	for {
		var st struct {
			Lanes map[string]struct{ Appended, Walked int64 }
		}
		s.get("/v1/status", &st)
		if b := st.Lanes["bulk"]; b.Walked >= b.Appended {
			return
		}
		select {
		case <-s.t.Context().Done():
			s.t.Fatal("the walk did not end")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// people gives how many are in each segment.
func (s *live) people() map[string]int64 {
	s.t.Helper()
	var a struct {
		Segments []struct {
			Name   string
			People int64
		}
	}
	s.get("/v1/segments", &a)
	out := map[string]int64{}
	for _, x := range a.Segments {
		out[x.Name] = x.People
	}
	return out
}

func (s *live) importing(args ...string) *exec.Cmd {
	return program(s.t, append([]string{"import", "--url", s.url, "--data", s.data}, args...)...)
}

const peopleMap = `format: csv
types: {total: number, paid: boolean}
events:
  - type: identify
    user_id: "{{ id }}"
    email: "{{ mail | downcase }}"
    timestamp: "{{ day }}"
    traits: {city: "{{ city }}"}
  - event: Bought Once
    user_id: "{{ id }}"
    timestamp: "{{ day }}"
    when: paid
    properties: {total: {column: total}}
`

var thrice = map[string]string{
	"sources/crm.yaml":     "kind: server\npurpose: service\nbasis: contract\n",
	"segments/thrice.yaml": "rule: {did: Bought Once, count: {exactly: 3}}\n",
	"segments/more.yaml":   "rule: {did: Bought Once, count: {min: 4}}\n",
	"segments/known.yaml":  "rule: {trait: city, is: Ulm}\n",
}

// TestImportThatIsKilled kills an import in the middle with a signal that cannot
// be caught, gives the same command again, and finds every line applied once.
func TestImportThatIsKilled(t *testing.T) {
	t.Parallel()
	s := serveFiles(t, thrice)
	dir := t.TempDir()
	const people, bad = 10_000, 30
	var text bytes.Buffer
	text.WriteString("id,mail,day,city,paid,total\n")
	for round := range 3 {
		for i := range people {
			fmt.Fprintf(&text, "u%d,U%d@shop.example,2026-01-0%d,Ulm,yes,%d.50\n", i, i, round+1, i)
		}
		for range bad / 3 {
			text.WriteString("u1,u1@shop.example,someday,Ulm,yes,1\n")
		}
	}
	file, mapping := filepath.Join(dir, "people.csv"), filepath.Join(dir, "map.yaml")
	for name, b := range map[string][]byte{file: text.Bytes(), mapping: []byte(peopleMap)} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--map", mapping, "--source", "crm", "--json", file}
	first := s.importing(args...)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	var reached reachedState
	for reached.Line == 0 { // It is written when the first batch is durable.
		if b, err := os.ReadFile(file + ".progress"); err == nil {
			_ = json.Unmarshal(b, &reached) // It is renamed as a whole; if not, the test waits for ever.
		}
		select {
		case <-t.Context().Done():
			t.Fatal("it never came to a checkpoint")
		case <-time.After(time.Millisecond):
		}
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // It was killed.
	if reached.Line >= 3*people {
		t.Fatalf("it was done at line %d before it was killed", reached.Line)
	}
	again := s.importing(args...)
	var out, errs bytes.Buffer
	again.Stdout, again.Stderr = &out, &errs
	err := again.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitPartly || !strings.Contains(errs.String(), "going on behind") {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var sum sums
	if err := json.Unmarshal(out.Bytes(), &sum); err != nil {
		t.Fatal(err)
	}
	want := sums{Lines: 3*people + bad, Bad: bad, Accepted: 6 * people}
	if sum != want {
		t.Errorf("got %+v, want %+v", sum, want)
	}
	list, err := os.ReadFile(file + ".bad.csv")
	if err != nil || strings.Count(string(list), "\n") != bad+1 || !strings.HasPrefix(string(list), "line,reason\n10002,\"timestamp is no instant") {
		t.Errorf("the list of bad lines: %v\n%s", err, list)
	}
	if _, err := os.Stat(file + ".progress"); err == nil {
		t.Error("what tells how far it came is still there")
	}
	s.walked()
	if got := s.people(); got["thrice"] != people || got["more"] != 0 || got["known"] != people {
		t.Errorf("people in segments: %v", got)
	}
	// The same file once more changes nothing.
	if err := s.importing(args...).Run(); !errors.As(err, &exit) || exit.ExitCode() != exitPartly {
		t.Error(err)
	}
	s.walked()
	if got := s.people(); got["thrice"] != people || got["more"] != 0 {
		t.Errorf("after the same file again: %v", got)
	}
}

// TestImportOfConsent brings permission with its proof, and finds that nothing
// else became one.
func TestImportOfConsent(t *testing.T) {
	t.Parallel()
	s := serveFiles(t, thrice)
	dir := t.TempDir()
	file, mapping := filepath.Join(dir, "list.csv"), filepath.Join(dir, "map.yaml")
	const list = `id;mail;news;since;form
1;ann@shop.example;yes;2026-01-05 10:00:00;newsletter-3
2;bob@shop.example;;;
3;cy@shop.example;maybe;2026-01-05;newsletter-3
4;di@shop.example;yes;;newsletter-3
5;ed@shop.example;yes;2026-01-05;
6;flo@shop.example;no;;
`
	const rules = `format: csv
comma: ";"
event: {type: identify, user_id: "{{ id }}", email: "{{ mail }}", timestamp: "2026-01-06"}
consent:
  - purpose: marketing.newsletter
    email: "{{ mail }}"
    user_id: "{{ id }}"
    state: "{{ news }}"
    granted: ["yes"]
    withdrawn: ["no"]
    said_at: "{{ since }}"
    evidence: {form: "{{ form }}"}
    method: paper
`
	for name, text := range map[string]string{file: list, mapping: rules} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := s.importing("--map", mapping, "--source", "crm", file).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitPartly || !strings.Contains(string(out), "6 lines: 4 accepted") || !strings.Contains(string(out), "2 words on permission") ||
		!strings.Contains(string(out), "line 5: consent to marketing.newsletter: granted without the time") || !strings.Contains(string(out), "line 6: consent to marketing.newsletter: granted without evidence") {
		t.Fatalf("%v\n%s", err, out)
	}
	s.walked()
	const unsaid = `marketing\.newsletter +no +consent +no_consent`
	for who, want := range map[string]string{
		"1": `marketing\.newsletter +yes +consent +granted +2026-01-05 10:00:00 UTC +import`, "6": `marketing\.newsletter +no +consent +refused .* import`,
		"2": unsaid, "3": unsaid, "4": "nobody is known", "5": "nobody is known",
	} {
		cmd := program(t, "person", "show", "user_id:"+who, "--url", s.url, "--data", s.data)
		cmd.Env = append(os.Environ(), "TZ=UTC", "NO_COLOR=1")
		out, _ := cmd.CombinedOutput() // Of somebody unknown it fails.
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("user %s: want %s\n%s", who, want, out)
		}
	}
}

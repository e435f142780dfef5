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
	"strconv"
	"strings"
	"testing"
	"time"

	"rapport/internal/store/pgstore/pgtest"
)

// live is a true server with a folder of its own.
type live struct {
	t    *testing.T
	dir  string // its configuration
	url  string
	data string
	base string // its database; "": files in data
	key  string
	cmd  *exec.Cmd
	done chan struct{} // closed when what it says has been read to the end
}

// serveFiles starts a server over files from a folder that init writes and these files.
func serveFiles(t *testing.T, files map[string]string) *live {
	t.Helper()
	return serveOver(t, "", files)
}

// serveOver does so over a database.
func serveOver(t *testing.T, database string, files map[string]string) *live {
	t.Helper()
	s := &live{t: t, dir: filepath.Join(t.TempDir(), "shop"), data: filepath.Join(t.TempDir(), "data"), base: database}
	if _, err := writeScaffold(s.dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.start("127.0.0.1:0")
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(os.Interrupt)
		<-s.done
		_ = s.cmd.Wait() // How it ends is another test's matter.
	})
	key, err := os.ReadFile(filepath.Join(s.data, "manage.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.key = strings.TrimSpace(string(key))
	return s
}

// start starts the server and waits until it says where it is.
func (s *live) start(listen string) {
	s.t.Helper()
	s.cmd = program(s.t, "serve", "--config", s.dir, "--data", s.data, "--listen", listen, "--admin", "127.0.0.1:0")
	if s.base != "" {
		s.cmd.Env = append(os.Environ(), "RAPPORT_DATABASE="+s.base)
	}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	for s.url = ""; s.url == ""; {
		line, err := lines.ReadString('\n')
		if err != nil {
			s.t.Fatalf("the server ended: %v %s", err, line)
		}
		if at := inboxLine.FindStringSubmatch(line); at != nil {
			s.url = at[1]
		}
	}
	s.done = make(chan struct{})
	go func() { defer close(s.done); _, _ = io.Copy(io.Discard, lines) }()
}

// killed ends the server with a signal that cannot be caught, and starts it
// again where it was.
func (s *live) killed() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.done
	_ = s.cmd.Wait() // It was killed.
	s.start(strings.TrimPrefix(s.url, "http://"))
}

// onBothStores runs a test over files and over PostgreSQL.
func onBothStores(t *testing.T, test func(t *testing.T, database string)) {
	t.Helper()
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		test(t, "")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.Database(t))
	})
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

// TestImportThatIsKilled kills an import in the middle, or the server that it
// gives its lines to, with a signal that cannot be caught; the same command is
// given again, and every line is applied once. It reads a file, or standard input,
// which is given to it once more from the beginning.
func TestImportThatIsKilled(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]killing{
		"the import of a file": {}, "the import of standard input": {stdin: true},
		"the server, at a file": {server: true}, "the server, at standard input": {server: true, stdin: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothStores(t, k.test)
		})
	}
}

// killing says who is killed while what is read.
type killing struct {
	server, stdin bool
}

const (
	killedPeople = 8000
	killedBad    = 30
)

// killedText is a list in which everybody buys three times.
func killedText() []byte {
	var text bytes.Buffer
	text.WriteString("id,mail,day,city,paid,total\n")
	for round := range 3 {
		for i := range killedPeople {
			fmt.Fprintf(&text, "u%d,U%d@shop.example,2026-01-0%d,Ulm,yes,%d.50\n", i, i, round+1, i)
		}
		for range killedBad / 3 {
			text.WriteString("u1,u1@shop.example,someday,Ulm,yes,1\n")
		}
	}
	return text.Bytes()
}

func (k killing) test(t *testing.T, database string) {
	s, dir, text := serveOver(t, database, thrice), t.TempDir(), killedText()
	file, mapping := filepath.Join(dir, "people.csv"), filepath.Join(dir, "map.yaml")
	for name, b := range map[string][]byte{file: text, mapping: []byte(peopleMap)} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(out, errs *bytes.Buffer) *exec.Cmd {
		args := []string{"--map", mapping, "--source", "crm", "--json", "--progress-file", file + ".progress", "--bad", file + ".bad.csv"}
		if !k.stdin {
			args = append(args, file)
		} else {
			args = append(args, "--name", "monday", "-")
		}
		cmd := s.importing(args...)
		if k.stdin {
			cmd.Stdin = bytes.NewReader(text)
		}
		cmd.Stdout, cmd.Stderr = out, errs
		return cmd
	}
	var out, errs bytes.Buffer
	first := begin(&out, &errs)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	reached := firstReached(t, file+".progress")
	if k.server {
		s.killed()
	} else if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err == nil || k.server && !strings.Contains(errs.String(), "the same command goes on") {
		t.Fatalf("it was to be interrupted: %v\n%s", err, errs.String())
	}
	if reached >= 3*killedPeople {
		t.Fatalf("it was done at line %d before it was killed", reached)
	}

	out.Reset()
	errs.Reset()
	if err := begin(&out, &errs).Run(); exitCodeOf(err) != strconv.Itoa(exitPartly) || !strings.Contains(errs.String(), "going on behind") {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var sum sums
	if err := json.Unmarshal(out.Bytes(), &sum); err != nil {
		t.Fatal(err)
	}
	if want := (sums{Lines: 3*killedPeople + killedBad, Bad: killedBad, Accepted: 6 * killedPeople}); sum != want {
		t.Errorf("got %+v, want %+v", sum, want)
	}
	list, err := os.ReadFile(file + ".bad.csv")
	if err != nil || strings.Count(string(list), "\n") != killedBad+1 || !strings.HasPrefix(string(list), fmt.Sprintf("line,reason\n%d,\"timestamp is no instant", killedPeople+2)) {
		t.Errorf("the list of bad lines: %v\n%s", err, list)
	}
	if _, err := os.Stat(file + ".progress"); err == nil {
		t.Error("what tells how far it came is still there")
	}
	s.wantThrice("after it went on")
	// The same once more changes nothing.
	if err := begin(&out, &errs).Run(); exitCodeOf(err) != strconv.Itoa(exitPartly) {
		t.Error(err)
	}
	s.wantThrice("after the same again")
}

// firstReached waits until an import has noted how far it came: it does when its
// first lines are durable.
func firstReached(t *testing.T, path string) int64 {
	t.Helper()
	for {
		var reached reachedState
		if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &reached) == nil && reached.Line > 0 {
			return reached.Line
		}
		select {
		case <-t.Context().Done():
			t.Fatal("it never came to a checkpoint")
		case <-time.After(time.Millisecond): // Another process tells by what it writes.
		}
	}
}

// wantThrice wants everybody of the list to have bought three times.
func (s *live) wantThrice(when string) {
	s.t.Helper()
	s.walked()
	if got := s.people(); got["thrice"] != killedPeople || got["more"] != 0 || got["known"] != killedPeople {
		s.t.Errorf("%s, people in segments: %v", when, got)
	}
}

// TestImportOfConsent brings permission with its proof, and finds that nothing
// else became one.
func TestImportOfConsent(t *testing.T) {
	t.Parallel()
	onBothStores(t, importOfConsent)
}

func importOfConsent(t *testing.T, database string) {
	s, dir := serveOver(t, database, thrice), t.TempDir()
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

package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rapport/internal/delivery/deliverytest"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
)

// faulty is a rapport process in trouble: everything it writes is kept, and it
// is gone when the test ends.
type faulty struct {
	server
	t       *testing.T
	program string
	admin   string // of metrics
	said    *said
}

// said is what a process wrote.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// program is one built binary for all tests that want it at the same time.
type program struct {
	mu    sync.Mutex
	users int
	dir   string
}

var shared program

// borrow gives the binary until the test ends.
func (p *program) borrow(t *testing.T) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users == 0 {
		dir, err := os.MkdirTemp("", "rapport-faults-") //nolint:usetesting // It outlives the test that is the first to need it.
		if err != nil {
			t.Fatal(err)
		}
		p.dir = dir
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "rapport"), "rapport/cmd/rapport").CombinedOutput(); err != nil {
			_ = os.RemoveAll(dir) // The build has failed; that is what to tell.
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
	p.users++
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.users--; p.users == 0 {
			_ = os.RemoveAll(p.dir) // Nobody runs it any more.
		}
	})
	return filepath.Join(p.dir, "rapport")
}

// onBothStores runs a test over files and over a PostgreSQL of its own.
func onBothStores(t *testing.T, test func(t *testing.T, database string)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, "")
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, ownDatabase(t, pgtest.Server(t)))
	})
}

// ownDatabase makes an empty database on a server.
func ownDatabase(t *testing.T, server string) string {
	t.Helper()
	address, drop, err := pgstore.Scratch(t.Context(), server, "faults")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = drop() }) // The whole cluster goes.
	return address
}

// newFaulty writes a configuration whose mails go to an address, with files of
// one's own, and starts nothing yet.
func newFaulty(t *testing.T, smtp string, more ...map[string]string) *faulty {
	t.Helper()
	f := &faulty{t: t, program: shared.borrow(t), said: &said{}}
	f.dir = t.TempDir()
	if err := writeConfig(filepath.Join(f.dir, "config"), shape{}, smtp); err != nil {
		t.Fatal(err)
	}
	for _, files := range more {
		writeFiles(t, filepath.Join(f.dir, "config"), files)
	}
	t.Cleanup(f.kill)
	return f
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// args is the command line of a server on this folder.
func (f *faulty) args(more ...string) []string {
	return append([]string{
		"serve", "--config", filepath.Join(f.dir, "config"), "--data", filepath.Join(f.dir, "data"),
		"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-level", "debug", "--log-json",
	}, more...)
}

// start starts the server and waits until it lets callers in.
func (f *faulty) start(more ...string) {
	f.t.Helper()
	cmd := exec.Command(f.program, f.args(more...)...)
	cmd.Dir = f.dir
	cmd.Stdout = f.said
	if f.database != "" {
		cmd.Env = append(os.Environ(), "RAPPORT_DATABASE="+f.database)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.cmd, f.ended = cmd, make(chan struct{})
	ready := make(chan [2]string, 1)
	go func() {
		defer close(f.ended)
		lines := bufio.NewReaderSize(io.TeeReader(errs, f.said), 1<<20)
		for {
			raw, err := lines.ReadBytes('\n')
			var line struct{ Msg, Address, Metrics string }
			if json.Unmarshal(raw, &line) == nil && line.Msg == "serving" {
				select {
				case ready <- [2]string{line.Address, line.Metrics}:
				default: // It has opened the house again, and nobody waits to hear it.
				}
			}
			if err != nil {
				break
			}
		}
		_ = cmd.Wait() // ProcessState has it.
	}()
	select {
	case a := <-ready:
		f.address, f.admin = a[0], "http://"+a[1]
	case <-f.ended:
		f.t.Fatalf("the server ended before it was ready: %s", f.said)
	case <-time.After(time.Minute):
		f.t.Fatalf("the server is not ready: %s", f.said)
	}
	raw, err := os.ReadFile(filepath.Join(f.dir, "data", "manage.key"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.manage = strings.TrimSpace(string(raw))
	if f.ingest == "" {
		if err := f.makeKey(context.Background()); err != nil {
			f.t.Fatal(err)
		}
	}
}

// kill ends the process at once.
func (f *faulty) kill() {
	if f.cmd == nil {
		return
	}
	_ = f.cmd.Process.Kill() // It may have ended.
	<-f.ended
	f.cmd = nil
}

const terminate = syscall.SIGTERM

// stop asks the process to end and gives its exit code.
func (f *faulty) stop(within time.Duration) int {
	f.t.Helper()
	if err := f.cmd.Process.Signal(terminate); err != nil {
		f.t.Fatal(err)
	}
	select {
	case <-f.ended:
	case <-time.After(within):
		f.t.Fatalf("the server does not stop within %s:\n%s", within, f.said)
	}
	return f.cmd.ProcessState.ExitCode()
}

// ask sends one request and gives status, header and answer.
func (f *faulty) ask(method, path, body string, header ...string) (int, http.Header, string) {
	f.t.Helper()
	status, h, answer, err := f.tryAsk(method, path, body, header...)
	if err != nil {
		f.t.Fatal(err)
	}
	return status, h, answer
}

func (f *faulty) tryAsk(method, path, body string, header ...string) (int, http.Header, string, error) {
	req, err := http.NewRequest(method, f.address+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	if strings.HasPrefix(path, "/v1/track") || strings.HasPrefix(path, "/v1/batch") || strings.HasPrefix(path, "/v1/identify") {
		req.SetBasicAuth(f.ingest, "")
	} else {
		req.Header.Set("Authorization", "Bearer "+f.manage)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(answer), err
}

// trigger sends an event that owes a marketing mail, and wants 200.
func (f *faulty) trigger(ref, email string) {
	f.t.Helper()
	body := fmt.Sprintf(`{"messageId":%q,"userId":%q,"event":"Trigger","context":{"traits":{"email":%q}},"properties":{"ref":%q}}`, ref, "u-"+ref, email, ref)
	if status, _, answer := f.ask("POST", "/v1/track", body); status != 200 {
		f.t.Fatalf("track: %d %s", status, answer)
	}
}

// send asks for a transactional mail, wants 202 and gives its id.
func (f *faulty) send(ref, email string) string {
	f.t.Helper()
	body := fmt.Sprintf(`{"template":"receipt","to":%q,"data":{"ref":%q}}`, email, ref)
	status, _, answer := f.ask("POST", "/v1/send", body, "Idempotency-Key", ref)
	var a struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &a); err != nil || status != 202 || a.ID == "" {
		f.t.Fatalf("send: %d %s", status, answer)
	}
	return a.ID
}

// told is a mail as the ledger tells it.
type told struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Subject   string `json:"subject"`
	Duplicate bool   `json:"duplicate_possible"`
}

// mailsOf lists the mails of a person.
func (f *faulty) mailsOf(ref string) []told {
	f.t.Helper()
	var list struct{ Messages []told }
	if err := f.call(context.Background(), "GET", "/v1/messages?person=user_id:u-"+ref, nil, &list); err != nil {
		f.t.Fatal(err)
	}
	return list.Messages
}

// mail gives one mail.
func (f *faulty) mail(id string) (m told) {
	f.t.Helper()
	if err := f.call(context.Background(), "GET", "/v1/messages/"+id, nil, &m); err != nil {
		f.t.Fatal(err)
	}
	return m
}

// until asks a foreign process again and again, as there is no other way to
// hear from it.
func until(t *testing.T, what string, within time.Duration, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// quiet waits until no mail is on its way any more.
func (f *faulty) quiet(within time.Duration) map[string]int64 {
	f.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), within)
	defer stop()
	if err := f.calm(ctx); err != nil {
		st, _ := f.status(context.Background()) // What it was, for the message.
		f.t.Fatalf("mails are still on their way (%v): %v\n%s", st.Mails, err, f.said)
	}
	st, err := f.status(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return st.Mails
}

// scripted is a sink that does to each recipient what a script says.
func scripted(t *testing.T, judge func(to string, times int) deliverytest.Fault) *deliverytest.Sink {
	t.Helper()
	var mu sync.Mutex
	seen := map[string]int{}
	sink, err := deliverytest.NewSink(deliverytest.SinkConfig{Judge: func(_, to string) deliverytest.Fault {
		if to == "" {
			return deliverytest.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		seen[to]++
		return judge(to, seen[to])
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Close)
	return sink
}

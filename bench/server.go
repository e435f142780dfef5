package bench

import (
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"rapport/internal/store/pgstore"
)

// run is one benchmark run with the server that is up, if one is.
type run struct {
	Options
	server *server
	sink   *sink
	serial int
}

// server is a rapport process of ours.
type server struct {
	cmd      *exec.Cmd
	dir      string
	address  string
	database string       // of this server alone; "": files in dir
	drop     func() error // takes the database away
	unsealed bool
	admin    string // metrics and profiles
	manage   string // management key
	ingest   string // key of the source "shop"
	log      bytes.Buffer
	ended    chan struct{}
	started  time.Duration // from exec to ready
}

// shape says which configuration a server gets.
type shape struct {
	people    int
	seen      int
	unrelated int    // segments that no event concerns
	dkim      string // "", "ed25519", "rsa"
	asks      bool   // the newsletter rests on consent
	perSecond int    // mails a second at most; 0: no limit
	unsealed  bool   // what is stored is not sealed

	hooks       []string // addresses of destinations
	connections int      // SMTP connections; 0: the usual number
}

func (b *run) setup() string {
	home := "embedded store"
	if b.Database != "" {
		home = "PostgreSQL"
	}
	return fmt.Sprintf("%s, %s known people, 50 live segments (20 with windows), 5 journeys, %s ids in the duplicate window, fsync on, server and client and sink on the same cores",
		home, number(float64(b.People)), number(float64(b.Seen)))
}

// need starts a server of the usual shape unless one is up.
func (b *run) need(ctx context.Context) (*server, error) {
	if b.server != nil {
		return b.server, nil
	}
	return b.start(ctx, shape{people: b.People, seen: b.Seen})
}

// start replaces the server by one of another shape.
func (b *run) start(ctx context.Context, sh shape) (*server, error) {
	b.stop()
	b.serial++
	dir := filepath.Join(b.Dir, fmt.Sprintf("server-%d", b.serial))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if b.sink, err = newSink(); err != nil {
		return nil, err
	}
	if err := writeConfig(filepath.Join(dir, "config"), sh, b.sink.address()); err != nil {
		return nil, err
	}
	s := &server{dir: dir, unsealed: sh.unsealed}
	if b.Database != "" {
		if s.database, s.drop, err = pgstore.Scratch(ctx, b.Database, fmt.Sprintf("rapport_bench_%d_%d", os.Getpid(), b.serial)); err != nil {
			return nil, err
		}
	}
	b.server = s
	if err := s.launch(ctx, b.Program); err != nil {
		return nil, err
	}
	if err := s.makeKey(ctx); err != nil {
		return nil, err
	}
	if sh.people > 0 {
		_, _ = fmt.Fprintf(b.Out, "  making %s known people\n", number(float64(sh.people)))
		if err := s.people(ctx, sh.people); err != nil {
			return nil, err
		}
	}
	if sh.seen > 0 {
		_, _ = fmt.Fprintf(b.Out, "  putting %s ids into the duplicate window\n", number(float64(sh.seen)))
		if err := b.fillSeen(ctx, s, sh.seen); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := s.awake(ctx); err != nil {
			return nil, err
		}
		_, _ = fmt.Fprintf(b.Out, "  the server took events after %s and walked the first one %s later\n", s.started.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	}
	return s, nil
}

func (b *run) stop() {
	if b.server != nil {
		b.server.halt()
		if drop := b.server.drop; drop != nil {
			if err := drop(); err != nil {
				_, _ = fmt.Fprintln(b.Out, "the database of a server stays:", err)
			}
		}
		_ = os.RemoveAll(b.server.dir) // Space for the next one.
		b.server = nil
	}
	if b.sink != nil {
		b.sink.close()
		b.sink = nil
	}
}

// launch starts the process and waits until it answers.
func (s *server) launch(ctx context.Context, program string) error {
	began := time.Now()
	s.ended = make(chan struct{})
	s.cmd = exec.CommandContext(ctx, program, "serve", "--config", filepath.Join(s.dir, "config"), "--data", filepath.Join(s.dir, "data"),
		"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-level", "info", "--log-json")
	if s.unsealed {
		s.cmd.Args = append(s.cmd.Args, "--unsealed")
	}
	if s.database != "" {
		s.cmd.Env = append(os.Environ(), "RAPPORT_DATABASE="+s.database)
	}
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	errs, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	ready := make(chan [2]string, 1)
	go func() {
		defer close(s.ended)
		dec := json.NewDecoder(errs)
		for {
			var line struct{ Msg, Address, Metrics, Error string }
			if dec.Decode(&line) != nil {
				break
			}
			if line.Msg == "serving" {
				ready <- [2]string{line.Address, "http://" + line.Metrics}
			} else if line.Msg != "" {
				fmt.Fprintf(&s.log, "%s %s\n", line.Msg, line.Error)
			}
		}
		_ = s.cmd.Wait() // How it ended is not the measurement.
	}()
	select {
	case at := <-ready:
		s.address, s.admin, s.started = at[0], at[1], time.Since(began)
	case <-s.ended:
		return fmt.Errorf("%w before it was ready: %s", errServerGone, s.log.String())
	case <-ctx.Done():
		return ctx.Err()
	}
	raw, err := os.ReadFile(filepath.Join(s.dir, "data", "manage.key"))
	if err != nil {
		return err
	}
	s.manage = strings.TrimSpace(string(raw))
	return nil
}

// halt ends the process and waits for it.
func (s *server) halt() {
	if s.cmd == nil || s.cmd.Process == nil {
		return // it never began
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // It may have ended already.
	select {
	case <-s.ended:
	case <-time.After(45 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// call asks the management API.
func (s *server) call(ctx context.Context, method, path string, body, answer any) error {
	var in bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&in).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, s.address+path, &in)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.manage)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode > 299 {
		return fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(answer)
}

func (s *server) makeKey(ctx context.Context) error {
	var a struct{ Key string }
	err := s.call(ctx, "POST", "/v1/keys", map[string]string{"kind": "ingest", "source": "shop", "name": "bench"}, &a)
	s.ingest = a.Key
	return err
}

// awake waits until the server walks: it takes events before it has read the
// duplicate window, and what a start costs is no part of what a running server does.
func (s *server) awake(ctx context.Context) error {
	body := strings.NewReader(`{"anonymousId":"bench-first","name":"First"}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address+"/v1/page?wait=processed&timeout=30s", body)
	if err != nil {
		return err
	}
	req.SetBasicAuth(s.ingest, "")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct{ Processed bool }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if !answer.Processed {
		return fmt.Errorf("the first event is not walked: %s", res.Status)
	}
	return nil
}

// status is what the server says of itself.
type status struct {
	Lanes map[string]struct{ Appended, Walked int64 }
	Mails map[string]int64
	Walk  struct{ Derived, Mails int64 }
}

func (s *server) status(ctx context.Context) (st status, err error) {
	err = s.call(ctx, "GET", "/v1/status", nil, &st)
	return st, err
}

// settle waits until everything that was appended is walked.
func (s *server) settle(ctx context.Context) error {
	for {
		st, err := s.status(ctx)
		if err != nil {
			return err
		}
		if st.Lanes["live"].Walked == st.Lanes["live"].Appended && st.Lanes["bulk"].Walked == st.Lanes["bulk"].Appended {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond): // a foreign process tells by being asked
		}
	}
}

// calm waits until nothing is owed any more, so that one measurement does not
// stand in the queue of another.
func (s *server) calm(ctx context.Context) error {
	for {
		if err := s.settle(ctx); err != nil {
			return err
		}
		st, err := s.status(ctx)
		if err != nil {
			return err
		}
		if st.Mails["pending"]+st.Mails["claimed"]+st.Mails["handing_over"]+st.Mails["deferred"] == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond): // a foreign process tells by being asked
		}
	}
}

// profile keeps a CPU profile of the server for a while, where that was asked for.
func (b *run) profile(ctx context.Context, s *server, name string, d time.Duration) (done func() error) {
	if b.Profile == "" {
		return func() error { return nil }
	}
	ended := make(chan error, 1)
	go func() {
		ended <- func() error {
			req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", s.admin, max(1, int(d.Seconds()))), nil)
			if err != nil {
				return err
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer func() { _ = res.Body.Close() }()
			f, err := os.Create(filepath.Join(b.Profile, name+".pprof"))
			if err != nil {
				return err
			}
			_, err = io.Copy(f, res.Body)
			return errors.Join(err, f.Close())
		}()
	}()
	return func() error { return <-ended }
}

// usage is what the kernel has counted for the server.
type usage struct {
	cpu   time.Duration
	rss   int64
	wrote int64
}

func (s *server) usage() usage {
	var u usage
	proc := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	if raw, err := os.ReadFile(proc + "stat"); err == nil {
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		user, _ := strconv.ParseInt(fields[11], 10, 64)
		system, _ := strconv.ParseInt(fields[12], 10, 64)
		u.cpu = time.Duration(user+system) * (time.Second / 100)
	}
	u.rss = field(proc+"status", "VmRSS:") << 10
	u.wrote = field(proc+"io", "write_bytes:")
	return u
}

func field(file, name string) int64 {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// measure fills what the server used for a number of items since before.
func (s *server) measure(r *Result, before usage, items int64) {
	after := s.usage()
	r.RSS = after.rss
	if items > 0 {
		r.CPU = float64((after.cpu - before.cpu).Microseconds()) / float64(items)
		r.Wrote = float64(after.wrote-before.wrote) / float64(items)
	}
}

package bench

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rapport/internal/store/pgstore/pgtest"
)

// mover moves a house and is killed at it. It waits where a lock that the test
// holds in PostgreSQL stops it, so each kill comes at a known place.
type mover struct {
	*faulty
	t        *testing.T
	database string
}

// home is where a house is, or moves to.
type home struct{ data, database string }

func (h home) where() string {
	if h.database != "" {
		return h.database
	}
	return h.data
}

// A move is killed again and again, there and back: in the midst of the log, of
// tables, of the comparison and between the last two marks. Nobody serves the
// target before it is whole, the same command goes on, and in the end both hold the
// same, the target serves, and the source no more.
func TestAMoveThatIsKilledGoesOn(t *testing.T) {
	t.Parallel()
	trail := filepath.Join(t.TempDir(), "trail.ndjson")
	f := newFaulty(t, fullHouseSink(t).Addr(), fullHouse(t, trail))
	f.fillEveryTable(trail)
	m := &mover{faulty: f, t: t, database: ownDatabase(t, pgtest.Server(t))}
	files := home{data: filepath.Join(f.dir, "data")}
	moved := home{data: filepath.Join(f.dir, "beside"), database: m.database}
	back := home{data: filepath.Join(f.dir, "back")}
	before := m.digest(files)
	before.mustFill(t)
	m.mustRun(home{database: m.database}, "database", "migrate") // There must be tables to lock.

	// Into PostgreSQL: writes of the target wait.
	for _, table := range []string{"rapport_log.frame", "rapport_state.ledger", "rapport_state.mail", "rapport_state.timeline"} {
		m.killedAt(files, moved, func(at func(table string)) {
			defer m.hold(table, "SHARE")()
			at(table)
		})
	}
	m.killedAt(files, moved, func(at func(table string)) { // It reads the target to compare.
		release := m.hold("rapport_state.version_file", "SHARE")
		at("rapport_state.version_file")
		defer m.hold("rapport_state.access_key", "ACCESS EXCLUSIVE")()
		release()
		at("rapport_state.access_key")
	})
	m.killedAt(files, moved, func(at func(table string)) { // The source has ended, the target has not begun.
		release := m.hold("rapport_state.version_file", "ACCESS EXCLUSIVE")
		at("rapport_state.version_file")
		defer m.hold("rapport_state.meta", "SHARE")()
		release()
		at("rapport_state.meta")
	})
	m.refuses(files, "has moved to")
	m.arrives(files, moved, before)

	// Back into files: reads of the source wait.
	for _, table := range []string{"rapport_log.frame", "rapport_state.held", "rapport_state.mail", "rapport_state.version_file"} {
		m.killedAt(moved, back, func(at func(table string)) {
			defer m.hold(table, "ACCESS EXCLUSIVE")()
			at(table)
		})
	}
	m.killedAt(moved, back, func(at func(table string)) { // It reads the source to compare.
		release := m.hold("rapport_state.version_file", "ACCESS EXCLUSIVE")
		at("rapport_state.version_file")
		defer m.hold("rapport_state.access_key", "ACCESS EXCLUSIVE")()
		release()
		at("rapport_state.access_key")
	})
	m.killedAt(moved, back, func(at func(table string)) { // The source is to be told that it has ended.
		release := m.hold("rapport_state.version_file", "ACCESS EXCLUSIVE")
		at("rapport_state.version_file")
		defer m.hold("rapport_state.meta", "SHARE")()
		release()
		at("rapport_state.meta")
	})
	m.arrives(moved, back, before)
	m.livesOn(back)
}

// killedAt moves until where reaches a place at which the process waits for a table,
// kills it there, and sees that the target refuses to serve.
func (m *mover) killedAt(from, to home, where func(at func(table string))) {
	m.t.Helper()
	cmd := m.command(from, to)
	said := &said{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }() // How it ends is seen by what it leaves.
	where(func(table string) {
		until(m.t, "the move waits for "+table, time.Minute, func() bool {
			select {
			case <-ended:
				m.t.Fatalf("the move ended before it came to %s: %s", table, said)
			default:
			}
			return m.waited(table)
		})
	})
	_ = cmd.Process.Kill() // It may not have ended: it waits.
	<-ended
	if cmd.ProcessState.Success() || cmd.ProcessState.Exited() {
		m.t.Fatalf("it was not killed: %s, %s", cmd.ProcessState, said)
	}
	m.refuses(to, "a move or a restore to this store was interrupted")
}

// hold locks a table until it is released.
func (m *mover) hold(table, mode string) (release func()) {
	m.t.Helper()
	c := m.dial()
	for _, sql := range []string{"BEGIN", "LOCK TABLE " + table + " IN " + mode + " MODE"} {
		if _, err := c.Exec(m.t.Context(), sql); err != nil {
			m.t.Fatal(err)
		}
	}
	return func() { _ = c.Close(context.Background()) } // The lock goes with the session.
}

// waited tells whether somebody waits for a table.
func (m *mover) waited(table string) (waits bool) {
	m.t.Helper()
	c := m.dial()
	defer func() { _ = c.Close(context.Background()) }()
	err := c.QueryRow(m.t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND relation = $1::regclass)", table).Scan(&waits)
	if err != nil {
		m.t.Fatal(err)
	}
	return waits
}

func (m *mover) dial() *pgx.Conn {
	m.t.Helper()
	c, err := pgx.Connect(m.t.Context(), m.database)
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

// command is the move of a house.
func (m *mover) command(from, to home) *exec.Cmd {
	data := from.data
	if to.database != "" {
		data = to.data
	}
	return exec.Command(m.program, "migrate-store", "--from", from.where(), "--to", to.where(), "--data", data)
}

// arrives gives the command once more, and then the target serves and the source
// does not, and both hold what was there before.
func (m *mover) arrives(from, to home, before sums) {
	m.t.Helper()
	if out, err := m.command(from, to).CombinedOutput(); err != nil || !strings.Contains(string(out), before.Digest) {
		m.t.Fatalf("the move: %v\n%s\nwant %s", err, out, before.Digest)
	}
	for _, at := range []home{from, to} {
		if got := m.digest(at); got.Digest != before.Digest {
			m.t.Errorf("%s holds %+v, before there was %+v", at.where(), got, before)
		}
	}
	m.refuses(from, "has moved to")
}

// refuses starts a server that must not serve, and wants it to say why.
func (m *mover) refuses(at home, why string) {
	m.t.Helper()
	ctx, stop := context.WithTimeout(m.t.Context(), 30*time.Second)
	defer stop()
	cmd := m.run(ctx, at, "serve", "--config", filepath.Join(m.dir, "config"), "--listen", "127.0.0.1:0", "--admin", "")
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), why) {
		m.t.Fatalf("a server of %s: %v, exit code %d, want %q:\n%s", at.where(), err, cmd.ProcessState.ExitCode(), why, out)
	}
}

func (m *mover) run(ctx context.Context, at home, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.program, args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "RAPPORT_DATABASE="+at.database, "RAPPORT_DATA="+at.data)
	return cmd
}

func (m *mover) mustRun(at home, args ...string) []byte {
	m.t.Helper()
	cmd := m.run(m.t.Context(), at, args...)
	errs := &said{}
	cmd.Stderr = errs
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("rapport %v: %v\n%s", args, err, errs)
	}
	return out
}

// sums are what `rapport digest` says.
type sums struct {
	Digest string
	Tables []struct {
		Name string
		Rows int64
	}
}

func (m *mover) digest(at home) (s sums) {
	m.t.Helper()
	if err := json.Unmarshal(m.mustRun(at, "digest", "--json", "--of", at.where()), &s); err != nil {
		m.t.Fatal(err)
	}
	return s
}

// empty are the tables that may be: what is relayed is gone once it is in the log,
// and a server looks for what to alert of half a minute after its start.
var empty = map[string]bool{"relay": true, "alert": true}

// mustFill wants rows in every table.
func (s sums) mustFill(t *testing.T) {
	t.Helper()
	for _, table := range s.Tables {
		if table.Rows == 0 && !empty[table.Name] {
			t.Errorf("%s is empty, so nothing is shown of it", table.Name)
		}
	}
}

// livesOn serves the house at its last place: what it knew it knows, and what comes
// in is walked.
func (m *mover) livesOn(at home) {
	m.t.Helper()
	if err := os.Rename(filepath.Join(m.dir, "data"), filepath.Join(m.dir, "former")); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(at.data, filepath.Join(m.dir, "data")); err != nil {
		m.t.Fatal(err)
	}
	m.start()
	if status, _, answer := m.ask("GET", "/v1/people/user_id:gone", ""); status != 404 || !strings.Contains(answer, "person_erased") {
		m.t.Errorf("who was erased: %d %s", status, answer)
	}
	was := m.known("user_id:u1")
	if status, _, answer := m.ask("POST", "/v1/track?wait=processed&timeout=30s", `{"messageId":"after","userId":"u1","event":"Seen"}`); status != 200 {
		m.t.Fatal(status, answer)
	}
	is := m.known("user_id:u1")
	if len(is.Events) != len(was.Events)+1 || len(is.Mails) == 0 || len(is.Identifiers) < 2 {
		m.t.Errorf("u1 was %+v and is %+v", was, is)
	}
	if code := m.stop(time.Minute); code != 0 {
		m.t.Errorf("it stops with %d", code)
	}
}

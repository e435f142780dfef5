package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rapport/internal/delivery/deliverytest"
)

// The kernel refuses the process larger files, as a full disk or a quota would,
// and then allows them again. Meanwhile callers are told to come again;
// afterwards all that was acknowledged is there, without a restart.
func TestFilesThatMayNotGrowAreToldAndRecoveredFrom(t *testing.T) {
	t.Parallel()
	sink := scripted(t, func(string, int) deliverytest.Fault { return deliverytest.Fault{} })
	f := newFaulty(t, sink.Addr())
	f.start()
	acked := map[string]bool{}
	post := func(ref string) bool {
		status, header, answer := f.ask("POST", "/v1/track", fmt.Sprintf(
			`{"messageId":%q,"userId":"u-%s","event":"Trigger","context":{"traits":{"email":"%s@full.example"}},"properties":{"ref":%q,"filler":"%01000d"}}`, ref, ref, ref, ref, 1))
		if status == 200 {
			acked[ref] = true
			return true
		}
		if status != 503 || header.Get("Retry-After") == "" {
			t.Fatalf("%s: %d, Retry-After %q, %s; want 503", ref, status, header.Get("Retry-After"), answer)
		}
		return false
	}
	n := 0
	next := func() string { n++; return fmt.Sprintf("e%d", n) }
	for round := range 2 {
		for range 10 {
			if !post(next()) {
				t.Fatal("refused before anything was full")
			}
		}
		f.limit(t, f.largest(t)+8<<10)
		until(t, "the disk is full", 20*time.Second, func() bool { return !post(next()) })
		if status, _, answer := f.ask("GET", "/healthz", ""); status != 200 {
			t.Errorf("the process is not well: %d %s", status, answer)
		}
		f.limit(t, math.MaxInt64)
		until(t, "events are taken again", 20*time.Second, func() bool { return post(next()) })
		t.Logf("round %d: %d of %d acknowledged", round, len(acked), n)
	}
	f.quiet(20 * time.Second)
	for ref := range acked {
		var page struct {
			Events []json.RawMessage `json:"events"`
		}
		status, _, answer := f.ask("GET", "/v1/people/user_id:u-"+ref+"/events", "")
		if err := json.Unmarshal([]byte(answer), &page); err != nil || status != 200 {
			t.Fatalf("event %s was acknowledged: %d %s", ref, status, answer)
		}
		if n := sink.To(ref + "@full.example"); n != 1 {
			t.Errorf("the mail of event %s arrived %d times", ref, n)
		}
	}
	if sink.Total() != len(acked) {
		t.Errorf("%d mails arrived for %d events", sink.Total(), len(acked))
	}
}

// limit lets the process grow no file beyond so many bytes.
func (f *faulty) limit(t *testing.T, bytes int64) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Prlimit(f.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &old); err != nil {
		t.Fatal(err)
	}
	set := unix.Rlimit{Cur: min(uint64(bytes), old.Max), Max: old.Max}
	if err := unix.Prlimit(f.cmd.Process.Pid, unix.RLIMIT_FSIZE, &set, nil); err != nil {
		t.Fatal(err)
	}
}

// largest is the size of the log's write-ahead file, to which every event goes.
func (f *faulty) largest(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(f.dir, "data", "log.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

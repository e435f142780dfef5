package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport/internal/project"
)

// The server is killed while a configuration is applied, at random moments.
// Afterwards all of the old one is in effect or all of the new one: its
// segments, the number of its version, and everybody's memberships.
//
// RAPPORT_ROUNDS sets the number of kills (12), RAPPORT_SEED the seed.
func TestKilledWhileApplyingItIsOldOrNewNeverMixed(t *testing.T) {
	t.Parallel()
	const people = 300
	rounds, seed := intEnv(t, "RAPPORT_ROUNDS", 12), intEnv(t, "RAPPORT_SEED", int(time.Now().UnixNano()&0xffffff))
	t.Logf("rounds %d, seed %d", rounds, seed)
	r := rand.New(rand.NewPCG(uint64(seed), 3))
	f := newFaulty(t, "127.0.0.1:2525", generation(0))
	f.start()
	var batch strings.Builder
	for i := range people {
		if i > 0 {
			batch.WriteByte(',')
		}
		fmt.Fprintf(&batch, `{"type":"identify","userId":"g%d","traits":{"number":%d}}`, i, i)
	}
	if status, _, answer := f.ask("POST", "/v1/batch?wait=processed", `{"batch":[`+batch.String()+`]}`); status != 200 {
		t.Fatalf("batch: %d %s", status, answer)
	}
	now := 0
	digests := map[string]int{digestOf(t, filepath.Join(f.dir, "config")): 0}
	seen := map[string]int{}
	var took [2]time.Duration
	for round := range rounds + 2 { // in the first two nobody is killed: how long does it take?
		next, way := now+1, round%2
		folder := t.TempDir()
		copyTree(t, filepath.Join(f.dir, "config"), folder)
		writeFiles(t, folder, generation(next))
		digests[digestOf(t, folder)] = next
		began, ended := time.Now(), make(chan error, 1)
		apply := f.applying(t, way, folder)
		go func() { ended <- apply() }()
		if round < 2 {
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			took[way], now = time.Since(began), next
			continue
		}
		<-time.After(time.Duration(r.Int64N(int64(took[way])))) // the random moment
		f.kill()
		acked := <-ended == nil
		f.startAgain()
		got := f.generationInEffect(digests, people)
		switch {
		case got == next:
			seen["new"]++
		case got == now && !acked:
			seen["old"]++
		default:
			t.Fatalf("seed %d, round %d: generation %d is in effect, want %d or %d (acknowledged: %v)", seed, round, got, now, next, acked)
		}
		now = got
	}
	t.Logf("old %d times, new %d times", seen["old"], seen["new"])
}

func digestOf(t *testing.T, folder string) string {
	t.Helper()
	config, problems := project.Load(os.DirFS(folder))
	if config == nil {
		t.Fatal(problems)
	}
	return config.Digest
}

// applying gives what applies a folder: the command, or the call that it makes
// last, whose moment is easier to hit.
func (f *faulty) applying(t *testing.T, way int, folder string) func() error {
	t.Helper()
	if way == 0 {
		return exec.Command(f.program, "apply", folder, "--yes", "--url", f.address, "--data", filepath.Join(f.dir, "data")).Run
	}
	config, problems := project.Load(os.DirFS(folder))
	if config == nil {
		t.Fatal(problems)
	}
	s := f.server // as it is now
	return func() error {
		var answer any
		return s.call(context.Background(), "POST", "/v1/config?dry_run=false", map[string]any{"files": config.Files}, &answer)
	}
}

// startAgain starts without a folder: the server goes on with what it knows.
func (f *faulty) startAgain() {
	f.t.Helper()
	kept := filepath.Join(f.dir, "config")
	if err := os.Rename(kept, kept+"-away"); err != nil {
		f.t.Fatal(err)
	}
	defer func() {
		if err := os.Rename(kept+"-away", kept); err != nil {
			f.t.Fatal(err)
		}
	}()
	f.start("--config", "")
}

// generation is a configuration whose every part bears a number.
func generation(n int) map[string]string {
	out := map[string]string{
		"templates/generation/template.yaml": fmt.Sprintf("subject: Generation %d\npurpose: marketing.newsletter\n", n),
		"templates/generation/body.html":     mailBody,
		"journeys/generation.yaml":           fmt.Sprintf("purpose: marketing.newsletter\ntrigger: {event: Never %d}\nsteps:\n  - send: generation\n", n),
	}
	for i := range 5 {
		out[fmt.Sprintf("segments/generation-%d.yaml", i)] = fmt.Sprintf("title: Generation %d\nrule: {trait: number, lt: %d}\n", n, 10*(n+1)+i)
	}
	return out
}

// generationInEffect tells which generation the configuration is of, and fails
// if its parts or the memberships differ.
func (f *faulty) generationInEffect(digests map[string]int, people int) int {
	t := f.t
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	if err := f.settle(ctx); err != nil {
		t.Fatal(err)
	}
	var config struct{ Digest string }
	if err := f.call(ctx, "GET", "/v1/config", nil, &config); err != nil {
		t.Fatal(err)
	}
	n, known := digests[config.Digest]
	if !known {
		t.Fatalf("a configuration is in effect that nobody wrote: %s", config.Digest)
	}
	var flows struct {
		Journeys []struct{ Name, Trigger string }
	}
	if err := f.call(ctx, "GET", "/v1/journeys", nil, &flows); err != nil {
		t.Fatal(err)
	}
	for _, j := range flows.Journeys {
		if want := fmt.Sprintf("event Never %d", n); j.Name == "generation" && j.Trigger != want {
			t.Errorf("the journey begins with %q, the version is of generation %d", j.Trigger, n)
		}
	}
	sizes := func() map[string]int64 {
		var list struct {
			Segments []struct {
				Name, Title string
				People      int64
			}
		}
		if err := f.call(ctx, "GET", "/v1/segments", nil, &list); err != nil {
			t.Fatal(err)
		}
		out := map[string]int64{}
		for _, s := range list.Segments {
			out[s.Name] = s.People
			if want := fmt.Sprintf("Generation %d", n); strings.HasPrefix(s.Name, "generation-") && s.Title != want {
				t.Errorf("segment %s is %q, the version is of generation %d", s.Name, s.Title, n)
			}
		}
		return out
	}
	var got map[string]int64
	until(t, fmt.Sprintf("the memberships of generation %d", n), 20*time.Second, func() bool {
		got = sizes()
		for i := range 5 {
			if got[fmt.Sprintf("generation-%d", i)] != int64(min(10*(n+1)+i, people)) {
				return false
			}
		}
		return true
	})
	return n
}

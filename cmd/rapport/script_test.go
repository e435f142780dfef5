package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"rapport/internal/store/pgstore/pgtest"
)

// TestMain lets the scripts run this binary as the command rapport.
func TestMain(m *testing.M) {
	testscript.Main(withCluster{m}, map[string]func(){"rapport": main})
}

// withCluster stops the PostgreSQL that tests have started when all are done.
type withCluster struct{ m *testing.M }

// Run runs the tests.
func (w withCluster) Run() int {
	code := w.m.Run()
	if err := pgtest.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// TestScripts runs testdata/script: the true command line, including what must
// fail and how, once over files and once over PostgreSQL. The outcomes that the
// scripts name are the same.
func TestScripts(t *testing.T) {
	t.Parallel()
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		scripts(t, "files", func(*testscript.Env) error { return nil })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		pgtest.Database(t) // A cluster that cannot be started fails here and not in each script.
		scripts(t, "postgres", func(e *testscript.Env) error {
			address, err := pgtest.Create(context.Background())
			e.Setenv("RAPPORT_DATABASE", address)
			return err
		})
	})
}

func scripts(t *testing.T, store string, setup func(*testscript.Env) error) {
	t.Helper()
	cdnow, err := filepath.Abs("../../examples/cdnow")
	if err != nil {
		t.Fatal(err)
	}
	servers := &served{list: map[string]*scriptServer{}}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "Europe/Berlin")
			e.Setenv("NO_COLOR", "1")
			e.Setenv("CDNOW", cdnow)
			return setup(e)
		},
		// [files] and [postgres] mark what can be so on one store only.
		Condition: func(name string) (bool, error) { return name == store, nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"house":   houseFor,
			"serves":  servers.servesFor,
			"stops":   servers.stopsFor,
			"happens": servers.happensFor,
			"tells":   tells,
			"notes":   notesFor,
		},
	})
}

// exits runs a command and wants one exit code: `exits 3 rapport check DIR`.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = exitCodeOf(err)
	}
	if got != args[0] {
		ts.Fatalf("%v: exit code %s, want %s (%v)", args[1:], got, args[0], err)
	}
}

package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rapport/internal/rights"
)

// atServer gives a true server in which people have come, and what runs commands
// against it: what they print, which must hold a text, whether they fail or not.
func atServer(t *testing.T, people ...string) func(want string, fails bool, args ...string) string {
	t.Helper()
	dir, data := filepath.Join(t.TempDir(), "shop"), filepath.Join(t.TempDir(), "data")
	if _, err := writeScaffold(dir); err != nil {
		t.Fatal(err)
	}
	server, _, at := started(t, "serve", "--config", dir, "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	t.Cleanup(func() {
		if err := server.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		_ = server.Wait() // It was told to end.
	})
	run := func(want string, fails bool, args ...string) string {
		t.Helper()
		out, err := program(t, append(args, "--data", data, "--url", at[1])...).CombinedOutput()
		if (err != nil) != fails || !strings.Contains(string(out), want) {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	key := regexp.MustCompile(`rp\S+`).FindString(run("rp", false, "key", "create", "--kind", "ingest", "--source", "server"))
	for _, who := range people {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at[1]+"/v1/track?wait=processed", strings.NewReader(`{"event":"Seen","userId":"`+who+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(key, "")
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		_ = res.Body.Close()
	}
	return run
}

// TestAnExportAnswersARequest takes requests for copies down at a true server, and
// answers them with the true command: only whose request it is gets it closed.
func TestAnExportAnswersARequest(t *testing.T) {
	t.Parallel()
	run := atServer(t, "ann", "bob")
	opened := run("open", false, "privacy", "request", "open", "user_id:ann", "--kind", "export")
	request := regexp.MustCompile(`req-\S+`).FindString(opened)
	copied := filepath.Join(t.TempDir(), "ann.json")
	run("the call is about", true, "person", "export", "user_id:bob", "--request", request, "--out", copied)
	if _, err := os.Stat(copied); !os.IsNotExist(err) {
		t.Errorf("bob's copy was written: %v", err)
	}
	run("", false, "person", "export", "user_id:ann", "--request", request, "--out", copied)
	if raw, err := os.ReadFile(copied); err != nil || !strings.Contains(string(raw), "ann") {
		t.Errorf("%s %v", raw, err)
	}
	run("done", false, "privacy", "request", "show", request)
	run("is closed", true, "person", "export", "user_id:ann", "--request", request)
	request = regexp.MustCompile(`req-\S+`).FindString(run("open", false, "privacy", "request", "open", "user_id:ann", "--kind", "erase"))
	run("not for a copy", true, "person", "export", "user_id:ann", "--request", request)
}

// TestWhatWasWrittenIsShown: what somebody wrote on the page of preferences is shown to
// an operator, who cannot be fooled by what moves a cursor.
func TestWhatWasWrittenIsShown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &console{out: &out, zone: time.UTC, env: func(string) (string, bool) { return "", false }}
	c.request(&requestAnswer{
		ID: "own-1", Kind: rights.Correct, Law: rights.GDPR,
		Result: []byte(`{"by":"page","asks":{"traits":{"pets":2,"nick":null},"text":"not mine\u001b[2J","done":["city"]}}`),
	})
	for _, want := range []string{"pets            2\n", "nick            null\n", "city            put right at once\n", "in their words  not mine [2J\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, out.String())
		}
	}
}

// TestACorrectionNamesSomething: without values and without a request there is nothing
// to put right, and a request that names none says so.
func TestACorrectionNamesSomething(t *testing.T) {
	t.Parallel()
	run := atServer(t, "ann")
	run("lacks --set", true, "person", "correct", "user_id:ann")
	request := regexp.MustCompile(`req-\S+`).FindString(run("open", false, "privacy", "request", "open", "user_id:ann", "--kind", "correct"))
	run("name at least one trait", true, "person", "correct", "user_id:ann", "--request", request)
	run("done", false, "person", "correct", "user_id:ann", "--request", request, "--set", "city=Sampletown")
}

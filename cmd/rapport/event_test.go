package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestViolationsAreShown sends events that are not as the spec has them to a
// true server, and looks for them with the true command, also after a restart.
func TestViolationsAreShown(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	if _, err := writeScaffold(dir); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	serve := []string{"serve", "--config", dir, "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	server, rest, at := started(t, serve...)
	run := func(args ...string) string {
		t.Helper()
		out, err := program(t, append(args, "--data", data, "--url", at[1])...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := run("event", "violations"); !strings.Contains(out, "every event has been as the spec has it") {
		t.Errorf("before anything came: %s", out)
	}
	key := run("key", "create", "--kind", "ingest", "--source", "server")
	key = key[strings.Index(key, "rp"):]
	send := func(query, event string, status int) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at[1]+"/v1/track"+query, strings.NewReader(event))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(strings.Fields(key)[0], "")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != status {
			t.Fatalf("%s: %d %s, %v", event, res.StatusCode, body, err)
		}
		return string(body)
	}
	const order = `{"event":"Order Completed","userId":"42","properties":{"order_id":50314,"total":"27.50","tax":"2,10"},"integrations":{"All":false}}`
	refused := send("?strict=true", order, 400)
	for _, want := range []string{`"code":"property_wrong_type"`, `"pointer":"/properties/tax"`} {
		if !strings.Contains(refused, want) {
			t.Errorf("strict says %s, want %s", refused, want)
		}
	}
	if taken := send("?wait=processed", order, 200); !strings.Contains(taken, `"processed":true`) {
		t.Errorf("it says %s", taken)
	}
	if out := run("person", "events", "42"); !strings.Contains(out, `{"order_id":"50314","total":27.50,"tax":"2,10"}`) || !strings.Contains(out, "tax of Order Completed is no number") {
		t.Errorf("the timeline says\n%s", out)
	}
	out := run("event", "violations", "--source", "server")
	for _, want := range []string{"property_wrong_type  tax of Order Completed is no number", "total            property_converted", "order_id         property_converted"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	stop := func() {
		t.Helper()
		if err := server.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		last, _ := io.ReadAll(rest)
		if err := server.Wait(); err != nil {
			t.Errorf("it ended with %v\n%s", err, last)
		}
	}
	stop()
	server, rest, at = started(t, serve...)
	if again := run("event", "violations", "--source", "server"); again != out {
		t.Errorf("after a restart:\n%s, want\n%s", again, out)
	}
	stop()
}

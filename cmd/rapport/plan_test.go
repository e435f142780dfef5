package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlanFromATrueServer drafts a plan of what a server took, and reads the
// report that it is made of.
func TestPlanFromATrueServer(t *testing.T) {
	t.Parallel()
	s := serveFiles(t, nil)
	var batch []string
	for range 25 {
		batch = append(batch, `{"type":"track","event":"Order Completed","userId":"u","properties":{"order_id":"o","total":1.5,"note":"ann@shop.example"}}`)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/import/website", strings.NewReader(`{"batch":[`+strings.Join(batch, ",")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close() // Its status is all that counts.
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := program(t, append(args, "--url", s.url, "--data", s.data)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("rapport %s: %v %s", strings.Join(args, " "), err, stderr.Bytes())
		}
		if bytes.Contains(out, []byte("ann@")) {
			t.Errorf("rapport %s shows an address:\n%s", strings.Join(args, " "), out)
		}
		return string(out)
	}
	report := run("source", "report", "website", "--since", "24h")
	for _, want := range []string{"user_id 100.0%", "Order Completed: 25 events", "note", "email", "total", "number"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	if asJSON := run("source", "report", "--json"); !strings.Contains(asJSON, `"filled": 1`) {
		t.Errorf("as JSON:\n%s", asJSON)
	}
	draft := run("plan", "infer", "--source", "website")
	dir := filepath.Join(t.TempDir(), "shop")
	if _, err := writeScaffold(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "plan"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plan", "website.yaml"), []byte(draft), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := program(t, "check", "--strict", dir).CombinedOutput(); err != nil {
		t.Errorf("the draft is no plan: %v %s\n%s", err, out, draft)
	}
	if !strings.Contains(draft, "order_id:") || !strings.Contains(draft, "required: true") {
		t.Errorf("the draft asks for too little:\n%s", draft)
	}
}

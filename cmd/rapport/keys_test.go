package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rapport/internal/app"
	"rapport/internal/id"
	"rapport/internal/seal"
	"rapport/internal/seal/keyset"
	"rapport/internal/store/sqlitestore"
)

// houseFor makes the data folder of a server in a script, as its first start does:
// `house DIR`, and `house --unsealed DIR`.
func houseFor(ts *testscript.TestScript, neg bool, args []string) {
	unsealed := len(args) == 2 && args[0] == "--unsealed"
	if neg || len(args) != 1 && !unsealed {
		ts.Fatalf("usage: house [--unsealed] DIR")
	}
	dir := ts.MkAbs(args[len(args)-1])
	folder := dir + "-config"
	_, err := writeScaffold(folder)
	ts.Check(err)
	c := &console{now: time.Now, out: io.Discard, err: io.Discard, env: func(name string) (string, bool) {
		v := ts.Getenv(name)
		return v, v != ""
	}}
	config, problems, err := c.load(folder)
	ts.Check(err)
	if config == nil {
		ts.Fatalf("%v", problems)
	}
	root := c.root()
	root.Off = unsealed
	house, err := app.Open(context.Background(), app.Options{Data: dir, Database: ts.Getenv("RAPPORT_DATABASE"), Secrets: c.secrets(folder), Root: root}, config)
	ts.Check(err)
	ts.Check(house.Close())
}

// manyKeys adds data keys to a folder that nobody serves.
func manyKeys(t *testing.T, dir string, blocks int) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "keyset.json"))
	fine(t, err)
	set, err := keyset.Read(raw, nil)
	fine(t, err)
	kept, err := sqlitestore.OpenKeyring(sqlitestore.KeyringConfig{Path: filepath.Join(dir, "keys.db")})
	fine(t, err)
	ring, err := seal.Open(seal.Config{Store: kept, Root: set, Rand: rand.Reader, Now: time.Now})
	fine(t, err)
	for i := range blocks { // Each makes 256.
		fine(t, ring.Mint(seal.Person(id.Person(1_000_000+256*i))))
	}
	fine(t, kept.Close())
}

func fine(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// askKeys sends a request about the keys of a server.
func askKeys(t *testing.T, method, address, data string, into any) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(data, "manage.key"))
	fine(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, address+"/v1/keyring/rotation", strings.NewReader("{}"))
	fine(t, err)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	res, err := http.DefaultClient.Do(req)
	fine(t, err)
	defer func() { _ = res.Body.Close() }()
	fine(t, json.NewDecoder(res.Body).Decode(into))
}

// statusOf asks for the keys of a folder.
func statusOf(t *testing.T, data string) (s app.KeyStatus) {
	t.Helper()
	out, err := program(t, "keys", "status", "--data", data, "--json").Output()
	fine(t, err)
	fine(t, json.Unmarshal(out, &s))
	return s
}

// TestAKilledRotationGoesOn: a server is killed in the middle of one; nothing is
// lost, the status says so, and the command goes on where it was.
func TestAKilledRotationGoesOn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	_, err := writeScaffold(dir)
	fine(t, err)
	data := filepath.Join(t.TempDir(), "data")
	serve := []string{"serve", "--config", dir, "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	cmd, _, _ := started(t, serve...)
	fine(t, cmd.Process.Signal(os.Interrupt))
	fine(t, cmd.Wait())
	manyKeys(t, data, 200)

	cmd, _, at := started(t, serve...)
	if out, err := program(t, "keys", "status", "--data", data, "--url", at[1]).CombinedOutput(); err != nil || !strings.Contains(string(out), "in use") {
		t.Errorf("the status of a server: %v\n%s", err, out)
	}
	var turn app.Rotation
	askKeys(t, http.MethodPost, at[1], data, &turn)
	for turn.Running && turn.Done == 0 {
		askKeys(t, http.MethodGet, at[1], data, &turn)
	}
	fine(t, cmd.Process.Kill())
	_ = cmd.Wait() // It was killed.

	s := statusOf(t, data)
	if len(s.Wrapping) != 2 || !s.Pending || s.Wrapping[0].Keys == 0 || s.Wrapping[1].Keys == 0 || s.Keys < 200*256 {
		t.Fatalf("it was not killed in the middle: %+v", s)
	}
	out, err := program(t, "keys", "rotate", "--data", data).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	after := statusOf(t, data)
	if len(after.Wrapping) != 1 || after.Pending || after.Wrapping[0].Number != s.Wrapping[1].Number || after.Wrapping[0].Keys != s.Keys {
		t.Errorf("before %+v, after %+v", s, after)
	}
}

// TestARotationThatAServerBegan ends by itself when the folder is served again,
// and the command waits for a server's.
func TestARotationThatAServerBegan(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	_, err := writeScaffold(dir)
	fine(t, err)
	data := filepath.Join(t.TempDir(), "data")
	serve := []string{"serve", "--config", dir, "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	cmd, _, at := started(t, serve...)
	for round := range 2 {
		args := []string{"keys", "rotate", "--data", data, "--url", at[1]}
		if round == 1 {
			args = append(args, "--root")
		}
		if out, err := program(t, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	out, err := program(t, "keys", "rotate", "--data", data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "name another with --url") {
		t.Errorf("a server at another address: %v\n%s", err, out)
	}
	fine(t, cmd.Process.Signal(os.Interrupt))
	fine(t, cmd.Wait())
	if s := statusOf(t, data); len(s.Wrapping) != 1 || s.Wrapping[0].Number != 3 || s.RootKeys != 1 || s.Pending {
		t.Errorf("%+v", s)
	}
}

package app_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/fault"
	"rapport/internal/project"
	"rapport/internal/seal/kms"
)

// sealedHouse opens a house with a root key that sends to a sink.
func sealedHouse(t *testing.T, dir string, root app.RootKey, config *project.Config) *lived {
	t.Helper()
	return live(t, app.Options{Data: dir, Clock: app.NewClock(sealedAt, 0), Root: root}, config)
}

// rotated waits until a rotation has ended.
func (l *lived) rotated() (turn app.Rotation) {
	l.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		l.get("/v1/keyring/rotation", &turn)
		if !turn.Running {
			return turn
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("it does not end: %+v", turn)
		}
		time.Sleep(time.Millisecond) // The house decides when.
	}
}

// TestAHouseRotatesItsKeys while mails leave; the former keys open nothing new,
// and whoever opens the folder next reads everything.
func TestAHouseRotatesItsKeys(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	config, dir, root := small(t, sink.Addr(), nil), t.TempDir(), app.RootKey{}
	l := sealedHouse(t, dir, root, config)
	before := fileOf(t, dir, "keyset.json")
	if code := l.track("Trigger", "ann", "m1"); code != http.StatusOK {
		t.Fatal(code)
	}
	if w := l.ask("POST", "/v1/keyring/rotation", `{"root":true}`); w.Code != http.StatusAccepted {
		t.Fatal(w.Code, w.Body)
	}
	if code := l.track("Trigger", "bob", "m2"); code != http.StatusOK {
		t.Fatal(code)
	}
	if turn := l.rotated(); turn.Error != "" {
		t.Fatal(turn.Error)
	}
	var s app.KeyStatus
	l.get("/v1/keyring", &s)
	if len(s.Wrapping) != 1 || s.Wrapping[0].Number != 2 || s.Wrapping[0].Keys != s.Keys || s.Keys == 0 || s.Pending || s.RootKeys != 1 {
		t.Errorf("%+v", s)
	}
	l.told()
	people := map[string]map[string]int{"ann": l.timeline("ann"), "bob": l.timeline("bob")}
	l.end()
	after := fileOf(t, dir, "keyset.json")
	put(t, dir, "keyset.json", before)
	if err := openAs(t, dir, "", root); fault.CodeOf(err) != "root_key_wrong" {
		t.Errorf("the former root key: %v", err)
	}
	put(t, dir, "keyset.json", after)
	l = sealedHouse(t, dir, root, config)
	for who, had := range people {
		if got := l.timeline(who); len(got) == 0 || len(got) != len(had) {
			t.Errorf("%s had %v and has %v", who, had, got)
		}
	}
}

// vault is a stand-in of a key management service that counts what it is asked.
type vault struct {
	*httptest.Server
	asked, down atomic.Int64
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.asked.Add(1)
		var in struct {
			Plaintext  []byte `json:"plaintext"`
			Ciphertext string `json:"ciphertext"`
			Associated []byte `json:"associated_data"`
		}
		err := json.NewDecoder(r.Body).Decode(&in)
		data := map[string]any{}
		switch {
		case err != nil || v.down.Load() != 0 || r.Header.Get("X-Vault-Token") != "hvs.token":
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case strings.Contains(r.URL.Path, "/encrypt/"): // What it keeps is not what is tested here.
			data["ciphertext"] = "vault:v1:" + base64.StdEncoding.EncodeToString(append(in.Associated, in.Plaintext...))
		default:
			raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(in.Ciphertext, "vault:v1:"))
			if err != nil || !strings.HasPrefix(string(raw), string(in.Associated)) {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			data["plaintext"] = raw[len(in.Associated):]
		}
		if err := json.NewEncoder(w).Encode(map[string]any{"data": data}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vault) root() app.RootKey {
	return app.RootKey{Address: "hcvault://vault.example/transit/keys/rapport", KMS: func() (kms.Config, error) {
		return kms.Config{Vault: kms.Vault{Token: "hvs.token", Address: v.URL}, Now: time.Now, Client: v.Client()}, nil
	}}
}

// TestAKeyManagementServiceIsAskedOnce at a start and once at a rotation, never for
// what happens. Away at a start it is named; away later nobody notices.
func TestAKeyManagementServiceIsAskedOnce(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t), t.TempDir()
	sink := taking(t, func(string) bool { return false })
	config := small(t, sink.Addr(), nil)
	asked := func(what string, want int64) {
		t.Helper()
		if got := v.asked.Swap(0); got != want {
			t.Errorf("%s: asked %d times, want %d", what, got, want)
		}
	}
	l := sealedHouse(t, dir, v.root(), config)
	asked("the first start", 1)
	l.end()
	l = sealedHouse(t, dir, app.RootKey{KMS: v.root().KMS}, config) // The folder says where the key is.
	asked("the second start", 1)
	v.down.Store(1)
	for _, id := range []string{"m1", "m2"} {
		if code := l.track("Trigger", "ann", id); code != http.StatusOK {
			t.Fatal(code)
		}
	}
	l.told()
	if got := l.timeline("ann"); len(got) == 0 {
		t.Errorf("with the service away: %v", got)
	}
	asked("events with the service away", 0)
	if w := l.ask("POST", "/v1/keyring/rotation", `{}`); w.Code != http.StatusAccepted {
		t.Fatal(w.Code, w.Body)
	}
	if turn := l.rotated(); !strings.Contains(turn.Error, "Vault cannot answer now") {
		t.Errorf("a rotation with the service away: %+v", turn)
	}
	if code := l.track("Trigger", "bob", "m3"); code != http.StatusOK {
		t.Errorf("after it: %d", code)
	}
	l.end()
	if err := openAs(t, dir, "", v.root()); fault.CodeOf(err) != "kms_unreachable" {
		t.Errorf("a start with the service away: %v", err)
	}
	if fileOf(t, dir, "keyset.json") != nil {
		t.Error("a root key was made beside the one in the service")
	}
	v.down.Store(0)
	l = sealedHouse(t, dir, v.root(), config)
	if got := l.timeline("bob"); len(got) == 0 {
		t.Errorf("bob: %v", got)
	}
}

// TestTheRootKeyMoves to a service and back, also when it is interrupted.
func TestTheRootKeyMoves(t *testing.T) {
	t.Parallel()
	v, dir := newVault(t), t.TempDir()
	somebody(t, dir, "", app.RootKey{})
	kmsOnly := app.RootKey{KMS: v.root().KMS}
	move := func(to string) error {
		t.Helper()
		k, err := app.OpenKeys(dir, kmsOnly)
		if err != nil {
			return err
		}
		defer func() { _ = k.Close() }()
		return k.Move(to)
	}
	v.down.Store(1)
	if err := move(v.root().Address); fault.CodeOf(err) != "kms_unreachable" {
		t.Errorf("with the service away: %v", err)
	}
	if err := openAs(t, dir, "", app.RootKey{}); err != nil {
		t.Errorf("after a move that could not begin: %v", err)
	}
	keys := strings.Replace(string(fileOf(t, dir, "keys.json")), `"sealed":true`, `"sealed":true,"next_root":"`+v.root().Address+`"`, 1)
	put(t, dir, "keys.json", []byte(keys)) // As a kill amid the move leaves it.
	v.down.Store(0)
	if err := openAs(t, dir, "", kmsOnly); err != nil {
		t.Fatalf("a start that ends the move: %v", err)
	}
	if fileOf(t, dir, "keyset.json") != nil || fileOf(t, dir, "keyset-former.json") == nil {
		t.Error("the former root key is where it was")
	}
	if err := openAs(t, dir, "", app.RootKey{}); fault.CodeOf(err) != "root_key_elsewhere" {
		t.Errorf("without knowing the service: %v", err)
	}
	if err := move(app.FileRoot); err != nil {
		t.Fatal(err)
	}
	v.down.Store(1)
	if err := openAs(t, dir, "", app.RootKey{}); err != nil {
		t.Errorf("back in the file: %v", err)
	}
}

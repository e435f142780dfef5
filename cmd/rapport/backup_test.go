package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"rapport/internal/app"
	"rapport/internal/backup/bucket/buckettest"
)

// ageKey opens the backups of these tests: a passphrase takes a second each time.
var ageKey = sync.OnceValues(age.GenerateX25519Identity)

// backing is a command about backups, with whom they are for and who opens them.
func backing(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	own, err := ageKey()
	fine(t, err)
	if args[0] == "backup" {
		return program(t, append(args, "--recipient", own.Recipient().String())...)
	}
	file := filepath.Join(t.TempDir(), "identity")
	fine(t, os.WriteFile(file, []byte(own.String()), 0o600))
	return program(t, append(args, "--identity", file)...)
}

func succeeds(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args[1:], err, out)
	}
	return string(out)
}

// TestABackupOfAServer is taken while it runs, restored elsewhere, and served.
func TestABackupOfAServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	_, err := writeScaffold(dir)
	fine(t, err)
	data, copies := filepath.Join(t.TempDir(), "data"), t.TempDir()
	cmd, _, at := started(t, "serve", "--config", dir, "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	one, keys := filepath.Join(copies, "one.age"), filepath.Join(copies, "keys.age")
	succeeds(t, backing(t, "backup", "--data", data, "--url", at[1], "--to", one))
	succeeds(t, backing(t, "backup", "--keys", "--root", "--data", data, "--to", keys))
	if out := succeeds(t, backing(t, "verify-backup", one)); !strings.Contains(out, "ok the rows of the trail") {
		t.Error(out)
	}
	fine(t, cmd.Process.Signal(os.Interrupt))
	fine(t, cmd.Wait())

	again := filepath.Join(t.TempDir(), "again")
	succeeds(t, backing(t, "restore", one, "--keys", keys, "--data", again))
	cmd, _, at = started(t, "serve", "--data", again, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	if out := succeeds(t, program(t, "audit", "list", "--data", again, "--url", at[1])); !strings.Contains(out, "backup.taken") {
		t.Errorf("the trail of the restored house does not tell of the backup:\n%s", out)
	}
	fine(t, cmd.Process.Signal(os.Interrupt))
	fine(t, cmd.Wait())
}

// TestAKilledBackupIsNone: whoever takes it is killed in the middle, or the server
// breaks off: there is no file that is taken for a backup.
func TestAKilledBackupIsNone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	_, err := writeScaffold(dir)
	fine(t, err)
	data := filepath.Join(t.TempDir(), "data")
	cmd, _, _ := started(t, "serve", "--config", dir, "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	fine(t, cmd.Process.Signal(os.Interrupt))
	fine(t, cmd.Wait())
	var whole bytes.Buffer
	fine(t, app.BackupFolder(t.Context(), data, "", "test", &whole))

	half, killed := make(chan struct{}), make(chan struct{})
	breaks := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(whole.Bytes()[:whole.Len()/2]) // The other side is killed, or hears no more.
		if breaks {
			panic(http.ErrAbortHandler)
		}
		_ = http.NewResponseController(w).Flush()
		close(half)
		<-killed
	}))
	defer server.Close()
	copies := t.TempDir()
	one := filepath.Join(copies, "one.age")
	backup := func() *exec.Cmd { return backing(t, "backup", "--data", data, "--url", server.URL, "--to", one) }
	cmd = backup()
	fine(t, cmd.Start())
	<-half
	fine(t, cmd.Process.Kill())
	_ = cmd.Wait() // It was killed.
	close(killed)
	list, err := os.ReadDir(copies)
	fine(t, err)
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), ".partial") {
			t.Errorf("%s is there", e.Name())
		}
		if out, err := backing(t, "verify-backup", filepath.Join(copies, e.Name())).CombinedOutput(); err == nil {
			t.Errorf("%s is accepted:\n%s", e.Name(), out)
		}
	}

	breaks = true
	out, err := backup().CombinedOutput()
	if _, statErr := os.Stat(one); err == nil || statErr == nil {
		t.Errorf("a server that breaks off: %v %v\n%s", err, statErr, fmt.Sprintf("%.300s", out))
	}
}

// reaching has a command reach the bucket of a service.
func reaching(t *testing.T, service string, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	fine(t, os.WriteFile(secret, []byte(buckettest.Secret+"\n"), 0o600))
	cmd.Env = append(cmd.Environ(), "AWS_ENDPOINT_URL_S3="+service, "AWS_REGION="+buckettest.Region,
		"AWS_ACCESS_KEY_ID="+buckettest.AccessKey, "AWS_SECRET_ACCESS_KEY_FILE="+secret)
	return cmd
}

// TestBackupsInABucket: copies go there in parts, are checked and restored from there,
// and older ones are taken away.
func TestBackupsInABucket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	_, err := writeScaffold(dir)
	fine(t, err)
	data := filepath.Join(t.TempDir(), "data")
	cmd, _, _ := started(t, "serve", "--config", dir, "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	fine(t, cmd.Process.Signal(os.Interrupt))
	fine(t, cmd.Wait())
	service := buckettest.New(time.Now)
	server := httptest.NewServer(service)
	defer server.Close()
	away := func(args ...string) *exec.Cmd { return reaching(t, server.URL, backing(t, args...)) }
	listing := func(args ...string) *exec.Cmd {
		return reaching(t, server.URL, program(t, append([]string{"backup", "list"}, args...)...))
	}
	const where = "s3://" + buckettest.Name + "/shop"
	var name string
	for range 2 { // Each is named by its millisecond.
		out, _, _ := strings.Cut(succeeds(t, away("backup", "--data", data, "--to", where, "--keep", "1")), ":")
		if out == name {
			t.Fatal("two copies have one name")
		}
		name = out
	}
	if objects, uploads := service.Left(); objects != 1 || uploads != 0 {
		t.Errorf("%d objects and %d uploads are left, want 1 and 0", objects, uploads)
	}
	succeeds(t, away("verify-backup", where+"/"+name))
	if out := succeeds(t, listing(where, "--within", "1h")); strings.Count(out, "data.age") != 1 || strings.Contains(out, buckettest.Secret) {
		t.Errorf("listed is\n%s", out)
	}
	if out, err := listing(where, "--within", "1ns").CombinedOutput(); err == nil || !strings.Contains(string(out), "is 0s old") {
		t.Errorf("a copy that is too old: %v\n%s", err, out)
	}
	if out, err := listing(where+"/of-others", "--within", "1h").CombinedOutput(); err == nil || !strings.Contains(string(out), "no copy lies there") {
		t.Errorf("none: %v\n%s", err, out)
	}
	again := filepath.Join(t.TempDir(), "again")
	succeeds(t, away("restore", where+"/"+name, "--data", again))
	if _, err := os.Stat(filepath.Join(again, "state.db")); err != nil {
		t.Error(err)
	}

	service.Keep(buckettest.Enabled)
	service.Deny("s3:ListBucketMultipartUploads", http.StatusForbidden)
	for range 3 {
		out := succeeds(t, away("backup", "--keys", "--data", data, "--to", where, "--keep", "1"))
		if !strings.Contains(out, "AbortIncompleteMultipartUpload") || strings.Contains(out, "takes this file away") {
			t.Errorf("told is\n%s", out)
		}
	}
	if objects, _ := service.Versions(); objects != 2 {
		t.Errorf("%d versions are left, want one of the data and one of the keys", objects)
	}
	service.Deny("s3:DeleteObjectVersion", http.StatusForbidden)
	if out, err := away("backup", "--keys", "--data", data, "--to", where, "--keep", "1").CombinedOutput(); err == nil || !strings.Contains(string(out), "is written: ") || !strings.Contains(string(out), "permit s3:ListBucketVersions") {
		t.Errorf("versions that stay: %v\n%s", err, out)
	}
}

//go:build unix

package sqlitestore

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"rapport/internal/fault"
)

// TestMain lets the test binary be the other process that holds a folder.
func TestMain(m *testing.M) {
	if dir := os.Getenv("RAPPORT_TEST_HOLD"); dir != "" {
		if _, err := Lock(dir); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println("held")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // Until the test ends it, or kills us.
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestLockIsExclusiveAndNamesItsHolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Lock(dir)
	if fault.CodeOf(err) != "folder_held" || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("got %v, want folder_held by process %d", err, os.Getpid())
	}
	for range 2 {
		if err := first.Release(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(filepath.Join(dir, "not", "there")); err == nil {
		t.Error("a folder that is not there was locked")
	}
}

// TestLockEndsWithItsProcess: a kill leaves nothing behind.
func TestLockEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), "RAPPORT_TEST_HOLD="+dir)
	if _, err := other.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the other process says %q (%v)", line, err)
	}
	_, err = Lock(dir)
	if fault.CodeOf(err) != "folder_held" || !strings.Contains(err.Error(), fmt.Sprintf("process %d;", other.Process.Pid)) {
		t.Errorf("got %v, want folder_held by process %d", err, other.Process.Pid)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // It was killed: that is its error.
	l, err := Lock(dir)
	if err != nil {
		t.Fatalf("after the holder's death: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}

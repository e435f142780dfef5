// Package program builds the true binary once for a package's tests and starts it
// as a server of its own.
package program

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Build builds the binary and gives its path. It is for packages two folders
// below the root of the repository, whose tests run in their own folder.
var Build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rapport-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "rapport")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/rapport") //nolint:gosec // The path is our own.
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

// Remove removes what Build has built, once all tests have run.
func Remove() {
	if path, err := Build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // A temporary folder; what stays is the system's to clean.
	}
}

var serving = regexp.MustCompile(`serving.*?(https?://127\.0\.0\.1:\d+)`)

// Start starts a server and waits until it says where it listens. said gives
// everything that it has said once it has ended.
func Start(cmd *exec.Cmd) (url string, said chan string, err error) {
	lines, err := cmd.StderrPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	found, said := make(chan string, 1), make(chan string, 1)
	go func() {
		var all strings.Builder
		for s := bufio.NewScanner(lines); s.Scan(); {
			fmt.Fprintln(&all, s.Text())
			if m := serving.FindStringSubmatch(s.Text()); m != nil {
				select {
				case found <- m[1]:
				default:
				}
			}
		}
		said <- all.String()
	}()
	select {
	case url = <-found:
		return url, said, nil
	case log := <-said:
		return "", nil, fmt.Errorf("the server ended: %w\n%s", cmd.Wait(), log)
	case <-time.After(20 * time.Second):
		err := errors.New("the server did not say where it listens")
		return "", nil, errors.Join(err, cmd.Process.Kill())
	}
}

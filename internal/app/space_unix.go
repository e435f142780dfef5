//go:build linux || darwin || freebsd

package app

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// diskSpace gives what this process may still write on the disk of a folder, and
// how large that is.
func diskSpace(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	block := int64(s.Bsize) //nolint:unconvert // Its type is another one elsewhere.
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil
}

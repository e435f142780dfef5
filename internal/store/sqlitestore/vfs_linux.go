package sqlitestore

import "golang.org/x/sys/unix"

// beginWriting asks the system to bring a range to the disk, and does not wait.
func beginWriting(f osFile, from, to int64) {
	if d, ok := f.(interface{ Fd() uintptr }); ok {
		// A hint: what it does not do, the next sync does.
		_ = unix.SyncFileRange(int(d.Fd()), from, to-from, unix.SYNC_FILE_RANGE_WRITE)
	}
}

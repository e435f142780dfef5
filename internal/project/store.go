package project

import "time"

// Version is one configuration as it was applied: the whole folder.
type Version struct {
	Number  int
	Applied time.Time
	Digest  string            // SHA-256 over all files
	Files   map[string][]byte // path → content, slashes forward
}

// Store keeps configuration versions. It is one accessor of a transaction and
// is used by one goroutine at a time.
type Store interface {
	InsertVersion(v Version) error
	Version(number int) (Version, bool, error)
	LatestVersion() (Version, bool, error)
}

//go:build !linux

package sqlitestore

// beginWriting has nothing to ask for here: the next sync brings everything.
func beginWriting(osFile, int64, int64) {}

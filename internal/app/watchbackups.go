package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"rapport/internal/alert"
	"rapport/internal/backup"
)

// lookAtBackups looks at what backups leave in the data folder, wherever they lie.
func (h *House) lookAtBackups(_ context.Context, now time.Time) (out []alert.Alert, err error) {
	within := h.alertsConfig().BackupWithin
	for _, kind := range []backup.Kind{backup.Data, backup.Keys} {
		if kind == backup.Keys && h.keyring == nil {
			continue
		}
		last, err := changed(filepath.Join(h.Data, kind.Mark()))
		if err != nil {
			return nil, err
		}
		never := last.IsZero()
		if never && (h.Database == "" || kind == backup.Keys) { // The database's own tools may back it up.
			if last, err = changed(filepath.Join(h.Data, keysFile)); err != nil { // The folder is that old.
				return nil, err
			}
		}
		out = append(out, backupAlert(kind, last, never, now, within)...)
	}
	return out, nil
}

// changed tells when a file was written, the zero time where it is not there.
func changed(path string) (time.Time, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("look at the last backup: %w", err)
	}
	return info.ModTime(), nil
}

// backupAlert says that the last backup is too old; last is the zero time where nobody
// can tell, and the folder's own age where there never was one.
func backupAlert(kind backup.Kind, last time.Time, never bool, now time.Time, within time.Duration) []alert.Alert {
	if last.IsZero() || now.Sub(last) <= within {
		return nil
	}
	a := alert.Alert{
		About: string(kind), Severity: alert.Warning,
		Text: fmt.Sprintf("The last backup of the %s is from %s: what came since is lost with the disk.", kind, last.UTC().Format(time.RFC3339)),
		Do:   "See why `rapport backup` wrote none since: docs/backup.md.",
	}
	if never {
		a.Text = fmt.Sprintf("No backup was ever taken of the %s: with the disk everything is lost.", kind)
		a.Do = "Have `rapport backup` take one each day, and with --keys one of the keys: docs/backup.md."
	}
	return []alert.Alert{a}
}

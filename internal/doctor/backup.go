package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"rapport/internal/backup"
)

// backups tells how old the last backups are of what the data folder serves, wherever
// they lie. That of the keys is taken as often as that of the data: who came after the
// newest copy of the keys is unreadable in any copy of the data.
func (p *Patient) backups(context.Context) []Finding {
	if p.Data == "" || !p.has("keys.json") {
		return nil
	}
	const ofData, ofKeys = "`rapport backup --to PLACE`, each day: docs/backup.md", "`rapport backup --keys --to PLACE`, somewhere else than the data's: docs/backup.md"
	out := p.lastBackup(backup.Data, ofData)
	if len(out) > 0 && !p.has("state.db") && !p.has(backup.Data.Mark()) {
		out = []Finding{found(Note, string(backup.Data), "the database was never backed up with `rapport backup`", "see that PostgreSQL's own backups are taken, or have "+ofData)}
	}
	if p.has("keys.db") {
		out = append(out, p.lastBackup(backup.Keys, ofKeys)...)
	}
	return orFine(out, fmt.Sprintf("the last backups are no older than %s", days(p.Config.Workspace.Alerts.BackupWithin)))
}

func (p *Patient) has(name string) bool {
	_, err := p.Stat(filepath.Join(p.Data, name))
	return err == nil
}

func (p *Patient) lastBackup(kind backup.Kind, invite string) []Finding {
	made, err := p.Stat(filepath.Join(p.Data, kind.Mark()))
	if err != nil {
		return []Finding{found(Warning, string(kind), "no backup was ever taken of it with `rapport backup`: with the disk everything is lost", invite)}
	}
	if age := p.Now.Sub(made.ModTime()); age > p.Config.Workspace.Alerts.BackupWithin {
		return []Finding{found(Warning, string(kind), "its last backup is "+days(age)+" old", invite)}
	}
	return nil
}

// days writes how long something is: in days, or in hours where it is no whole one.
func days(d time.Duration) string {
	if d < 24*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

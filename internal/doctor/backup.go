package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"rapport/internal/backup"
)

// fresh is how old the last backup may be. The keys' is taken as often as the data's:
// who came after the newest copy of the keys is unreadable in any copy of the data.
const fresh = 7 * 24 * time.Hour

// backups tells how old the last backups are of what the data folder holds.
func (p *Patient) backups(context.Context) []Finding {
	if p.Data == "" {
		return nil
	}
	var out []Finding
	held := false
	for _, of := range []struct {
		kind          backup.Kind
		holds, invite string
	}{
		{backup.Data, "state.db", "`rapport backup --to FILE`, each day: docs/backup.md"},
		{backup.Keys, "keys.db", "`rapport backup --keys --to FILE`, somewhere else than the data's: docs/backup.md"},
	} {
		if _, err := p.Stat(filepath.Join(p.Data, of.holds)); err != nil {
			continue // It is in PostgreSQL, or unsealed.
		}
		held = true
		made, err := p.Stat(filepath.Join(p.Data, of.kind.Mark()))
		switch {
		case err != nil:
			out = append(out, found(Warning, string(of.kind), "no backup was ever taken of it with `rapport backup`: with the disk everything is lost", of.invite))
		case p.Now.Sub(made.ModTime()) > fresh:
			out = append(out, found(Warning, string(of.kind), fmt.Sprintf("its last backup is %d days old", int(p.Now.Sub(made.ModTime()).Hours()/24)), of.invite))
		}
	}
	if !held {
		return nil
	}
	return orFine(out, "the last backups are no older than a week")
}

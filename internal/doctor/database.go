package doctor

import (
	"context"
	"fmt"
)

// databaseDurable tells whether what PostgreSQL has acknowledged outlives a loss
// of power. That its commits wait for the disk, each transaction sees to itself.
func (p *Patient) databaseDurable(context.Context) []Finding {
	if p.Database == nil {
		return nil
	}
	if p.Database.Err != nil {
		return []Finding{found(Warning, "", fmt.Sprintf("the database cannot be asked: %v", p.Database.Err), "give its address as the server has it, with --database or RAPPORT_DATABASE")}
	}
	var out []Finding
	for _, name := range p.Database.Off {
		if name == "fsync" {
			out = append(out, found(Danger, name, "PostgreSQL never waits for the disk: a loss of power takes events, mails and withdrawals that were acknowledged, or the whole database",
				"set fsync = on in postgresql.conf and restart PostgreSQL"))
			continue
		}
		out = append(out, found(Warning, name, "a page that is half written when the power fails cannot be made whole again",
			"set "+name+" = on in postgresql.conf, unless the file system never tears a page (ZFS)"))
	}
	return orFine(out, "what PostgreSQL has acknowledged outlives a loss of power")
}

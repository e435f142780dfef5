package rows

import (
	"bytes"
	"cmp"
	"slices"

	"rapport/internal/audit"
	"rapport/internal/outbox"
)

// Newest joins two lists of mails, each newest first, and gives the newest of both.
func Newest(a, b []outbox.Mail, limit int) []outbox.Mail {
	if len(b) == 0 {
		return a
	}
	all := append(a, b...)
	slices.SortStableFunc(all, func(x, y outbox.Mail) int { return bytes.Compare(y.ID[:], x.ID[:]) })
	return all[:min(len(all), limit)]
}

// NewestRows gives the newest of some rows of the trail, each once.
func NewestRows(list []audit.Row, limit int) []audit.Row {
	slices.SortFunc(list, func(x, y audit.Row) int { return cmp.Compare(y.N, x.N) })
	list = slices.CompactFunc(list, func(x, y audit.Row) bool { return x.N == y.N })
	return list[:min(len(list), limit)]
}

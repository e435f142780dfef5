package rows

import (
	"bytes"
	"slices"

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

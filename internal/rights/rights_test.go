package rights

import (
	"testing"
	"time"
)

// TestDue: the clocks of the laws, at the edges of months.
func TestDue(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		law       Law
		came, due string
	}{
		{GDPR, "2026-03-14", "2026-04-14"},
		{GDPR, "2026-01-31", "2026-02-28"},
		{GDPR, "2028-01-31", "2028-02-29"},
		{GDPR, "2026-12-31", "2027-01-31"},
		{GDPR, "2026-08-31", "2026-09-30"},
		{CCPA, "2026-03-14", "2026-04-28"},
		{CCPA, "2026-12-31", "2027-02-14"},
	} {
		came, err := time.Parse(time.DateOnly, row.came)
		if err != nil {
			t.Fatal(err)
		}
		if got := row.law.Due(came).Format(time.DateOnly); got != row.due {
			t.Errorf("%s, %s: due %s, want %s", row.law, row.came, got, row.due)
		}
	}
}

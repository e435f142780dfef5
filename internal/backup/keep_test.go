package backup_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/backup"
)

// TestPrune: of a house and a kind those stay that any rule keeps and that are not too
// old; the very newest, and what is another's, always.
func TestPrune(t *testing.T) {
	t.Parallel()
	made := []string{ // the newest first
		"2026-03-01 12:00", "2026-03-01 06:00", "2026-02-28 12:00", "2026-02-27 12:00", "2026-02-23 12:00", "2026-02-22 12:00", "2026-01-31 12:00", "2025-12-31 12:00",
	}
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		keep backup.Keep
		want []string
	}{
		"nothing is said":                   {backup.Keep{}, made},
		"the last":                          {backup.Keep{Last: 2}, made[:2]},
		"days, of each the newest":          {backup.Keep{Daily: 3}, []string{made[0], made[2], made[3]}},
		"weeks, which begin on a Monday":    {backup.Keep{Weekly: 3}, []string{made[0], made[5], made[6]}},
		"months":                            {backup.Keep{Monthly: 9}, []string{made[0], made[2], made[6], made[7]}},
		"one rule is enough":                {backup.Keep{Last: 2, Monthly: 2}, []string{made[0], made[1], made[2]}},
		"an age":                            {backup.Keep{For: 36 * time.Hour}, made[:3]},
		"an age bounds what rules keep":     {backup.Keep{Monthly: 9, For: 30 * day}, []string{made[0], made[2], made[6]}},
		"an age that even the newest fails": {backup.Keep{For: time.Minute}, made[:1]},
	} {
		dir := backup.Folder(t.TempDir())
		for _, text := range made {
			at, err := time.Parse("2006-01-02 15:04", text)
			if err != nil {
				t.Fatal(err)
			}
			for _, house := range []string{"0a0b0c0d", "0e0f0e0f"} {
				for _, kind := range []backup.Kind{backup.Data, backup.Keys} {
					if err := put(t, dir, backup.Name(house, kind, at)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for _, other := range []string{"notes.txt", "rapport-0a0b0c0d-20260101.keys.age", "rapport-0a0b0c0d-20200101T000000.000Z.keys.age.bak"} {
			if err := put(t, dir, other); err != nil {
				t.Fatal(err)
			}
		}
		now := time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)
		gone, err := backup.Prune(t.Context(), dir, "0a0b0c0d", backup.Keys, c.keep, now)
		if err != nil {
			t.Fatal(err)
		}
		left, err := backup.Copies(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		others := 0
		for _, x := range left {
			if x.House != "0a0b0c0d" || x.Kind != backup.Keys {
				others++
				continue
			}
			got = append(got, x.Made.Format("2006-01-02 15:04"))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: left are (-want +got):\n%s", name, diff)
		}
		all, err := dir.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if others != 24 || len(all) != 35-len(gone) || len(gone)+len(got) != len(made) {
			t.Errorf("%s: %d of others are left, %d of all, gone are %s", name, others, len(all), strings.Join(gone, " "))
		}
	}
}

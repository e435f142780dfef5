package sealed_test

import (
	"path/filepath"
	"testing"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/seal"
	"rapport/internal/store/sealed"
	"rapport/internal/store/sqlitestore"
)

// TestDaysThatExpiredTakeTheirKeysAlong: those of the other lane and of days that
// still have a frame stay.
func TestDaysThatExpiredTakeTheirKeysAlong(t *testing.T) {
	t.Parallel()
	files, err := sqlitestore.OpenLog(sqlitestore.LogConfig{Path: filepath.Join(t.TempDir(), "log.db")})
	must(t, err)
	defer func() { must(t, files.Close()) }()
	r := ring(t)
	l := &sealed.Log{Log: files, Ring: r}
	for i := range int64(5) {
		for _, lane := range []eventlog.Lane{eventlog.Live, eventlog.Bulk} {
			must(t, l.Append(t.Context(), []eventlog.Frame{{Lane: lane, First: i + 1, Count: 1, At: noon.Add(time.Duration(i) * 24 * time.Hour), Body: []byte(marker)}}))
		}
	}
	day := noon.Unix() / 86400
	there := func(lane eventlog.Lane) (out string) {
		for i := range int64(5) {
			switch _, err := r.Seal(nil, seal.Day(uint8(lane), day+i), nil, nil); {
			case err == nil:
				out += "+"
			case fault.CodeOf(err) == seal.CodeDestroyed:
				out += "-"
			default:
				t.Fatal(err)
			}
		}
		return out
	}
	for _, c := range []struct {
		older      int // days after the first
		live, bulk string
	}{
		{0, "+++++", "+++++"},
		{2, "--+++", "+++++"},
		{9, "----+", "+++++"},
	} {
		_, err := l.Drop(t.Context(), eventlog.Live, 5, noon.Add(time.Duration(c.older)*24*time.Hour))
		must(t, err)
		if live, bulk := there(eventlog.Live), there(eventlog.Bulk); live != c.live || bulk != c.bulk {
			t.Errorf("older than day %d: live %s, bulk %s, want %s and %s", c.older, live, bulk, c.live, c.bulk)
		}
	}
	left, err := l.Read(t.Context(), eventlog.Live, 1, 1<<20)
	if err != nil || len(left) != 1 || string(left[0].Body) != marker {
		t.Errorf("%d frames are left: %v", len(left), err)
	}
}

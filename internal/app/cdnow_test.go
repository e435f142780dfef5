package app_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/app"
	"rapport/internal/project"
)

// testdata gives a file of the data folder that is not part of the project.
func testdata(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("RAPPORT_TESTDATA")
	if dir == "" && os.Getenv("CI") == "" {
		t.Skip("skipped: set RAPPORT_TESTDATA to the folder that holds " + name)
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("RAPPORT_TESTDATA: %v", err)
	}
	return path
}

// cdnow gives the purchases as text: all of them, or those of every fiftieth
// person under the race detector, which looks at how the house runs and not at
// how much. The whole file is played without it.
func cdnow(t *testing.T) string {
	t.Helper()
	f, err := os.Open(testdata(t, "cdnow-master.txt.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(all), "\n"); lines != 69_659 {
		t.Fatalf("the file has %d lines, want 69659", lines)
	}
	if !underRace {
		return string(all)
	}
	var part strings.Builder
	for line := range strings.Lines(string(all)) {
		if who := strings.Fields(line)[0]; strings.HasSuffix(who, "07") || strings.HasSuffix(who, "57") {
			part.WriteString(line)
		}
	}
	return part.String()
}

// expectedCDNOW calculates from the file alone who must get which mail on which
// day: thanks on the second day with a purchase, and a word 90 days after a
// purchase that none followed until then.
func expectedCDNOW(t *testing.T, purchases string, end time.Time) (rows []string) {
	t.Helper()
	days := map[string][]time.Time{}
	for line := range strings.Lines(purchases) {
		fields := strings.Fields(line)
		day, err := time.Parse("20060102", fields[1])
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(days[fields[0]], day) {
			days[fields[0]] = append(days[fields[0]], day)
		}
	}
	for who, list := range days {
		slices.SortFunc(list, time.Time.Compare)
		if len(list) > 1 {
			rows = append(rows, fmt.Sprintf("%s,%s,second-purchase", who, list[1].Format(time.DateOnly)))
		}
		for i, day := range list {
			due := day.AddDate(0, 0, 90)
			if due.Before(end) && (i+1 == len(list) || list[i+1].After(due)) {
				rows = append(rows, fmt.Sprintf("%s,%s,win-back", who, due.Format(time.DateOnly)))
			}
		}
	}
	slices.Sort(rows)
	return rows
}

// digestCDNOW is what the whole file comes to, on every store, for ever.
const digestCDNOW = "sha256:199936b63429bd326d2739ea7282daa8ea2ae755e78fa801efbbe14e5736c029"

func TestCDNOWEqualsAnIndependentCalculation(t *testing.T) {
	t.Parallel()
	onBothStores(t, testCDNOW)
}

func testCDNOW(t *testing.T, database string) {
	purchases := cdnow(t)
	want := expectedCDNOW(t, purchases, time.Date(1998, 7, 1, 0, 0, 0, 0, time.UTC))

	config, problems := project.Load(os.DirFS("../../examples/cdnow"))
	if config == nil {
		t.Fatal(problems)
	}
	ctx, stop := context.WithCancel(context.Background())
	house, err := app.Open(ctx, app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(time.Unix(0, 0), 0)}, config)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- house.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := house.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := house.Begin(ctx, config); err != nil {
		t.Fatal(err)
	}
	source, _ := config.Source("purchases")
	play := app.Playback{House: house, Source: source.Name, Format: source.File}
	got, err := play.Run(ctx, "cdnow", strings.NewReader(purchases))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(purchases, "\n"); got.Lines != int64(lines) || got.Bad != 0 {
		t.Errorf("%d lines, %d bad, want %d and 0", got.Lines, got.Bad, lines)
	}
	if mails := map[string]int64{"second-purchase": 11_516, "win-back": 31_654}; !underRace {
		if diff := cmp.Diff(mails, got.Mails); diff != "" {
			t.Errorf("mails by journey (-want +got):\n%s", diff)
		}
		if got.Digest != digestCDNOW {
			t.Errorf("digest %s, want %s", got.Digest, digestCDNOW)
		}
	}
	if diff := cmp.Diff(want, got.Rows); diff != "" {
		t.Errorf("mails differ (-want +got):\n%.4000s", diff)
	}
	sum := sha256.Sum256([]byte(strings.Join(want, "\n") + "\n"))
	if digest := "sha256:" + hex.EncodeToString(sum[:]); got.Digest != digest {
		t.Errorf("digest %s, want %s", got.Digest, digest)
	}
}

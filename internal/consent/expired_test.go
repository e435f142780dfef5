package consent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/consent"
	"rapport/internal/purpose"
)

// TestWhatHasExpired: a yes has ended where its time was over while nothing else had
// been said, at that very instant, and for each purpose of a family by its own term.
func TestWhatHasExpired(t *testing.T) {
	t.Parallel()
	p := policy(t, `purposes:
  service: {basis: contract}
  marketing.news: {basis: consent, valid_for: 10d}
  marketing.news.books: {basis: consent, valid_for: 20d}
  marketing.films: {basis: consent, valid_for: 10d}
  surveys: {basis: consent}
`)
	day := func(n int) time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, n) }
	row := func(at int, why purpose.Purpose, state consent.State, ends ...int) consent.Entry {
		e := consent.Entry{Record: string(why) + "/" + state.String(), Purpose: why, State: state, At: day(at)}
		if len(ends) > 0 {
			e.Expires = day(ends[0])
		}
		return e
	}
	const yes, no = consent.Granted, consent.Withdrawn
	for _, tt := range []struct {
		name string
		rows []consent.Entry
		now  int
		want []string
	}{
		{"it stands", []consent.Entry{row(0, "marketing.films", yes)}, 9, nil},
		{"at the instant", []consent.Entry{row(0, "marketing.films", yes)}, 10, []string{"11 marketing.films"}},
		{"long ago", []consent.Entry{row(0, "marketing.films", yes)}, 300, []string{"11 marketing.films"}},
		{"by its own words", []consent.Entry{row(0, "surveys", yes, 3)}, 5, []string{"4 surveys"}},
		{"whichever is first", []consent.Entry{row(0, "marketing.films", yes, 3)}, 50, []string{"4 marketing.films"}},
		{"without a term", []consent.Entry{row(0, "surveys", yes)}, 5000, nil},
		{"taken back before", []consent.Entry{row(0, "marketing.films", yes), row(9, "marketing.films", no)}, 50, nil},
		{"taken back after", []consent.Entry{row(0, "marketing.films", yes), row(12, "marketing.films", no)}, 50, []string{"11 marketing.films"}},
		{"renewed before", []consent.Entry{row(0, "marketing.films", yes), row(6, "marketing.films", yes)}, 12, nil},
		{"renewed, and ended then", []consent.Entry{row(0, "marketing.films", yes), row(6, "marketing.films", yes)}, 16, []string{"17 marketing.films"}},
		{"ended, renewed, ended", []consent.Entry{row(0, "marketing.films", yes), row(11, "marketing.films", yes)}, 30, []string{"11 marketing.films", "22 marketing.films"}},
		{"the family left", []consent.Entry{row(0, "marketing.films", yes), row(5, "marketing", no)}, 30, nil},
		{"a family by each term", []consent.Entry{row(0, "marketing", yes)}, 30, []string{"11 marketing.news marketing.films", "21 marketing.news.books"}},
		{"a topic kept", []consent.Entry{row(0, "marketing.news", yes), row(5, "marketing.news.books", yes)}, 30, []string{"11 marketing.news", "26 marketing.news.books"}},
		{"a no does not end", []consent.Entry{row(0, "marketing.films", no)}, 30, nil},
		{"nobody declares it", []consent.Entry{row(0, "gone", yes, 1)}, 30, nil},
	} {
		for i := range tt.rows {
			tt.rows[i].Seq = int64(i + 1)
		}
		var got []string
		for _, x := range p.Expiries(tt.rows, day(tt.now)) {
			line := x.At.Format("2")
			for _, why := range x.Purposes {
				line += " " + string(why)
			}
			got = append(got, line)
			if !strings.HasSuffix(x.Record(), "/granted/expired") || !x.At.Equal(x.At.Truncate(time.Hour)) {
				t.Errorf("%s: %s at %s", tt.name, x.Record(), x.At)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestExpiriesAreAsDecided: a yes is told as expired exactly when it permits no more.
func TestExpiriesAreAsDecided(t *testing.T) {
	t.Parallel()
	h := recordHouse(t)
	h.door(prefs("", ada, `{"marketing":true}`), false)
	h.walk()
	given := h.records(ada)
	end := given.Records[0].ValidUntil
	if len(given.Expired) != 0 || end.IsZero() {
		t.Fatalf("expired %v, valid until %s", given.Expired, end)
	}
	h.now = end.Add(-time.Millisecond)
	h.want("just before", h.may(news, ada), consent.Allow, consent.ByGrant)
	if got := h.records(ada).Expired; len(got) != 0 {
		t.Errorf("expired before it has: %s", got[0].JSON())
	}
	h.now = end
	h.want("at its end", h.may(news, ada), consent.Deny, consent.Expired)
	all := h.records(ada)
	if len(all.Expired) != 1 || len(all.Records) != 1 {
		t.Fatalf("%d expired, %d records", len(all.Expired), len(all.Records))
	}
	x := all.Expired[0]
	if x.Type != "expired" || x.State != "expired" || !x.Time.Equal(end) || x.Method != consent.ByTerm || x.ID != all.Records[0].ID+"/expired" || x.Purposes[0] != news {
		t.Errorf("it is told as %s", x.JSON())
	}
	if list := all.All(); len(list) != 2 || list[1] != x {
		t.Errorf("together: %v", list)
	}
}

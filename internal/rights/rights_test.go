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

// TestEachGoesOnBehindAPage: a list of more than one page is read to its end, or as far
// as somebody wants.
func TestEachGoesOnBehindAPage(t *testing.T) {
	t.Parallel()
	const all = 2*MaxListed + 1
	for _, most := range []int{all, MaxListed, 3} {
		list := func(q Query) (out []Request, _ error) {
			from := 0
			if q.After.ID != "" {
				from = int(q.After.At.Unix()) + 1
			}
			for n := from; n < min(all, from+q.Limit); n++ {
				out = append(out, Request{ID: "x", Due: time.Unix(int64(n), 0)})
			}
			return out, nil
		}
		n := 0
		err := Each(Query{Open: true}, list, func(r *Request) (bool, error) {
			if r.Due.Unix() != int64(n) {
				t.Fatalf("%d comes after %d", r.Due.Unix(), n)
			}
			n++
			return n < most, nil
		})
		if err != nil || n != most {
			t.Errorf("%d of %d, %v", n, most, err)
		}
	}
}

package backup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// nameTime is how a name tells when a copy was made.
const nameTime = "20060102T150405.000Z"

// Name gives the name of a copy: whose, when, and of which kind.
func Name(house string, kind Kind, made time.Time) string {
	return fmt.Sprintf("rapport-%.12s-%s.%s.age", house, made.UTC().Format(nameTime), kind)
}

// Copy is what the name of a copy tells.
type Copy struct {
	Name  string    `json:"name"`
	House string    `json:"house"`
	Kind  Kind      `json:"kind"`
	Made  time.Time `json:"made"`
	Size  int64     `json:"size"`
}

// read reads a name; what is named otherwise is no copy that anybody counts on.
func read(o Object) (c Copy, ok bool) {
	rest, ok := strings.CutPrefix(o.Name, "rapport-")
	if !ok {
		return c, false
	}
	rest, ok = strings.CutSuffix(rest, ".age")
	house, rest, dash := strings.Cut(rest, "-")
	at := strings.LastIndexByte(rest, '.')
	if !ok || !dash || at < 0 || house == "" {
		return c, false
	}
	c = Copy{Name: o.Name, House: house, Kind: Kind(rest[at+1:]), Size: o.Size}
	var err error
	c.Made, err = time.Parse(nameTime, rest[:at])
	return c, err == nil && (c.Kind == Data || c.Kind == Keys)
}

// Copies lists the copies at a place by their names, the newest first.
func Copies(ctx context.Context, p Place) (out []Copy, err error) {
	list, err := p.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		if c, ok := read(o); ok {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b Copy) int { return cmp.Or(b.Made.Compare(a.Made), cmp.Compare(a.Name, b.Name)) })
	return out, nil
}

// Keep says which copies stay: the last ones, the newest of each of the last days,
// weeks and months that have one, and of all of these only those that are not older
// than an age. Zeros of all numbers stand for every copy, a zero age for any.
type Keep struct {
	Last, Daily, Weekly, Monthly int
	For                          time.Duration
}

// periods are what a copy may be the newest of, with how many of them stay. Days are
// those of UTC, weeks those of ISO 8601.
func (k *Keep) periods() []period {
	return []period{
		{k.Last, func(c Copy) string { return c.Name }, ""},
		{k.Daily, func(c Copy) string { return c.Made.UTC().Format(time.DateOnly) }, ""},
		{k.Weekly, func(c Copy) string { y, w := c.Made.UTC().ISOWeek(); return fmt.Sprint(y, "W", w) }, ""},
		{k.Monthly, func(c Copy) string { return c.Made.UTC().Format("2006-01") }, ""},
	}
}

type period struct {
	left int
	of   func(Copy) string
	last string
}

// takes tells whether a copy stays for this period. Copies come from the newest on.
func (p *period) takes(c Copy) bool {
	is := p.of(c)
	if p.left == 0 || is == p.last {
		return false
	}
	p.left, p.last = p.left-1, is
	return true
}

// gone gives those of a house's copies of one kind, the newest first, that need not
// stay. The very newest always does.
func (k *Keep) gone(list []Copy, now time.Time) (out []Copy) {
	all := k.Last+k.Daily+k.Weekly+k.Monthly == 0
	periods := k.periods()
	for i, c := range list {
		stays := all
		for n := range periods {
			stays = periods[n].takes(c) || stays
		}
		if k.For > 0 && c.Made.Before(now.Add(-k.For)) {
			stays = false
		}
		if i > 0 && !stays {
			out = append(out, c)
		}
	}
	return out
}

// Prune takes away copies of a house and kind that need not stay, and gives their
// names. Copies of keys go with every version that the place keeps of them: by one, an
// erasure could be undone.
func Prune(ctx context.Context, p Place, house string, kind Kind, keep Keep, now time.Time) (gone []string, err error) {
	if keep == (Keep{}) {
		return nil, nil
	}
	list, err := Copies(ctx, p)
	if err != nil {
		return nil, err
	}
	list = keep.gone(slices.DeleteFunc(list, func(c Copy) bool { return !c.is(house, kind) }), now)
	remove := p.Remove
	if kind == Keys {
		remove = p.Destroy
		former, err := p.Former(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range former {
			if c, ok := read(o); ok && c.is(house, kind) {
				list = append(list, c)
			}
		}
	}
	for _, c := range list { // What one refuses to go keeps no other.
		if removeErr := remove(ctx, c.Name); removeErr != nil {
			err = cmp.Or(err, fmt.Errorf("take away the old backup %s: %w", c.Name, removeErr))
			continue
		}
		gone = append(gone, c.Name)
	}
	return gone, err
}

// unended is after how long what was begun and never ended belongs to nobody any more:
// for as long, copies of keys live.
const unended = 48 * time.Hour

// Tidy takes away what was begun to be written of a house and kind, by processes that
// were killed, and gives the names.
func Tidy(ctx context.Context, p Place, house string, kind Kind, now time.Time) ([]string, error) {
	return p.Abandon(ctx, now.Add(-unended), func(name string) bool {
		c, ok := read(Object{Name: name})
		return ok && c.is(house, kind)
	})
}

func (c *Copy) is(house string, kind Kind) bool { return c.House == house && c.Kind == kind }

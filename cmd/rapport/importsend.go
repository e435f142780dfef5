package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"rapport/internal/fault"
	"rapport/internal/source"
)

// What one request holds at most, unless the configuration allows less.
const (
	batchLines = 1000
	batchItems = 2500
	batchBytes = 500 << 10
)

// sums is what became of the lines of a file.
type sums struct {
	Lines    int64 `json:"lines"`
	Bad      int64 `json:"bad_lines"`
	Skipped  int64 `json:"skipped"`
	Accepted int64 `json:"accepted"`
	Denied   int64 `json:"denied"`
	Rejected int64 `json:"rejected"`
	Consents int64 `json:"consents"`
}

// sender gives mapped lines to a running server, one request after the other,
// so that what concerns one person arrives in the order of the file.
type sender struct {
	c        *console
	cl       *client
	source   string
	items    int
	bytes    int
	sum      sums
	refused  map[int64]bool // lines of this batch that the server refused
	bad      *badList
	show     *progress
	maxBad   int64
	progress *checkpoint
	body     []byte
}

// send maps the file and gives it to a running server.
func (c *console) send(ctx context.Context, fl importFlags, m *mapped, content, name string, in *input) (err error) {
	cl, err := c.client()
	if err != nil {
		return err
	}
	if _, set := c.env("GOGC"); !set {
		// The lines of a file are garbage as soon as they are sent, and little else
		// is there: a larger heap costs some megabytes and saves a quarter of the work.
		debug.SetGCPercent(400)
	}
	s := &sender{c: c, cl: cl, source: m.source, items: batchItems, bytes: batchBytes, maxBad: fl.maxBad}
	if m.config != nil {
		s.items, s.bytes = min(s.items, m.config.Workspace.Limits.BatchEvents), min(s.bytes, m.config.Workspace.Limits.BatchBytes)
	}
	if s.progress, err = openCheckpoint(fl, content, m, cl.base, name); err != nil {
		return err
	}
	done := s.progress.state
	s.sum = done.Sums
	if s.bad, err = openBadList(fl, c, name, done); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.bad.close()) }()
	if done.Line > 0 {
		c.note("an earlier import came to line %s: going on behind it (--restart begins anew)", thousands(done.Line))
	}
	s.show = newProgress(c, in, done.Sums.Lines)
	err = m.format.Batches(ctx, filepath.Base(name), in, source.Batching{After: done.Line, Rows: batchLines, Workers: runtime.GOMAXPROCS(0)},
		func(b *source.Batch) error { return s.batch(ctx, b) })
	s.show.end()
	if err != nil {
		if s.progress.keep() == nil && s.progress.state.Line > 0 && s.progress.path != "" {
			c.note("stopped behind line %s: the same command goes on from there", thousands(s.progress.state.Line))
		}
		return err
	}
	if err := s.progress.remove(); err != nil {
		return err
	}
	return c.sent(s.sum, s.bad)
}

// note says something that is neither result nor failure.
func (c *console) note(format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, format+"\n", args...) // A note that nobody sees stops nothing.
}

// batch sends what some lines became, permission first: what narrows must hold
// before an event of the same line can set anything off.
func (s *sender) batch(ctx context.Context, b *source.Batch) error {
	s.refused = map[int64]bool{}
	for _, l := range b.Bad {
		s.bad.add(l.Number, l.Err.Error())
	}
	s.sum.Bad += int64(len(b.Bad))
	if err := s.all(ctx, path("import", s.source, "consent"), `{"records":[`, b.Consents, func(a *answer) { s.sum.Consents += a.Accepted }); err != nil {
		return err
	}
	if err := s.all(ctx, path("import", s.source), `{"batch":[`, b.Events, func(a *answer) {
		s.sum.Accepted, s.sum.Denied, s.sum.Rejected = s.sum.Accepted+a.Accepted, s.sum.Denied+a.Denied, s.sum.Rejected+a.Rejected
	}); err != nil {
		return err
	}
	s.sum.Lines, s.sum.Skipped = s.sum.Lines+b.Rows, s.sum.Skipped+b.Skipped
	if err := s.bad.flush(); err != nil {
		return err
	}
	s.progress.reached(b.Last, s.sum, s.bad)
	s.show.at(s.sum)
	if s.maxBad >= 0 && s.bad.count > s.maxBad {
		return fmt.Errorf("%s, more than --max-bad allows; see %s", count(s.bad.count, "line is bad", "lines are bad"), s.bad.path)
	}
	return nil
}

// answer is what the server says of one request.
type answer struct {
	Accepted int64 `json:"accepted"`
	Denied   int64 `json:"denied"`
	Rejected int64 `json:"rejected"`
	Errors   []struct {
		Index  int    `json:"index"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"errors"`
}

// all sends items in as few requests as the limits allow.
func (s *sender) all(ctx context.Context, path, open string, items []source.Item, count func(*answer)) error {
	for len(items) > 0 {
		s.body = append(s.body[:0], open...)
		n := 0
		for ; n < len(items) && n < s.items; n++ {
			if n > 0 && len(s.body)+len(items[n].Wire)+3 > s.bytes {
				break
			}
			if n > 0 {
				s.body = append(s.body, ',')
			}
			s.body = append(s.body, items[n].Wire...)
		}
		s.body = append(s.body, "]}"...)
		var a answer
		if err := s.try(ctx, path, &a); err != nil {
			return err
		}
		count(&a)
		for _, e := range a.Errors {
			if e.Index < 0 || e.Index >= n {
				continue
			}
			if line := items[e.Index].Line; !s.refused[line] {
				s.refused[line] = true
				s.bad.add(line, "the server refused it: "+e.Code+": "+e.Detail)
			}
		}
		items = items[n:]
	}
	return nil
}

// patience is how long a server that is busy is asked again, and how long it is
// waited for in between.
var patience = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}

// try sends one request, again while the server says that this may help. What
// was taken already is known by its ids.
func (s *sender) try(ctx context.Context, path string, a *answer) error {
	for i := 0; ; i++ {
		err := s.cl.do(ctx, "POST", path, nil, s.body, a)
		var f *fault.Error
		busy := errors.As(err, &f) && (f.Kind == fault.Unavailable && f.Code != "no_import" || f.Kind == fault.Limited && f.Code == "too_many_requests")
		if err == nil || !busy || i == len(patience) {
			return err
		}
		s.show.say("the server is busy (%s): trying again in %s", f.Code, patience[i])
		select {
		case <-time.After(patience[i]):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errAllBad = errors.New("nothing was taken: hold the mapping of the source against the file")

// sent says what became of a file.
func (c *console) sent(a sums, bad *badList) error {
	if c.json {
		if err := c.printJSON(a); err != nil {
			return err
		}
	} else {
		lines := " lines"
		if a.Lines == 1 {
			lines = " line"
		}
		more := ""
		if a.Skipped > 0 {
			more += ", " + thousands(a.Skipped) + " skipped"
		}
		if a.Consents > 0 {
			more += ", " + count(a.Consents, "word on permission", "words on permission")
		}
		c.printf("%s: %s accepted, %s refused for permission, %s rejected (see `rapport rejected list`), %s bad%s\n",
			thousands(a.Lines)+lines, thousands(a.Accepted), thousands(a.Denied), thousands(a.Rejected), thousands(a.Bad), more)
	}
	switch {
	case a.Lines > 0 && a.Accepted+a.Denied+a.Consents == 0 && a.Bad+a.Rejected > 0:
		return errAllBad
	case bad.count > 0 && bad.path != "":
		return &exitError{code: exitPartly, err: fmt.Errorf("%s left out, listed in %s", count(bad.count, "line was", "lines were"), bad.path)}
	case bad.count > 0:
		return &exitError{code: exitPartly, err: fmt.Errorf("%s left out", count(bad.count, "line was", "lines were"))}
	}
	return nil
}

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/event"
	"rapport/internal/plan/survey"
)

type sourcesAnswer struct {
	Sources []survey.Source `json:"sources"`
}

func sourceCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "source",
		Short:   "See what each source really sends",
		Example: "  rapport source report\n  rapport source report website --since 24h",
	}
	cmd.AddCommand(sourceReport(c))
	return cmd
}

func sourceReport(c *console) *cobra.Command {
	var when span
	var limit int
	cmd := &cobra.Command{
		Use:   "report [SOURCE]",
		Short: "Each source's events, fields, types, identifiers, consent, and when it was last seen",
		Long: `Report reads what the log holds, a few days as events.keep_log says, and what is
kept among the rejects. FILLED is the share of the events that have a value in a
field; a field that comes as several types drifts. No values are shown but the
words of fields that have only a few, with --json.`,
		Example: `  rapport source report
  rapport source report website --since 24h
  rapport source report website --json | jq '.sources[].kinds[] | {name, fields: [.fields[] | select(.drift) | .path]}'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := map[string]string{"limit": fmt.Sprint(limit)}
			if len(args) == 1 {
				q["source"] = args[0]
			}
			if when.until != "" {
				return usagef("--until is not for reports")
			}
			if err := when.into(q, c.now()); err != nil {
				return err
			}
			return show(cmd.Context(), c, "/v1/sources/report", q, func(a sourcesAnswer) {
				if len(a.Sources) == 0 {
					c.printf("the log holds no event of a source\n")
				}
				for i, s := range a.Sources {
					if i > 0 {
						c.printf("\n")
					}
					c.tellSource(s)
				}
			})
		},
	}
	cmd.Flags().StringVar(&when.since, "since", "", "only what came then or later: 2026-03-01T12:00:00Z, or 2h for two hours ago")
	cmd.Flags().IntVar(&limit, "limit", 200_000, "how many records of each lane are looked through, newest first")
	return cmd
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

// shares writes shares by name.
func sharesText(of map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, clean(name)+" "+percent(of[name]))
	}
	return strings.Join(parts, ", ")
}

func (c *console) tellSource(s survey.Source) {
	consent := percent(s.Consent.Stated) + " say something"
	if len(s.Consent.Granted) > 0 {
		consent += "; of those granted: " + sharesText(s.Consent.Granted)
	}
	pairs := [][2]string{
		{"source", s.Source}, {"events", thousands(s.Events)}, {"first seen", c.time(s.First)}, {"last seen", c.time(s.Last)},
		{"identifiers", sharesText(s.Identifiers)}, {"consent", consent}, {"GPC", percent(s.Consent.GPC)},
	}
	if len(s.Rejected) > 0 {
		var parts []string
		for _, code := range slices.Sorted(maps.Keys(s.Rejected)) {
			parts = append(parts, fmt.Sprintf("%s %s", code, thousands(s.Rejected[code])))
		}
		pairs = append(pairs, [2]string{"not taken", strings.Join(parts, ", ")})
	}
	c.pairs(pairs...)
	for _, k := range s.Kinds {
		c.printf("\n%s %s: %s, last %s\n", k.Type, clean(k.Name), count(k.Count, "event", "events"), c.time(k.Last))
		var rows [][]string
		for _, f := range k.Fields {
			note := f.Personal
			if f.Drift {
				note = strings.TrimPrefix(note+", drifts", ", ")
			}
			rows = append(rows, []string{clean(f.Path), percent(f.Filled), typesText(f.Types), note})
		}
		if len(rows) > 0 {
			c.table([]string{"FIELD", ">FILLED", "TYPES", "NOTE"}, rows)
		}
	}
	if s.LeftOut > 0 {
		c.printf("\n%s of further kinds are not shown\n", count(s.LeftOut, "event", "events"))
	}
}

func typesText(types map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(types), func(a, b string) int { return int(types[b] - types[a]) })
	if len(names) == 1 {
		return names[0]
	}
	for i, n := range names {
		names[i] = n + " " + thousands(types[n])
	}
	return strings.Join(names, ", ")
}

// readEvents reads a file with one event on each line.
func (c *console) readEvents(name, source string) ([]event.Event, error) {
	in, err := c.openFile(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // It was only read.
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	var out []event.Event
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var w wireEvent
		if err := json.Unmarshal(line, &w); err != nil {
			return nil, fmt.Errorf("%s, line %d is no event: %w", name, n, err)
		}
		out = append(out, w.event(source))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return out, nil
}

func (w *wireEvent) event(source string) event.Event {
	t, ok := event.ParseType(w.Type)
	if !ok {
		t = event.Track
	}
	e := event.Event{
		Type: t, Source: source, Name: w.Event, UserID: w.UserID, Anonymous: w.Anonymous, GroupID: w.GroupID,
		Properties: compact(w.Properties), Traits: compact(w.Traits), Context: compact(w.Context),
	}
	if t != event.Track {
		e.Name = w.Name
	}
	if at, err := time.Parse(time.RFC3339Nano, w.Timestamp); err == nil {
		e.Time = at.UTC()
	}
	return e
}

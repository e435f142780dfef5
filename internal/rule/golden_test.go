package rule

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is, as what is expected")

// chapter is a part of a golden file: a headline "--- word rest" and the text
// below it.
type chapter struct {
	word, rest, body string
}

// TestGolden reads stories: a rule, a person, and what the rule says of the
// person at some instants; or a wrong rule and its problems.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatalf("golden files: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			prose, chapters := split(string(b))
			got := prose + play(t, chapters)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(b), got); diff != "" {
				t.Errorf("run with -update and review (-want +got):\n%s", diff)
			}
		})
	}
}

func split(text string) (prose string, list []chapter) {
	for line := range strings.Lines(text) {
		if head, ok := strings.CutPrefix(line, "--- "); ok {
			word, rest, _ := strings.Cut(strings.TrimSpace(head), " ")
			list = append(list, chapter{word: word, rest: rest})
			continue
		}
		if len(list) == 0 {
			prose += line
		} else {
			list[len(list)-1].body += line
		}
	}
	return prose, list
}

// play runs the chapters and gives them with what was answered.
func play(t *testing.T, chapters []chapter) string {
	var b strings.Builder
	var r *Rule
	var problems []Problem
	var person string
	for _, c := range chapters {
		fmt.Fprintln(&b, strings.TrimSpace("--- "+c.word+" "+c.rest))
		switch c.word {
		case "rule":
			ctx := Context{Segments: []string{"buyers", "newsletter-readers"}}
			if c.rest == "in a journey" {
				ctx = journey
			}
			r, problems = load(t, c.body, ctx)
		case "person":
			person = c.body
		case "problems":
			c.body = ""
			for _, p := range problems {
				c.body += p.String() + "\n"
			}
			c.body += "\n"
		case "at":
			if r == nil {
				t.Fatalf("a rule with mistakes is asked: %v", problems)
			}
			now, since, _ := strings.Cut(c.rest, " since ")
			at := At{Now: when(t, now)}
			if since != "" {
				at.Since = when(t, since)
			}
			w := read(t, r, person, at.Now)
			e := r.Explain(w, at)
			if truth, until := r.Eval(w, at); truth != e.Truth || until != e.ValidUntil {
				t.Errorf("Eval says %t until %d, Explain %t until %d", truth, until, e.Truth, e.ValidUntil)
			}
			c.body = e.String() + "\n"
		default:
			t.Fatalf("unknown chapter %q", c.word)
		}
		b.WriteString(c.body)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func when(t *testing.T, s string) int64 {
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMilli()
}

// read makes a person: lines of traits, property, in_segment, and events with
// their time. Nobody knows yet what comes after now.
func read(t *testing.T, r *Rule, text string, now int64) *world {
	w := &world{segments: map[string]bool{}}
	var history []happening
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "":
		case word == "traits":
			w.traits.Reset([]byte(rest))
		case word == "property":
			w.props.Reset([]byte(rest))
		case word == "in_segment":
			w.segments[rest] = true
		default:
			name, props, ok := strings.Cut(rest, " {")
			if ok {
				props = "{" + props
			}
			if at := when(t, word); at <= now {
				history = append(history, happening{at: at, name: name, props: props})
			}
		}
	}
	w.tallies = count(r.Tallies(), history)
	return w
}

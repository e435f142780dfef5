package source

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
)

func format(t *testing.T, text string) *Format {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	f, problems := Parse(n.Content[0])
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return f
}

// lines maps a file and writes each line in one short row.
func lines(t *testing.T, f *Format, text string) []string {
	t.Helper()
	var out []string
	err := f.Read(context.Background(), "test", strings.NewReader(text), func(l Line) error {
		if l.Err != nil {
			out = append(out, fmt.Sprintf("%d bad: %v", l.Number, l.Err))
			return nil
		}
		for _, e := range l.Events {
			out = append(out, fmt.Sprintf("%d %s %s %s %s %s %s %s", l.Number, e.MessageID, e.Type, e.Name, e.UserID, e.Email, e.Time.Format(time.RFC3339), e.Properties))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReadFormats(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		format, text string
		want         []string
	}{
		"fixed": {
			`{format: fixed, columns: {customer: 2-6, date: 8-15, cds: 16-18, dollars: 19-26},
			  event: {event: Purchase, user_id: "{{ customer }}", email: "{{ customer }}@cdnow.example", timestamp: "{{ date }}",
			          properties: {cds: "{{ cds | plus: 0 }}", value: "{{ dollars | plus: 0 }}"}}}`,
			" 00001 19970101  1   11.77\n\n 00002\n",
			[]string{
				`1 1 track Purchase 00001 00001@cdnow.example 1997-01-01T00:00:00Z {"cds":1,"value":11.77}`,
				"3 bad: the line ends before column date",
			},
		},
		"csv with a header, a mark and quotes": {
			`{format: csv, comma: ";", time_zone: Europe/Berlin, event: {type: identify, user_id: "{{ id }}", message_id: "row-{{ id }}", timestamp: "{{ at }}", properties: {note: "{{ note }}"}}}`,
			"\ufeffid;at;note\n7;2026-03-01 12:00:00;\"a;\"\"b\"\"\"\n;2026-03-01;x\n8;soon;x\n",
			[]string{
				`2 row-7 identify  7  2026-03-01T11:00:00Z {"note":"a;\"b\""}`,
				"3 bad: the line names nobody: user_id, anonymous_id and email are empty",
				"4 bad: timestamp is no instant: want RFC 3339, 2006-01-02, 20060102, Unix seconds or milliseconds",
			},
		},
		"csv without a header": {
			`{format: csv, columns: [who, when], event: {event: Seen, user_id: "{{ who }}", timestamp: "{{ when }}"}}`,
			"a,1772366400\n",
			[]string{"1 1 track Seen a  2026-03-01T12:00:00Z "},
		},
		"csv whose quote never ends": {
			`{format: csv, columns: [who, when], event: {event: Seen, user_id: "{{ who }}", timestamp: "{{ when }}"}}`,
			"a,1772366400\n\"",
			[]string{"1 1 track Seen a  2026-03-01T12:00:00Z ", `2 bad: the line is no CSV: extraneous or missing " in quoted-field`},
		},
		"lines of JSON": {
			`{format: ndjson, event: {event: "{{ what }}", user_id: "{{ who.id }}", timestamp: "{{ t }}", properties: {all: "{{ who }}"}}}`,
			`{"what":"X","who":{"id":5,"tags":["a"]},"t":"2026-03-01T12:00:00Z"}` + "\n{\n",
			[]string{`1 1 track X 5  2026-03-01T12:00:00Z {"all":{"id":5,"tags":["a"]}}`, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := lines(t, format(t, c.format), c.text)
			if name == "lines of JSON" && len(got) == 2 && strings.HasPrefix(got[1], "2 bad: ") {
				got[1] = "" // the parser's own words
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNumbersAndDaysThatAreNone(t *testing.T) {
	t.Parallel()
	f := format(t, `{format: csv, columns: [at, n, m], event: {event: E, user_id: u, timestamp: "{{ at }}",
		properties: {n: "{{ n | plus: 0 }}", m: "{{ m | default: '0|' | remove: '|' | round: 1 }}"}}}`)
	for _, tt := range []struct{ row, want string }{
		{"19971231,1,2.25", `1997-12-31T00:00:00Z {"n":1,"m":2.3}`},
		{"19971231, -7.5 ,", `1997-12-31T00:00:00Z {"n":-7.5,"m":0}`},
		{"20260301123000,1,2", `2026-03-01T12:30:00Z {"n":1,"m":2}`},
		{"1772366400,1,2", `2026-03-01T12:00:00Z {"n":1,"m":2}`},
		{"1772366400000,1,2", `2026-03-01T12:00:00Z {"n":1,"m":2}`},
		{"19971341,1,2", "timestamp"},
		{"20260230123000,1,2", "timestamp"},
		{"12345,1,2", "timestamp"},
		{"-1772366400,1,2", "timestamp"},
		{"19971231,n/a,2", "n is no number"},
		{"19971231,,2", "n is no number"},
		{`19971231,"1,5",2`, "n is no number"},
		{"19971231,1e5,2", "n is no number"},
		{"19971231,.5,2", "n is no number"},
		{"19971231,1,x", "m | default: '0|' | remove: '|' is no number"},
		{"19971231", "n is no number"},
	} {
		got := lines(t, f, tt.row+"\n")
		if len(got) != 1 || !strings.Contains(got[0], tt.want) || strings.Contains(got[0], "bad: ") != !strings.Contains(tt.want, "{") {
			t.Errorf("%s: got %q, want %s", tt.row, got, tt.want)
		}
	}
}

func TestLinesOfTwoFilesAreTwo(t *testing.T) {
	t.Parallel()
	f := format(t, `{format: csv, columns: [who], event: {event: E, user_id: "{{ who }}", timestamp: "2026-03-01"}}`)
	for of, want := range map[*Format]string{f: "1 1 track", f.Of("0a1b2c3d4e5f"): "1 0a1b2c3d4e5f-1 track", f.Of(""): "1 1 track"} {
		if got := lines(t, of, "ann\n"); !strings.HasPrefix(got[0], want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	named := format(t, `{format: csv, columns: [who], event: {message_id: "m-{{ who }}", user_id: "{{ who }}", timestamp: "2026-03-01"}}`).Of("0a1b2c3d4e5f")
	if got := lines(t, named, "ann\n"); !strings.HasPrefix(got[0], "1 m-ann ") || !named.NamesMessages() || f.NamesMessages() {
		t.Errorf("the mapping's own id is %q", got)
	}
}

func TestParseNamesEveryMistake(t *testing.T) {
	t.Parallel()
	var n yaml.Node
	text := "format: xml\ncomma: ab\ncolumns: {a: 6-2}\nspeed: fast\nevent: {user: x, user_id: '{{ a | nope: }}'}\n"
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	_, problems := Parse(n.Content[0])
	if len(problems) < 6 {
		t.Errorf("want every mistake named, got %v", problems)
	}
}

func TestSorterOrdersByTimeThenByLine(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1 << 30, 4 << 10} { // in memory, and in many runs
		s := NewSorter(t.TempDir())
		s.limit = limit
		r := rand.New(rand.NewPCG(1, uint64(limit)))
		base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range 5000 {
			at := base.Add(time.Duration(r.IntN(50)) * time.Hour)
			if err := s.Add(&event.Event{Type: event.Track, MessageID: fmt.Sprint(i), Time: at, Received: at}); err != nil {
				t.Fatal(err)
			}
		}
		var lastAt int64
		lastID, n := -1, 0
		err := s.Each(func(at int64, body []byte) error {
			var e event.Event
			if err := e.Decode(body); err != nil {
				return err
			}
			var number int
			if _, err := fmt.Sscan(e.MessageID, &number); err != nil {
				return err
			}
			if at < lastAt || at == lastAt && number < lastID {
				t.Fatalf("limit %d: %d after %d", limit, number, lastID)
			}
			lastAt, lastID = at, number
			n++
			return nil
		})
		if err != nil || n != 5000 {
			t.Fatalf("limit %d: %d events, %v", limit, n, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a,b,t,n,c\n1,2026-03-01,x,1,yes\n", "Jörg 20260301", `{"a":{"email":"x"},"b":"2026-03-01"}`)
	f.Add("a,b\n1,\"2\n", " 00001 19970101  1   11.77\n", `{"a":1}`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for text, spec := range map[string]string{
			a: `{format: csv, quote: "'", types: {n: number, t: date %d.%m.%Y}, event: {user_id: "{{ a }}", timestamp: "{{ b }}", traits: {n: "{{ n }}", t: "{{ t }}"}},
			     consent: [{purpose: p, state: "{{ c }}", granted: ["yes"], said_at: "{{ b }}", evidence: {a: "{{ a }}"}}]}`,
			b: `{format: fixed, columns: {a: 2-6, b: 8-15}, event: {user_id: "{{ a }}", timestamp: "{{ b }}"}}`,
			c: `{format: ndjson, event: {user_id: "{{ a }}", timestamp: "{{ b }}"}}`,
		} {
			_ = format(t, spec).Read(context.Background(), "fuzz", strings.NewReader(text), func(l Line) error {
				for i := range l.Events {
					if wire := AppendWire(nil, &l.Events[i]); !json.Valid(wire) {
						t.Errorf("no JSON: %q", wire)
					}
				}
				for i := range l.Consents {
					if c := &l.Consents[i]; !json.Valid(c.AppendWire(nil)) || c.Granted && (c.Said.IsZero() || len(c.Evidence) == 0) {
						t.Errorf("a consent of nothing: %+v", c)
					}
				}
				return nil
			})
		}
	})
}

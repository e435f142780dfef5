package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

// wires maps a file in batches and writes each thing that goes over the wire.
func wires(t *testing.T, f *Format, text string, o Batching) []string {
	t.Helper()
	var out []string
	err := f.Batches(context.Background(), "test", strings.NewReader(text), o, func(b *Batch) error {
		for _, l := range b.Bad {
			out = append(out, fmt.Sprintf("%d bad: %v", l.Number, l.Err))
		}
		for _, list := range [][]Item{b.Events, b.Consents} {
			for _, i := range list {
				if !json.Valid(i.Wire) {
					t.Errorf("no JSON: %s", i.Wire)
				}
				out = append(out, fmt.Sprintf("%d %s", i.Line, i.Wire))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMappings(t *testing.T) {
	t.Parallel()
	const when = `"timestamp":"2026-03-01T00:00:00Z"`
	for name, c := range map[string]struct {
		format, text string
		want         []string
	}{
		"several events, one under a condition": {
			`{format: csv, types: {total: number}, events: [
			  {type: identify, user_id: "{{ id }}", email: "{{ mail }}", timestamp: "2026-03-01", traits: {name: "{{ name }}"}},
			  {type: group, user_id: "{{ id }}", group_id: "{{ firm }}", timestamp: "2026-03-01", when: firm != "", traits: {name: "{{ firm | upcase }}"}},
			  {type: page, name: Cart, user_id: "{{ id }}", email: "{{ mail }}", timestamp: "2026-03-01", when: total > 10, traits: {vip: "{{ true }}"}, external_ids: {shopify: "{{ id }}"}}]}`,
			"id,mail,name,firm,total\n7,ANN@shop.example,Ann,acme,9\n8,,,,11.5\n",
			[]string{
				`2 {"type":"identify","messageId":"2",` + when + `,"userId":"7","traits":{"email":"ann@shop.example","name":"Ann"}}`,
				`2 {"type":"group","messageId":"2-2",` + when + `,"userId":"7","groupId":"acme","traits":{"name":"ACME"}}`,
				`3 {"type":"identify","messageId":"3",` + when + `,"userId":"8","traits":{"name":""}}`,
				`3 {"type":"page","messageId":"3-3",` + when + `,"name":"Cart","userId":"8","context":{"traits":{"vip":true},"externalIds":[{"type":"shopify","id":"8","collection":"users","encoding":"none"}]}}`,
			},
		},
		"types, and what has no value": {
			`{format: csv, time_zone: Europe/Berlin, types: {n: number, b: boolean, born: date %d.%m.%Y, at: date %d/%m/%y %H:%M},
			  event: {event: E, user_id: u, timestamp: "{{ at }}", properties: {n: "{{ n }}", b: {column: b}, born: "{{ born }}", at: "{{ row['at'] }}"}}}`,
			"n,b,born,at\n1.5,YES,24.12.1990,01/03/26 01:00\n,,,01/03/26 01:00\nx,,,01/03/26 01:00\n,perhaps,,01/03/26 01:00\n,,1990-12-24,01/03/26 01:00\n",
			[]string{
				"4 bad: n is no number", "5 bad: b is neither yes nor no", "6 bad: born is no date of this form",
				`2 {"type":"track","messageId":"2",` + when + `,"event":"E","userId":"u","properties":{"n":1.5,"b":true,"born":"1990-12-24","at":"2026-03-01T01:00:00+01:00"}}`,
				`3 {"type":"track","messageId":"3",` + when + `,"event":"E","userId":"u","properties":{"at":"2026-03-01T01:00:00+01:00"}}`,
			},
		},
		"another quote": {
			`{format: csv, quote: "'", event: {event: E, user_id: "{{ a }}", timestamp: "2026-03-01"}}`,
			"a\n'say \"x\", ''y'''\n",
			[]string{`2 {"type":"track","messageId":"2",` + when + `,"event":"E","userId":"say \"x\", 'y'"}`},
		},
		"no quote": {
			`{format: csv, quote: none, event: {event: E, user_id: "{{ a }}", timestamp: "2026-03-01"}}`,
			"a\n12\" \"x\n",
			[]string{`2 {"type":"track","messageId":"2",` + when + `,"event":"E","userId":"12\" \"x"}`},
		},
		"latin1": {
			`{format: csv, encoding: latin1, event: {event: E, user_id: "{{ a }}", timestamp: "2026-03-01"}}`,
			"a\nJ\xf6rg\n",
			[]string{`2 {"type":"track","messageId":"2",` + when + `,"event":"E","userId":"Jörg"}`},
		},
		"bytes of another encoding": {
			`{format: csv, event: {event: E, user_id: "{{ a }}", timestamp: "2026-03-01"}}`,
			"a\nJ\xf6rg\n",
			[]string{"2 bad: the line is no UTF-8: name the file's encoding, for example encoding: latin1"},
		},
		"fixed counts characters": {
			`{format: fixed, columns: {a: {start: 1, width: 4}, b: 5-6}, event: {event: E, user_id: "{{ a }}{{ b }}", timestamp: "2026-03-01"}}`,
			"Jörg12\n",
			[]string{`1 {"type":"track","messageId":"1",` + when + `,"event":"E","userId":"Jörg12"}`},
		},
		"an address of its own among the traits": {
			`{format: ndjson, event: {type: identify, user_id: u, email: a@b.example, timestamp: "2026-03-01", traits: {email: "{{ row.e }}", deep: "{{ deep }}"}}}`,
			`{"e":"c@d.example","deep":{"email":1}}` + "\n[]\n",
			[]string{"2 bad: the line is no JSON object", `1 {"type":"identify","messageId":"1",` + when + `,"userId":"u","traits":{"email":"c@d.example","deep":{"email":1}}}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, wires(t, format(t, c.format), c.text, Batching{})); diff != "" {
				t.Errorf("wire (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConsentIsNeverMadeUp(t *testing.T) {
	t.Parallel()
	f := format(t, `{format: csv, event: {type: identify, user_id: "{{ id }}", timestamp: "2026-03-01"}, consent: [
	  {purpose: marketing, state: "{{ news }}", granted: ["Yes"], withdrawn: ["no"], said_at: "{{ at }}", evidence: {form: "{{ form }}"}, method: "{{ how }}"}]}`)
	for row, want := range map[string]string{
		"1,yes,2026-01-05,f3,": `{"id":"2-c1","subjects":["user_id:1"],"purpose":"marketing","granted":true,"said":"2026-01-05T00:00:00Z","evidence":{"form":"f3"}}`,
		"1,no,,,paper":         `{"id":"2-c1","subjects":["user_id:1"],"purpose":"marketing","granted":false,"evidence":{"method":"paper"}}`,
		"1,,2026-01-05,f3,":    "", "1,true,2026-01-05,f3,": "", "1,NULL,2026-01-05,f3,": "",
		"1,yes,,f3,":                    "without the time",
		"1,yes,0000-00-00,f3,":          "said_at is no instant",
		"1,yes,2026-01-05,,":            "without evidence",
		"1,yes,2026-01-05, ,paper":      "without evidence",
		"1,yes,2026-01-05,a@b.example,": "must hold no address",
	} {
		got := wires(t, f, "id,news,at,form,how\n"+row+"\n", Batching{})
		last := ""
		if n := len(got); n > 0 && (n > 1 || strings.Contains(got[0], "bad: ")) {
			last = got[n-1]
		}
		if !strings.Contains(last, want) || want == "" && last != "" {
			t.Errorf("%s: got %q, want %q", row, got, want)
		}
	}
	for _, text := range []string{
		`{purpose: m, state: "{{ a }}", granted: ["yes"], evidence: {a: "{{ a }}"}}`,
		`{purpose: m, state: "{{ a }}", granted: ["yes"], said_at: "{{ a }}"}`,
		`{purpose: m, state: "{{ a }}", granted: [""], said_at: "{{ a }}", evidence: {a: "{{ a }}"}}`,
		`{purpose: m, state: "{{ a }}", said_at: "{{ a }}", evidence: {a: "{{ a }}"}}`,
		`{purpose: m, state: "{{ a }}", granted: [x], withdrawn: [X], said_at: "{{ a }}", evidence: {a: "{{ a }}"}}`,
	} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(`{format: csv, event: {user_id: u, timestamp: "2026-03-01"}, consent: [`+text+`]}`), &n); err != nil {
			t.Fatal(err)
		}
		if f, problems := Parse(&n); f != nil || len(problems) == 0 {
			t.Errorf("taken: %s", text)
		}
	}
}

// TestBatchesKeepTheOrder maps with many workers, from the middle, and stops
// where it is told to.
func TestBatchesKeepTheOrder(t *testing.T) {
	t.Parallel()
	f := format(t, `{format: csv, columns: [n], event: {event: E, user_id: "{{ n }}", timestamp: "2026-03-01"}}`)
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "%d\n", i+1)
	}
	next := int64(101)
	err := f.Batches(t.Context(), "test", strings.NewReader(text.String()), Batching{After: 100, Rows: 7, Workers: 8}, func(b *Batch) error {
		for _, e := range b.Events {
			if e.Line != next || !strings.Contains(string(e.Wire), fmt.Sprintf(`"userId":"%d"`, next)) {
				t.Fatalf("line %d is %d: %s", next, e.Line, e.Wire)
			}
			next++
		}
		if b.Last != next-1 {
			t.Fatalf("the last line is %d, want %d", b.Last, next-1)
		}
		return nil
	})
	if err != nil || next != 5001 {
		t.Errorf("came to %d, %v", next, err)
	}
	enough := errors.New("enough")
	n := 0
	err = f.Batches(t.Context(), "test", strings.NewReader(text.String()), Batching{Rows: 7, Workers: 8}, func(*Batch) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%d batches, %v", n, err)
	}
}

func BenchmarkBatches(b *testing.B) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(`{format: csv, types: {total: number, items: number, paid: boolean}, event: {event: Order Completed, user_id: "{{ customer }}", email: "{{ mail | downcase }}",
	  message_id: "o-{{ order }}", timestamp: "{{ day }}", properties: {total: "{{ total }}", items: "{{ items }}", paid: "{{ paid }}", country: "{{ country }}", city: "{{ city }}", coupon: "{{ coupon }}"}}}`), &n); err != nil {
		b.Fatal(err)
	}
	f, problems := Parse(&n)
	if f == nil {
		b.Fatal(problems)
	}
	var text strings.Builder
	text.WriteString("order,day,customer,mail,total,items,paid,country,city,coupon\n")
	for i := range b.N {
		fmt.Fprintf(&text, "%d,2026-01-05 10:00:00,user-%d,User%d@shop.example,39.50,3,yes,DE,Ulm,\"SAVE, 10\"\n", i, i%1000, i%1000)
	}
	b.ReportAllocs()
	b.ResetTimer()
	rows := int64(0)
	if err := f.Batches(context.Background(), "bench", strings.NewReader(text.String()), Batching{Workers: 1}, func(x *Batch) error { rows += x.Rows; return nil }); err != nil || rows != int64(b.N) {
		b.Fatal(rows, err)
	}
}

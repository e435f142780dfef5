package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// imports are the files that are imported, ten columns each: a list of
// customers as a shop exports it, in the order of their numbers, and orders of
// customers picked evenly, of which no two neighbours know each other.
var imports = []struct {
	name, mapping string
	step          int // from one row's customer to the next one's
}{
	{"a list of people", `format: csv
types: {total: number, items: number, paid: boolean}
event:
  type: identify
  user_id: "{{ customer }}"
  email: "{{ mail | downcase }}"
  message_id: "list-{{ order }}"
  timestamp: "{{ at }}"
  traits: {score: "{{ total }}", orders: "{{ items }}", member: "{{ paid }}", country: "{{ country }}", city: "{{ city }}", coupon: "{{ coupon }}"}
`, 1},
	{"orders", `format: csv
types: {total: number, items: number, paid: boolean}
event:
  event: Product Viewed
  user_id: "{{ customer }}"
  email: "{{ mail | downcase }}"
  message_id: "order-{{ order }}"
  timestamp: "{{ at }}"
  properties: {total: "{{ total }}", items: "{{ items }}", paid: "{{ paid }}", country: "{{ country }}", city: "{{ city }}", coupon: "{{ coupon }}"}
`, 7919},
}

// importCSV runs `rapport import` of each file against the server, until every
// row is durable, and then until every row is walked.
func importCSV(ctx context.Context, b *run) ([]Result, error) {
	s, err := b.need(ctx)
	if err != nil {
		return nil, err
	}
	var out []Result
	for _, x := range imports {
		file, mapping := filepath.Join(s.dir, "rows.csv"), filepath.Join(s.dir, "rows.yaml")
		if err := writeRows(file, b.Rows, b.People, x.step); err != nil {
			return out, err
		}
		if err := os.WriteFile(mapping, []byte(x.mapping), 0o600); err != nil {
			return out, err
		}
		got, err := b.importFile(ctx, s, "import of "+x.name, file, mapping)
		out = append(out, got...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func (b *run) importFile(ctx context.Context, s *server, name, file, mapping string) ([]Result, error) {
	cmd := exec.CommandContext(ctx, b.Program, "import", "--url", s.address, "--map", mapping, "--source", "shop", "--json", file)
	cmd.Env = append(os.Environ(), "RAPPORT_KEY="+s.manage)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	profiled := b.profile(ctx, s, strings.ReplaceAll(name, " ", "-"), b.Duration)
	before, began := s.usage(), time.Now()
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, errs.Bytes())
	}
	took := time.Since(began)
	var sum struct{ Lines, Accepted int64 }
	if err := json.Unmarshal(out.Bytes(), &sum); err != nil {
		return nil, fmt.Errorf("read what was imported: %w", err)
	}
	if sum.Accepted != int64(b.Rows) {
		return nil, fmt.Errorf("%d of %d rows were accepted", sum.Accepted, b.Rows)
	}
	client := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	durable := Result{
		Name: name + ", CSV of 10 columns", Items: sum.Accepted, Rate: float64(sum.Accepted) / took.Seconds(),
		Note: fmt.Sprintf("durable; the command itself took %.1f µs of CPU a row", float64(client.Microseconds())/float64(b.Rows)),
	}
	s.measure(&durable, before, sum.Accepted)
	err := s.settle(ctx)
	walked := Result{Name: name + ", until it is walked", Items: sum.Accepted, Rate: float64(sum.Accepted) / time.Since(began).Seconds()}
	s.measure(&walked, before, sum.Accepted)
	return []Result{durable, walked}, errors.Join(err, profiled())
}

// writeRows makes a file of so many rows about so many people.
func writeRows(path string, rows, people, step int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	_, _ = w.WriteString("order,at,customer,mail,total,items,paid,country,city,coupon\n") // bufio keeps the first error for Flush.
	base := time.Now().UTC().AddDate(0, 0, -1)
	cities := []string{"Ulm", "Lyon", "Graz", "Bergen", "Porto"}
	for i := range rows {
		who := i * step % people
		_, _ = fmt.Fprintf(w, "%d,%s,user-%07d,User%d@shop.example,%d.%02d,%d,%s,%s,%s,\"SPRING, %d\"\n", i, base.Add(time.Duration(i)*time.Millisecond).Format(time.DateTime),
			who, who, i%200, i%100, i%9, []string{"yes", "no"}[i%2], []string{"DE", "FR"}[i%2], cities[i%len(cities)], i%10) // As above.
	}
	return w.Flush()
}

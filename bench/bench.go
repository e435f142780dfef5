// Package bench measures a whole Rapport process from outside: a server as a
// child process with a real data folder, a load client and an SMTP sink beside
// it on the same machine. What comes in is which scenarios to run; what goes
// out is a table of rates, latencies and CPU per item, with the machine's own
// floors from the same run. It never reaches beyond the loopback.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Options say what to measure. Zero values are the documented ones.
type Options struct {
	Program   string        // the rapport binary
	Dir       string        // where data folders are made; "" a temporary one
	People    int           // known people; 100,000
	Seen      int           // ids in the duplicate window; 10,000,000
	Rows      int           // of the file that is imported; 1,000,000
	Duration  time.Duration // of each scenario; 10 s
	Sustained time.Duration // of the walked scenario; 60 s
	Only      []string      // names of scenarios; none: all
	Database  string        // PostgreSQL on which databases may be made for the servers; "": the embedded store
	Profile   string        // folder for CPU profiles of the server; "": none
	Out       io.Writer     // where progress goes
}

// Result is one measured row.
type Result struct {
	Name   string        `json:"name"`
	Items  int64         `json:"items"`
	Rate   float64       `json:"per_second"`
	P50    time.Duration `json:"p50_ns"`
	P99    time.Duration `json:"p99_ns"`
	Max    time.Duration `json:"max_ns"`
	CPU    float64       `json:"cpu_us_per_item"`    // of the server alone, user and system
	RSS    int64         `json:"rss_bytes"`          // of the server at the end
	Wrote  float64       `json:"written_b_per_item"` // by the server, as the kernel counts it
	Note   string        `json:"note,omitempty"`
	Failed int64         `json:"failed,omitempty"`
}

// Report is what a run came to.
type Report struct {
	Machine string    `json:"machine"`
	Began   time.Time `json:"began"`
	Setup   string    `json:"setup"`
	Results []Result  `json:"results"`
}

// scenario is one measurement against a running server.
type scenario struct {
	name string
	what string
	run  func(ctx context.Context, b *run) ([]Result, error)
}

var scenarios = []scenario{
	{"floor", "the machine's own floor", floors},
	{"track", "/v1/track, one event a request, durable", track},
	{"batch", "/v1/batch of 100, durable", batch},
	{"walked", "/v1/batch of 100, fully walked, sustained", walked},
	{"import-csv", "rapport import of a CSV file, durable and walked", importCSV},
	{"email", "event → email at the sink", emails},
	{"send", "POST /v1/send → email at the sink", sends},
	{"withdrawal", "withdrawal → 2xx while mails to everybody leave", withdrawal},
	{"memory", "memory and start", memory},
	{"segments", "50 → 1,000 segments that no event concerns", segments},
	{"sealing", "what sealing costs: the same load on sealed and unsealed servers", sealing},
	{"webhooks", "20 destinations at 500 events a second, one dead and one slow", webhooks},
	{"dkim", "event → email with DKIM", dkim},
}

// Names lists the scenarios.
func Names() []string {
	var out []string
	for _, s := range scenarios {
		out = append(out, s.name)
	}
	return out
}

// Run measures.
func Run(ctx context.Context, o Options) (*Report, error) {
	defaults(&o)
	for _, name := range o.Only {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("there is no scenario %q: choose of %s", name, strings.Join(Names(), ", "))
		}
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "rapport-bench-")
		if err != nil {
			return nil, fmt.Errorf("make a folder: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }() // A temporary folder; what stays is the system's to clean.
		o.Dir = dir
	}
	o.Seen = max(o.Seen, 0)
	b := &run{Options: o}
	defer b.stop()
	rep := &Report{Machine: machine(), Began: time.Now().UTC(), Setup: b.setup()}
	for _, s := range scenarios {
		if len(o.Only) > 0 && !slices.Contains(o.Only, s.name) {
			continue
		}
		_, _ = fmt.Fprintf(o.Out, "%s: %s …\n", s.name, s.what) // Progress that nobody reads is no failure.
		got, err := s.run(ctx, b)
		rep.Results = append(rep.Results, got...)
		if err != nil {
			return rep, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return rep, nil
}

func defaults(o *Options) {
	for _, d := range []struct {
		at *int
		to int
	}{{&o.People, 100_000}, {&o.Rows, 1_000_000}, {&o.Seen, 10_000_000}} {
		if *d.at == 0 {
			*d.at = d.to
		}
	}
	if o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
	if o.Sustained == 0 {
		o.Sustained = 60 * time.Second
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
}

func machine() string {
	model := "unknown processor"
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d × %s, %s/%s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// Table writes the report for people.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "machine  %s\nsetup    %s\n\n", r.Machine, r.Setup)
	fmt.Fprintf(&b, "%-44s %12s %9s %9s %9s %10s %8s %10s  %s\n", "", "per second", "p50", "p99", "max", "CPU/item", "RSS", "written", "")
	for _, x := range r.Results {
		fmt.Fprintf(&b, "%-44s %12s %9s %9s %9s %10s %8s %10s  %s\n", x.Name, number(x.Rate), short(x.P50), short(x.P99), short(x.Max),
			unit(x.CPU, "µs"), unit(float64(x.RSS)/(1<<20), "MiB"), unit(x.Wrote, "B"), x.Note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func number(f float64) string {
	if f == 0 {
		return ""
	}
	if f < 100 {
		return fmt.Sprintf("%.1f", f)
	}
	s := fmt.Sprintf("%.0f", f)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func unit(f float64, u string) string {
	if f == 0 {
		return ""
	}
	if f >= 100 {
		return fmt.Sprintf("%.0f %s", f, u)
	}
	return fmt.Sprintf("%.1f %s", f, u)
}

func short(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.1f ms", float64(d)/1e6)
}

// spread gives the median, the 99th percentile and the maximum.
func spread(samples []time.Duration) (p50, p99, most time.Duration) {
	if len(samples) == 0 {
		return 0, 0, 0
	}
	slices.Sort(samples)
	at := func(q float64) time.Duration { return samples[min(len(samples)-1, int(q*float64(len(samples))))] }
	return at(0.5), at(0.99), samples[len(samples)-1]
}

var errServerGone = errors.New("the server has ended")

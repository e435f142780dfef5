// Package telemetry is how the house tells its operator what it does: the
// logger, the metrics and the listener that shows them. What comes in are log
// records and measurements; what goes out are lines and pages without secrets
// and without addresses. It never listens anywhere but on loopback, and decides
// nothing.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// LogConfig is what NewLogger needs.
type LogConfig struct {
	Out   io.Writer
	Level slog.Level
	JSON  bool // lines of JSON, else of key=value
}

// NewLogger makes the logger that every room gets a child of. Whatever is given
// to it, its lines hold no mail address and none of our keys, and attributes
// whose name says that they are secret or personal show nothing.
func NewLogger(c LogConfig) (*slog.Logger, error) {
	if c.Out == nil {
		return nil, errors.New("telemetry: LogConfig.Out is required")
	}
	o := &slog.HandlerOptions{Level: c.Level}
	var h slog.Handler = slog.NewTextHandler(c.Out, o)
	if c.JSON {
		h = slog.NewJSONHandler(c.Out, o)
	}
	return slog.New(&redactor{next: h}), nil
}

// Secret is a text that shows itself in no log, whatever formats it.
type Secret string

const hidden = "[redacted]"

// String implements fmt.Stringer.
func (Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return hidden }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Reveal gives the text itself to the code that needs it.
func (s Secret) Reveal() string { return string(s) }

// redactor takes out what must not stand in a log before a record is written.
type redactor struct{ next slog.Handler }

var _ slog.Handler = (*redactor)(nil)

func (h *redactor) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h *redactor) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, Redact(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(redact(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h *redactor) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = redact(a)
	}
	return &redactor{next: h.next.WithAttrs(clean)}
}

func (h *redactor) WithGroup(name string) slog.Handler {
	return &redactor{next: h.next.WithGroup(name)}
}

// unshown are names of attributes whose values are never shown.
var unshown = map[string]bool{
	"password": true, "secret": true, "token": true, "authorization": true, "api_key": true, "write_key": true,
	"email": true, "recipient": true, "payload": true, "body": true, "traits": true,
	"properties": true, "subject": true, "ip": true, "user_id": true, "anonymous_id": true,
}

func redact(a slog.Attr) slog.Attr {
	if unshown[strings.ToLower(a.Key)] {
		return slog.String(a.Key, hidden)
	}
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, Redact(v.String()))
	case slog.KindGroup:
		members := v.Group()
		clean := make([]slog.Attr, len(members))
		for i, m := range members {
			clean[i] = redact(m)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			return slog.String(a.Key, Redact(err.Error()))
		}
		return slog.String(a.Key, Redact(fmt.Sprintf("%+v", v.Any())))
	}
	return slog.Attr{Key: a.Key, Value: v}
}

var (
	addresses = regexp.MustCompile(`[^\s<>"'=:,;()\[\]{}|]+(?:@|%40)[^\s<>"'=:,;()\[\]{}|]+`)
	keys      = regexp.MustCompile(`\brp[kbm]_[0-9A-Za-z]{8,}`)
	bearers   = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[0-9A-Za-z+/=._~-]{8,}`)
)

// Redact takes mail addresses and our keys out of a text.
func Redact(s string) string {
	if strings.Contains(s, "@") || strings.Contains(s, "%40") {
		s = addresses.ReplaceAllString(s, "[address]")
	}
	if strings.Contains(s, "rp") {
		s = keys.ReplaceAllString(s, "[key]")
	}
	if low := strings.ToLower(s); strings.Contains(low, "bearer ") || strings.Contains(low, "basic ") {
		s = bearers.ReplaceAllString(s, "$1 "+hidden)
	}
	return s
}

// NewRegistry makes the registry of a process, with what the process itself has
// to tell.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		ownOnly{collectors.NewProcessCollector(collectors.ProcessCollectorOpts{Namespace: "rapport"})},
	)
	return r
}

// ownOnly leaves out of the process's metrics those of its network: the system
// gives them for the whole machine.
type ownOnly struct{ prometheus.Collector }

// Describe implements prometheus.Collector.
func (o ownOnly) Describe(out chan<- *prometheus.Desc) {
	all := make(chan *prometheus.Desc)
	go func() {
		defer close(all)
		o.Collector.Describe(all)
	}()
	for d := range all {
		if !ofMachine(d) {
			out <- d
		}
	}
}

// Collect implements prometheus.Collector.
func (o ownOnly) Collect(out chan<- prometheus.Metric) {
	all := make(chan prometheus.Metric)
	go func() {
		defer close(all)
		o.Collector.Collect(all)
	}()
	for m := range all {
		if !ofMachine(m.Desc()) {
			out <- m
		}
	}
}

func ofMachine(d *prometheus.Desc) bool { return strings.Contains(d.String(), "_process_network_") }

// Handler shows metrics at /metrics and profiles below /debug/pprof/. It answers
// only requests that name this machine itself as the host, so that no web page
// reads it through a name it controls.
func Handler(r prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !IsLoopback(req.Host) {
			http.Error(w, "this listener is for the machine itself", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, req)
	})
}

// NewServer makes the server for Handler. Profiles take a while, so it has no
// deadline for answers.
func NewServer(r prometheus.Gatherer) *http.Server {
	return &http.Server{
		Handler: Handler(r), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
}

// Listen opens the listener for NewServer; an address that others could reach
// is refused.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	if !IsLoopback(address) {
		return nil, fmt.Errorf("listen for metrics on %s: metrics and profiles are shown on loopback only; write 127.0.0.1 and a port", address)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	return l, nil
}

// IsLoopback tells whether host, with or without a port, is this machine.
func IsLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// Package collect is the door at which SDKs knock: the Segment wire. What comes
// in are requests of the HTTP API, analytics.js and server SDKs; what goes out
// is {"success":true} once the events are durable, or an error in the shape
// that the SDKs read. It finds the key, reads the body within its limits and
// hands it to ingest; it never looks into an event.
package collect

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rapport/internal/access"
	"rapport/internal/api"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/ratelimit"
)

// DefaultPerSecond and DefaultBurst are how many events each key may bring
// where its source says nothing else.
const (
	DefaultPerSecond = 100_000
	DefaultBurst     = 200_000
)

// Taker is ingest, as this door needs it.
type Taker interface {
	Take(ctx context.Context, c ingest.Call) (ingest.Receipt, error)
	TooLarge(ctx context.Context, c ingest.Call) error
	MaxBody(t event.Type) int
}

var _ Taker = (*ingest.Ingest)(nil)

// Keys finds the key of a secret.
type Keys interface {
	Find(secret string) (access.Key, bool)
}

var _ Keys = (*access.Keys)(nil)

// Waiter waits for the walk. It returns Processed or SetAside once the position
// has been walked, or an error when ctx ends first.
type Waiter interface {
	WaitPosition(ctx context.Context, lane eventlog.Lane, pos int64) (state string, err error)
}

// What a Waiter says.
const (
	Processed = "processed"
	SetAside  = "set_aside"
)

// Config is what a Handler needs.
type Config struct {
	Ingest  Taker
	Keys    Keys
	Sources func(name string) (ingest.Source, bool)
	Origins func(source string) []string // web origins that may use a source's browser keys; nil or none: any
	Limits  *ratelimit.Keyed             // events, by key id
	Waiter  Waiter                       // nil: wait=processed answers as if time had run out

	PublicURL      string         // where callers reach us; "": as the request says
	TrustedProxies []netip.Prefix // whose X-Forwarded-For and -Proto are believed
	Logger         *slog.Logger
	Metrics        prometheus.Registerer
}

// Handler is the door. It is safe for concurrent use.
type Handler struct {
	ingest  Taker
	keys    Keys
	sources func(string) (ingest.Source, bool)
	origins func(string) []string
	limits  *ratelimit.Keyed
	waiter  Waiter
	public  string
	proxies []netip.Prefix
	logger  *slog.Logger
	answers *prometheus.CounterVec
	ok      prometheus.Counter
	routes  map[string]route
}

// New checks the configuration and makes a Handler.
func New(c Config) (*Handler, error) {
	if c.Ingest == nil || c.Keys == nil || c.Sources == nil || c.Limits == nil {
		return nil, errors.New("collect: Config.Ingest, Keys, Sources and Limits are required")
	}
	h := &Handler{
		ingest: c.Ingest, keys: c.Keys, sources: c.Sources, origins: c.Origins, limits: c.Limits, waiter: c.Waiter,
		public: strings.TrimRight(c.PublicURL, "/"), proxies: c.TrustedProxies, logger: c.Logger,
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rapport_collect_answers_total", Help: "Answers given to SDKs, by code; ok is none.",
		}, []string{"code"}),
	}
	if h.public != "" {
		if u, err := url.Parse(h.public); err != nil || u.Host == "" {
			return nil, errors.New("collect: Config.PublicURL is not an absolute URL")
		}
	}
	if h.origins == nil {
		h.origins = func(string) []string { return nil }
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics != nil {
		c.Metrics.MustRegister(h.answers)
	}
	h.ok = h.answers.WithLabelValues("ok")
	h.routes = h.table()
	return h, nil
}

// take is the way of every event.
func (h *Handler) take(w http.ResponseWriter, r *http.Request, path string, to route) {
	q := query(r)
	if !q.ok {
		h.fail(w, r, http.StatusBadRequest, fault.New(fault.Invalid, "bad_wait", `wait is "processed" or left out; nothing was taken`))
		return
	}
	key, known := h.keyOf(r, q.writeKey)
	var src ingest.Source
	var err error
	if known {
		if src, err = h.admit(r, key); err != nil {
			h.fail(w, r, statusOf(err), err)
			return
		}
	}
	b, err := readBody(w, r, h.ingest.MaxBody(to.kind))
	if err != nil {
		if known && errors.Is(err, errTooLarge) {
			if err := h.ingest.TooLarge(r.Context(), ingest.Call{Source: src, Path: path, Type: to.kind}); err != nil {
				h.logger.WarnContext(r.Context(), "a body that is too large could not be noted", "error", err)
			}
		}
		h.failBody(w, r, err)
		return
	}
	defer b.free()
	if !known {
		if key, known = h.keys.Find(ingest.WriteKey(b.bytes)); !known {
			err = fault.New(fault.Denied, ingest.CodeUnknownSource,
				"the write key is missing or belongs to no source; create one with `rapport key create`")
		} else {
			src, err = h.admit(r, key)
		}
		if err != nil {
			h.fail(w, r, statusOf(err), err)
			return
		}
	}
	receipt, err := h.ingest.Take(r.Context(), ingest.Call{
		Source: src, Browser: key.Kind == access.Browser, Path: path, Type: to.kind, Body: b.bytes, Strict: q.strict, Sent: header(r.Header, "Sentat"),
		GPC: header(r.Header, "Sec-Gpc") == "1", Remote: h.remote(r), Agent: header(r.Header, "User-Agent"),
	})
	if n := receipt.Accepted + receipt.Denied + len(receipt.Rejected) - 1; n > 0 {
		h.limits.Charge(key.ID, float64(n))
	}
	switch {
	case err != nil:
		h.fail(w, r, statusOf(err), err)
	case q.wait:
		h.answerWalked(w, r, receipt, q.timeout)
	case len(receipt.Rejected) > 0:
		h.answerRejected(w, r, receipt)
	default:
		h.succeed(w, r)
	}
}

// keyOf looks for a key in header and query; where it is found counts for
// nothing, only whether it is one.
func (h *Handler) keyOf(r *http.Request, inQuery string) (access.Key, bool) {
	if key, ok := h.keys.Find(api.Secret(r.Header)); ok {
		return key, true
	}
	if v := header(r.Header, "X-Write-Key"); v != "" {
		if key, ok := h.keys.Find(v); ok {
			return key, true
		}
		v, _, _ = strings.Cut(v, ":")
		if key, ok := h.keys.Find(v); ok {
			return key, true
		}
	}
	return h.keys.Find(inQuery)
}

// statusOf gives the status that fits a fault; a key that is none is 401.
func statusOf(err error) int {
	if fault.CodeOf(err) == ingest.CodeUnknownSource {
		return http.StatusUnauthorized
	}
	return api.StatusOf(err)
}

// admit tells whether a key may write here and now, and for which source. The
// rest of a batch is charged when its size is known.
func (h *Handler) admit(r *http.Request, key access.Key) (ingest.Source, error) {
	switch key.Kind {
	case access.Ingest:
	case access.Browser:
		if !h.originAllowed(r, key.Source) {
			return ingest.Source{}, fault.New(fault.Denied, "origin_not_allowed", "this web origin may not use the source's browser keys; add it to the source's origins")
		}
	default:
		return ingest.Source{}, fault.New(fault.Denied, "key_cannot_write", "a management key writes no events; use an ingest key")
	}
	src, ok := h.sources(key.Source)
	if !ok {
		return src, fault.New(fault.Denied, ingest.CodeUnknownSource, "the key's source is no longer configured")
	}
	if ok, wait := h.limits.AllowAt(key.ID, src.PerSecond, 1); !ok {
		e := fault.New(fault.Limited, ingest.CodeTooManyRequests, "the key's rate limit is reached; raise events_per_second in its source, or send more slowly")
		e.RetryAfter, e.Temp = wait, true
		return src, e
	}
	return src, nil
}

func (h *Handler) originAllowed(r *http.Request, source string) bool {
	allowed := h.origins(source)
	origin := header(r.Header, "Origin")
	if len(allowed) == 0 || origin == "" {
		return true
	}
	for _, o := range allowed {
		if strings.EqualFold(o, origin) {
			return true
		}
	}
	return false
}

// options are what a caller asks for in the query.
type options struct {
	writeKey     string
	strict, wait bool
	ok           bool // wait is something that there is to wait for, or nothing
	timeout      time.Duration
}

// The time that wait=processed waits.
const (
	defaultWait = 5 * time.Second
	longestWait = 30 * time.Second
)

func query(r *http.Request) (o options) {
	if r.URL.RawQuery == "" {
		o.ok = true
		return o
	}
	v := r.URL.Query()
	o.writeKey = v.Get("writeKey")
	o.strict = v.Get("strict") == "true"
	o.wait = v.Get("wait") == "processed"
	o.ok = o.wait || v.Get("wait") == ""
	o.timeout = defaultWait
	if d, err := time.ParseDuration(v.Get("timeout")); err == nil && d > 0 {
		o.timeout = min(d, longestWait)
	} else if d, err := time.ParseDuration(v.Get("timeout") + "s"); err == nil && d > 0 {
		o.timeout = min(d, longestWait) // A bare number is seconds.
	}
	return o
}

// remote gives the client's address: the connection's, or where that is a
// trusted proxy the nearest address in X-Forwarded-For that is none.
func (h *Handler) remote(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if len(h.proxies) == 0 || !h.trusted(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap()
		if !h.trusted(addr) {
			break
		}
	}
	return addr
}

func (h *Handler) trusted(a netip.Addr) bool {
	for _, p := range h.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// header gives a header's first value; the name must be canonical.
func header(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

package manage

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	jsonx "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/api"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
)

// Values of headers that are the same in every answer. net/http only reads them.
var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
)

// answer writes what a room said. Nothing of it may be kept by a cache.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, status int, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("encode the answer to %s: %w", r.Pattern, err)
	}
	write(w, status, b.Bytes())
	return nil
}

func write(w http.ResponseWriter, status int, body []byte) {
	head := w.Header()
	head["Content-Type"] = jsonType
	head["Cache-Control"] = noStore
	head["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // The caller has gone if this fails; what was asked is done.
}

// statusError is an error for which the fault's kind does not name the status.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// unprocessable says that a request is well formed and cannot be carried out.
func unprocessable(code, format string, args ...any) error {
	return &statusError{http.StatusUnprocessableEntity, fault.New(fault.Invalid, code, format, args...)}
}

// fail answers with a problem that bears the request's id.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	if api.RequestID(r.Context()) == "" {
		r = r.WithContext(api.WithRequestID(r.Context(), "req_"+h.random.name()))
	}
	api.WriteProblemAs(w, r, h.Logger, status, err)
}

// random draws names.
type random struct {
	mu   sync.Mutex
	from io.Reader
}

// name gives 24 hexadecimal digits that nobody has had.
func (r *random) name() string {
	var b [12]byte
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := io.ReadFull(r.from, b[:]); err != nil {
		return ""
	}
	return hex.EncodeToString(b[:])
}

// wrong is the error for one member of a request. Neither detail nor pointer
// may repeat a value.
func wrong(pointer, code, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	e := fault.New(fault.Invalid, code, "%s", detail)
	e.Fields = []fault.Field{{Pointer: pointer, Code: code, Detail: detail}}
	return e
}

// scratch is memory that requests use one after the other.
type scratch struct{ body, out, rec []byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// keptScratch is the most that is kept of a request's memory.
const keptScratch = 128 << 10

func (s *scratch) free() {
	if cap(s.body) > keptScratch {
		return
	}
	scratches.Put(s)
}

// read reads a body of at most limit bytes into s.body.
func (s *scratch) read(r *http.Request, limit int) error {
	s.body = s.body[:0]
	if enc := r.Header["Content-Encoding"]; len(enc) > 0 && enc[0] != "" && !strings.EqualFold(enc[0], "identity") {
		return &statusError{http.StatusUnsupportedMediaType, fault.New(fault.Invalid, "encoding_unknown", "bodies are sent here as they are, not packed")}
	}
	if r.ContentLength > int64(limit) {
		return tooLarge(limit)
	}
	if n := int(r.ContentLength); n >= 0 {
		if cap(s.body) < n {
			s.body = make([]byte, 0, n)
		}
		s.body = s.body[:n]
		_, err := io.ReadFull(r.Body, s.body)
		return readError(err)
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(r.Body, int64(limit)+1))
	if n > int64(limit) {
		return tooLarge(limit)
	}
	s.body = append(s.body, b.Bytes()...)
	return readError(err)
}

func tooLarge(limit int) error {
	return fault.New(fault.Limited, "payload_too_large", "the body has more than the %d bytes that are taken here", limit)
}

func readError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &statusError{http.StatusRequestTimeout, fault.New(fault.Unavailable, "body_too_slow", "the body did not arrive in time")}
	}
	return fault.New(fault.Invalid, "body_cut_short", "the body could not be read to its end")
}

// decode reads a JSON body into v; members that v does not know are refused.
func (h *Handler) decode(r *http.Request, limit int, v any) error {
	s := scratches.Get().(*scratch)
	defer s.free()
	if err := s.read(r, limit); err != nil {
		return err
	}
	return unmarshal(s.body, v)
}

func unmarshal(body []byte, v any) error {
	err := jsonx.Unmarshal(body, v, jsonx.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	var sem *jsonx.SemanticError
	if !errors.As(err, &sem) {
		return notJSON(err)
	}
	p := pointer(string(sem.JSONPointer))
	if errors.Is(err, jsonx.ErrUnknownName) {
		return wrong(p, "unknown_field", "there is no such field here; docs/api.md lists them")
	}
	return wrong(p, "wrong_type", "the value is not of the kind that is wanted here")
}

// notJSON says where a body stops being JSON, and nothing of what it holds.
func notJSON(err error) error {
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		return fault.New(fault.Invalid, "bad_json", "the body is not JSON, or names something twice, at byte %d", syn.ByteOffset)
	}
	return fault.New(fault.Invalid, "bad_json", "the body is not JSON: it ends too early")
}

// pointer gives a JSON pointer if it may be shown: what somebody else wrote as a
// name may be an address.
func pointer(p string) string {
	if len(p) > 80 {
		return ""
	}
	for i := range len(p) {
		switch c := p[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '/', c == '_', c == '-', c == '.':
		default:
			return ""
		}
	}
	return p
}

// named reads the name in a path. One that no thing can bear is not repeated in
// an answer: it may be an address.
func named(r *http.Request, part string) (string, error) {
	name := r.PathValue(part)
	if pointer(name) == "" {
		return "", fault.New(fault.NotFound, "no_such_name", "nothing can bear the name in this path")
	}
	return name, nil
}

// query reads parameters and collects what is wrong with them.
type query struct {
	values map[string][]string
	err    error
}

// queryOf reads the parameters of a request; those not named are refused.
func queryOf(r *http.Request, names ...string) *query {
	q := &query{values: r.URL.Query()}
	for name := range q.values {
		known := false
		for _, n := range names {
			known = known || n == name
		}
		if !known {
			q.fault("", "unknown_parameter", "this path takes only the parameters "+strings.Join(names, ", "))
		}
	}
	return q
}

func (q *query) fault(name, code, detail string) {
	if q.err == nil {
		e := fault.New(fault.Invalid, code, "%s", detail)
		if name != "" {
			e.Fields = []fault.Field{{Pointer: "?" + name, Code: code, Detail: detail}}
		}
		q.err = e
	}
}

func (q *query) text(name string) string {
	if v := q.values[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (q *query) number(name string, otherwise, most int64) int64 {
	s := q.text(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 || n > most {
		q.fault(name, "bad_"+name, fmt.Sprintf("%s is a whole number from 1 to %d", name, most))
		return otherwise
	}
	return n
}

func (q *query) flag(name string) bool {
	switch q.text(name) {
	case "", "false":
		return false
	case "true":
		return true
	}
	q.fault(name, "bad_"+name, name+" is true or false")
	return false
}

// instant reads a time, zero where none is given.
func (q *query) instant(name string) time.Time {
	s := q.text(name)
	if s == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		q.fault(name, "bad_"+name, name+" is a time in RFC 3339, 2026-03-01T12:00:00Z")
	}
	return at
}

// patience is how long a reader waits for the walk.
const patience = 5 * time.Second

// walked waits until the live lane is walked up to a position, and says of what takes
// longer that it is not yet.
func (h *Handler) walked(ctx context.Context, pos int64, what string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if h.Walk.Wait(ctx, eventlog.Live, pos) == nil {
		return nil
	}
	e := fault.New(fault.Unavailable, "not_walked_yet", "%s; ask again", what)
	e.RetryAfter = time.Second
	return e
}

package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"rapport/internal/fault"
)

// Problem is the body of an answer that says what went wrong, RFC 9457.
type Problem struct {
	Type     string        `json:"type"`
	Title    string        `json:"title"`
	Status   int           `json:"status"`
	Code     string        `json:"code"`
	Detail   string        `json:"detail,omitempty"`
	Instance string        `json:"instance,omitempty"` // the request's id
	Errors   []fault.Field `json:"errors,omitempty"`
}

// ProblemOf turns an error into what a caller may see of it. Of an Internal
// fault that is nothing but the fact.
func ProblemOf(err error) Problem {
	status := StatusOf(err)
	p := Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: fault.CodeOf(err)}
	var f *fault.Error
	if errors.As(err, &f) && f.Kind != fault.Internal {
		p.Detail, p.Errors = f.Detail, f.Fields
	} else {
		p.Code, p.Detail = "internal", "something went wrong on our side; the log has more under the request's id"
	}
	return p
}

// WriteProblem answers with an error. Internal ones are logged, for the caller
// does not hear what they were.
func WriteProblem(w http.ResponseWriter, r *http.Request, logger *slog.Logger, err error) {
	WriteProblemAs(w, r, logger, 0, err)
}

// WriteProblemAs answers with an error under a status of the caller's choice,
// where the fault's kind does not say enough; 0 means the one that fits.
func WriteProblemAs(w http.ResponseWriter, r *http.Request, logger *slog.Logger, status int, err error) {
	p := ProblemOf(err)
	if status != 0 {
		p.Status, p.Title = status, http.StatusText(status)
	}
	p.Instance = RequestID(r.Context())
	if p.Status == http.StatusInternalServerError && logger != nil {
		logger.ErrorContext(r.Context(), "request failed", "request_id", p.Instance, "code", fault.CodeOf(err), "error", err)
	}
	body, encodeErr := json.Marshal(p)
	if encodeErr != nil {
		http.Error(w, p.Title, p.Status)
		return
	}
	h := w.Header()
	SetRetry(h, err)
	h["Content-Type"] = []string{"application/problem+json"}
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // The caller has gone if this fails; there is nobody left to tell.
}

// SetRetry sets Retry-After where trying again later may help, in whole seconds
// and at least one.
func SetRetry(h http.Header, err error) {
	if s := RetrySeconds(err); s > 0 {
		h["Retry-After"] = []string{strconv.Itoa(s)}
	}
}

// RetrySeconds gives after how many seconds trying again may help, zero when it
// does not.
func RetrySeconds(err error) int {
	var f *fault.Error
	if !errors.As(err, &f) {
		return 0
	}
	switch {
	case f.RetryAfter > 0:
		return int(math.Ceil(min(f.RetryAfter, time.Hour).Seconds()))
	case f.Temp:
		return 1
	}
	return 0
}

type requestIDKey struct{}

// WithRequestID gives a context that carries the request's id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID reads what WithRequestID put there.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

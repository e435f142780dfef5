package collect

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"rapport/internal/api"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

// Values of headers that are the same in every answer. net/http only reads them.
var (
	jsonType      = []string{"application/json"}
	success       = []byte(`{"success":true}`)
	successLength = []string{strconv.Itoa(len(success))}
	jitsuSuccess  = []byte(`{"success":true,"ok":true}`)
	jitsuLength   = []string{strconv.Itoa(len(jitsuSuccess))}

	vary         = []string{"Origin"}
	exposed      = []string{"Retry-After, X-RateLimit-Reset"}
	methods      = []string{"GET, POST, OPTIONS"}
	day          = []string{"86400"}
	sentHeaders  = []string{"Authorization, Content-Type, Content-Encoding, X-Retry-Count, X-Write-Key, X-Enable-Debug, X-IP-Policy, AnonymousId, SentAt, Rsa-Recovered, Rsa-Retry-Attempt, Rsa-Since-Last-Attempt, Rsa-Since-First-Attempt, Rsa-Retry-Reason"}
	settingsAge  = []string{"public, max-age=60"}
	doNotStore   = []string{"no-store"}
	anyOriginMay = []string{"cross-origin"}
)

// allowOrigin lets web pages read the answer. Any page may: what a key is worth
// is decided by the key.
func allowOrigin(h http.Header, r *http.Request) {
	origin := r.Header["Origin"]
	if len(origin) == 0 || origin[0] == "" {
		return
	}
	h["Access-Control-Allow-Origin"] = origin[:1:1]
	h["Access-Control-Expose-Headers"] = exposed
	h["Cross-Origin-Resource-Policy"] = anyOriginMay
	h["Vary"] = vary
}

func preflight(w http.ResponseWriter) {
	h := w.Header()
	h["Access-Control-Allow-Methods"] = methods
	h["Access-Control-Allow-Headers"] = sentHeaders
	h["Access-Control-Max-Age"] = day
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) succeed(w http.ResponseWriter, r *http.Request) {
	h.ok.Inc()
	body, length := success, successLength
	if asks, _ := ofJitsu(r); asks {
		body, length = jitsuSuccess, jitsuLength
	}
	head := w.Header()
	head["Content-Type"] = jsonType
	head["Content-Length"] = length
	_, _ = w.Write(body) // The caller has gone if this fails; the events are safe.
}

// rejection is how an answer names an item that was not taken.
type rejection struct {
	Index  int    `json:"index"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	ID     int64  `json:"id,omitempty"`

	Pointer string `json:"pointer,omitempty"`
}

// namedRejections is how many an answer names.
const namedRejections = 20

func rejections(r ingest.Receipt) (out []rejection) {
	for _, x := range r.Rejected[:min(len(r.Rejected), namedRejections)] {
		out = append(out, rejection(x))
	}
	return out
}

// answer is the body of a success that has more to say.
type answer struct {
	Success   bool        `json:"success"`
	OK        bool        `json:"ok,omitempty"` // for Jitsu's SDK
	Processed any         `json:"processed,omitempty"`
	Position  int64       `json:"position,omitempty"`
	Accepted  *int        `json:"accepted,omitempty"`
	Rejected  int         `json:"rejected,omitempty"`
	Problems  []rejection `json:"problems,omitempty"`
}

// answerRejected succeeds, as the SDKs need it, and says what was not taken.
func (h *Handler) answerRejected(w http.ResponseWriter, r *http.Request, got ingest.Receipt) {
	h.ok.Inc()
	asks, _ := ofJitsu(r)
	h.write(w, http.StatusOK, answer{Success: true, OK: asks, Rejected: len(got.Rejected), Problems: rejections(got)})
}

// answerWalked waits until the call's last event has been walked. What is
// durable is answered 200 whatever the walk does.
func (h *Handler) answerWalked(w http.ResponseWriter, r *http.Request, receipt ingest.Receipt, timeout time.Duration) {
	// The whole request has been read: its deadline must not end the waiting.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // A writer without deadlines has nothing to end it.
	asks, _ := ofJitsu(r)
	a := answer{
		Success: true, OK: asks, Processed: true, Position: receipt.Last, Accepted: &receipt.Accepted,
		Rejected: len(receipt.Rejected), Problems: rejections(receipt),
	}
	if receipt.Last > 0 {
		a.Processed = false
		if h.waiter != nil {
			ctx, cancel := context.WithTimeout(r.Context(), timeout)
			defer cancel()
			switch state, err := h.waiter.WaitPosition(ctx, receipt.Lane, receipt.Last); {
			case err != nil:
			case state == SetAside:
				a.Processed = SetAside
			default:
				a.Processed = true
			}
		}
	}
	h.ok.Inc()
	h.write(w, http.StatusOK, a)
}

// failure is the body of an error, in the shape that the SDKs read.
type failure struct {
	Success bool          `json:"success"`
	OK      *bool         `json:"ok,omitempty"` // for Jitsu's SDK
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Error   string        `json:"error"`
	Errors  []fault.Field `json:"errors,omitempty"`
}

// fail answers with an error. Whatever may be tried again says when.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	f := failure{Code: "internal", Message: "something went wrong on our side; try again"}
	var known *fault.Error
	if errors.As(err, &known) && known.Kind != fault.Internal {
		f.Code, f.Message, f.Errors = known.Code, known.Detail, known.Fields
	} else if r.Context().Err() == nil {
		h.logger.ErrorContext(r.Context(), "taking events failed", "error", err)
	}
	f.Error = f.Message
	if status == http.StatusInternalServerError {
		status = http.StatusServiceUnavailable // Nothing was acknowledged: the sender must keep it.
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		wait := []string{strconv.Itoa(max(api.RetrySeconds(err), 1))}
		w.Header()["Retry-After"] = wait
		w.Header()["X-Ratelimit-Reset"] = wait
	}
	h.answers.WithLabelValues(f.Code).Inc()
	if asks, browser := ofJitsu(r); asks {
		f.OK = new(bool)
		if browser && status < http.StatusInternalServerError && w.Header()["Retry-After"] == nil {
			status = http.StatusOK
		}
	}
	h.write(w, status, f)
}

func (h *Handler) write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	head := w.Header()
	head["Content-Type"] = jsonType
	head["Content-Length"] = []string{strconv.Itoa(len(b))}
	if head["Cache-Control"] == nil {
		head["Cache-Control"] = doNotStore
	}
	w.WriteHeader(status)
	_, _ = w.Write(b) // The caller has gone if this fails; there is nobody left to tell.
}

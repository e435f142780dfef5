// Package api is what all doors share: how a fault becomes an answer (RFC 9457),
// how a caller's secret is read, which limits a server has before any handler
// runs. What comes in are requests and faults; what goes out are responses. It
// holds no route and calls no room.
package api

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"rapport/internal/fault"
)

// ServerConfig is what NewServer needs.
type ServerConfig struct {
	Handler http.Handler
	Logger  *slog.Logger
	// The deadlines; zero means the default in brackets.
	Header time.Duration // to send the whole header (5 s)
	Read   time.Duration // to send header and body (20 s)
	Write  time.Duration // to answer (60 s)
	Idle   time.Duration // between two requests (120 s)
}

// MaxHeaderBytes is how large a request's line and header may be together; more
// is answered 431.
const MaxHeaderBytes = 32 << 10

// NewServer makes a server that slow and greedy callers cannot occupy: each
// part of a request has a deadline and a size.
func NewServer(c ServerConfig) *http.Server {
	or := func(d, otherwise time.Duration) time.Duration {
		if d > 0 {
			return d
		}
		return otherwise
	}
	s := &http.Server{
		Handler:           c.Handler,
		ReadHeaderTimeout: or(c.Header, 5*time.Second),
		ReadTimeout:       or(c.Read, 20*time.Second),
		WriteTimeout:      or(c.Write, 60*time.Second),
		IdleTimeout:       or(c.Idle, 120*time.Second),
		// net/http adds 4 KB of its own to what it allows.
		MaxHeaderBytes: MaxHeaderBytes - 4096,
	}
	if c.Logger != nil {
		s.ErrorLog = slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug)
	}
	return s
}

// Secret reads the secret that a caller shows: of Authorization, Bearer or
// Basic (its user, or its password when the user is empty; the colon may be
// missing). "" when there is none or it cannot be read.
func Secret(h http.Header) string {
	value := first(h, "Authorization")
	if value == "" {
		return ""
	}
	scheme, rest, ok := strings.Cut(value, " ")
	if !ok {
		return ""
	}
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return rest
	case strings.EqualFold(scheme, "Basic"):
		if len(rest) > 4096 {
			return ""
		}
		plain, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			if plain, err = base64.RawStdEncoding.DecodeString(rest); err != nil {
				return ""
			}
		}
		user, password, _ := strings.Cut(string(plain), ":")
		if user == "" {
			return password
		}
		return user
	}
	return ""
}

// first gives a header's first value; the name must be canonical.
func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// StatusOf gives the status that fits a fault.
func StatusOf(err error) int {
	switch fault.KindOf(err) {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Denied:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Limited:
		var f *fault.Error
		if errors.As(err, &f) && strings.HasPrefix(f.Code, "too_many_") {
			return http.StatusTooManyRequests
		}
		return http.StatusRequestEntityTooLarge
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

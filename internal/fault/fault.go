// Package fault is the one error type that callers branch on: a kind, a stable
// code, fields at fault, and whether trying again can help. Rooms return it;
// the doors turn it into their own dialect. It knows nothing of HTTP.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of trouble it is.
type Kind uint8

// The kinds, from the caller's fault to ours.
const (
	Internal    Kind = iota // a defect or an unexpected failure of ours
	Invalid                 // what was asked makes no sense as it stands
	Denied                  // permission is missing
	NotFound                // there is no such thing
	Conflict                // it contradicts what is already there
	Limited                 // a limit was reached; the error names it
	Unavailable             // not now; later it may work
)

var kindNames = [...]string{"internal", "invalid", "denied", "not_found", "conflict", "limited", "unavailable"}

// String gives the kind's stable name.
func (k Kind) String() string { return kindNames[k] }

// Field is one thing that is wrong, with where it stands as a JSON pointer.
type Field struct {
	Pointer string `json:"pointer"`
	Code    string `json:"code,omitempty"`
	Detail  string `json:"detail"`
}

// Error is a failure that a caller may branch on. Detail is a sentence for
// people and holds no personal data and no secret.
type Error struct {
	Kind       Kind
	Code       string        // stable, snake_case
	Detail     string        // what happened and what to do next
	Fields     []Field       // what exactly, where the fault lies in input
	RetryAfter time.Duration // when trying again may help; zero says nothing
	Temp       bool          // trying again may help
	Err        error         // the cause, if any
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Detail, e.Err)
	}
	return e.Code + ": " + e.Detail
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind with a stable code and a formatted detail.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Detail: fmt.Sprintf(format, args...), Temp: kind == Unavailable}
}

// Wrap gives an existing error a kind and a code, and keeps it as the cause.
func Wrap(err error, kind Kind, code, format string, args ...any) *Error {
	e := New(kind, code, format, args...)
	e.Err = err
	return e
}

// KindOf finds the kind of an error; an error of no kind is Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// CodeOf finds the stable code of an error; an error of no code is "internal".
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return "internal"
}

// Temporary tells whether trying the same again may help.
func Temporary(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Temp
}

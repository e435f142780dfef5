// Package timer keeps one alarm for each person: the earliest instant at which
// something about them changes merely because time passes. What comes in are
// persons and instants; what goes out, in order of time, is who is due. An
// alarm may ring early (it was not worth moving) but never late, and it is a
// row, never a sleeping goroutine. What an alarm means is decided in the walk.
package timer

import "rapport/internal/id"

// Alarm is one armed row: a person and the instant, in Unix milliseconds of
// business time.
type Alarm struct {
	Who id.Person
	Due int64
}

// Store keeps alarms. It is one accessor of a transaction and is used by one
// goroutine at a time.
type Store interface {
	// Arm adds a row; Disarm removes it. Neither minds if there is nothing to do.
	Arm(a Alarm) error
	Disarm(a Alarm) error
	// DueBy gives up to limit alarms with Due ≤ until that come after the given
	// one in the order (Due, Who).
	DueBy(until int64, after Alarm, limit int) ([]Alarm, error)
	// Next gives the earliest alarm, false when none is armed.
	Next() (Alarm, bool, error)
}

// Package profile folds events into one picture of a person: traits, tallies,
// history, first and last seen. What goes out is a view bound to a purpose. It
// never decides who an event is about and never reads a clock.
package profile

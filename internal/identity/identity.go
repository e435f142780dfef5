// Package identity decides who an event is about: which identifiers it
// carries, whom they belong to, when two people are one, and how that is
// written down so that it can be undone. It never touches traits or segments.
package identity

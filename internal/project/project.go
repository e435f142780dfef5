// Package project is the configuration folder: parse, cross-check, version,
// difference. What comes in are files written by people; what goes out is one
// checked configuration or every mistake at once, with file, line and what to
// write instead. It never applies anything by itself.
package project

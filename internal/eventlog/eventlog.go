// Package eventlog is the append-only spine: lanes of records, grouped into
// frames, durable before anybody hears of it. What comes in are events; what
// goes out are the same events with their position. It never interprets them.
package eventlog

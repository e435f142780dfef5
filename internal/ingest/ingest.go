// Package ingest takes what a door has read, validates it, asks permission,
// completes it and appends it to the log. What comes in are raw Segment-shaped
// objects; what goes out are durable records or rejections with a code. It
// knows nothing of HTTP.
package ingest

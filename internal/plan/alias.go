package plan

import "unsafe"

// alias shows bytes as a text without copying them. The text is read while the
// event is judged and kept by nobody.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // The comment above is the promise.

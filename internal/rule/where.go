package rule

// Where is a conjunction of comparisons on the properties of an event. It is
// immutable and safe for use by many goroutines; nil matches every event.
type Where struct{ text string }

// Match says whether an event with these properties counts. It allocates nothing.
func (w *Where) Match(props *Object) bool { return w == nil }

// String gives the canonical text, "" for nil.
func (w *Where) String() string {
	if w == nil {
		return ""
	}
	return w.text
}

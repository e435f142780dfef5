package liquid

// Guard says what a template does about a value that may be missing.
type Guard uint8

// The guards, weakest first.
const (
	// GuardNone is a value printed or used as it is.
	GuardNone Guard = iota
	// GuardTested is a value read inside, or by, a test of itself.
	GuardTested
	// GuardDefault is a value with a default filter.
	GuardDefault
)

// Read is a value that a template reads.
type Read struct {
	Path  string
	Guard Guard
	Position
}

// Reads lists every value that the template and its partials read, in order of place.
func (t *Template) Reads() []Read { return t.reads }

// Warnings lists what is allowed but probably not meant.
func (t *Template) Warnings() []Error {
	out := make([]Error, len(t.prog.warnings))
	for i, w := range t.prog.warnings {
		out[i] = *w
	}
	return out
}

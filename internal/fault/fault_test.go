package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"rapport/internal/fault"
)

func TestWhatCallersBranchOnSurvivesWrapping(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("do: %w", fault.Wrap(io.ErrUnexpectedEOF, fault.Limited, "too_many", "%d of %d", 3, 2))
	if fault.KindOf(err) != fault.Limited || fault.CodeOf(err) != "too_many" || fault.Temporary(err) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %s %s %v", fault.KindOf(err), fault.CodeOf(err), err)
	}
	if !fault.Temporary(fmt.Errorf("do: %w", &fault.Error{Kind: fault.Unavailable, Temp: true})) {
		t.Error("a temporary error is not known as one")
	}
	if fault.KindOf(io.EOF) != fault.Internal || fault.CodeOf(io.EOF) != "internal" || fault.Temporary(io.EOF) {
		t.Error("an unknown error is internal and stays")
	}
}

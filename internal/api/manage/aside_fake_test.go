package manage_test

import (
	"context"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

// nothingAside has nothing to send again: the true one is tried over a whole house.
type nothingAside struct{}

func (nothingAside) ResendAside(context.Context, eventlog.Lane, int64, []byte, bool) (ingest.Receipt, error) {
	return ingest.Receipt{}, fault.New(fault.NotFound, "not_set_aside", "nothing was set aside")
}

func (nothingAside) DropAside(context.Context, eventlog.Lane, int64) error {
	return fault.New(fault.NotFound, "not_set_aside", "nothing was set aside")
}

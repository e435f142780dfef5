// Package processor walks each record of the log through identity, profile,
// segment, journey and outbox in one transaction and moves its position. It
// holds no rule of its own.
package processor

import "errors"

// ErrMoved says that another walker has moved the lane's position: this batch
// must not commit.
var ErrMoved = errors.New("another walker has moved the lane")

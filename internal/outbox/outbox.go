// Package outbox is what is owed: mails with their key, due time, class,
// attempts and story, and the rules of when one may be handed over (validity,
// caps, quiet hours). What comes in are intents and outcomes; what goes out is
// the next mail to claim. It never renders, never talks to a provider.
package outbox

import (
	"crypto/sha256"
	"errors"

	"rapport/internal/id"
)

// KeyHash is what a mail's key is kept as: the first 16 bytes of its SHA-256.
func KeyHash(key string) (h id.Hash) {
	sum := sha256.Sum256([]byte(key))
	copy(h[:], sum[:])
	return h
}

// ErrStale says that somebody else has claimed the mail since: the result in
// hand is recorded, never applied.
var ErrStale = errors.New("the mail was claimed again since")

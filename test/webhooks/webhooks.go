// Package webhooks holds no code of its own: its tests let the true binary tell
// receivers that check what they get with the public libraries, and kill it while
// it does. The library for Node stands in npm.
package webhooks

// Package acme holds no code of its own: its test lets the true binary get its
// certificate from an authority of the ACME protocol, Let's Encrypt's own stand-in
// Pebble, which is built in the folder pebble.
package acme

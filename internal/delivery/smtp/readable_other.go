//go:build !unix

package smtprelay

import "net"

// readable cannot look without reading here; that a connection has ended shows
// when it is used.
func readable(net.Conn) bool { return false }

//go:build unix

package smtprelay

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readable tells whether a read would return at once: with bytes, with the end of
// the connection or with an error. It takes nothing away and never waits.
func readable(c net.Conn) bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false // not a socket; its end shows when it is used
	}
	raw, err := s.SyscallConn()
	if err != nil || c.SetReadDeadline(time.Time{}) != nil {
		return true // it is closed
	}
	var one [1]byte
	ready := true
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		ready = err != unix.EAGAIN && err != unix.EINTR
		return true
	})
	return err != nil || ready
}

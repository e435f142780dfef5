package pgstore

import (
	"net"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"rapport/internal/fault"
)

// safely adds sslmode=verify-full to an address that leaves this machine and does
// not say itself what it wants: the driver's own default would take any server
// for the right one, or go on without TLS.
func safely(address string) (string, error) {
	conf, err := pgx.ParseConfig(address)
	if err != nil {
		return "", errAddress()
	}
	if local(conf.Host) || strings.Contains(address, "sslmode=") {
		return address, nil
	}
	if !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		return address + " sslmode=verify-full", nil // the other form: words of key=value
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", errAddress()
	}
	q := u.Query()
	q.Set("sslmode", "verify-full")
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// local tells whether a host is a socket's folder or the loopback.
func local(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}

// errAddress leaves out the driver's text, which names the address and so maybe
// a password.
func errAddress() error {
	return fault.New(fault.Invalid, "database_url",
		"the database's address cannot be read; write postgres://USER@HOST:PORT/DATABASE")
}

package pgtest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// Wire counts how often those who come through it wait for the database: each
// Sync and each simple query of PostgreSQL's protocol is one round trip, however
// many statements are sent before it.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
type Wire struct{ trips atomic.Int64 }

// Count gives the round trips that fn makes. Nobody else may come through meanwhile.
func (w *Wire) Count(fn func()) int {
	before := w.trips.Load()
	fn()
	return int(w.trips.Load() - before)
}

// Counted puts a wire before a database of a cluster, and gives the address of
// the database as it is reached through it.
func Counted(tb testing.TB, address string) (string, *Wire) {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	socket := filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432")
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	w := &Wire{}
	go func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go w.relay(c, socket)
			}
		}
	}()
	u.Host, u.RawQuery = l.Addr().String(), "sslmode=disable"
	return u.String(), w
}

func (w *Wire) relay(c net.Conn, socket string) {
	defer func() { _ = c.Close() }()
	db, err := new(net.Dialer).DialContext(context.Background(), "unix", socket)
	if err != nil {
		return // The client hears that nobody is there.
	}
	defer func() { _ = db.Close() }()
	go func() {
		_, _ = io.Copy(c, db) // Whoever ends first ends both.
		_ = c.Close()
	}()
	w.forward(bufio.NewReaderSize(c, 1<<16), db)
}

// forward gives the client's messages on, one by one, until either side ends.
func (w *Wire) forward(from *bufio.Reader, to io.Writer) {
	for startup := true; ; startup = false {
		head := make([]byte, 5)
		if startup { // It alone has no type.
			head = head[1:]
		}
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		size := int64(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
		if kind := head[0]; !startup && (kind == 'S' || kind == 'Q') {
			w.trips.Add(1)
		}
		if _, err := to.Write(head); err != nil {
			return
		}
		if _, err := io.CopyN(to, from, size); err != nil {
			return
		}
	}
}

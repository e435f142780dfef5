// Package dnstest is a name server on loopback whose answers a test chooses. What
// comes in are records; what goes out are answers over UDP and TCP, as any
// name server gives them. It is never part of the product.
package dnstest

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Record is what one name has. A name that is listed exists; all others do not.
type Record struct {
	TXT     []string
	MX      []string
	A       []string
	CNAME   string
	Failing bool // the server says that it cannot tell
}

// Zone is records by name, without a dot at the end.
type Zone map[string]Record

// Serve answers until the test ends, over UDP and TCP, and gives the server's address.
func Serve(t testing.TB, z Zone) string {
	t.Helper()
	udp, tcp := listen(t)
	var all sync.WaitGroup
	all.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return // The test has ended.
			}
			if answer, err := z.answer(buf[:n]); err == nil {
				_, _ = udp.WriteTo(answer, from) // Whoever asked asks again.
			}
		}
	})
	all.Go(func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return // As above.
			}
			all.Go(func() { z.talk(conn) })
		}
	})
	t.Cleanup(func() {
		_, _ = udp.Close(), tcp.Close() // It ends the reading.
		all.Wait()
	})
	return udp.LocalAddr().String()
}

// listen takes one port for both.
func listen(t testing.TB) (udp net.PacketConn, tcp net.Listener) {
	t.Helper()
	var lc net.ListenConfig
	for range 20 {
		udp, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if tcp, err = lc.Listen(t.Context(), "tcp", udp.LocalAddr().String()); err == nil {
			return udp, tcp
		}
		_ = udp.Close() // Its number belongs to somebody else's TCP.
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

// talk answers what is asked over one connection, which has the length of each
// message before it.
func (z Zone) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }() // Who asked has what they wanted, or has gone.
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		answer, err := z.answer(query)
		if err != nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

func (z Zone) answer(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: h.ID, Response: true, Authoritative: true, RecursionDesired: h.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	name := q.Name
	for range 8 { // as many names as may follow each other
		r, ok := z[strings.ToLower(strings.TrimSuffix(name.String(), "."))]
		switch {
		case r.Failing:
			out.RCode = dnsmessage.RCodeServerFailure
		case !ok && len(out.Answers) == 0:
			out.RCode = dnsmessage.RCodeNameError
		}
		if r.CNAME == "" {
			out.Answers = append(out.Answers, r.resources(name, q.Type)...)
			break
		}
		next, err := dnsmessage.NewName(r.CNAME + ".")
		if err != nil {
			return nil, err
		}
		out.Answers = append(out.Answers, dnsmessage.Resource{Header: header(name, dnsmessage.TypeCNAME), Body: &dnsmessage.CNAMEResource{CNAME: next}})
		name = next
	}
	return out.Pack()
}

func header(name dnsmessage.Name, kind dnsmessage.Type) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: name, Type: kind, Class: dnsmessage.ClassINET, TTL: 1}
}

func (r Record) resources(name dnsmessage.Name, kind dnsmessage.Type) (out []dnsmessage.Resource) {
	add := func(b dnsmessage.ResourceBody) {
		out = append(out, dnsmessage.Resource{Header: header(name, kind), Body: b})
	}
	switch kind {
	case dnsmessage.TypeTXT:
		for _, text := range r.TXT {
			var parts []string
			for len(text) > 255 {
				parts, text = append(parts, text[:255]), text[255:]
			}
			add(&dnsmessage.TXTResource{TXT: append(parts, text)})
		}
	case dnsmessage.TypeMX:
		for i, host := range r.MX {
			add(&dnsmessage.MXResource{Pref: uint16(10 * i), MX: dnsmessage.MustNewName(strings.TrimSuffix(host, ".") + ".")})
		}
	case dnsmessage.TypeA:
		for _, a := range r.A {
			if ip := net.ParseIP(a).To4(); ip != nil {
				add(&dnsmessage.AResource{A: [4]byte(ip)})
			}
		}
	}
	return out
}

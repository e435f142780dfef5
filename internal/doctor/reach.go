package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"rapport/internal/project"
)

// reachPatience is how long one mail server may take to greet.
const reachPatience = 10 * time.Second

// providerReach tells whether mail servers greet whoever comes from here.
func (p *Patient) providerReach(ctx context.Context) (out []Finding) {
	if p.Dial == nil {
		return nil
	}
	for _, d := range p.Config.Providers {
		if d.Kind != project.SMTPProvider {
			continue
		}
		address := net.JoinHostPort(d.Host, strconv.Itoa(d.Port))
		if err := p.greeted(ctx, d, address); err != nil {
			out = append(out, found(Danger, d.Name, fmt.Sprintf("%s does not greet: %v", address, err), "look at host, port and tls in providers/"+d.Name+".yaml, and whether this machine may connect there"))
			continue
		}
		out = append(out, fine(d.Name, address+" greets"))
	}
	return out
}

func (p *Patient) greeted(ctx context.Context, d project.Provider, address string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	conn, err := p.Dial(ctx, "tcp", address)
	if err != nil {
		return plain(err)
	}
	defer func() { _ = conn.Close() }() // It has said what was asked.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if d.TLS == "implicit" {
		secure := tls.Client(conn, &tls.Config{ServerName: d.Host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: d.CAFile != ""}) //nolint:gosec // Whoever sends checks it against that file; here it is only greeted.
		if err := secure.HandshakeContext(ctx); err != nil {
			return plain(err)
		}
		conn = secure
	}
	line, err := bufio.NewReaderSize(conn, 1024).ReadString('\n')
	if err != nil {
		return plain(err)
	}
	if !strings.HasPrefix(line, "220") {
		return fmt.Errorf("it answers %.3s", line)
	}
	return nil
}

// plain gives the reason alone: the address stands before it.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

// Command rapport is the whole product in one binary: the server, and the tools
// that make, check and change its configuration, send events and mails to it,
// and ask it why somebody did or did not get one. `rapport help` says more.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "time/tzdata" // zones are known on machines that have none
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	c := &console{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		env: os.LookupEnv, now: time.Now, zone: time.Local,
		terminal: isTerminal(os.Stdout), asks: isTerminal(os.Stdin) && isTerminal(os.Stderr),
		watched: isTerminal(os.Stderr),
	}
	code := run(ctx, c, os.Args[1:])
	stop()
	os.Exit(code)
}

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"rapport/internal/api"
	"rapport/internal/cert"
	"rapport/internal/doctor"
	"rapport/internal/fault"
	"rapport/internal/project"
	"rapport/internal/telemetry"
)

// Doors says where a house listens.
type Doors struct {
	Listen string // host:port of every door
	// Listener is taken instead of Listen, and Handler instead of the house's
	// own, where somebody else has made them.
	Listener net.Listener
	Handler  http.Handler
	// TLS says where the certificate comes from; nil: there is none.
	TLS *cert.Config
	// HTTP is where plain HTTP is listened to beside TLS: it answers authorities, and
	// tells who merely looks where the doors are; "": nowhere.
	HTTP string
	// Plain lets others than this machine reach the doors without TLS, as a proxy does.
	Plain bool
	Admin string // loopback host:port of metrics, profiles and the development inbox; "": none
	SMTP  string // loopback host:port at which the development inbox takes mail; "": none
	// Open is called with the real addresses once callers are let in.
	Open func(address, admin string)
}

// stopDoors is how long callers may take to finish when the house stops.
const stopDoors = 10 * time.Second

// Serve opens the doors, runs the house until the context ends, and closes
// them again first: what was answered is durable, and what is on the wire may
// come to its end. A folder that differs from what is in effect is applied.
func (h *House) Serve(ctx context.Context, d Doors, config *project.Config) error {
	if err := d.Check(); err != nil {
		return err
	}
	if d.Handler == nil {
		d.Handler = h.doors
	}
	server := api.NewServer(api.ServerConfig{Handler: d.Handler, Logger: h.logger})
	if err := h.certify(&d, server); err != nil {
		return err
	}
	listener, err := d.listener(ctx)
	if err != nil {
		return err
	}
	plainServer, plain, err := h.beside(ctx, &d)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	var admin net.Listener
	adminServer := telemetry.NewServer(h.Metrics)
	adminServer.Handler = h.adminPages(adminServer.Handler)
	if d.Admin != "" {
		if admin, err = telemetry.Listen(ctx, d.Admin); err != nil {
			return errors.Join(cannotListen(err, d.Admin, "--admin (metrics, profiles and the development inbox)"), shut(listener, plain))
		}
	}
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var group sync.WaitGroup
	ended := make(chan error, 6)
	if d.SMTP != "" {
		mail, err := telemetry.Listen(ctx, d.SMTP)
		if err != nil {
			return errors.Join(cannotListen(err, d.SMTP, "--inbox-smtp"), shut(listener, plain))
		}
		group.Go(func() { ended <- h.inbox.ServeSMTP(inner, mail) })
	}
	group.Go(func() {
		err := h.Run(inner)
		stop() // whoever waits for the walk must not wait for ever
		ended <- err
	})
	if err := h.Begin(inner, config); err != nil {
		stop()
		if rerr := <-ended; rerr != nil {
			err = rerr // why the walk ended is why nothing began
		}
		err = errors.Join(err, shut(listener, plain))
		group.Wait()
		return err
	}
	if keeper := h.certificate.Load(); keeper != nil {
		if plain != nil {
			plainServer.Handler = toTLS(keeper, portOf(h.base(h.edition().config), listener.Addr().String()))
			group.Go(func() { ended <- serve(plainServer, plain) })
		}
		group.Go(func() { ended <- keeper.Run(inner, listener.Addr().String(), addressOf(plain)) })
	}
	group.Go(func() { ended <- serve(server, listener) })
	if admin != nil {
		group.Go(func() { ended <- serve(adminServer, admin) })
	}
	h.open.Store(&doctor.Doors{Address: listener.Addr().String(), TLS: d.TLS != nil, Loopback: telemetry.IsLoopback(listener.Addr().String())})
	if d.Open != nil {
		d.Open(listener.Addr().String(), addressOf(admin))
	}
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopDoors)
	defer cancel()
	if serr := server.Shutdown(closing); serr != nil {
		h.logger.Warn("callers were cut off", "error", serr)
		_ = server.Close() // They had their time.
	}
	_ = adminServer.Close() // Metrics have no state to lose.
	if plainServer != nil {
		_ = plainServer.Close() // Nor has it.
	}
	stop()
	group.Wait()
	return err
}

// adminPages adds the development inbox, under /inbox/, to what the loopback
// listener shows: its mails are nobody else's business.
func (h *House) adminPages(rest http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/inbox/", http.StripPrefix("/inbox", h.inbox.Handler()))
	mux.Handle("/", rest)
	return mux
}

func addressOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// shut closes what was listened to in vain.
func shut(list ...net.Listener) (err error) {
	for _, l := range list {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

func serve(s *http.Server, l net.Listener) error {
	run := s.Serve
	if s.TLSConfig != nil {
		run = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	if err := run(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (d *Doors) listener(ctx context.Context) (net.Listener, error) {
	if d.Listener != nil {
		return d.Listener, nil
	}
	return listen(ctx, d.Listen)
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, cannotListen(err, address, "--listen")
	}
	return l, nil
}

// cannotListen says which flag names another address.
func cannotListen(err error, address, flag string) error {
	return fault.Wrap(err, fault.Conflict, "cannot_listen", "cannot listen on %s (%s): stop what listens there, or choose another address with %s", address, reason(err), flag)
}

// ShowsInbox tells whether mails of the configuration in effect go to the
// development inbox, which the admin listener shows.
func (h *House) ShowsInbox() bool {
	return slices.ContainsFunc(h.edition().config.Providers, func(p project.Provider) bool { return p.Kind == project.DevinboxProvider })
}

func reason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	return fmt.Sprint(err)
}

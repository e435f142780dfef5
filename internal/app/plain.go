package app

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"rapport/internal/api"
	"rapport/internal/cert"
	"rapport/internal/fault"
)

// beside listens for plain HTTP where that is wanted beside the doors under TLS.
func (h *House) beside(ctx context.Context, d *Doors) (*http.Server, net.Listener, error) {
	if d.HTTP == "" {
		return nil, nil, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", d.HTTP)
	if err != nil {
		return nil, nil, cannotListen(err, d.HTTP, "--listen-http")
	}
	return api.NewServer(api.ServerConfig{Logger: h.logger}), l, nil
}

// toTLS answers plain HTTP: what authorities ask, and else where the doors are. Only
// who merely looks is sent on. Who sends something, or shows a key, is refused, for
// both have crossed the network readable, and nobody would notice.
func toTLS(k *cert.Keeper, port string) http.Handler {
	return k.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, ok := hostOf(r.Host)
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead, r.Header.Get("Authorization") != "":
			api.WriteProblem(w, r, nil, fault.New(fault.Denied, "https_only", "what is sent, and keys, are taken by https only: replace a key that was shown here, others could read it"))
		case !ok:
			api.WriteProblem(w, r, nil, fault.New(fault.Invalid, "bad_host", "the request names no host"))
		default:
			w.Header().Set("Location", "https://"+host+port+r.URL.RequestURI())
			w.WriteHeader(http.StatusPermanentRedirect)
		}
	}))
}

// hostOf gives the host of a Host header, without its port and as it stands in an address.
func hostOf(text string) (string, bool) {
	if name, _, err := net.SplitHostPort(text); err == nil {
		text = name
	}
	if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		if ip.Is6() {
			return "[" + ip.WithZone("").String() + "]", true
		}
		return ip.String(), true
	}
	text = strings.ToLower(text)
	return text, text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// portOf gives the port at which others reach the doors, ":" before it, "" where it is
// that of https: by what readers are told, else where it is listened.
func portOf(base, listen string) string {
	port := ""
	if u, err := url.Parse(base); err == nil && u.Scheme == "https" {
		port = u.Port()
	} else if _, port, err = net.SplitHostPort(listen); err != nil {
		return ""
	}
	if port == "" || port == "443" {
		return ""
	}
	return ":" + port
}

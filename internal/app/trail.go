package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"rapport/internal/audit"
	"rapport/internal/fault"
	"rapport/internal/fetch"
	"rapport/internal/message"
	"rapport/internal/project"
	"rapport/internal/store"
	"rapport/internal/store/noted"
)

// keepTrail has every act noted from here on, in its own transaction.
func (h *House) keepTrail() error {
	var err error
	h.trail, err = audit.New(audit.Config{
		Keeper: trailKeeper{h.state}, Key: h.keys.Trail, Now: h.clock.Now, Rand: rand.Reader, Logger: h.logger.With("room", "audit"),
	}, h.keys.TrailPublic)
	if err != nil {
		return err
	}
	h.checkpoints = &operatorMailer{h: h, way: func(w *project.Workspace) string { return w.Trail.Provider }}
	h.onClose(h.checkpoints.close)
	h.state = &noted.State{State: h.state, Trail: h.trail, Now: h.clock.Now, Hash: h.hasher.Sum}
	return nil
}

// trailKeeper joins the state store to the trail.
type trailKeeper struct{ state store.State }

func (k trailKeeper) Write(ctx context.Context, durable bool, fn func(audit.Store) error) error {
	return k.state.Write(ctx, store.WriteOptions{Priority: store.Idle, Durable: durable}, func(tx store.Tx) error { return fn(tx.Audit()) })
}

func (k trailKeeper) Hurry(ctx context.Context, fn func(audit.Store) error) error {
	return k.state.Write(ctx, store.WriteOptions{Priority: store.Narrowing}, func(tx store.Tx) error { return fn(tx.Audit()) })
}

func (k trailKeeper) Read(ctx context.Context, fn func(audit.Store) error) error {
	return k.state.Read(ctx, func(tx store.Tx) error { return fn(tx.Audit()) })
}

// useTrail follows a configuration. A simulation leaves nothing anywhere.
func (h *House) useTrail(c *project.Config) error {
	t := c.Workspace.Trail
	var to []audit.Place
	if h.Wire != nil {
		h.trail.Use(t.Every)
		return nil
	}
	if t.File != "" {
		to = append(to, audit.Place{To: fileLeaver(t.File)})
	}
	if t.Webhook != "" {
		client, err := fetch.New(fetch.Config{Private: t.Private, Timeout: webhookPatience, Now: utcNow})
		if err != nil {
			return err
		}
		to = append(to, audit.Place{To: &webhookLeaver{t.Webhook, client}})
	}
	for _, address := range t.Mail {
		to = append(to, audit.Place{To: &mailLeaver{h, address}, Every: t.MailEvery})
	}
	h.trail.Use(t.Every, to...)
	return nil
}

// fileLeaver puts checkpoints at the end of a file, one a line.
type fileLeaver string

// Name implements audit.Leaver.
func (f fileLeaver) Name() string { return "file:" + string(f) }

// Leave implements audit.Leaver.
func (f fileLeaver) Leave(_ context.Context, p *audit.Parcel) (err error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(string(f), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := out.Write(append(raw, '\n')); err != nil {
		return err
	}
	return out.Sync()
}

// webhookPatience is how long one request may take: what could not leave is tried again.
const webhookPatience = 10 * time.Second

// webhookLeaver posts checkpoints, by the client that goes where it may only.
type webhookLeaver struct {
	address string
	client  *fetch.Client
}

// Name implements audit.Leaver.
func (w *webhookLeaver) Name() string {
	u, err := url.Parse(w.address)
	if err != nil {
		return "webhook"
	}
	return "webhook:" + u.Host // The rest may be a secret.
}

// Leave implements audit.Leaver.
func (w *webhookLeaver) Leave(ctx context.Context, p *audit.Parcel) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	answer, err := w.client.Post(ctx, w.address, http.Header{"Content-Type": {"application/json"}}, raw)
	if err == nil && (answer.Status < 200 || answer.Status > 299) {
		err = fault.New(fault.Unavailable, "checkpoint_refused", "it was answered %d", answer.Status)
	}
	return err
}

// mailLeaver mails checkpoints to one address.
type mailLeaver struct {
	h  *House
	to string
}

// Name implements audit.Leaver. It tells the domain, and somebody's address to nobody.
func (m *mailLeaver) Name() string {
	sum := m.h.hasher.Sum("trail.mail", m.to)
	return "mail:" + m.to[strings.LastIndexByte(m.to, '@')+1:] + "/" + sum.String()[:8]
}

// Leave implements audit.Leaver. A mail of which nobody knows whether it left has
// not: a second one does no harm.
func (m *mailLeaver) Leave(ctx context.Context, p *audit.Parcel) error {
	mail, err := checkpointMail(p, m.h.trail.Key())
	if err != nil {
		return err
	}
	out, err := m.h.checkpoints.send(ctx, []string{m.to}, mail)
	if err == nil && out[0].Verdict != message.SentOK {
		err = notMailed(&out[0])
	}
	return err
}

// checkpointMail writes what whoever keeps it is to know. The note stands in it as it
// was signed, so that the saved mail is all that a later check needs.
func checkpointMail(p *audit.Parcel, key string) (operatorMail, error) {
	v, err := audit.Verifier(key)
	if err != nil {
		return operatorMail{}, err
	}
	tree, at, err := audit.OpenCheckpoint(p.Checkpoint, v)
	if err != nil {
		return operatorMail{}, err
	}
	return operatorMail{
		About:   "checkpoint",
		Subject: fmt.Sprintf("checkpoint of the trail: %d rows, %s", tree.Size, at.UTC().Format("2006-01-02 15:04 UTC")),
		Text: `Below is the signed state of the trail, in which everything stands that was
done with people's data. Keep this mail where nobody who holds the server can
change it: with it, and the public key, anybody can check later that nothing
was changed in what the trail held by then.

` + p.Checkpoint + `
To check, save this mail to a file:

  rapport audit export > trail.bundle
  rapport audit verify trail.bundle --key trail.key --checkpoint mail.eml

The public key is printed by ` + "`rapport audit key`" + `; keep it elsewhere as well.
`,
	}, nil
}

package manage

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"rapport/internal/access"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/processor"
)

// house is the source name of the house's own records.
const house = "rapport"

// keyPrefix begins the outbox key of every mail that this door asks for.
const keyPrefix = "api/"

// postSend takes a request for one mail. The answer comes when the request is
// durable. Under one idempotency key there is one mail, also across restarts:
// of late keys the memory knows, of older ones the outbox.
func (h *Handler) postSend(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	s := scratches.Get().(*scratch)
	defer s.free()
	if err := s.read(r, maxSendBody); err != nil {
		return err
	}
	req, err := parseSend(s.body)
	if err != nil {
		return err
	}
	s.out = append(s.out[:0], keyPrefix...)
	s.out = append(s.out, key...)
	keyed := digestOf(s.out)
	request := digestOf(req.appendCanonical(append(s.out, 0)))

	a, mine, err := h.once.begin(keyed, request)
	switch {
	case err != nil:
		return err
	case !mine:
		return h.asked(w, r, keyPrefix+key, a, request)
	}
	// What is begun is carried to its end, whether or not the caller stays: only
	// so is it known what became of it.
	var (
		mail    id.Message
		pos     int64
		earlier *explain.Owed
	)
	err = errUnfinished // Also a panic ends what is begun.
	defer func() { h.once.end(keyed, a, mail, pos, err) }()
	mail, pos, earlier, err = h.send(context.WithoutCancel(r.Context()), s, &req, keyPrefix+key, keyed, request)
	switch {
	case err != nil:
		return err
	case earlier != nil:
		h.accepted(w, s, earlier.ID, earlier.State, false)
	default:
		h.accepted(w, s, mail, "pending", true)
	}
	return nil
}

var errUnfinished = fault.New(fault.Internal, "unfinished", "a request for a mail was not carried to its end")

func idempotencyKey(head http.Header) (string, error) {
	v := head["Idempotency-Key"]
	if len(v) == 0 || v[0] == "" {
		return "", wrong("", "idempotency_key_required", "send an Idempotency-Key header: the same key again never sends a second mail")
	}
	for i := range len(v[0]) {
		if c := v[0][i]; c < 0x21 || c > 0x7e {
			return "", wrong("", "bad_idempotency_key", "an Idempotency-Key has visible ASCII characters only")
		}
	}
	if len(v) > 1 || len(v[0]) > maxSendKey {
		return "", wrong("", "bad_idempotency_key", "there is one Idempotency-Key of at most %d characters", maxSendKey)
	}
	return v[0], nil
}

// recordName names the record of a request by its content and its key, so that
// the mail's cause tells later whether another request is the same.
func recordName(request digest) string { return "send/" + hex.EncodeToString(request[:]) }

var errOtherRequest = unprocessable("idempotency_key_reused",
	"another request was made under this Idempotency-Key; take a new key for another mail")

// asked answers a request whose key somebody has used of late.
func (h *Handler) asked(w http.ResponseWriter, r *http.Request, key string, a *asked, request digest) error {
	if a.request != request {
		return errOtherRequest
	}
	if done := h.once.done(a); done != nil {
		select {
		case <-done:
		case <-r.Context().Done():
			return context.Cause(r.Context())
		}
	}
	if a.err != nil {
		return a.err
	}
	owed, found, err := h.Reader.ByKey(r.Context(), key)
	if err != nil {
		return err
	}
	if !found {
		owed.State = "pending"
	}
	s := scratches.Get().(*scratch)
	defer s.free()
	h.accepted(w, s, a.mail, owed.State, false)
	return nil
}

// send checks a request against the configuration and writes it down, unless
// its key stands in the outbox already.
func (h *Handler) send(ctx context.Context, s *scratch, req *sendRequest, key string, keyed, request digest) (mail id.Message, pos int64, earlier *explain.Owed, err error) {
	if err := h.settle(ctx); err != nil {
		return mail, 0, nil, err
	}
	var owed explain.Owed
	found := h.known.may(ctx, keyed)
	if found {
		owed, found, err = h.Reader.ByKey(ctx, key)
	}
	switch {
	case err != nil:
		return mail, 0, nil, err
	case found && owed.Cause == recordName(request):
		return owed.ID, 0, &owed, nil
	case found:
		return mail, 0, nil, errOtherRequest
	}
	if err := h.fits(ctx, req); err != nil {
		return mail, 0, nil, err
	}
	now := h.Now().UTC().Truncate(time.Millisecond)
	s.out = req.appendRecord(s.out[:0], key, now)
	e := event.Event{
		Type: event.Send, Source: house, MessageID: recordName(request), Time: now, Received: now,
		Person: int64(req.who), Properties: s.out,
	}
	if setPerson(&e, req.kind, req.value); req.kind == "" {
		e.Email = req.to
	}
	s.rec = e.Append(s.rec[:0])
	if pos, _, err = h.Log.Append(ctx, eventlog.Live, [][]byte{s.rec}); err == nil {
		h.known.add(keyed)
	}
	asked := processor.SendRequest{Key: key}
	return asked.MessageOf(now), pos, nil, err
}

// owedEver counts the mails that the outbox holds.
func (h *Handler) owedEver(ctx context.Context) (n int64, err error) {
	states, err := h.Reader.States(ctx)
	for _, many := range states {
		n += many
	}
	return n, err
}

// settle waits until everything that was in the log when the door was built is
// walked: only then does the outbox know the keys of a former process.
func (h *Handler) settle(ctx context.Context) error {
	if h.settled.Load() {
		return nil
	}
	if err := h.walked(ctx, h.began, "requests of before the restart are still being walked"); err != nil {
		return err
	}
	h.settled.Store(true)
	return nil
}

// fits holds a request against the configuration in effect.
func (h *Handler) fits(ctx context.Context, req *sendRequest) error {
	t, ok := h.Templates(req.template)
	switch {
	case !ok:
		return unprocessable("no_such_template", "the configuration in effect has no such template")
	case req.purpose != "" && req.purpose != string(t.Purpose):
		return unprocessable("other_purpose", "the template serves the purpose %s; leave purpose out or name that", t.Purpose)
	case t.Class.Marketing() && req.kind == "":
		return unprocessable("person_required", "the template is marketing: name the person, whose permission is asked")
	case req.provider != "" && !h.Providers(req.provider):
		return unprocessable("no_such_provider", "the configuration in effect has no such provider")
	}
	req.decidedPurpose, req.class = t.Purpose, t.Class
	if req.who == 0 {
		return nil
	}
	_, err := h.Reader.Living(ctx, req.who) // The walk finds who that is by then.
	return err
}

// accepted answers that a mail is owed.
func (h *Handler) accepted(w http.ResponseWriter, s *scratch, m id.Message, state string, isNew bool) {
	b := append(append(s.out[:0], `{"id":"`...), m.String()...)
	b = append(append(append(b, `","state":"`...), state...), `","new":`...)
	status := http.StatusOK
	if isNew {
		b, status = append(b, "true}\n"...), http.StatusAccepted
	} else {
		b = append(b, "false}\n"...)
	}
	s.out = b
	write(w, status, b)
}

package ingest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/scan"
	"rapport/internal/spec"
)

// work is the memory of one call. It is used again, so nothing in it may be
// handed out.
type work struct {
	call     *Call
	received time.Time // stamped on records
	arrived  time.Time // when the sender's sentAt was true

	check    checker
	items    []item
	context  []byte // the batch's own context, or nil
	allowed  []byte // the batch's own integrations, or nil
	sentAt   []byte // the batch's own sentAt, or nil
	events   []event.Event
	said     []Statement
	prefs    []Preference
	external []event.ExternalID
	arena    []byte // contexts that were written anew
	spec     spec.Check
	noted    []noted  // which of its findings are on which event
	judged   []judged // what the plan has found, in order of events
	encoded  []byte
	ends     []int
	records  [][]byte
	rejected []Rejection // handed out: made anew for each call
	payloads []payload
}

// payload is what is kept of a reject.
type payload struct {
	raw     []byte
	treated bool // personal data was treated, and what the batch said is in it
	refused bool // nothing of it is kept
}

func (w *work) begin(in *Ingest, c *Call) {
	w.call = c
	w.received = in.now().UTC().Truncate(time.Millisecond)
	w.arrived = w.received
	if !c.arrived.IsZero() && c.arrived.Before(w.received) {
		w.arrived = c.arrived
	}
	if quoted := `"` + c.Sent + `"`; c.Sent != "" {
		if _, ok := instant([]byte(quoted)); ok {
			w.sentAt = []byte(quoted)
		}
	}
}

// Memory that one exceptional call needed is not kept for all the others.
const (
	keepBytes = 1 << 20
	keepItems = 4096
	keepProps = 64 << 10
)

func (in *Ingest) release(w *work) {
	if w.spec.Room() > keepBytes || cap(w.encoded) > keepBytes || cap(w.arena) > keepBytes || cap(w.events) > keepItems || cap(w.prefs) > keepItems || cap(w.check.props) > keepProps {
		return
	}
	clear(w.items)
	clear(w.events)
	clear(w.said)
	clear(w.records)
	clear(w.judged)
	clear(w.payloads)
	w.spec.Reset()
	*w = work{
		spec: w.spec, noted: w.noted[:0], judged: w.judged[:0],
		check: checker{keys: w.check.keys[:0], props: w.check.props[:0]}, items: w.items[:0], events: w.events[:0], said: w.said[:0], prefs: w.prefs[:0], external: w.external[:0],
		arena: w.arena[:0], encoded: w.encoded[:0], ends: w.ends[:0], records: w.records[:0], payloads: w.payloads[:0],
	}
	in.pool.Put(w)
}

func (w *work) slices() [][]byte {
	begin := 0
	for _, end := range w.ends {
		w.records = append(w.records, w.encoded[begin:end])
		begin = end
	}
	return w.records
}

func (w *work) reject(index int, p problem, raw []byte) {
	w.rejected = append(w.rejected, Rejection{Index: index, Code: p.code, Detail: p.detail})
	w.payloads = append(w.payloads, payload{raw: raw})
}

// split finds the items of the call, without reading them.
func (in *Ingest) split(w *work) problem {
	body := w.call.Body
	if len(body) >= 3 && string(body[:3]) == "\ufeff" {
		body = body[3:]
	}
	if len(body) > in.MaxBody(w.call.Type) {
		return in.tooLarge(w.call.Type)
	}
	i := scan.Space(body, 0)
	if i == len(body) {
		return problem{CodeBadRequest, "the body is empty"}
	}
	if body[i] != '{' {
		return problem{CodeBadRequest, "the body is not a JSON object"}
	}
	w.check = checker{b: body, keys: w.check.keys[:0], props: w.check.props[:0], maxDepth: in.limits.Depth, maxKeys: in.limits.Keys}
	if w.call.Type == event.Unknown {
		return in.splitBatch(w, body, i)
	}
	end, ok := w.addItem(in, i)
	switch {
	case w.items[0].facts.Depth > in.limits.Depth:
		w.items[0].whole.To = uint32(len(body)) // It is kept whole; what follows was not looked at.
	case !ok || scan.Space(body, end) != len(body):
		w.items = w.items[:0]
		return problem{CodeJSON, "the body is not valid JSON"}
	}
	return problem{}
}

// addItem adds the item that begins at i, checked where it is as simple as
// almost all are, else only measured, and gives the place behind it. ok is false
// when it does not end.
func (w *work) addItem(in *Ingest, i int) (end int, ok bool) {
	w.items = append(w.items, item{})
	it := &w.items[len(w.items)-1]
	if w.check.b[i] == '{' {
		if end, ok := w.check.event(i, it); ok && end-i <= in.limits.EventBytes {
			it.whole = span{From: uint32(i), To: uint32(end)}
			it.checked = true
			return end, true
		}
	}
	depth := in.limits.Depth
	if w.call.Type == event.Unknown {
		depth = len(w.check.b) // Its end must be found, however deep it is.
	}
	end, f, ok := scan.Measure(w.check.b, i, depth)
	*it = item{bytes: w.check.b, whole: span{From: uint32(i), To: uint32(end)}, facts: f}
	return end, ok
}

// splitBatch walks over the members of a batch. Only "batch" must be there.
func (in *Ingest) splitBatch(w *work, body []byte, i int) problem {
	broken := problem{CodeBadRequest, "the body is not valid JSON"}
	found := false
	for i++; ; {
		i = scan.Space(body, i)
		if i < len(body) && body[i] == '}' {
			break
		}
		keyEnd, _, ok := scan.Measure(body, i, 1)
		if !ok || body[i] != '"' {
			return broken
		}
		key := body[i+1 : keyEnd-1]
		i = scan.Space(body, keyEnd)
		if i >= len(body) || body[i] != ':' {
			return broken
		}
		i = scan.Space(body, i+1)
		if string(key) == "batch" {
			if i >= len(body) || body[i] != '[' || found {
				return problem{CodeBadRequest, `"batch" must be one array`}
			}
			found = true
			var p problem
			if i, p = in.splitItems(w, body, i+1); !p.ok() {
				return p
			}
		} else {
			end, f, ok := scan.Measure(body, i, in.limits.Depth)
			if !ok || f.Keys > in.limits.Keys {
				return broken
			}
			switch string(key) {
			case "context":
				w.context = body[i:end]
			case "integrations":
				w.allowed = body[i:end]
			case "sentAt":
				w.sentAt = body[i:end]
			}
			i = end
		}
		i = scan.Space(body, i)
		if i < len(body) && body[i] == ',' {
			i++
		} else if i >= len(body) || body[i] != '}' {
			return broken
		}
	}
	switch {
	case scan.Space(body, i+1) != len(body):
		return broken
	case !found:
		return problem{CodeBadRequest, `the body has no "batch"`}
	case len(w.items) == 0:
		return problem{CodeEmptyBatch, "the batch holds no event"}
	case !in.usableContext(w):
		return problem{CodeContext, `the batch's "context" is not a valid object`}
	case !in.usableIntegrations(w):
		return problem{CodeBadRequest, `the batch's "integrations" are not valid JSON`}
	}
	return problem{}
}

// splitItems walks over the array of a batch and gives the place behind it.
func (in *Ingest) splitItems(w *work, body []byte, i int) (int, problem) {
	for {
		i = scan.Space(body, i)
		if i < len(body) && body[i] == ']' {
			return i + 1, problem{}
		}
		if i >= len(body) {
			return i, problem{CodeBadRequest, "the body is not valid JSON"}
		}
		if len(w.items) == in.limits.BatchItems {
			return i, problem{CodeBatchTooLong, fmt.Sprintf("the batch has more than %d events", in.limits.BatchItems)}
		}
		end, ok := w.addItem(in, i)
		if !ok {
			return i, problem{CodeBadRequest, "the body is not valid JSON"}
		}
		i = scan.Space(body, end)
		if i < len(body) && body[i] == ',' {
			i++
		} else if i >= len(body) || body[i] != ']' {
			return i, problem{CodeBadRequest, "the body is not valid JSON"}
		}
	}
}

// usableContext checks the batch's own context once, for it is merged into
// items as it is.
func (in *Ingest) usableContext(w *work) bool {
	if absent(w.context) {
		w.context = nil
		return true
	}
	_, f, _ := scan.Measure(w.context, 0, in.limits.Depth)
	sound, _, p := in.sound(w.context, f)
	w.context = sound
	return p.ok() && isObject(sound)
}

// parseAll reads the items into events and keeps apart what is malformed.
func (in *Ingest) parseAll(w *work) error {
	if cap(w.events) < len(w.items) {
		w.events = make([]event.Event, 0, len(w.items))
	}
	for i := range w.items {
		w.events = w.events[:len(w.events)+1]
		e := &w.events[len(w.events)-1]
		prefs := len(w.prefs)
		p, err := in.parse(w, &w.items[i], e)
		if err != nil {
			return err
		}
		if !p.ok() {
			w.withdraw(i, p)
			continue
		}
		if e.Type == event.Track && !in.reserved(w, i, e) {
			continue
		}
		mine := w.prefs[prefs:len(w.prefs):len(w.prefs)]
		if w.call.Source.Plan != nil && !in.planned(w, i, e, mine) {
			continue
		}
		if len(mine) > 0 || consent.Speaks(e) {
			w.said = append(w.said, Statement{Event: e, Preferences: mine, GPC: w.call.GPC})
		}
	}
	return nil
}

// withdraw takes the event back that was read last, and rejects its item.
func (w *work) withdraw(index int, p problem) {
	w.events[len(w.events)-1] = event.Event{}
	w.events = w.events[:len(w.events)-1]
	w.reject(index, p, w.items[index].all())
}

// messageID makes an id for an event that came without one.
func (in *Ingest) messageID() (string, error) {
	var raw [12]byte
	in.randMu.Lock()
	defer in.randMu.Unlock()
	for i := range raw {
		b, err := in.rand.ReadByte()
		if err != nil {
			return "", fault.Wrap(err, fault.Unavailable, "no_randomness", "no message id could be made; try again")
		}
		raw[i] = b
	}
	return "made-" + hex.EncodeToString(raw[:]), nil
}

// identifier reads a string that names somebody or something.
func (in *Ingest) identifier(raw []byte, name string, mended bool) (string, problem) {
	s, ok := text(raw)
	switch {
	case !ok:
		return "", problem{CodeIDNotString, strconv.Quote(name) + " is not a string"}
	case len(s) > in.limits.ID:
		return "", problem{CodeIDTooLong, fmt.Sprintf("%q has more than %d bytes", name, in.limits.ID)}
	case !cleanID(s, mended):
		return "", problem{CodeIDText, strconv.Quote(name) + " holds control characters or unreadable text"}
	}
	return s, problem{}
}

// cleanID refuses what would let two identifiers look or become the same:
// control characters, and places where text had to be mended.
func cleanID(s string, mended bool) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f {
			return false
		}
	}
	if mended {
		for _, r := range s {
			if r == utf8.RuneError {
				return false
			}
		}
	}
	return true
}

// strictFault names all that is malformed of a batch, or of a single event.
func strictFault(t event.Type, rejected []Rejection) error {
	what := "1 event is malformed"
	if len(rejected) > 1 {
		what = strconv.Itoa(len(rejected)) + " events are malformed"
	}
	f := fault.New(fault.Invalid, rejected[0].Code, "%s; nothing was taken", what)
	for _, r := range rejected {
		pointer := ""
		if r.Index >= 0 && t == event.Unknown {
			pointer = "/batch/" + strconv.Itoa(r.Index)
		}
		f.Fields = append(f.Fields, fault.Field{Pointer: pointer + r.Pointer, Code: r.Code, Detail: r.Detail})
	}
	return f
}

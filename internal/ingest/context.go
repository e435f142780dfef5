package ingest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/event"
	"rapport/internal/scan"
)

// surroundings is what is read out of an event's context.
type surroundings struct {
	traits, external, consent, ip, agent, direct, userHash, group, device []byte
}

// surroundings takes the members of an event's context, and below them those of
// the batch's.
func (w *work) surroundings(it *item) surroundings {
	get := it.raw
	s := surroundings{
		traits: get(cTraits), external: get(cExternal), consent: get(cConsent), ip: get(cIP), agent: get(cAgent),
		direct: get(cDirect), userHash: get(cUserHash), group: get(cGroup), device: get(cDevice),
	}
	if w.context == nil {
		return s
	}
	for m := scan.MembersOf(w.context); ; {
		key, value, ok := m.Next()
		if !ok {
			return s
		}
		own := [...]*[]byte{
			cTraits: &s.traits, cExternal: &s.external, cConsent: &s.consent, cIP: &s.ip, cAgent: &s.agent,
			cDirect: &s.direct, cUserHash: &s.userHash, cGroup: &s.group, cDevice: &s.device,
		}
		if f := ofContext(key); f != noField && len(*own[f]) == 0 {
			*own[f] = value
		}
	}
}

// readContext takes the context with all that is read out of it: traits, the
// address, identifiers of other systems, consent, the signed user hash.
func (in *Ingest) readContext(w *work, it *item, e *event.Event, mended bool) problem {
	context := it.raw(fContext)
	if absent(context) {
		context = nil
	} else if !isObject(context) {
		return problem{CodeContext, `"context" is not an object`}
	}
	s := w.surroundings(it)
	if !absent(s.traits) {
		if !isObject(s.traits) {
			return problem{CodeTraits, `"context.traits" is not an object`}
		}
		if e.Traits == nil && e.Type != event.Group {
			e.Traits = s.traits
		}
	}
	if raw, ok := scan.Find(s.device, "advertisingId"); ok {
		if _, ok := text(raw); !ok {
			return problem{CodeAdvertisingID, `"context.device.advertisingId" is not a string`}
		}
	}
	if e.GroupID == "" && !absent(s.group) {
		group, p := in.identifier(s.group, "context.groupId", mended)
		if !p.ok() {
			return p
		}
		e.GroupID = group
	}
	if p := w.readConsent(s.consent); !p.ok() {
		return p
	}
	if p := in.readExternal(w, s.external, e, mended); !p.ok() {
		return p
	}
	in.readAddress(s.traits, e)
	in.mark(w, s, e)
	e.Context = w.newContext(context, s)
	return problem{}
}

// readAddress finds the mail address that the event says belongs to the person.
func (in *Ingest) readAddress(contextTraits []byte, e *event.Event) {
	raw, ok := []byte(nil), false
	if e.Type == event.Identify {
		raw, ok = scan.Find(e.Traits, "email")
	}
	if !ok {
		raw, ok = scan.Find(contextTraits, "email")
	}
	if !ok || absent(raw) {
		return
	}
	s, ok := text(raw)
	if !ok || s == "" {
		return
	}
	if e.Email, ok = NormalizeAddress(s); !ok {
		in.metrics.BadAddress.Inc()
	}
}

// readConsent takes context.consent.categoryPreferences.
func (w *work) readConsent(raw []byte) problem {
	if absent(raw) {
		return problem{}
	}
	if !isObject(raw) {
		return problem{CodeConsentObject, `"context.consent" is not an object`}
	}
	if version, ok := scan.Find(raw, "version"); ok && !absent(version) && version[0] != '-' && (version[0] < '0' || version[0] > '9') {
		return problem{CodeConsentVersion, `"context.consent.version" is not a number`}
	}
	prefs, ok := scan.Find(raw, "categoryPreferences")
	if !ok || absent(prefs) {
		return problem{CodeConsentMissing, `"context.consent" has no "categoryPreferences"`}
	}
	if !isObject(prefs) {
		return problem{CodeConsentObject, `"context.consent.categoryPreferences" is not an object`}
	}
	for m := scan.MembersOf(prefs); ; {
		key, value, ok := m.Next()
		switch {
		case !ok:
			return problem{}
		case string(value) == "true" || string(value) == "false":
			w.prefs = append(w.prefs, Preference{Category: string(key), Granted: value[0] == 't'})
		default:
			return problem{CodeConsentBool, `a member of "context.consent.categoryPreferences" is neither true nor false`}
		}
	}
}

// readExternal takes context.externalIds as far as they concern users. The
// house's own kinds cannot be given this way.
func (in *Ingest) readExternal(w *work, raw []byte, e *event.Event, mended bool) problem {
	start := len(w.external)
	for list := scan.ElementsOf(raw); len(w.external)-start < in.limits.Externals; {
		one, ok := list.Next()
		if !ok {
			break
		}
		x, keep, p := in.external(one, mended)
		switch {
		case !p.ok():
			return p
		case !keep:
		case x.Type == "email":
			if address, ok := NormalizeAddress(x.Value); ok && e.Email == "" {
				e.Email = address
			}
		default:
			w.external = append(w.external, x)
		}
	}
	if len(w.external) > start {
		e.External = w.external[start:len(w.external):len(w.external)]
	}
	return problem{}
}

func (in *Ingest) external(raw []byte, mended bool) (x event.ExternalID, keep bool, p problem) {
	var id, typ, collection []byte
	for m := scan.MembersOf(raw); ; {
		key, value, ok := m.Next()
		if !ok {
			break
		}
		switch string(key) {
		case "id":
			id = value
		case "type":
			typ = value
		case "collection":
			collection = value
		}
	}
	if !absent(collection) && string(collection) != `"users"` {
		return x, false, problem{}
	}
	if x.Type, p = in.identifier(typ, "context.externalIds.type", mended); !p.ok() {
		return x, false, p
	}
	if x.Value, p = in.identifier(id, "context.externalIds.id", mended); !p.ok() {
		return x, false, p
	}
	x.Type = strings.ToLower(x.Type)
	switch x.Type {
	case "", "user_id", "anonymous_id":
		return x, false, problem{}
	}
	return x, x.Value != "", problem{}
}

// mark sets the flags that tell how far the sender is to be believed.
func (in *Ingest) mark(w *work, s surroundings, e *event.Event) {
	if w.call.kept != nil {
		e.Flags = trust(w.call.kept, e)
		return
	}
	if w.call.Bulk {
		e.Flags |= event.Bulk
	}
	if w.call.GPC {
		e.Flags |= event.GPC
	}
	if !w.call.Browser {
		return
	}
	e.Flags |= event.FromBrowser
	if absent(s.userHash) || e.UserID == "" || len(w.call.Source.UserHash) == 0 {
		return
	}
	hash, _ := text(s.userHash)
	if SignedUser(w.call.Source.UserHash, e.UserID, hash) {
		e.Flags = e.Flags&^event.FromBrowser | event.Verified
		return
	}
	in.metrics.BadUserHash.Inc()
}

// SignedUser tells whether hash is the HMAC-SHA256 of a user id under a
// source's secret, in hexadecimal digits.
func SignedUser(secret []byte, userID, hash string) bool {
	given, err := hex.DecodeString(hash)
	if err != nil || len(secret) == 0 {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte(userID)) // A hash never fails to be written to.
	return hmac.Equal(given, mac.Sum(nil))
}

// newContext completes the context: the batch's own under the item's, the
// client's address and agent for client-side calls. The signed hash is left
// out, for whoever reads it could sign with it. Where nothing
// changes the bytes stay as they came.
func (w *work) newContext(own []byte, s surroundings) []byte {
	client := w.call.Browser || string(s.direct) == "true"
	addIP := client && absent(s.ip) && w.call.Remote.Unmap().Is4()
	addAgent := client && absent(s.agent) && w.call.Agent != ""
	if len(s.userHash) == 0 && !addIP && !addAgent {
		switch {
		case w.context == nil:
			return own
		case own == nil:
			return w.context
		}
	}
	start := len(w.arena)
	w.arena = append(w.arena, '{')
	w.copyMembers(own, nil, addIP, addAgent, start)
	w.copyMembers(w.context, own, addIP, addAgent, start)
	if addIP {
		w.member(start, "ip")
		w.arena = append(w.arena, '"')
		w.arena = w.call.Remote.Unmap().AppendTo(w.arena)
		w.arena = append(w.arena, '"')
	}
	if addAgent {
		w.member(start, "userAgent")
		agent := w.call.Agent
		if len(agent) > 512 {
			agent = agent[:512]
		}
		w.arena, _ = jsontext.AppendQuote(w.arena, strings.ToValidUTF8(agent, "\ufffd"))
	}
	w.arena = append(w.arena, '}')
	return w.arena[start:len(w.arena):len(w.arena)]
}

// copyMembers copies what is not written anew and not hidden by another object.
func (w *work) copyMembers(from, hidden []byte, ip, agent bool, start int) {
	for m := scan.MembersOf(from); ; {
		key, value, ok := m.Next()
		if !ok {
			return
		}
		switch string(key) {
		case "userHash":
			continue
		case "ip":
			if ip {
				continue
			}
		case "userAgent":
			if agent {
				continue
			}
		}
		if hidden != nil {
			if _, there := scan.Find(hidden, string(key)); there {
				continue
			}
		}
		w.member(start, string(key))
		w.arena = append(w.arena, value...)
	}
}

func (w *work) member(start int, key string) {
	if len(w.arena) > start+1 {
		w.arena = append(w.arena, ',')
	}
	w.arena, _ = jsontext.AppendQuote(w.arena, key) // Keys have been through sound and are UTF-8.
	w.arena = append(w.arena, ':')
}

// openObject gives an object without its closing brace; nothing becomes "{".
func openObject(object []byte) []byte {
	if len(object) == 0 {
		return []byte{'{'}
	}
	return bytes.TrimRight(object[:len(object)-1], " \t\r\n")
}

// appendMember writes a member behind an open object whose last byte tells
// whether it is the first.
func appendMember(dst []byte, name string, value []byte, end byte) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(append(append(dst, '"'), name...), '"', ':')
	return append(append(dst, value...), end)
}

package content

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"rapport/internal/consent"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/liquid"
	"rapport/internal/message"
	"rapport/internal/purpose"
)

// Stable codes of the errors of Render.
const (
	NoTemplate   = "template_missing"
	BadTemplate  = "template"               // the template failed or ran over a budget
	TooSlow      = "template_slow"          // time ran out, which may be the machine's fault: it is tried again
	MissingValue = "template_missing_value" // a value is missing where nothing may stand in for it
	NoAddress    = "no_address"
	WrongPurpose = "template_purpose" // the template need not show how to leave, the mail must
)

// Render makes the mail of an intent, with the person as they are now. An error
// of kind Denied or NotFound means that the mail is not to be sent.
func (r *Renderer) Render(ctx context.Context, in message.Intent, now time.Time) (message.Rendered, []byte, error) {
	set := r.set.Load()
	t, ok := set.Templates[in.Template]
	if !ok {
		return message.Rendered{}, nil, fault.New(fault.Invalid, NoTemplate, "there is no template %q in configuration version %d", in.Template, set.Version)
	}
	if leavable(r.permission.Policy(), in.Purpose) && !leavable(r.permission.Policy(), t.Purpose) {
		return message.Rendered{}, nil, fault.New(fault.Invalid, WrongPurpose, "template %s was checked for %s, which nobody leaves, and cannot be sent for %s", t.Name, t.Purpose, in.Purpose)
	}
	who, err := r.people.Open(ctx, in.Person, in.Purpose)
	if err != nil {
		return message.Rendered{}, nil, fmt.Errorf("open %s: %w", in.Person, err)
	}
	to := in.To
	if to == "" {
		to = who.Email
	}
	if to == "" {
		return message.Rendered{}, nil, fault.New(fault.NotFound, NoAddress, "%s has no address", in.Person)
	}
	address := r.hasher.Sum("email", to)
	m, err := r.permitted(ctx, set, t, in, who, address, now)
	if err != nil {
		return message.Rendered{}, nil, err
	}
	m.to = to
	out, err := m.compose(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.failures.Add(1)
		}
		return message.Rendered{}, nil, err
	}
	r.fallbacks.Add(uint64(out.Fallbacks))
	return out, EncodeParts(&out), nil
}

// leavable tells whether a person can say no to mail for a purpose.
func leavable(policy *consent.Policy, p purpose.Purpose) bool {
	d, ok := policy.Purpose(p)
	return ok && d.Objectable()
}

// Sample is what a preview is made with instead of a person.
type Sample struct {
	Person Person
	To     string
	Data   []byte // what the template sees as trigger
}

// Preview makes a mail as Render does, without asking permission and with links
// that lead nowhere.
func (r *Renderer) Preview(ctx context.Context, t *Template, s Sample, now time.Time) (message.Rendered, error) {
	in := message.Intent{Template: t.Name, Purpose: t.Purpose, Class: t.Class, Data: s.Data}
	m := making{r: r, set: r.set.Load(), t: t, in: in, who: s.Person, now: now, to: s.To, links: deadLinks{}}
	return m.compose(ctx)
}

// making is one mail while it is made.
type making struct {
	r           *Renderer
	set         *Set
	t           *Template
	in          message.Intent
	who         Person
	to          string
	address     id.Hash
	now         time.Time
	links       Links
	leave       string // the unsubscribe link
	choose      string // the link to the preference page
	named       bool   // the person is addressed by name, nothing else of them is shown
	opens       bool
	clicks      bool
	fell        int
	failedBlock error
	vars        liquid.Value
	opts        liquid.RenderOptions
}

// permitted asks whether the mail may be made, and what may be shown and watched
// in it.
func (r *Renderer) permitted(ctx context.Context, set *Set, t *Template, in message.Intent, who Person, address id.Hash, now time.Time) (*making, error) {
	policy := r.permission.Policy()
	q := func(op consent.Operation, p purpose.Purpose, c purpose.Channel) consent.Question {
		return consent.Question{Subjects: who.Subjects, Address: address, Operation: op, Purpose: p, Channel: c, At: now}
	}
	render := q(consent.Render, in.Purpose, purpose.Email)
	render.Claim = in.Claims()
	d := r.permission.DecideAll(ctx,
		render,
		q(consent.Track, purpose.OpenTrack, purpose.Web),
		q(consent.Track, purpose.ClickTrack, purpose.Web),
		q(consent.Personalise, purpose.Profiling, purpose.Web))
	if d[0].Effect != consent.Allow {
		return nil, fault.New(fault.Denied, d[0].Reason, "purpose %s does not permit the mail", in.Purpose)
	}
	m := &making{r: r, set: set, t: t, in: in, who: who, address: address, now: now, links: r.links}
	m.opens, m.clicks = t.Tracking && d[1].Effect == consent.Allow, t.Tracking && d[2].Effect == consent.Allow
	_, declared := policy.Purpose(purpose.Profiling)
	if declared && leavable(policy, in.Purpose) {
		m.named = d[3].Effect != consent.Allow
	}
	return m, nil
}

func (m *making) compose(ctx context.Context) (message.Rendered, error) {
	ctx, cancel := context.WithTimeout(ctx, m.r.budget)
	defer cancel()
	m.prepare(ctx)
	out := message.Rendered{ID: m.in.ID}
	var err error
	if out.Subject, err = m.line(ctx, m.t.subject); err != nil {
		return out, err
	}
	if out.Subject == "" {
		return out, fault.New(fault.Invalid, MissingValue, "the subject of template %s is empty", m.t.Name)
	}
	if m.t.preheader != nil {
		if out.Preheader, err = m.line(ctx, m.t.preheader); err != nil {
			if out.Preheader = m.t.preheader.fallback; ctx.Err() != nil {
				return out, err
			}
			m.fell++ // A mail without a preheader is whole.
		}
	}
	if err := m.body(ctx, &out); err != nil {
		return out, err
	}
	m.head(&out)
	out.Fallbacks = m.fell
	return out, nil
}

// prepare sets up what the template can read.
func (m *making) prepare(ctx context.Context) {
	root, about, house := &liquid.Map{}, &liquid.Map{}, &liquid.Map{}
	about.Set("id", liquid.String(m.in.ID.String()))
	m.leave = m.links.Unsubscribe(m.in.ID, m.address, m.in.Purpose)
	m.choose = m.links.Preferences(m.in.ID, m.address, m.in.Purpose)
	about.Set("unsubscribe_url", liquid.String(m.leave))
	about.Set("preferences_url", liquid.String(m.choose))
	house.Set("name", liquid.String(m.set.Workspace.Name))
	house.Set("postal_address", liquid.String(m.set.Workspace.Postal))
	root.Set("person", liquid.ObjectOf(&personData{view: m.who.View, named: m.named, fell: &m.fell, guarded: m.t.guarded}))
	root.Set("trigger", liquid.ObjectOf(&given{Object: object(m.in.Data), root: "trigger", fell: &m.fell, guarded: m.t.guarded}))
	root.Set("mail", about.Value())
	root.Set("workspace", house.Value())
	if len(m.t.blocks) > 0 {
		root.Set("blocks", liquid.ObjectOf(&blockSet{m: m, ctx: ctx}))
	}
	m.vars = root.Value()
	m.opts = liquid.RenderOptions{Now: m.now, Zone: m.set.Workspace.Zone, LoadZone: m.r.zones.load, Locale: m.set.Workspace.Locale}
	if zone := m.trait("timezone"); zone != "" {
		if loc, err := m.r.zones.load(zone); err == nil {
			m.opts.Zone = loc
		}
	}
	if locale := m.trait("locale"); locale != "" && len(locale) <= 20 {
		m.opts.Locale = locale
	}
	local := m.now
	if m.opts.Zone != nil {
		local = m.now.In(m.opts.Zone)
	}
	root.Set("now", liquid.Time(local))
	root.Set("today", liquid.String(local.Format(time.DateOnly)))
}

func (m *making) trait(name string) string {
	raw, ok := m.who.View.Trait(name)
	var s string
	if !ok || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// render renders one part. A value that is printed though it is missing is an
// error: nothing goes out with a hole in it.
func (m *making) render(ctx context.Context, p *part) ([]byte, error) {
	out, report, err := p.compiled.Render(ctx, nil, m.vars, m.opts)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err()
	case err != nil && ctx.Err() != nil:
		return nil, fault.Wrap(err, fault.Unavailable, TooSlow, "template %s took more than %s", m.t.Name, m.r.budget)
	case err != nil:
		return nil, fault.Wrap(err, fault.Invalid, BadTemplate, "template %s failed in %s", m.t.Name, p.file)
	case len(report.Missing) > 0:
		first := report.Missing[0]
		return nil, fault.New(fault.Invalid, MissingValue, "template %s: %s is missing at %s", m.t.Name, first.Path, p.place(first.Position))
	case m.failedBlock != nil:
		return nil, m.failedBlock
	}
	return out, nil
}

// line renders a subject or a preheader.
func (m *making) line(ctx context.Context, p *part) (string, error) {
	out, err := m.render(ctx, p)
	if err != nil {
		if p.fallback == "" || ctx.Err() != nil {
			return "", err
		}
		m.fell++
		return p.fallback, nil
	}
	s := headerText(string(out))
	if s == "" && p.fallback != "" {
		m.fell++
		return p.fallback, nil
	}
	return s, nil
}

func (m *making) body(ctx context.Context, out *message.Rendered) error {
	if m.t.text != nil {
		text, err := m.render(ctx, m.t.text)
		if err != nil {
			return err
		}
		out.Text = plain(text)
	}
	if m.t.html == nil {
		return nil
	}
	page, err := m.render(ctx, m.t.html)
	if err != nil {
		return err
	}
	f := finishing{preheader: out.Preheader, text: m.t.text == nil}
	if m.opens {
		f.pixel = m.links.Open(m.in.ID)
	}
	if m.clicks {
		n := 0
		f.link = func(url string) string {
			if !hasScheme(url, "https") && !hasScheme(url, "http") || url == m.leave || url == m.choose {
				return url
			}
			n++
			return m.links.Click(m.in.ID, n, url)
		}
	}
	var text []byte
	out.HTML, text = finish(page, f)
	if f.text {
		out.Text = text
	}
	return nil
}

// plain makes a rendered text part fit to be sent: line ends as we keep them, no
// controls, no more than one empty line in a row.
func plain(b []byte) []byte {
	s := strings.ReplaceAll(string(b), "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	var w strings.Builder
	empty := 0
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.TrimRight(strings.Map(func(r rune) rune {
			if r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) {
				return -1
			}
			return r
		}, line), " \t")
		if empty++; line != "" {
			empty = 0
		}
		if empty > 1 || empty == 1 && w.Len() == 0 {
			continue
		}
		w.WriteString(line)
		w.WriteByte('\n')
	}
	return []byte(strings.TrimRight(w.String(), "\n") + "\n")
}

// head fills in addresses and headers.
func (m *making) head(out *message.Rendered) {
	ws := &m.set.Workspace
	out.From, out.ReplyTo = m.t.From, m.t.ReplyTo
	if out.From.Email == "" {
		out.From = ws.From
	}
	if out.ReplyTo == "" {
		out.ReplyTo = ws.ReplyTo
	}
	out.From.Name = displayName(out.From.Name)
	out.To = message.Address{Email: headerText(m.to)}
	if m.in.To == "" || m.in.To == m.who.Email {
		out.To.Name = displayName(m.trait("name"))
	}
	out.EnvelopeFrom = out.From.Email
	out.MessageID = "<" + m.in.ID.String() + "@" + domain(ws, out.From.Email) + ">"
	add := func(name, value string) { out.Headers = append(out.Headers, [2]string{name, headerText(value)}) }
	if leavable(m.r.permission.Policy(), m.in.Purpose) {
		out.Headers = append(out.Headers,
			[2]string{"List-Unsubscribe", "<" + m.leave + ">"},
			[2]string{"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"})
	}
	if n := len(ws.FeedbackID); n >= 5 && n <= 15 {
		by := m.in.Journey
		if by == "" {
			by = "api"
		}
		add("Feedback-ID", feedbackPart(m.t.Name)+":"+feedbackPart(by)+":"+m.in.Class.String()+":"+feedbackPart(ws.FeedbackID))
	}
	if m.in.Class == message.Transactional {
		add("Auto-Submitted", "auto-generated")
	}
}

// domain gives what stands right of the @ in a Message-ID.
func domain(ws *Workspace, from string) string {
	if ws.Domain != "" {
		return ws.Domain
	}
	_, host, _ := strings.Cut(from, "@")
	return host
}

// blockSet is what a template sees as `blocks`: each is rendered when it is
// printed, and falls back alone.
type blockSet struct {
	m    *making
	ctx  context.Context //nolint:containedctx // Lives for one render, in which liquid calls Get without one.
	done map[string]liquid.Value
}

// Get implements liquid.Object.
func (s *blockSet) Get(name string) (liquid.Value, bool) {
	b, ok := s.m.t.blocks[name]
	if !ok {
		return liquid.Nil, false
	}
	if v, ok := s.done[name]; ok {
		return v, true
	}
	v := liquid.SafeString(string(s.render(b)))
	if s.done == nil {
		s.done = map[string]liquid.Value{}
	}
	s.done[name] = v
	return v, true
}

// Keys implements liquid.Object.
func (s *blockSet) Keys() []string { return nil }

func (s *blockSet) render(b *block) []byte {
	m := s.m
	// A slow block must leave time for the rest of the mail.
	ctx, cancel := context.WithTimeout(s.ctx, m.r.budget/4)
	defer cancel()
	out, err := m.render(ctx, b.part)
	if err == nil {
		return out
	}
	m.fell++
	if b.essential {
		m.failedBlock = err
		return nil
	}
	if b.fallback == nil {
		return nil
	}
	if out, err = m.render(s.ctx, b.fallback); err != nil {
		return nil
	}
	return out
}

// deadLinks stand in a preview.
type deadLinks struct{}

func (deadLinks) Unsubscribe(id.Message, id.Hash, purpose.Purpose) string {
	return "https://preview.invalid/u"
}
func (deadLinks) Preferences(id.Message, id.Hash, purpose.Purpose) string {
	return "https://preview.invalid/p"
}
func (deadLinks) Open(id.Message) string                       { return "" }
func (deadLinks) Click(_ id.Message, _ int, url string) string { return url }

var _ Links = deadLinks{}

package project

import (
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"rapport/internal/message"
	"rapport/internal/outbox"
)

// Workspace is rapport.yaml: what holds for everything else.
type Workspace struct {
	Name     string // for machines: keys, metrics, Message-IDs
	Title    string // for readers; the name if nothing else is said
	Locale   string // the language of dates and amounts when a person has none
	TimeZone *time.Location
	BaseURL  string // where readers reach this server: links in mails, without a slash at the end
	Sending  Sending
	Events   Events
	Limits   Limits
	Trail    Trail
	Consent  Consent
	Alerts   Alerts
	Rights   Rights

	Retention Retention
}

// Sending says how mails leave.
type Sending struct {
	From       message.Address
	ReplyTo    string
	Domain     string // right of the @ in Message-IDs and List-Unsubscribe addresses
	Postal     string // the postal address that marketing mails must show
	Provider   string // the default provider
	FeedbackID string // the sender's id in Feedback-ID
	Quiet      outbox.Quiet
	Caps       []outbox.Cap
}

// Events says how events are taken and kept.
type Events struct {
	DedupeWindow  time.Duration // how long a message id is remembered
	KeepLog       time.Duration // how long walked records stay in the log
	MaxTriggerAge time.Duration // an older event starts no journey
}

// Limits are the numbers that keep one misbehaving client from harming the rest.
type Limits struct {
	EventsPerSecond float64 // per key
	Burst           int     // per key
	EventBytes      int
	BatchBytes      int
	BatchEvents     int
	JSONKeys        int // members of all objects of one event
	Identifiers     int // per kind and person, beyond user_id which is one
	RejectsKept     int
	ManagePerSecond float64 // per management key
	FreeDisk        int     // bytes that events leave free on the disk; negative: a part of it
}

const day = 24 * time.Hour

// workspace reads rapport.yaml.
func workspace(f *file) Workspace {
	w := Workspace{TimeZone: time.UTC}
	s := f.section(f.root, "rapport.yaml", "workspace", "title", "locale", "time_zone", "base_url", "sending", "events", "limits", "trail", "consent", "rights", "alerts", "retention")
	s.need("write for example `workspace: acorn-books`", "workspace")
	s.need("write the address where readers reach this server, for example https://mail.shop.example", "base_url")
	s.need("write how mails leave: from, domain, postal_address", "sending")
	w.Name, w.Title, w.Locale = s.name("workspace"), s.text("title"), s.text("locale")
	if w.Title == "" {
		w.Title = w.Name
	}
	if w.Locale != "" && !localeForm.MatchString(w.Locale) {
		f.errorf(s.value("locale"), "write for example en, en-GB or de", "there is no locale %q", w.Locale)
	}
	if zone := s.text("time_zone"); zone != "" {
		loc, err := time.LoadLocation(zone)
		if err != nil || zone == "Local" {
			f.errorf(s.value("time_zone"), "write a name such as Europe/Berlin, America/New_York or UTC", "there is no time zone %q", zone)
		} else {
			w.TimeZone = loc
		}
	}
	w.BaseURL = s.baseURL("base_url")
	w.Sending = sending(s.sub("sending", "from", "reply_to", "domain", "postal_address", "provider", "feedback_id", "quiet_hours", "caps"))
	e := s.sub("events", "dedupe_window", "keep_log", "max_trigger_age")
	w.Events = Events{
		DedupeWindow:  e.duration("dedupe_window", day, time.Minute, 7*day),
		KeepLog:       e.duration("keep_log", 3*day, time.Hour, 90*day),
		MaxTriggerAge: e.duration("max_trigger_age", time.Hour, time.Minute, 30*day),
	}
	w.Limits = limits(s.sub("limits", "events_per_second", "burst", "event_size", "batch_size", "batch_events", "json_keys",
		"identifiers_per_kind", "rejects_kept", "manage_per_second", "free_disk"))
	w.Rights = f.rightsOf(s.sub("rights", "confirm_with", "confirm_within", "law", "correct_at_once"))
	w.Consent = f.consentOf(s.sub("consent", "controller", "jurisdiction", "confirm_with", "confirm_within", "asks_per_address", "asks_per_network"))
	w.Retention = f.retentionOf(s.sub("retention", "mails", "classes", "purposes"))
	w.Alerts = alerts(s.sub("alerts", "mail", "provider", "held_for", "backlog", "certificate_before", "request_before", "backup_within"))
	w.Trail = trail(s.sub("trail", "every", "file", "webhook", "private", "mail", "mail_every", "provider"))
	return w
}

// localeForm is a language and perhaps a country.
var localeForm = regexp.MustCompile(`^[a-z]{2,3}([-_][A-Za-z]{2,4})?$`)

func limits(s *section) Limits {
	return Limits{
		EventsPerSecond: s.number("events_per_second", 100_000, 10_000_000),
		Burst:           s.integer("burst", 200_000, 1, 10_000_000),
		EventBytes:      s.size("event_size", 32<<10, 1<<10, 1<<20),
		BatchBytes:      s.size("batch_size", 500<<10, 1<<10, 16<<20),
		BatchEvents:     s.integer("batch_events", 2500, 1, 10_000),
		JSONKeys:        s.integer("json_keys", 1000, 1, 10_000),
		Identifiers:     s.integer("identifiers_per_kind", 5, 1, 100),
		RejectsKept:     s.integer("rejects_kept", 10_000, 0, 10_000_000),
		ManagePerSecond: s.number("manage_per_second", 20_000, 1_000_000),
		FreeDisk:        s.size("free_disk", -1, 0, 1<<40),
	}
}

func sending(s *section) Sending {
	s.need(`write for example "Acorn Books <hello@mail.shop.example>"`, "from")
	out := Sending{
		From:     s.address("from"),
		ReplyTo:  s.address("reply_to").Email,
		Domain:   s.domain("domain"),
		Postal:   s.prose("postal_address"),
		Provider: s.text("provider"),
	}
	if out.Domain == "" {
		_, out.Domain, _ = strings.Cut(out.From.Email, "@")
	} else if _, d, _ := strings.Cut(out.From.Email, "@"); d != "" && d != out.Domain && !strings.HasSuffix(d, "."+out.Domain) && !strings.HasSuffix(out.Domain, "."+d) {
		s.file.warnf(s.value("domain"), "DMARC asks that both belong to one domain", "mails are from @%s but the sending domain is %s", d, out.Domain)
	}
	out.FeedbackID = s.text("feedback_id")
	if n := len(out.FeedbackID); n > 0 && (n < 5 || n > 15 || !isName(out.FeedbackID)) {
		s.file.errorf(s.value("feedback_id"), "write for example acornbooks", "feedback_id must have 5 to 15 lower-case letters, digits, - or _")
	}
	out.Quiet = quiet(s.sub("quiet_hours", "from", "to"))
	for _, n := range s.items("caps") {
		c := s.file.section(n, "a cap", "mails", "per")
		c.need("write for example `{mails: 3, per: 7d}`", "mails", "per")
		if c == nil {
			continue
		}
		out.Caps = append(out.Caps, outbox.Cap{Most: c.integer("mails", 3, 1, 1000), Window: c.duration("per", 7*day, time.Minute, outbox.LongestWindow)})
	}
	return out
}

func quiet(s *section) outbox.Quiet {
	if s == nil {
		return outbox.Quiet{}
	}
	s.need(`write for example from: "21:00" and to: "08:00"`, "from", "to")
	q := outbox.Quiet{From: s.clock("from"), Until: s.clock("to")}
	if s.has("from") && s.has("to") && q.From == q.Until {
		s.file.errorf(s.node, "leave quiet_hours out if there are none", "quiet hours that begin and end at the same time")
	}
	return q
}

// clock reads a time of day, "21:00".
func (s *section) clock(key string) time.Duration {
	v := s.text(key)
	if v == "" {
		return 0
	}
	t, err := time.Parse("15:04", v)
	if err != nil {
		s.file.errorf(s.value(key), `write it in quotes, for example "21:30"`, "%q must be a time of day, not %q", key, v)
		return 0
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}

// name reads a name of letters, digits, - and _.
func (s *section) name(key string) string {
	v := s.text(key)
	if v != "" && !isName(v) {
		s.file.errorf(s.value(key), "use lower-case letters, digits, - and _, beginning with a letter", "%q cannot be %q", key, v)
	}
	return v
}

// address reads "Name <a@b>" or "a@b".
func (s *section) address(key string) message.Address {
	v := s.text(key)
	if v == "" {
		return message.Address{}
	}
	a, err := mail.ParseAddress(v)
	if err != nil {
		s.file.errorf(s.value(key), `write for example "Acorn Books <hello@mail.shop.example>"`, "%q is no mail address", key)
		return message.Address{}
	}
	local, domain, _ := strings.Cut(a.Address, "@")
	return message.Address{Name: a.Name, Email: local + "@" + strings.ToLower(domain)}
}

// domain reads a host name.
func (s *section) domain(key string) string {
	v := strings.ToLower(s.text(key))
	if v != "" && !isHost(v) {
		s.file.errorf(s.value(key), "write for example mail.shop.example", "%q is no domain name: %q", key, v)
		return ""
	}
	return v
}

// baseURL reads an http or https address without query.
func (s *section) baseURL(key string) string {
	v := s.text(key)
	if v == "" {
		return ""
	}
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		s.file.errorf(s.value(key), "write for example https://mail.shop.example", "%q must be an http or https address", key)
		return ""
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		s.file.warnf(s.value(key), "use https: mailbox providers require it for one-click unsubscribe", "links in mails would go over plain http")
	}
	return strings.TrimRight(v, "/")
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func isHost(s string) bool {
	if net.ParseIP(s) != nil {
		return true
	}
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') {
				return false
			}
		}
	}
	return true
}

// isName tells whether s may name a thing of the folder: it is used in file
// names, keys and URLs.
func isName(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, r := range s {
		if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return true
}

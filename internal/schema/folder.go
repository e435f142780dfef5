package schema

import "rapport/internal/wording"

var workspace = keys(
	must(key("workspace", text, "its name for machines: small letters, digits, - and _")),
	otherwise("title", text, "the name", "its name for readers"),
	otherwise("locale", text, "en", "language of dates and amounts, when a person has no trait locale"),
	otherwise("time_zone", text, "UTC", "zone of dates and quiet hours, when a person has no trait timezone"),
	must(key("base_url", text, "where readers reach this server; links in mails begin with it")),
	must(key("sending", keys(
		must(key("from", text, "Name <address>")),
		key("reply_to", text, "address for answers"),
		otherwise("domain", text, "the domain of from", "right of the @ in Message-IDs"),
		key("postal_address", text, "shown in marketing mails"),
		otherwise("provider", text, "the only one", "the default provider"),
		key("feedback_id", text, "5 to 15 characters; mailbox providers count complaints by it"),
		key("quiet_hours", keys(
			must(key("from", text, "when they begin, such as \"21:00\"")),
			must(key("to", text, "when they end, such as \"08:00\"")),
		), "no marketing, on the reader's clock"),
		key("caps", oneOrMore(keys(
			must(key("mails", integer, "how many")),
			must(key("per", duration, "in so long")),
		)), "most marketing mails to one person"),
	), "how mails leave")),
	key("events", keys(
		otherwise("dedupe_window", duration, "24h", "the same message id counts once; at most 7d"),
		otherwise("keep_log", duration, "3d", "how long walked events stay in the log"),
		otherwise("max_trigger_age", duration, "1h", "an older event starts no journey"),
	), "how events are taken and kept"),
	key("trail", keys(
		otherwise("every", duration, "1m", "how long a row waits for a signed checkpoint at most"),
		key("file", text, "checkpoints are put at the end of this file; best on another machine"),
		key("webhook", text, "checkpoints are sent to this address, one POST each; https, or http on this machine with private"),
		otherwise("private", truth, "false", "the webhook may be on this machine or in a private network"),
		key("mail", oneOrMore(text), "addresses that are mailed the newest checkpoint"),
		otherwise("mail_every", duration, "1d", "how often they are at most"),
		otherwise("provider", text, "the workspace's", "the way out of those mails"),
	), "how the trail of what was done is signed, and where its checkpoints go"),
	key("alerts", keys(
		key("mail", oneOrMore(text), "addresses that are mailed"),
		otherwise("provider", text, "the workspace's", "the way out of those mails"),
		otherwise("held_for", duration, "10m", "how long a provider or destination is down, or the walk behind, before that is told"),
		otherwise("backlog", integer, "100000", "records that may wait to be walked"),
		otherwise("certificate_before", duration, "14d", "how long before its end a certificate is told of"),
		otherwise("request_before", duration, "7d", "how long before it is due what a person asked for is told of"),
		otherwise("backup_within", duration, "7d", "how old the last backup of the data, or of the keys, may be"),
	), "who is told that something is wrong with the house"),
	key("consent", keys(
		otherwise("controller", text, "the title", "who is responsible, in records and receipts"),
		key("jurisdiction", text, "whose law holds where a statement names none: DE, US-CA"),
		key("confirm_with", text, "the template of confirmation mails; without it nobody can subscribe by a form"),
		otherwise("confirm_within", duration, "7d", "how long the link of a confirmation mail works"),
		otherwise("asks_per_address", integer, "3", "confirmation mails to one address in a day"),
		otherwise("asks_per_network", integer, "30", "confirmation mails that one network (/24, /48) asks for in an hour"),
	), "who asks for permission, and how an address confirms it"),
	key("rights", keys(
		key("confirm_with", text, "the template of the mail that proves who asks for their data on the page of preferences; without it nobody can ask there"),
		otherwise("confirm_within", duration, "24h", "how long its link works"),
		otherwise("law", word("gdpr", "ccpa"), "gdpr", "whose clock runs for such a request: one month, or 45 days"),
		key("correct_at_once", list(text), "the traits that readers put right themselves; what they say of others waits for somebody who looks at it"),
	), "how readers use their rights on the page of preferences: docs/rights.md"),
	key("retention", keys(
		otherwise("mails", duration, "for ever", "what was in a mail, counted from when it was decided; that there was one stays, with what became of it and what permitted it"),
		key("classes", keys(
			key("public", duration, "what the plan says is public"),
			key("internal", duration, "what it says is internal"),
			key("personal", duration, "what it says is personal, and what is sensitive where that has no term of its own"),
			key("sensitive", duration, "what it says is sensitive"),
		), "how long events, their properties and traits of a data class are kept"),
		key("purposes", named(duration), "by purpose, or family of purposes: what was in its mails; and events, properties and traits that the plan gives no purpose that is kept longer"),
	), "how long personal data are kept at most, beside what the tracking plan says of each: docs/plan.md"),
	key("limits", keys(
		otherwise("events_per_second", number, "100000", "events a second, for each key"),
		otherwise("burst", integer, "200000", "events at once, for each key"),
		otherwise("event_size", size, "32KB", "bytes of one event"),
		otherwise("batch_size", size, "500KB", "bytes of one request"),
		otherwise("batch_events", integer, "2500", "events of one request"),
		otherwise("json_keys", integer, "1000", "members of all objects of one event"),
		otherwise("identifiers_per_kind", integer, "5", "identifiers of one kind and person; a user id is always one"),
		otherwise("rejects_kept", integer, "10000", "what was malformed is kept, the oldest go first"),
		otherwise("manage_per_second", number, "20000", "requests a second, for each management key"),
		otherwise("free_disk", size, "a twentieth of the disk, at most 1GB", "what events leave free on the disk of the data folder"),
	), "numbers that keep one client from harming the rest"),
)

var bases = word("consent", "contract", "legal_obligation", "vital", "public_task", "legitimate_interest")

var purposes = keys(
	must(key("purposes", named(keys(
		key("title", oneOf(text, named(text)), "its name on the preference page, in one language or by language: {en: News, de: Neuigkeiten}"),
		key("description", oneOf(text, named(text)), "what it means, on the preference page, in one language or by language"),
		must(key("basis", bases, "the legal basis")),
		otherwise("scope", word("address", "device"), "address", "address (mail) or device (tracking)"),
		key("categories", list(text), "consent categories of your banner or SDK that mean this purpose; where several are listed, all must be true"),
		otherwise("gpc", truth, "false", "a Global Privacy Control signal is a no"),
		otherwise("valid_for", duration, "for ever", "how long a yes holds"),
		otherwise("hidden", truth, "false", "not on the preference page"),
		key("notice", text, "the notice that is shown with it: notices/NOTICE.LANGUAGE.md"),
		otherwise("double_opt_in", truth, "false", "a yes counts only once the address has confirmed it"),
		key("data", list(text), "the personal data it uses, in records and receipts"),
		key("recipients", list(text), "third parties who get them, in records and receipts"),
		key("retention", text, "how long they are kept, in records and receipts"),
		key("tcf", list(integer), "numbers of IAB TCF purposes that mean it; all must be consented to"),
		key("us_opt_out", list(word("sale", "sharing", "targeted_advertising")), "opt-outs of a GPP string's US sections that say no to it"),
	)), "each purpose by its name; a dot makes a family")),
)

var source = keys(
	key("title", text, "its name for readers"),
	must(key("kind", word("server", "browser", "file"), "server, browser (its key is public and can do less) or file (for rapport import)")),
	must(key("purpose", text, "why its data is collected")),
	must(key("basis", bases, "on which legal basis its data is collected")),
	key("keys", oneOrMore(text), "env:NAME, file:PATH or sha256:HEX of each key; more are made by rapport key create"),
	key("origins", oneOrMore(text), "browser: the sites that may send"),
	key("user_hash", text, "browser: the secret under which your server signs user ids"),
	otherwise("events_per_second", number, "the workspace's limit", "for each key"),
	key("file", mapping, "file: how its lines become events"),
)

// mapped is a value of a mapping.
var mapped = oneOf(liquid, keys(must(key("column", text, "the column as it is"))))

var mappedEvent = keys(
	otherwise("type", mapped, "track", "track, identify, page, screen, group or alias"),
	key("event", mapped, "the event's name"),
	key("name", mapped, "the page's name"),
	key("user_id", mapped, "whom it is about"),
	key("anonymous_id", mapped, "whom it is about, before they are known"),
	key("email", mapped, "the person's address"),
	key("group_id", mapped, "group: which one"),
	key("previous_id", mapped, "alias: the id it had before"),
	otherwise("message_id", mapped, "the digest of the file and the line's number", "what makes the event one of its own"),
	must(key("timestamp", mapped, "when it happened: RFC 3339, a day with or without a time, Unix seconds or milliseconds")),
	key("properties", named(mapped), "the event's properties"),
	key("traits", named(mapped), "what is known of the person, or of the group"),
	key("external_ids", named(mapped), "identifiers of other systems, by their kind"),
	otherwise("when", text, "always", "the condition under which it is made, in Liquid: status == \"paid\""),
).as("event")

var mappedConsent = keys(
	must(key("purpose", text, "what the word is about")),
	must(key("state", mapped, "the word")),
	key("granted", oneOrMore(text), "words that mean yes; they need said_at and evidence"),
	key("withdrawn", oneOrMore(text), "words that mean no"),
	key("said_at", mapped, "when it was said"),
	key("method", mapped, "how it was said, kept with the evidence"),
	key("evidence", oneOf(mapped, named(mapped)), "what proves it, without addresses"),
	otherwise("user_id", mapped, "of the line's first event", "whose word it is"),
	key("email", mapped, "whose word it is"),
	key("anonymous_id", mapped, "whose word it is"),
).as("consent")

var mapping = keys(
	must(key("format", word("csv", "ndjson", "fixed"), "csv, ndjson (one JSON object a line) or fixed (columns at fixed places)")),
	otherwise("comma", text, ",", "csv: the character between columns"),
	otherwise("quote", text, "\"", "csv: the character around columns, or none"),
	otherwise("header", truth, "true, false with a list of columns", "csv: the first line names the columns"),
	otherwise("encoding", word("utf-8", "latin1", "windows-1252"), "utf-8", "of the file's characters"),
	otherwise("time_zone", text, "UTC", "zone of times that say none"),
	otherwise("until", anything, "the last line", "an instant at which business time stops when the file is played back"),
	key("columns", oneOf(list(text), named(oneOf(text, keys(
		must(key("start", integer, "the first character, from 1")), must(key("width", integer, "how many characters")),
	)))), "csv: names in order; fixed: the first and last character from 1, such as 2-6"),
	otherwise("types", named(text), "text", "what columns hold: text, number, boolean, date, or date and its form, such as date %d.%m.%Y"),
	key("event", mappedEvent, "what each line makes"),
	key("events", list(mappedEvent), "the same, where a line makes several"),
	key("consent", list(mappedConsent), "what each line says of permission"),
).as("file")

var segment = keys(
	key("title", text, "its name for readers"),
	key("note", text, "what a colleague should know"),
	must(key("rule", rule, "who is in it")),
)

var template = keys(
	must(key("purpose", text, "what permits the mail")),
	must(key("subject", line, "the subject, with Liquid")),
	key("preheader", line, "what mailboxes show beside the subject"),
	otherwise("from", text, "the workspace's", "Name <address>"),
	otherwise("reply_to", text, "the workspace's", "address for answers"),
	key("class", classes, "for mails that the API asks for; without it triggered where people may say no to the purpose, else transactional"),
	otherwise("tracking", truth, "true", "false: no pixel and no counted links, whatever the reader permits"),
	key("blocks", named(keys(
		must(key("html", text, "the file with the block")),
		key("fallback", text, "the file that stands in when it fails; \"\" for nothing"),
		key("essential", truth, "without the block the mail is not sent"),
	)), "parts of the body that may fail alone"),
)

var line = oneOf(liquid, keys(
	must(key("text", liquid, "what it says")),
	key("fallback", text, "what stands in when a value is missing"),
))

var classes = word("transactional", "triggered", "broadcast")

var provider = keys(
	key("title", text, "its name for readers"),
	must(key("kind", word("smtp", "devinbox"), "smtp, or devinbox for the inbox that only you can see")),
	key("host", text, "smtp: the mail server's name"),
	otherwise("port", integer, "587, 465 or 25 by tls", "smtp: its port"),
	otherwise("tls", word("starttls", "implicit", "none"), "starttls", "smtp: starttls (required, never stripped), implicit, or none on this machine only"),
	otherwise("ca_file", text, "the system's", "smtp: a certificate authority of your own"),
	key("auth", keys(
		must(key("user", text, "the user's name")),
		must(key("password", text, "env:NAME or file:PATH of the password")),
	), "smtp: how to log in"),
	otherwise("envelope_from", text, "the From address", "where bounces go"),
	key("pacing", keys(
		key("per_second", number, "mails a second"),
		key("per_domain_per_second", number, "mails a second to one domain"),
		otherwise("connections", integer, "8", "connections at a time"),
		otherwise("per_connection", integer, "100", "mails over one connection"),
		key("fallback", text, "the provider that takes over while this one is out of order"),
	), "how fast it is given mails"),
	key("dkim", oneOrMore(keys(
		must(key("domain", text, "the domain that signs")),
		must(key("selector", text, "the selector")),
		must(key("key", text, "file:PATH of a PEM file, ed25519 or RSA")),
	)), "signatures"),
)

var told = keys(
	key("title", text, "its name for readers"),
	must(key("kind", word("webhook"), "webhook: signed requests after Standard Webhooks")),
	must(key("url", text, "where requests go; https, or http on this machine with private")),
	must(key("secrets", oneOrMore(text), "env:NAME or file:PATH of the signing secret, whsec_ and base64; two while one takes the other's place")),
	must(key("purpose", text, "why the data leaves; permission for it is asked at every attempt")),
	otherwise("events", oneOrMore(text), "none", "all, or names of track events, and identify, page, screen, group, alias"),
	key("where", oneOrMore(where), "only events whose properties compare so; for identify and group their traits"),
	otherwise("segments", oneOrMore(text), "none", "all, or segments whose entries and exits are told"),
	otherwise("messages", oneOrMore(text), "none", "all, or what becomes of mails: accepted, deferred, failed, skipped, unknown, resolved, opened, clicked"),
	otherwise("consent", oneOrMore(text), "none", "all, or purposes of which it hears what people say"),
	otherwise("alerts", truth, "false", "that something is wrong with the house, and that it is over"),
	otherwise("include_existing", truth, "false", "also events of imports, and entries by a backfill"),
	otherwise("identifiers", oneOrMore(text), "user_id and anonymous_id", "kinds of identifiers by which it is told who somebody is"),
	otherwise("integration", text, "the file's name", "its name in the integrations of an event, whose sender may forbid it"),
	otherwise("private", truth, "false", "it may be on this machine or in a private network"),
	otherwise("timeout", duration, "15s", "for one request, at most 30s"),
	otherwise("connections", integer, "8", "requests at a time"),
)

var colours = func() *Type {
	docs := map[string]string{
		"text": "what is read", "quiet": "what stands beside it", "card": "behind the text", "page": "around the card", "line": "between choices",
		"accent": "buttons, links and switches that are on", "on_accent": "text on buttons", "note": "behind notes", "off": "switches that are off",
	}
	var all []Key
	for _, name := range wording.Colours() {
		all = append(all, key(name, text, docs[name]))
	}
	return keys(all...)
}()

var theme = keys(
	key("light", colours, "colours, as \"#1f5f4a\"; what cannot be read well enough (WCAG 2.2 AA) is refused"),
	key("dark", colours, "colours for readers whose system is dark"),
	key("font", text, "font families that readers have: Georgia, serif"),
	key("corner", integer, "radius of corners in pixels"),
)

var page = func() *Type {
	english := wording.New(nil, "", wording.Theme{}).Texts(wording.First)
	var all []Key
	for _, name := range wording.Keys() {
		all = append(all, key(name, text, english[name]))
	}
	return keys(all...)
}()

package smtprelay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-sasl"

	"rapport/internal/message"
)

// What a server may say at most in one reply.
const (
	replyLine  = 2048
	replyLines = 128
)

// conn is one conversation with the server. It is used by one mail at a time.
type conn struct {
	r        *Relay
	net      net.Conn
	raw      net.Conn // below TLS
	in       *bufio.Reader
	out      []byte
	ext      map[string]string
	secure   bool
	reset    bool // a transaction was left open
	answered bool // the server has said something about the mail in hand
	mails    int
	expire   *time.Timer
}

// reply is what the server said to one command.
type reply struct {
	code     int
	enhanced string
	text     string
}

// refusal is a reply that ends the set-up of a connection, or the lack of
// something without which we do not send.
type refusal struct {
	outcome message.Outcome
	err     error
}

func (e *refusal) Error() string { return e.err.Error() }
func (e *refusal) Unwrap() error { return e.err }

func refused(v message.Verdict, reason, why string) error {
	return &refusal{message.Outcome{Verdict: v, Reason: reason}, errors.New(why)}
}

// outcomeOfError judges a connection that could not be set up: nothing was sent.
func outcomeOfError(err error) message.Outcome {
	var r *refusal
	if errors.As(err, &r) {
		return r.outcome
	}
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		return message.Outcome{Verdict: message.ProviderFault, Reason: "provider_tls_certificate"}
	}
	return message.Outcome{Verdict: message.NotSent, Reason: "provider_unreachable"}
}

// dial sets up a connection that is ready for mails.
func (r *Relay) dial(ctx context.Context) (*conn, error) {
	c, err := r.dialAs(ctx, r.cfg.TLS)
	var hs *handshakeError
	if r.cfg.TLS == Opportunistic && r.cfg.Username == "" && errors.As(err, &hs) {
		return r.dialAs(ctx, None) // what is offered does not work; TLS was not asked for
	}
	return c, err
}

// handshakeError says that STARTTLS was offered and failed.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "tls handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

func (r *Relay) dialAs(ctx context.Context, policy Policy) (*conn, error) {
	dctx, cancel := context.WithTimeout(ctx, r.cfg.Timeouts.Dial)
	nc, err := r.cfg.Dial(dctx, r.cfg.Addr)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	c := &conn{r: r, net: nc, raw: nc}
	// The closure reads c.net again: TLS wraps it meanwhile.
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := c.setUp(ctx, policy); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// setUp greets, secures and authenticates.
func (c *conn) setUp(ctx context.Context, policy Policy) error {
	t := &c.r.cfg.Timeouts
	if policy == Implicit {
		if err := c.handshake(ctx, policy); err != nil {
			return err
		}
	}
	c.in = bufio.NewReaderSize(c.net, replyLine)
	c.until(ctx, t.Greeting)
	hi, err := c.read()
	if err != nil {
		return fmt.Errorf("read the greeting: %w", err)
	}
	if hi.code != 220 {
		return rejected("greeting", "provider_refused_connection", hi)
	}
	if err := c.hello(ctx); err != nil {
		return err
	}
	if err := c.startTLS(ctx, policy); err != nil {
		return err
	}
	return c.auth(ctx)
}

// rejected makes a refusal of the connection out of a reply.
func rejected(step, reason string, p reply) error {
	v := message.ProviderFault
	if p.code/100 == 4 {
		v, reason = message.TryLater, "provider_busy"
	}
	return &refusal{outcome: message.Outcome{
		Verdict: v, Code: p.code, Enhanced: p.enhanced, Reason: reason, Reply: words(p.text),
	}, err: fmt.Errorf("%s: code %d", step, p.code)}
}

func (c *conn) hello(ctx context.Context) error {
	p, err := c.ask(ctx, "EHLO "+c.r.cfg.Hello)
	if err == nil && (p.code == 500 || p.code == 502) {
		p, err = c.ask(ctx, "HELO "+c.r.cfg.Hello)
	}
	if err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	if p.code != 250 {
		return rejected("hello", "provider_refused_connection", p)
	}
	c.ext = map[string]string{}
	for i, line := range strings.Split(p.text, "\n") {
		if i > 0 {
			name, args, _ := strings.Cut(line, " ")
			c.ext[strings.ToUpper(name)] = args
		}
	}
	return nil
}

// startTLS secures the connection as the policy wants it, and says hello again:
// what was said in plain text does not count.
func (c *conn) startTLS(ctx context.Context, policy Policy) error {
	if policy == None || c.secure {
		return nil
	}
	if _, offered := c.ext["STARTTLS"]; !offered {
		if policy == Opportunistic {
			return nil
		}
		return refused(message.ProviderFault, "provider_tls_not_offered", "the server does not offer STARTTLS, which is required")
	}
	p, err := c.ask(ctx, "STARTTLS")
	if err != nil {
		return fmt.Errorf("start tls: %w", err)
	}
	if p.code != 220 {
		if policy == Opportunistic {
			return nil
		}
		return rejected("start tls", "provider_tls_not_offered", p)
	}
	if c.in.Buffered() > 0 {
		return refused(message.ProviderFault, "provider_tls_injection", "something stands between STARTTLS and the handshake")
	}
	if err := c.handshake(ctx, policy); err != nil {
		return &handshakeError{err}
	}
	c.in.Reset(c.net)
	return c.hello(ctx)
}

func (c *conn) handshake(ctx context.Context, policy Policy) error {
	conf := c.r.cfg.TLSBase.Clone()
	if conf == nil {
		conf = &tls.Config{}
	}
	if conf.ServerName == "" {
		conf.ServerName = c.r.host
	}
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	if policy == Opportunistic {
		conf.InsecureSkipVerify = true // whoever can read plain text anyway is not kept out by a certificate
	}
	tc := tls.Client(c.net, conf)
	hctx, cancel := context.WithTimeout(ctx, c.r.cfg.Timeouts.Dial)
	defer cancel()
	if err := tc.HandshakeContext(hctx); err != nil {
		return fmt.Errorf("tls handshake: %w", err)
	}
	c.net, c.secure = tc, true
	return nil
}

// auth gives the password, if there is one and nobody else can read it.
func (c *conn) auth(ctx context.Context) error {
	cfg := &c.r.cfg
	if cfg.Username == "" {
		return nil
	}
	if !c.secure && !c.r.plain {
		return refused(message.ProviderFault, "provider_tls_not_offered", "a password is not sent in plain text")
	}
	offered := " " + strings.ToUpper(c.ext["AUTH"]) + " "
	var mech sasl.Client
	switch {
	case strings.Contains(offered, " PLAIN "):
		mech = sasl.NewPlainClient("", cfg.Username, cfg.Password)
	case strings.Contains(offered, " LOGIN "):
		mech = sasl.NewLoginClient(cfg.Username, cfg.Password)
	default:
		return refused(message.ProviderFault, "provider_auth_not_offered", "the server offers neither AUTH PLAIN nor AUTH LOGIN")
	}
	name, first, err := mech.Start()
	if err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	line := "AUTH " + name
	if first != nil {
		line += " " + base64.StdEncoding.EncodeToString(first)
	}
	for {
		p, err := c.ask(ctx, line)
		if err != nil {
			return fmt.Errorf("authenticate: %w", err)
		}
		if p.code == 235 {
			return nil
		}
		if p.code != 334 {
			return rejected("authenticate", "provider_authentication", p)
		}
		challenge, err := base64.StdEncoding.DecodeString(p.text)
		if err != nil {
			return refused(message.ProviderFault, "provider_authentication", "the server's challenge cannot be read")
		}
		answer, err := mech.Next(challenge)
		if err != nil {
			return refused(message.ProviderFault, "provider_authentication", "the server asks for more than the mechanism has")
		}
		line = base64.StdEncoding.EncodeToString(answer)
	}
}

// deliver takes one mail through MAIL, RCPT, DATA and the final dot. It tells
// what became of it and whether the connection can take another.
func (c *conn) deliver(ctx context.Context, e *envelope) (message.Outcome, bool) {
	stop := context.AfterFunc(ctx, func() { _ = c.net.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if o, ok := c.fits(e); !ok {
		return o, true
	}
	c.mails++
	o, ready, alive := c.offer(ctx, e)
	if !ready {
		return o, alive && ctx.Err() == nil
	}
	o, alive = c.body(ctx, e)
	return o, alive && ctx.Err() == nil
}

// fits refuses what this server cannot take at all.
func (c *conn) fits(e *envelope) (message.Outcome, bool) {
	if _, ok := c.ext["SMTPUTF8"]; e.utf8 && !ok {
		return message.Outcome{Verdict: message.Refused, Reason: "smtputf8_not_offered"}, false
	}
	if most, err := strconv.Atoi(c.ext["SIZE"]); err == nil && most > 0 && len(e.mail) > most {
		return message.Outcome{Verdict: message.Refused, Reason: "too_large"}, false
	}
	return message.Outcome{}, true
}

// offer takes the mail up to the point where the server waits for its text. With
// PIPELINING all commands go in one piece.
func (c *conn) offer(ctx context.Context, e *envelope) (o message.Outcome, ready, alive bool) {
	var steps [4]phase
	n := 0
	c.out = c.out[:0]
	if c.reset {
		c.out, steps[n], n = append(c.out, "RSET\r\n"...), atReset, n+1
	}
	c.out = append(append(append(c.out, "MAIL FROM:<"...), e.from...), '>')
	if _, ok := c.ext["SIZE"]; ok {
		c.out = strconv.AppendInt(append(c.out, " SIZE="...), int64(len(e.mail)), 10)
	}
	if e.utf8 {
		c.out = append(c.out, " SMTPUTF8"...)
		if _, ok := c.ext["8BITMIME"]; ok {
			c.out = append(c.out, " BODY=8BITMIME"...)
		}
	}
	c.out, steps[n], n = append(c.out, "\r\n"...), atMail, n+1
	c.out, steps[n], n = append(append(append(c.out, "RCPT TO:<"...), e.to...), ">\r\n"...), atRcpt, n+1
	c.out, steps[n], n = append(c.out, "DATA\r\n"...), atData, n+1
	if _, ok := c.ext["PIPELINING"]; ok {
		return c.pipelined(ctx, steps[:n])
	}
	return c.oneByOne(ctx, steps[:n])
}

// pipelined writes all commands at once and reads their replies; the first that
// is not what we hoped for is the outcome.
func (c *conn) pipelined(ctx context.Context, steps []phase) (o message.Outcome, ready, alive bool) {
	if err := c.write(ctx, c.out); err != nil {
		return broken(), false, false
	}
	failed := false
	for _, at := range steps {
		p, err := c.hear(ctx, at)
		if err != nil {
			if failed {
				return o, false, false
			}
			return broken(), false, false
		}
		switch {
		case !failed && !at.wants(p.code):
			o, failed = judge(at, p), true
			if p.code == 421 { // it hangs up; nothing more will come
				return o, false, false
			}
		case failed && at == atData && p.code == 354:
			// Nobody is there to get the text: RFC 2920 §3.1 wants a lone dot.
			// What is said to that concerns no recipient.
			if err := c.write(ctx, []byte(".\r\n")); err != nil {
				return o, false, false
			}
			if _, err := c.hear(ctx, atDot); err != nil {
				return o, false, false
			}
		}
	}
	c.reset = failed
	return o, !failed, true
}

// oneByOne waits for each reply before the next command.
func (c *conn) oneByOne(ctx context.Context, steps []phase) (o message.Outcome, ready, alive bool) {
	rest := c.out
	for _, at := range steps {
		n := bytes.IndexByte(rest, '\n') + 1
		if err := c.write(ctx, rest[:n]); err != nil {
			return broken(), false, false
		}
		rest = rest[n:]
		p, err := c.hear(ctx, at)
		if err != nil {
			return broken(), false, false
		}
		if !at.wants(p.code) {
			c.reset = true
			return judge(at, p), false, p.code != 421
		}
	}
	c.reset = false
	return o, true, true
}

// broken is the outcome of a connection that was lost before the mail could have
// been complete.
func broken() message.Outcome {
	return message.Outcome{Verdict: message.NotSent, Reason: "provider_connection_lost"}
}

// body writes the text of the mail and the final dot, and waits for the word
// that counts. The dot goes out with the last piece: as long as that piece has
// not been written whole, the server cannot have the mail whole.
func (c *conn) body(ctx context.Context, e *envelope) (message.Outcome, bool) {
	c.out = stuff(c.out[:0], e.mail)
	const block = 64 << 10
	for rest := c.out; len(rest) > 0; {
		n := min(block, len(rest))
		if len(rest)-n < 5 { // the dot and its line ends stay together
			n = len(rest)
		}
		if err := c.write(ctx, rest[:n]); err != nil {
			return broken(), false
		}
		rest = rest[n:]
	}
	if cap(c.out) > 1<<20 {
		c.out = nil
	}
	p, err := c.hear(ctx, atDot)
	if err != nil || p.code/100 == 3 || p.code/100 == 1 {
		return message.Outcome{Verdict: message.MaybeSent, Reason: "no_reply_to_final_dot"}, false
	}
	if p.code/100 == 2 {
		return message.Outcome{Verdict: message.SentOK, Code: p.code, Enhanced: p.enhanced, ProviderID: queueID(p.text)}, true
	}
	return judge(atDot, p), p.code != 421
}

// stuff writes a mail as SMTP carries it: every line ends in CR LF and one that
// begins with a dot gets another, and the lone dot ends it. A bare CR or LF,
// which servers understand in different ways, becomes a line end.
func stuff(dst, mail []byte) []byte {
	for len(mail) > 0 {
		if mail[0] == '.' {
			dst = append(dst, '.')
		}
		n := bytes.IndexByte(mail, '\n')
		line, rest := mail, []byte(nil)
		if n >= 0 {
			line, rest = mail[:n], mail[n+1:]
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
			line, rest = line[:cr], mail[cr+1:]
		}
		dst = append(append(dst, line...), '\r', '\n')
		mail = rest
	}
	return append(dst, ".\r\n"...)
}

// queueID finds the server's own id of the mail in its last word.
func queueID(text string) string {
	_, id, ok := strings.Cut(text, "queued as ")
	if !ok {
		return ""
	}
	id, _, _ = strings.Cut(id, " ")
	if id = strings.Trim(id, "<>.,;"); len(id) > 100 || strings.Contains(id, "@") {
		return ""
	}
	return id
}

// ask writes one command and reads its reply.
func (c *conn) ask(ctx context.Context, line string) (reply, error) {
	if err := c.write(ctx, append([]byte(line), '\r', '\n')); err != nil {
		return reply{}, err
	}
	return c.hear(ctx, atMail)
}

// hear reads one reply within the time that its step has.
func (c *conn) hear(ctx context.Context, at phase) (reply, error) {
	t := &c.r.cfg.Timeouts
	switch at {
	case atData:
		c.until(ctx, t.Data)
	case atDot:
		c.until(ctx, t.Dot)
	default:
		c.until(ctx, t.Command)
	}
	p, err := c.read()
	if err == nil && (c.answered || p.code != 421) {
		// A first 421 only says that a kept connection had been given up.
		c.answered = true
	}
	return p, err
}

// until sets the instant at which whatever is under way fails: a server that
// sends a byte now and then does not move it.
func (c *conn) until(ctx context.Context, d time.Duration) {
	end := c.r.cfg.Mono().Add(d)
	if ends, ok := ctx.Deadline(); ok && ends.Before(end) {
		end = ends
	}
	if ctx.Err() == nil {
		_ = c.net.SetDeadline(end) // A closed connection fails at its next use.
	}
	if ctx.Err() != nil { // it ended in between, and our deadline must not undo that
		_ = c.net.SetDeadline(time.Unix(1, 0))
	}
}

// write writes all or fails.
func (c *conn) write(ctx context.Context, b []byte) error {
	c.until(ctx, c.r.cfg.Timeouts.Block)
	_, err := c.net.Write(b)
	return err
}

// read reads one reply of one or more lines.
func (c *conn) read() (reply, error) {
	var p reply
	for n := 0; n < replyLines; n++ {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return p, fmt.Errorf("read a reply: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
			return p, errors.New("read a reply: it is not SMTP")
		}
		code, err := strconv.Atoi(string(line[:3]))
		if err != nil || code < 200 || code > 599 || n > 0 && code != p.code {
			return p, errors.New("read a reply: it is not SMTP")
		}
		p.code = code
		text := ""
		if len(line) > 4 {
			text = string(line[4:])
		}
		if enhanced, rest, ok := cutEnhanced(text, code); ok {
			p.enhanced, text = enhanced, rest
		}
		if n > 0 {
			text = p.text + "\n" + text
		}
		p.text = text
		if len(line) == 3 || line[3] == ' ' {
			return p, nil
		}
	}
	return p, errors.New("read a reply: too many lines")
}

// silent tells whether the server has said nothing since its last reply. Between
// two mails it has nothing to say but farewell: a 421, the end of TLS, the end of
// the connection. It looks and does not ask, for a NOOP would take a round trip,
// and servers count them as junk.
func (c *conn) silent() bool {
	return c.in.Buffered() == 0 && !readable(c.raw)
}

// quit takes leave without waiting for an answer.
func (c *conn) quit() {
	_ = c.net.SetDeadline(c.r.cfg.Mono().Add(time.Second))
	_, _ = c.net.Write([]byte("QUIT\r\n")) // Nothing depends on it.
	c.close()
}

func (c *conn) close() { _ = c.net.Close() }

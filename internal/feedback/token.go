package feedback

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"

	"rapport/internal/content"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

// Kind says what a token is good for. A token of one kind is none of another.
type Kind byte

// The kinds.
const (
	UnsubscribeKind Kind = 'u'
	PreferencesKind Kind = 'p'
	OpenKind        Kind = 'o'
	ClickKind       Kind = 'c'
	ClaimKind       Kind = 'r' // of a mail with which a reader gets or erases their data; Mail names the request, which knows when it ends
	ConfirmKind     Kind = 's' // of a confirmation mail; Mail names the opt-in, which knows when it ends
)

// Token is what a link in a mail says: nothing personal, only the mail's id, the
// keyed hash of the address it went to, and its purpose. It never expires, for
// the right to withdraw does not; that of a confirmation does, in the store.
type Token struct {
	Kind    Kind
	Mail    id.Message
	Address id.Hash         // for unsubscribe, preferences and confirmations
	Purpose purpose.Purpose // for unsubscribe and preferences
	Link    int             // for clicks: the link's number in the mail
}

// ErrToken is every fault that a token can have. It says no more, so that trying
// teaches nothing.
var ErrToken = errors.New("the link is not one of ours")

// A token is, in base64 without padding for URLs: version, kind, key id, then the
// fields of the kind, then the first half of an HMAC-SHA256.
const (
	tokenVersion = 1
	headSize     = 3
	macSize      = 16
	maxToken     = 400
	maxURL       = 4096
)

// SignerConfig is what a Signer is made of.
type SignerConfig struct {
	Base string   // where readers reach us, for example https://mail.shop.example
	Keys [][]byte // the first signs, all are accepted; each at least 32 bytes
}

// Signer makes and reads the links in mails. It is safe for concurrent use.
type Signer struct {
	base string
	keys []signingKey
}

type signingKey struct {
	id   byte
	pool *sync.Pool // of *macState under this key
}

type macState struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

// NewSigner makes a Signer.
func NewSigner(c SignerConfig) (*Signer, error) {
	if !strings.HasPrefix(c.Base, "https://") && !strings.HasPrefix(c.Base, "http://") {
		return nil, fmt.Errorf("links in mails: the base address must begin with https:// or http://")
	}
	if len(c.Keys) == 0 {
		return nil, errors.New("links in mails: a key is missing")
	}
	s := &Signer{base: strings.TrimRight(c.Base, "/")}
	for _, k := range c.Keys {
		if len(k) < 32 {
			return nil, fmt.Errorf("links in mails: a key has %d bytes, at least 32 are needed", len(k))
		}
		// Each key is used for this alone, whatever else it opens.
		mac := hmac.New(sha256.New, k)
		_, _ = mac.Write([]byte("rapport link token")) // A hash never fails to be written to.
		secret := mac.Sum(nil)
		s.keys = append(s.keys, signingKey{id: secret[0], pool: &sync.Pool{New: func() any {
			return &macState{mac: hmac.New(sha256.New, secret[1:])}
		}}})
	}
	return s, nil
}

// Sign writes a token. url is what a click leads to, signed with it.
func (s *Signer) Sign(t Token, url string) string {
	k := s.keys[0]
	raw := make([]byte, 0, 128)
	raw = append(raw, tokenVersion, byte(t.Kind), k.id)
	raw = append(raw, t.Mail[:]...)
	switch t.Kind {
	case UnsubscribeKind, PreferencesKind, ConfirmKind, ClaimKind:
		raw = append(raw, t.Address[:]...)
		raw = append(raw, t.Purpose...)
	case ClickKind:
		raw = binary.AppendUvarint(raw, uint64(max(t.Link, 0)))
	default:
	}
	raw = k.sum(raw, raw, url)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// sum appends the MAC of a token's bytes and of the URL it is bound to.
func (k signingKey) sum(dst, raw []byte, url string) []byte {
	m, _ := k.pool.Get().(*macState) // The pool holds nothing else.
	defer k.pool.Put(m)
	m.mac.Reset()
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(raw)))
	_, _ = m.mac.Write(size[:]) // A hash never fails to be written to.
	_, _ = m.mac.Write(raw)
	_, _ = io.WriteString(m.mac, url)
	return append(dst, m.mac.Sum(m.sum[:0])[:macSize]...)
}

// Verify reads a token of a kind, with the URL it is bound to. Every fault is
// ErrToken.
func (s *Signer) Verify(kind Kind, text, url string) (Token, error) {
	if len(text) > maxToken || len(url) > maxURL {
		return Token{}, ErrToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < headSize+len(id.Message{})+macSize || raw[0] != tokenVersion {
		return Token{}, ErrToken
	}
	body, given := raw[:len(raw)-macSize], raw[len(raw)-macSize:]
	ok := false
	for _, k := range s.keys {
		if k.id == raw[2] && hmac.Equal(k.sum(nil, body, url), given) {
			ok = true
		}
	}
	if !ok || Kind(raw[1]) != kind {
		return Token{}, ErrToken
	}
	return read(kind, body[headSize:])
}

// read takes the fields of a token whose MAC was right.
func read(kind Kind, b []byte) (Token, error) {
	t := Token{Kind: kind}
	b = b[copy(t.Mail[:], b):]
	switch kind {
	case UnsubscribeKind, PreferencesKind, ConfirmKind, ClaimKind:
		if len(b) < len(t.Address) {
			return Token{}, ErrToken
		}
		t.Purpose = purpose.Purpose(b[copy(t.Address[:], b):])
	case ClickKind:
		n, size := binary.Uvarint(b)
		if size != len(b) || n > 1<<20 {
			return Token{}, ErrToken
		}
		t.Link = int(n)
	default:
		if len(b) != 0 {
			return Token{}, ErrToken
		}
	}
	return t, nil
}

// Unsubscribe implements content.Links.
func (s *Signer) Unsubscribe(m id.Message, address id.Hash, why purpose.Purpose) string {
	return s.base + "/u/" + s.Sign(Token{Kind: UnsubscribeKind, Mail: m, Address: address, Purpose: why}, "")
}

// Preferences implements content.Links.
func (s *Signer) Preferences(m id.Message, address id.Hash, why purpose.Purpose) string {
	return s.base + "/p/" + s.Sign(Token{Kind: PreferencesKind, Mail: m, Address: address, Purpose: why}, "")
}

// Confirm gives the link of a confirmation mail.
func (s *Signer) Confirm(optIn id.Message, address id.Hash) string {
	return s.base + "/s/" + s.Sign(Token{Kind: ConfirmKind, Mail: optIn, Address: address}, "")
}

// Claim gives the link with which a reader gets a copy of their data, or is erased.
func (s *Signer) Claim(request id.Message, address id.Hash) string {
	return s.base + "/r/" + s.Sign(Token{Kind: ClaimKind, Mail: request, Address: address}, "")
}

// Open implements content.Links.
func (s *Signer) Open(m id.Message) string {
	return s.base + "/o/" + s.Sign(Token{Kind: OpenKind, Mail: m}, "") + ".gif"
}

// Click implements content.Links. A URL that is too long to be signed stays as it is.
func (s *Signer) Click(m id.Message, n int, url string) string {
	if len(url) > maxURL {
		return url
	}
	return s.base + "/c/" + s.Sign(Token{Kind: ClickKind, Mail: m, Link: n}, url) + "?u=" + queryEscape(url)
}

// queryEscape escapes what may not stand in a query, and no more, so that people
// can read where a link leads.
func queryEscape(s string) string {
	const plain = "-._~:/@!$'()*,"
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

var _ content.Links = (*Signer)(nil)

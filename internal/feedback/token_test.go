package feedback

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/id"
)

func signer(t testing.TB, keys ...byte) *Signer {
	t.Helper()
	c := SignerConfig{Base: "https://mail.shop.example/"}
	for _, k := range keys {
		c.Keys = append(c.Keys, bytes.Repeat([]byte{k}, 32))
	}
	s, err := NewSigner(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var tokens = []Token{
	{Kind: UnsubscribeKind, Mail: id.Message{1, 2}, Address: id.Hash{3}, Purpose: "marketing.newsletter"},
	{Kind: PreferencesKind, Mail: id.Message{1, 2}, Address: id.Hash{3}, Purpose: ""},
	{Kind: OpenKind, Mail: id.Message{9}},
	{Kind: ClickKind, Mail: id.Message{9}, Link: 300},
	{Kind: ConfirmKind, Mail: id.Message{7}, Address: id.Hash{3}},
	{Kind: ClaimKind, Mail: id.Message{8}, Address: id.Hash{3}},
}

func TestTokensComeBack(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	for _, want := range tokens {
		text := s.Sign(want, "https://shop.example/")
		if len(text) > 120 {
			t.Errorf("%c: %d characters", want.Kind, len(text))
		}
		got, err := s.Verify(want.Kind, text, "https://shop.example/")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for _, k := range []Kind{UnsubscribeKind, PreferencesKind, OpenKind, ClickKind, ConfirmKind, ClaimKind} {
			if _, err := s.Verify(k, text, "https://shop.example/"); k != want.Kind && !errors.Is(err, ErrToken) {
				t.Errorf("a token of kind %c is taken for %c", want.Kind, k)
			}
		}
		if _, err := s.Verify(want.Kind, text, "https://shop.example/x"); !errors.Is(err, ErrToken) {
			t.Error("a token is taken with another URL")
		}
	}
}

func TestEveryChangedBitIsRefused(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	raw, err := base64.RawURLEncoding.DecodeString(s.Sign(tokens[0], ""))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) * 8 {
		bad := bytes.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := s.Verify(UnsubscribeKind, base64.RawURLEncoding.EncodeToString(bad), ""); !errors.Is(err, ErrToken) {
			t.Errorf("bit %d", i)
		}
	}
	for n := range raw {
		if _, err := s.Verify(UnsubscribeKind, base64.RawURLEncoding.EncodeToString(raw[:n]), ""); !errors.Is(err, ErrToken) {
			t.Errorf("%d of %d bytes", n, len(raw))
		}
	}
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	old := signer(t, 1).Sign(tokens[0], "")
	if _, err := signer(t, 2, 1).Verify(UnsubscribeKind, old, ""); err != nil {
		t.Error("a link signed under a former key must work for ever")
	}
	if _, err := signer(t, 2).Verify(UnsubscribeKind, old, ""); !errors.Is(err, ErrToken) {
		t.Error("a link of another workspace works")
	}
}

func TestNothingPersonalInALink(t *testing.T) {
	t.Parallel()
	h, err := id.NewHasher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	link := signer(t, 1).Unsubscribe(id.NewMessage(time.Unix(0, 0), "journey/welcome/per_1"), h.Sum("email", "ada@mail.example"), "service")
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(link, "https://mail.shop.example/u/"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"ada", "mail.example", "per_1"} {
		if bytes.Contains(raw, []byte(s)) {
			t.Errorf("the link holds %q", s)
		}
	}
}

func TestClickKeepsTheAddressReadable(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	for _, to := range []string{"https://shop.example/a?b=1&c=2#d", "https://shop.example/ä+%20?q=a+b;c", "https://shop.example/\"><"} {
		u, err := url.Parse(s.Click(id.Message{1}, 1, to))
		if err != nil {
			t.Fatal(err)
		}
		if got := u.Query().Get("u"); got != to {
			t.Errorf("%q comes back as %q", to, got)
		}
		if strings.ContainsAny(u.RawQuery, "\"<> ") {
			t.Errorf("not escaped: %s", u.RawQuery)
		}
	}
	if long := "https://shop.example/" + strings.Repeat("x", maxURL); s.Click(id.Message{}, 1, long) != long {
		t.Error("a URL too long to be signed must stay")
	}
}

func TestSignerRefusesWeakKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []SignerConfig{{}, {Base: "https://a.example"}, {Base: "https://a.example", Keys: [][]byte{make([]byte, 31)}}, {Base: "ftp://a.example", Keys: [][]byte{make([]byte, 32)}}} {
		if _, err := NewSigner(c); err == nil {
			t.Errorf("taken: %+v", c)
		}
	}
}

func TestSeenForgetsTheOld(t *testing.T) {
	t.Parallel()
	var s seen
	for i := range 3 * seenMost {
		s.add(string(rune(i)))
	}
	if len(s.now)+len(s.old) > 2*seenMost {
		t.Errorf("%d are remembered", len(s.now)+len(s.old))
	}
	s.add("x")
	if !s.has("x") || s.has("y") {
		t.Error("forgets the newest, or remembers what never was")
	}
}

func FuzzVerify(f *testing.F) {
	s := signer(f, 1, 2)
	for _, tk := range tokens {
		f.Add(s.Sign(tk, "u"), "u")
	}
	f.Add("", "")
	f.Add("AQ", "x")
	f.Fuzz(func(t *testing.T, text, url string) {
		for _, k := range []Kind{UnsubscribeKind, PreferencesKind, OpenKind, ClickKind, ConfirmKind, ClaimKind} {
			tk, err := s.Verify(k, text, url)
			if err != nil {
				if !errors.Is(err, ErrToken) {
					t.Fatalf("another error: %v", err)
				}
				continue
			}
			if s.Sign(tk, url) != text {
				t.Fatalf("a token with two spellings: %q", text)
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	s := signer(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		s.Unsubscribe(tokens[0].Mail, tokens[0].Address, tokens[0].Purpose)
	}
}

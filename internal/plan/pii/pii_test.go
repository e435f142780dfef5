package pii_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/plan/pii"
)

// found writes what was found: kind and text, in order.
func found(text string) (out []string) {
	for _, m := range pii.Find(nil, text) {
		out = append(out, m.Kind.String()+" "+text[m.From:m.To])
	}
	return out
}

func TestFind(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"an address":                    {"write to ann@shop.example.", []string{"email ann@shop.example"}},
		"two addresses":                 {"Ann <a.b+c@x.example>, bob@y.co.test", []string{"email a.b+c@x.example", "email bob@y.co.test"}},
		"an address in a URL":           {"https://shop.example/?e=ann%40shop.example&x=1", []string{"email ann%40shop.example"}},
		"an address in Unicode":         {"jörg@bücher.example", []string{"email jörg@bücher.example"}},
		"an address in an address":      {"ann@shop.example@mail.example", []string{"email ann@shop.example"}},
		"a handle":                      {"@ann and ann@home", nil},
		"a retina image":                {"logo@2x.png", nil},
		"a Visa card":                   {"4111 1111 1111 1111", []string{"card 4111 1111 1111 1111"}},
		"an American Express card":      {"pay 378282246310005 now", []string{"card 378282246310005"}},
		"a card with a wrong digit":     {"4111111111111112", nil},
		"digits that nobody issues":     {"1234567890123452", nil},
		"milliseconds":                  {"1764083200123", nil},
		"an IBAN":                       {"DE89 3704 0044 0532 0130 00", []string{"iban DE89 3704 0044 0532 0130 00"}},
		"an IBAN in one word":           {"to gb29nwbk60161331926819!", []string{"iban gb29nwbk60161331926819"}},
		"an IBAN with a wrong digit":    {"DE88370400440532013000", nil},
		"a phone":                       {"call +49 (0)30 123456-78", []string{"phone +49 (0)30 123456-78"}},
		"a sum":                         {"+5 more, 12+34567890", nil},
		"a US social security number":   {"078-05-1120", []string{"national_id 078-05-1120"}},
		"a date with dashes":            {"2026-11-27", nil},
		"no social security number":     {"666-12-3456", nil},
		"a British insurance number":    {"AB 12 34 56 C", []string{"national_id AB 12 34 56 C"}},
		"a Spanish DNI":                 {"12345678Z", []string{"national_id 12345678Z"}},
		"a Spanish DNI, wrong":          {"12345678A", nil},
		"an Italian fiscal code":        {"RSSMRA85T10A562S", []string{"national_id RSSMRA85T10A562S"}},
		"a Finnish code":                {"131052-308T", []string{"national_id 131052-308T"}},
		"a Brazilian CPF":               {"529.982.247-25", []string{"national_id 529.982.247-25"}},
		"a French NIR":                  {"255081416802538", []string{"national_id 255081416802538"}},
		"an IPv4 address":               {"from 198.51.100.7:443", []string{"ip 198.51.100.7"}},
		"an IPv6 address":               {"2001:db8::8a2e:370:7334", []string{"ip 2001:db8::8a2e:370:7334"}},
		"an address of every machine":   {"127.0.0.1 ::1 0.0.0.0", nil},
		"a time":                        {"12:30:45", nil},
		"a version":                     {"npm:next-1.70.0", nil},
		"a digest":                      {strings.Repeat("4", 64), nil},
		"a UUID":                        {"5f3c2b1a-7d6e-4f8a-9b0c-000000000001", nil},
		"a product id":                  {"507f1f77bcf86cd799439011", nil},
		"a name":                        {"Monopoly: 3rd Edition", nil},
		"nothing":                       {"", nil},
		"all at once":                   {"a@b.example +14155552671 4111111111111111 198.51.100.7", []string{"email a@b.example", "phone +14155552671", "card 4111111111111111", "ip 198.51.100.7"}},
		"an address that is only signs": {"...@... @@@ a@.b", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, found(tt.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		field, value string
		want         pii.Kind
		fits         bool
	}{
		"words in one":            {"emailAddress", "ann@shop.example", pii.Email, true},
		"words with signs":        {"Phone-Number", "030 123456", pii.Phone, true},
		"a card":                  {"card_number", "4111 1111 1111 1112", pii.Card, true},
		"a secret":                {"password", "hunter2", pii.Secret, true},
		"that a secret is set":    {"password", "true", pii.Secret, false},
		"a digest":                {"email", strings.Repeat("a0", 32), pii.Email, false},
		"a state of an address":   {"email", "opened", pii.Email, false},
		"an id of a country":      {"bsn", "111222333", pii.NationalID, true},
		"a field of another kind": {"order_id", "1", pii.None, false},
		"a long name":             {strings.Repeat("email", 20), "a", pii.None, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := pii.Named(tt.field)
			if got != tt.want || pii.Fits(got, tt.value) != tt.fits {
				t.Errorf("named %v, fits %v; want %v, %v", got, pii.Fits(got, tt.value), tt.want, tt.fits)
			}
		})
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"198.51.100.7": "198.51.100.0", "::ffff:198.51.100.7": "198.51.100.0", "2001:db8:1:2:3:4:5:6": "2001:db8:1::", "fe80::1%eth0": "fe80::", "no address": "no address",
	} {
		if got, _ := pii.Truncate(in); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/AP1A.240405) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.127 Mobile Safari/537.36": "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.0 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Safari/605.1.15":                      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_0_0) AppleWebKit/605.0.0 (KHTML, like Gecko) Version/17.0.0 Safari/605.0.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.3":                                                             "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.0",
		"curl/8.5.0": "curl/8.0.0", "": "", "(((": "(((", "(;Android 1;x": "(;Android 10; K",
	} {
		if got := pii.Reduce(in); got != want {
			t.Errorf("%q becomes\n%q, want\n%q", in, got, want)
		}
		if again := pii.Reduce(pii.Reduce(in)); again != pii.Reduce(in) {
			t.Errorf("%q is reduced twice to %q", in, again)
		}
	}
}

// FuzzFind holds for any text: places are in order, inside the text and of a
// kind, and what stands in their place is found no more.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"ann@shop.example", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "+49 30 1234567", "078-05-1120", "::1", "a%40b.cd", "1.2.3.4:5", "@.%40+ -"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at := 0
		for _, m := range pii.Find(nil, s) {
			if m.From < at || m.To <= m.From || m.To > len(s) || m.Kind.String() == "" {
				t.Fatalf("%+v of %q, after %d", m, s, at)
			}
			at = m.To
		}
		_ = pii.Reduce(s)
		_, _ = pii.Truncate(s)
		if k := pii.Named(s); k != pii.None {
			_ = pii.Fits(k, s)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	for _, s := range []string{"Monopoly: 3rd Edition", "507f1f77bcf86cd799439011", "https://shop.example/games/monopoly?ref=home", "write to ann@shop.example"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			var room [4]pii.Match
			for b.Loop() {
				pii.Find(room[:0], s)
			}
		})
	}
}

package ingest_test

import (
	"strings"
	"testing"

	"rapport/internal/ingest"
)

// TestNormalizeAddress is the address part of fault 19: one spelling for each
// address, and none for what is no address.
func TestNormalizeAddress(t *testing.T) {
	t.Parallel()
	local64 := strings.Repeat("l", 64)
	for in, want := range map[string]string{
		"ada@mail.example":                    "ada@mail.example",
		"Ada.Lovelace@Mail.EXAMPLE":           "ada.lovelace@mail.example",
		"  ada@mail.example\t":                "ada@mail.example",
		"ada+news@mail.example":               "ada+news@mail.example",
		"ada@mail.example.":                   "ada@mail.example",
		`"ada"@mail.example`:                  "ada@mail.example",
		`"ada lovelace"@mail.example`:         `"ada lovelace"@mail.example`,
		`"a\"b"@mail.example`:                 `"a\"b"@mail.example`,
		`"a@b"@mail.example`:                  `"a@b"@mail.example`,
		`"a\ b"@mail.example`:                 `"a b"@mail.example`,
		"ada@bücher.example":                  "ada@xn--bcher-kva.example",
		"ada@BÜCHER.example":                  "ada@xn--bcher-kva.example",
		"ada@xn--bcher-kva.example":           "ada@xn--bcher-kva.example",
		"用户@mail.example":                     "用户@mail.example",
		"ame\u0301lie@mail.example":           "am\u00e9lie@mail.example",
		"o'brien!#$%&*/=?^_`{|}~@x-y.example": "o'brien!#$%&*/=?^_`{|}~@x-y.example",
		local64 + "@mail.example":             local64 + "@mail.example",
		"a@sub.mail.example":                  "a@sub.mail.example",
		"1@2.example":                         "1@2.example",

		"":                                     "",
		"a@b":                                  "",
		"ada":                                  "",
		"@mail.example":                        "",
		"ada@":                                 "",
		"ada@.example":                         "",
		"ada@mail..example":                    "",
		"ada.@mail.example":                    "",
		".ada@mail.example":                    "",
		"a..b@mail.example":                    "",
		"ada lovelace@mail.example":            "",
		"ada@mail example":                     "",
		"ada@-mail.example":                    "",
		"ada@mail-.example":                    "",
		"ada@[192.0.2.1]":                      "",
		"ada@192.0.2.1":                        "",
		"Ada <ada@mail.example>":               "",
		"ada@mail.example,bob@mail.example":    "",
		"ada@mail.example\r\nBcc: b@x.example": "",
		"\"a\r\nb\"@mail.example":              "",
		`""@mail.example`:                      "",
		"ada\u200b@mail.example":               "",
		"ada\u202e@mail.example":               "",
		"a\x00da@mail.example":                 "",
		"ada\xff@mail.example":                 "",
		"ada@mail\u200b\u2024example":          "",
		local64 + "l@mail.example":             "",
		"a@" + strings.Repeat("d", 64) + ".example":                                "",
		local64 + "@" + strings.Repeat(strings.Repeat("d", 60)+".", 4) + "example": "",
		"a@b." + strings.Repeat("x", 300):                                          "",
	} {
		got, ok := ingest.NormalizeAddress(in)
		if ok != (want != "") || got != want {
			t.Errorf("%q: got %q %v, want %q", in, got, ok, want)
		}
		if again, ok := ingest.NormalizeAddress(got); want != "" && (!ok || again != got) {
			t.Errorf("%q: normalised twice it becomes %q", got, again)
		}
	}
}

func FuzzNormalizeAddress(f *testing.F) {
	for _, s := range []string{"ada@mail.example", `"a b"@x.example`, "a@bücher.example", "a@b.example.", "A\u0301@x.example", `"a\\"@x.example`, "x@xn--a.example", "İ@x.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ingest.NormalizeAddress(s)
		if !ok {
			return
		}
		if strings.ContainsAny(got, "\r\n\x00") || len(got) > 254 || strings.Count(got, "@") < 1 {
			t.Fatalf("%q became %q", s, got)
		}
		if again, ok := ingest.NormalizeAddress(got); !ok || again != got {
			t.Fatalf("%q became %q, and that %q", s, got, again)
		}
	})
}

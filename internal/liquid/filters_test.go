package liquid

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestEmailFilters(t *testing.T) {
	t.Parallel()
	tests := []struct{ locale, text, want string }{
		{"", "{{ 1234.5 | money: 'EUR' }}", "€1,234.50"},
		{"", "{{ 1234.5 | money: 'USD' }}", "$1,234.50"},
		{"en-GB", "{{ 1234.5 | money: 'USD' }}", "US$1,234.50"},
		{"en", "{{ -5 | money: 'GBP' }}", "-£5.00"},
		{"en", "{{ 1234567 | money: 'CHF' }}", "CHF\u00a01,234,567.00"},
		{"en", "{{ 0.005 | money: 'EUR' }}{{ 0.004 | money: 'EUR' }}", "€0.01€0.00"},
		{"en", "{{ 2.675 | money: 'EUR' }}", "€2.68"},
		{"de", "{{ 1234.5 | money: 'EUR' }}", "1.234,50\u00a0€"},
		{"de-AT", "{{ 1234.5 | money: currency: 'EUR' }}", "€\u00a01.234,50"},
		{"de-CH", "{{ 1234.5 | money: 'CHF' }}", "CHF\u00a01’234.50"},
		{"de_DE", "{{ '19.99' | money: 'EUR' }}", "19,99\u00a0€"},
		{"fr", "{{ 1234.5 | money: 'EUR' }}", "1\u202f234,50\u00a0€"},
		{"es", "{{ 1234.5 | money: 'EUR' }} {{ 12345.5 | money: 'EUR' }}", "1234,50\u00a0€ 12.345,50\u00a0€"},
		{"nl", "{{ 5 | money: 'EUR' }}", "€\u00a05,00"},
		{"pt-BR", "{{ 5 | money: 'BRL' }}", "R$\u00a05,00"},
		{"sv", "{{ 1234.5 | money: 'SEK' }}", "1\u00a0234,50\u00a0kr"},
		{"pl", "{{ 12345.5 | money: 'PLN' }}", "12\u00a0345,50\u00a0zł"},
		{"ja", "{{ 1 | money: 'JPY' }}", "¥1"},
		{"en", "{{ 1 | money: 'JPY', locale: 'ja' }}", `!1:8: filter money: the language is not known: "ja"`},
		{"en", "{{ 1 | money: 'JPY', locale: ja }}", `!1:8: the language is not known: "ja"`},
		{"en", "{{ 1234.5 | money: 'JPY' }} {{ 1.2345 | money: 'BHD' }}", "¥1,235 BHD\u00a01.235"},
		{"en", "{{ 1999 | money: 'EUR', minor_units: true }}{{ 199 | money: 'JPY', minor_units: true }}", "€19.99¥199"},
		{"de", "{{ 5 | money: 'USD', locale: 'en' }}", "$5.00"},
		{"en", "{{ none | money: 'EUR' }}", ""},
		{"en", "{{ 1 | money }}", `!1:8: filter money: a currency of three capital letters is needed, as in money: "EUR"`},
		{"en", "{{ 1 | money: 'euro' }}", `!1:8: filter money: a currency of three capital letters is needed, as in money: "EUR"`},
		{"en", "{{ 1 | money: ja }}", `!1:8: a currency of three capital letters is needed, as in money: "EUR"`},
		{"en", "{{ d | format_date: ja }}", "!1:8: short, medium, long, full and time are known, or a format with %"},
		{"en", "{{ d | date_add: 1, ja }}", "!1:8: seconds, minutes, hours, days, weeks, months and years are known"},
		{"en", "{{ 'x' | money: 'EUR' }}", "!1:10: money needs a number"},
		{"en", "{{ 123456789012345678901234567890 | money: 'EUR' }}", "€123,456,789,012,345,678,901,234,567,890.00"},

		{"en", "{{ 1234567.891 | number }} {{ 1234 | number: 2 }} {{ 0.5 | number: 0 }} {{ -1234.5 | number }}", "1,234,567.891 1,234.00 1 -1,234.5"},
		{"de", "{{ 1234567.891 | number: 1 }} {{ 12 | number }} {{ 2.50 | number }}", "1.234.567,9 12 2,5"},
		{"en", "{{ 1 | number: 21 }}", "!1:8: number takes 0 to 20 decimals"},

		{
			"en", "{{ d | format_date }} | {{ d | format_date: 'short' }} | {{ d | format_date: 'long' }} | {{ d | format_date: 'full' }} | {{ d | format_date: 'time' }}",
			"Mar 14, 2026 | 3/14/26 | March 14, 2026 | Saturday, March 14, 2026 | 10:30 PM",
		},
		{"de", "{{ d | format_date: 'full' }}, {{ d | format_date: 'time', zone: 'Europe/Berlin' }}, {{ d | format_date: 'medium' }}", "Samstag, 14. März 2026, 23:30, 14.03.2026"},
		{"fr", "{{ d | format_date: 'full' }}", "samedi 14 mars 2026"},
		{"es", "{{ d | format_date: 'long' }}", "14 de marzo de 2026"},
		{"pl", "{{ d | format_date: '%A, %-d %B' }}", "sobota, 14 marca"},
		{"en", "{{ d | format_date: 'long', locale: 'it' }}", "14 marzo 2026"},
		{"en", "{{ d | format_date: 'long', zone: '+02:00' }}", "March 15, 2026"},
		{"en", "{{ d | format_date: 'long', zone: 'Nowhere' }}", `!1:8: the time zone is not known: "Nowhere"`},
		{"en", "{{ d | format_date: 'lang' }}", "!1:8: filter format_date: short, medium, long, full and time are known, or a format with %"},
		{"en", "{{ 'soon' | format_date }}", "!1:13: format_date needs a date"},
		{"en", "{{ d | in_zone: 'Europe/Berlin' | date: '%H:%M %Z' }} {{ d | in_zone: '-03:30' | date: '%H:%M%:z' }}", "23:30 CET 19:00-03:30"},
		{
			"en", "{{ 'now' | date_add: 3, 'days' | date: '%F' }} {{ '2026-01-31' | date_add: 1, 'month' | date: '%F' }} {{ '2024-02-29' | date_add: -1, 'year' | date: '%F' }} {{ d | date_add: 90, 'minutes' | date: '%F %R' }}",
			"2026-03-17 2026-02-28 2023-02-28 2026-03-15 00:00",
		},
		{"en", "{{ d | date_add: 1, 'fortnight' }}", "!1:8: filter date_add: seconds, minutes, hours, days, weeks, months and years are known"},

		{"en", "{{ 1 | pluralize: 'item', 'items' }} {{ 0 | pluralize: 'item', 'items' }} {{ l | pluralize: 'item', 'items' }} {{ 1.5 | pluralize: 'item', 'items' }}", "item items items items"},
		{"fr", "{{ 0 | pluralize: 'article', 'articles' }} {{ 2 | pluralize: 'article', 'articles' }}", "article articles"},
		{"pl", "{{ 1 | pluralize: 'plik', 'pliki', 'plików' }} {{ 3 | pluralize: 'plik', 'pliki', 'plików' }} {{ 12 | pluralize: 'plik', 'pliki', 'plików' }} {{ 22 | pluralize: 'plik', 'pliki', 'plików' }}", "plik pliki plików pliki"},
		{"cs", "{{ 2 | pluralize: 'den', 'dny', 'dní' }} {{ 5 | pluralize: 'den', 'dny', 'dní' }}", "dny dní"},
		{"en", "{{ 1 | ordinal }} {{ 2 | ordinal }} {{ 3 | ordinal }} {{ 11 | ordinal }} {{ 112 | ordinal }} {{ 21 | ordinal }}", "1st 2nd 3rd 11th 112th 21st"},
		{"de", "{{ 3 | ordinal }}", "3."},
		{"fr", "{{ 1 | ordinal }} {{ 2 | ordinal }}", "1er 2e"},
		{"sv", "{{ 1 | ordinal }} {{ 3 | ordinal }} {{ 12 | ordinal }}", "1:a 3:e 12:e"},

		{"", "{{ 'ADA LOVELACE' | name_case }}, {{ 'jean-luc  picard' | name_case }}, {{ \"o'neill\" | name_case }}, {{ 'mcdonald' | name_case }}", "Ada Lovelace, Jean-Luc Picard, O'Neill, McDonald"},
		{"", "{{ 'ludwig van beethoven' | name_case }}, {{ 'DeVito' | name_case }}, {{ 'élodie' | name_case }}, {{ 'MARÍA DE LA CRUZ' | name_case }}", "Ludwig van Beethoven, DeVito, Élodie, María de la Cruz"},
		{"", "{{ 'jane.doe@shop.example' | obfuscate }} {{ '+49 170 1234567' | obfuscate }} {{ 'abc' | obfuscate }} {{ '@x' | obfuscate }}", "j•••@shop.example •••67 ••• •••"},
		{"", "{{ 'https://x.example/a?b=1#c' | utm: source: 'mail out', campaign: 'may' }}", "https://x.example/a?b=1&utm_source=mail%20out&utm_campaign=may#c"},
		{"", "{{ 'https://x.example/?utm_source=a' | utm: source: 'b', medium: 'email' }}", "https://x.example/?utm_source=a&utm_medium=email"},
		{"", "{{ 'mailto:a@b.example' | utm: source: 'b' }}{{ 'https://x.example' | utm: source: none }}", "mailto:a@b.examplehttps://x.example"},
		{"", "{{ 'https://x.example' | url_param: 'a b', 'c&d' }}", "https://x.example?a%20b=c%26d"},
		{"", "{{ l | json }} {{ 'a\"</' | json }}", `[1,2,3] "a\"\u003c/"`},
		{"", "{{ 'abc' | md5 }}", "900150983cd24fb0d6963f7d28e17f72"},
		{"", "{{ 'abc' | sha1 }}", "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{"", "{{ 'abc' | sha256 }}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"", "{{ 'what do ya want for nothing?' | hmac_sha256: 'Jefe' }}", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{"", "{{ none | name_case }}{{ none | obfuscate }}{{ none | utm: source: 'a' }}{{ none | format_date }}{{ none | ordinal }}{{ none | number }}", ""},
	}
	zone := func(name string) (*time.Location, error) {
		if name == "Europe/Berlin" {
			return time.FixedZone("CET", 3600), nil
		}
		return nil, errors.New("unknown")
	}
	for _, tt := range tests {
		t.Run(tt.locale+" "+tt.text, func(t *testing.T) {
			t.Parallel()
			got := renderCase(t, tt.text, `{"d":"2026-03-14T22:30:00Z","l":[1,2,3],"ja":"ja"}`, Options{Strict2: true}, RenderOptions{Locale: tt.locale, LoadZone: zone})
			if got != tt.want {
				t.Errorf("%s\n got %q\nwant %q", tt.text, got, tt.want)
			}
		})
	}
}

func TestCoreOnlyLeavesOurFiltersOut(t *testing.T) {
	t.Parallel()
	for name, f := range filterTable {
		_, err := Compile("{{ a | "+name+" }}", Options{Strict: true, CoreOnly: true})
		var e *Error
		unknown := errors.As(err, &e) && e.Message == fmt.Sprintf("unknown filter %q", name)
		if unknown != f.ours {
			t.Errorf("%s: got %v, ours is %v", name, err, f.ours)
		}
	}
}

func TestEveryLocaleIsWhole(t *testing.T) {
	t.Parallel()
	for tag, l := range locales {
		for _, s := range append([]string{l.decimal, l.group, l.money, l.short, l.medium, l.long, l.full, l.time, l.names.am, l.names.pm},
			append(append(append(l.names.days[:], l.names.daysShort[:]...), l.names.months[:]...), l.names.monthsShort[:]...)...) {
			if s == "" {
				t.Errorf("%s: something is empty", tag)
			}
		}
		if l.ordinal(1) == "" && tag != "" || l.plural(number{i: 1}) != 0 {
			t.Errorf("%s: ordinal %q, plural %d", tag, l.ordinal(1), l.plural(number{i: 1}))
		}
	}
}

func TestDatesInAZone(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("CEST", 2*3600)
	tests := []struct{ text, want string }{
		{"{{ 'now' | date: '%F %T %Z' }}", "2026-03-14 17:09:26 CEST"},
		{"{{ '2026-03-14T10:00:00Z' | date: '%F %R %z' }}", "2026-03-14 10:00 +0000"},
		{"{{ '2026-03-14 10:00' | date: '%F %R %z' }}", "2026-03-14 10:00 +0200"},
		{"{{ 0 | date: '%F %R' }}", "1970-01-01 02:00"},
		{"{{ '2026-03-14T10:00:00Z' | format_date: '%F %R' }}", "2026-03-14 12:00"},
		{"{{ t }} {{ t | date: '%R' }}", "2026-03-14 15:09:26 UTC 15:09"},
	}
	for _, tt := range tests {
		m := &Map{}
		m.Set("t", Time(testNow))
		tpl := mustCompile(t, tt.text, Options{Strict2: true})
		out, _, err := tpl.Render(t.Context(), nil, m.Value(), RenderOptions{Now: testNow, Zone: zone})
		if err != nil || string(out) != tt.want {
			t.Errorf("%s\n got %q, %v\nwant %q", tt.text, out, err, tt.want)
		}
	}
}

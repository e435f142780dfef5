package liquid

import "strings"

// locale is how one language, in one region, writes numbers, money and dates.
type locale struct {
	names *dateNames
	// decimal and group stand in numbers; a whole part of at most minGroup digits is not grouped.
	decimal, group string
	minGroup       int
	// money is the place of the symbol # and the amount 0; minus signs go before the whole.
	money string
	// own is the currency that is written with its short symbol where others share it, as $ is.
	own string
	// formats are the date styles: short, medium, long, full, and the time of day.
	short, medium, long, full, time string
	ordinal                         func(n int64) string
	plural                          func(n number) int
}

const (
	nbsp       = "\u00a0"
	narrowNbsp = "\u202f"
)

// localeOf finds the locale for a tag such as "de" or "de-CH"; an unknown region falls back to the language, an
// unknown language to English. ok tells whether the language is known.
func localeOf(tag string) (l *locale, ok bool) {
	if l, ok := locales[tag]; ok {
		return l, true
	}
	tag = strings.ReplaceAll(lowerText(tag), "_", "-")
	for tag != "" {
		if l, ok := locales[tag]; ok {
			return l, true
		}
		i := strings.LastIndexByte(tag, '-')
		if i < 0 {
			break
		}
		tag = tag[:i]
	}
	return locales["en"], false
}

// variant is a copy of a locale with changes.
func variant(l *locale, change func(*locale)) *locale {
	out := *l
	change(&out)
	return &out
}

func suffix(s string) func(int64) string { return func(int64) string { return s } }

func englishOrdinal(n int64) string {
	if n < 0 {
		n = -n
	}
	if n%100 >= 11 && n%100 <= 13 {
		return "th"
	}
	switch n % 10 {
	case 1:
		return "st"
	case 2:
		return "nd"
	case 3:
		return "rd"
	}
	return "th"
}

func frenchOrdinal(n int64) string {
	if n == 1 {
		return "er"
	}
	return "e"
}

func swedishOrdinal(n int64) string {
	if d := n % 10; (d == 1 || d == 2) && n%100 != 11 && n%100 != 12 {
		return ":a"
	}
	return ":e"
}

// The plural rules return 0 for one, 1 for the form of a few, 2 for all else.
func pluralOne(n number) int {
	if n.form == formInt && n.i == 1 {
		return 0
	}
	return 2
}

// pluralBelowTwo is that of French and Portuguese: 0, 1 and 1.5 are one.
func pluralBelowTwo(n number) int {
	if a := n.abs(); a.cmp(number{i: 2}) < 0 {
		return 0
	}
	return 2
}

func pluralPolish(n number) int {
	if n.form != formInt {
		return 2
	}
	i := int64(abs64(n.i) % 100)
	switch {
	case n.i == 1:
		return 0
	case i%10 >= 2 && i%10 <= 4 && (i < 12 || i > 14):
		return 1
	}
	return 2
}

func pluralCzech(n number) int {
	switch {
	case n.form != formInt:
		return 2
	case n.i == 1:
		return 0
	case n.i >= 2 && n.i <= 4:
		return 1
	}
	return 2
}

// locales are the languages known. The tables follow CLDR.
var locales = makeLocales()

func makeLocales() map[string]*locale {
	en := &locale{
		names: &englishNames, decimal: ".", group: ",", minGroup: 3, money: "#0", own: "USD",
		short: "%-m/%-d/%y", medium: "%b %-d, %Y", long: "%B %-d, %Y", full: "%A, %B %-d, %Y", time: "%-l:%M %p",
		ordinal: englishOrdinal, plural: pluralOne,
	}
	british := func(own string) *locale {
		return variant(en, func(l *locale) {
			l.own, l.short, l.medium, l.long, l.full, l.time = own, "%d/%m/%Y", "%-d %b %Y", "%-d %B %Y", "%A, %-d %B %Y", "%H:%M"
		})
	}
	de := &locale{
		names: &germanNames, decimal: ",", group: ".", minGroup: 3, money: "0" + nbsp + "#",
		short: "%d.%m.%y", medium: "%d.%m.%Y", long: "%-d. %B %Y", full: "%A, %-d. %B %Y", time: "%H:%M",
		ordinal: suffix("."), plural: pluralOne,
	}
	fr := &locale{
		names: &frenchNames, decimal: ",", group: narrowNbsp, minGroup: 3, money: "0" + nbsp + "#",
		short: "%d/%m/%Y", medium: "%-d %b %Y", long: "%-d %B %Y", full: "%A %-d %B %Y", time: "%H:%M",
		ordinal: frenchOrdinal, plural: pluralBelowTwo,
	}
	es := &locale{
		names: &spanishNames, decimal: ",", group: ".", minGroup: 4, money: "0" + nbsp + "#",
		short: "%-d/%-m/%y", medium: "%-d %b %Y", long: "%-d de %B de %Y", full: "%A, %-d de %B de %Y", time: "%-H:%M",
		ordinal: suffix(".º"), plural: pluralOne,
	}
	it := &locale{
		names: &italianNames, decimal: ",", group: ".", minGroup: 3, money: "0" + nbsp + "#",
		short: "%d/%m/%y", medium: "%-d %b %Y", long: "%-d %B %Y", full: "%A %-d %B %Y", time: "%H:%M",
		ordinal: suffix("º"), plural: pluralOne,
	}
	nl := &locale{
		names: &dutchNames, decimal: ",", group: ".", minGroup: 3, money: "#" + nbsp + "0",
		short: "%d-%m-%Y", medium: "%-d %b %Y", long: "%-d %B %Y", full: "%A %-d %B %Y", time: "%H:%M",
		ordinal: suffix("e"), plural: pluralOne,
	}
	pt := &locale{
		names: &portugueseNames, decimal: ",", group: ".", minGroup: 3, money: "#" + nbsp + "0", own: "BRL",
		short: "%d/%m/%Y", medium: "%-d de %b de %Y", long: "%-d de %B de %Y", full: "%A, %-d de %B de %Y", time: "%H:%M",
		ordinal: suffix("º"), plural: pluralBelowTwo,
	}
	out := map[string]*locale{
		"en": en, "en-us": en, "en-gb": british("GBP"), "en-ie": british("EUR"), "en-au": british("AUD"), "en-nz": british("NZD"),
		"en-ca": variant(en, func(l *locale) { l.own, l.short = "CAD", "%Y-%m-%d" }),
		"de":    de,
		"de-at": variant(de, func(l *locale) { l.money = "#" + nbsp + "0" }),
		"de-ch": variant(de, func(l *locale) { l.decimal, l.group, l.money = ".", "’", "#"+nbsp+"0" }),
		"fr":    fr,
		"fr-ch": variant(fr, func(l *locale) { l.short = "%d.%m.%y" }),
		"fr-ca": variant(fr, func(l *locale) { l.own, l.group, l.short, l.time = "CAD", nbsp, "%Y-%m-%d", "%H h %M" }),
		"es":    es, "it": it, "nl": nl, "pt": pt, "pt-br": pt,
		"es-mx": variant(es, func(l *locale) {
			l.own, l.decimal, l.group, l.minGroup, l.money = "MXN", ".", ",", 3, "#0"
		}),
		"pt-pt": variant(pt, func(l *locale) { l.own, l.group, l.minGroup, l.money = "", nbsp, 4, "0"+nbsp+"#" }),
	}
	addNordic(out)
	return out
}

// addNordic adds the languages of the north and the east.
func addNordic(out map[string]*locale) {
	base := &locale{
		decimal: ",", group: nbsp, minGroup: 3, money: "0" + nbsp + "#", medium: "%-d. %b %Y", long: "%-d. %B %Y", full: "%A %-d. %B %Y",
		short: "%d.%m.%Y", time: "%H:%M", ordinal: suffix("."), plural: pluralOne,
	}
	out["sv"] = variant(base, func(l *locale) {
		l.names, l.own, l.ordinal = &swedishNames, "SEK", swedishOrdinal
		l.short, l.medium, l.long, l.full = "%Y-%m-%d", "%-d %b %Y", "%-d %B %Y", "%A %-d %B %Y"
	})
	out["da"] = variant(base, func(l *locale) {
		l.names, l.own, l.group, l.full, l.time = &danishNames, "DKK", ".", "%A den %-d. %B %Y", "%H.%M"
	})
	out["nb"] = variant(base, func(l *locale) { l.names, l.own = &norwegianNames, "NOK" })
	out["no"] = out["nb"]
	out["fi"] = variant(base, func(l *locale) {
		l.names, l.short, l.medium, l.time = &finnishNames, "%-d.%-m.%Y", "%-d.%-m.%Y", "%-H.%M"
	})
	out["pl"] = variant(base, func(l *locale) {
		l.names, l.own, l.minGroup, l.plural = &polishNames, "PLN", 4, pluralPolish
		l.short, l.medium, l.long, l.full = "%-d.%m.%Y", "%-d %b %Y", "%-d %B %Y", "%A, %-d %B %Y"
	})
	out["cs"] = variant(base, func(l *locale) {
		l.names, l.own, l.plural = &czechNames, "CZK", pluralCzech
		l.short, l.medium, l.time = "%d.%m.%y", "%-d. %-m. %Y", "%-H:%M"
	})
}

// currency is how a currency is written.
type currency struct {
	symbol string
	// short is the symbol in the locale whose own currency it is.
	short  string
	digits int
}

// currencies that have a symbol, or other than two digits; all others are written with their code and two digits.
var currencies = map[string]currency{
	"EUR": {"€", "€", 2}, "USD": {"US$", "$", 2}, "GBP": {"£", "£", 2}, "JPY": {"¥", "¥", 0}, "CNY": {"CN¥", "¥", 2},
	"INR": {"₹", "₹", 2}, "KRW": {"₩", "₩", 0}, "BRL": {"R$", "R$", 2}, "CAD": {"CA$", "$", 2}, "AUD": {"A$", "$", 2},
	"NZD": {"NZ$", "$", 2}, "MXN": {"MX$", "$", 2}, "HKD": {"HK$", "$", 2}, "ILS": {"₪", "₪", 2}, "VND": {"₫", "₫", 0},
	"PLN": {"PLN", "zł", 2}, "CZK": {"CZK", "Kč", 2}, "SEK": {"SEK", "kr", 2}, "NOK": {"NOK", "kr", 2}, "DKK": {"DKK", "kr.", 2},
	"ISK": {"ISK", "ISK", 0}, "CLP": {"CLP", "CLP", 0}, "PYG": {"PYG", "PYG", 0}, "UGX": {"UGX", "UGX", 0}, "XAF": {"FCFA", "FCFA", 0},
	"XOF": {"F CFA", "F CFA", 0}, "XPF": {"FCFP", "FCFP", 0}, "RWF": {"RWF", "RWF", 0}, "KMF": {"KMF", "KMF", 0},
	"DJF": {"DJF", "DJF", 0}, "GNF": {"GNF", "GNF", 0}, "BIF": {"BIF", "BIF", 0}, "VUV": {"VUV", "VUV", 0},
	"BHD": {"BHD", "BHD", 3}, "KWD": {"KWD", "KWD", 3}, "OMR": {"OMR", "OMR", 3}, "JOD": {"JOD", "JOD", 3}, "TND": {"TND", "TND", 3},
	"IQD": {"IQD", "IQD", 3}, "LYD": {"LYD", "LYD", 3},
}

// currencyOf returns how a currency is written in a locale; ok is false for what is no code of three letters.
func currencyOf(code string, l *locale) (symbol string, digits int, ok bool) {
	if len(code) != 3 {
		return "", 0, false
	}
	for i := 0; i < 3; i++ {
		if c := code[i]; c < 'A' || c > 'Z' {
			return "", 0, false
		}
	}
	c, known := currencies[code]
	switch {
	case !known:
		return code, 2, true
	case l.own == code:
		return c.short, c.digits, true
	}
	return c.symbol, c.digits, true
}

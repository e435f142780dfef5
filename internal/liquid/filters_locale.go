package liquid

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// The filters here are ours: numbers, money, dates and words in the reader's language.
var localeFilters = map[string]*filter{
	"money":       {max: 1, fn: filterMoney, keywords: []string{"currency", "locale", "minor_units"}, ours: true, check: checkMoney},
	"number":      {max: 1, fn: filterNumber, keywords: []string{"decimals", "locale"}, ours: true, check: checkLocale},
	"format_date": {max: 1, fn: filterFormatDate, keywords: []string{"zone", "locale"}, ours: true, check: checkFormatDate},
	"in_zone":     {min: 1, max: 1, fn: filterInZone, ours: true},
	"date_add":    {min: 2, max: 2, fn: filterDateAdd, ours: true, check: checkDateAdd},
	"pluralize":   {min: 2, max: 3, fn: filterPluralize, keywords: []string{"locale"}, ours: true, check: checkLocale},
	"ordinal":     {fn: filterOrdinal, keywords: []string{"locale"}, ours: true, check: checkLocale},
}

// The messages of checks that are made both when a template is compiled and when it is rendered.
const (
	badCurrency = `a currency of three capital letters is needed, as in money: "EUR"`
	badLanguage = "the language is not known: "
	badStyle    = "short, medium, long, full and time are known, or a format with %"
	badUnit     = "seconds, minutes, hours, days, weeks, months and years are known"
)

func checkLocale(cl *call) string {
	if tag, ok := cl.written(-1, "locale"); ok {
		if _, known := localeOf(tag); !known {
			return badLanguage + shorten(tag)
		}
	}
	return ""
}

func checkMoney(cl *call) string {
	code, ok := cl.written(0, "currency")
	if !ok && len(cl.args) == 0 && !slices.Contains(cl.keys, "currency") {
		return badCurrency
	}
	if _, _, valid := currencyOf(code, locales["en"]); ok && !valid {
		return badCurrency
	}
	return checkLocale(cl)
}

func checkFormatDate(cl *call) string {
	if style, ok := cl.written(0, ""); ok {
		if _, valid := locales["en"].dateFormat(style); !valid {
			return badStyle
		}
	}
	return checkLocale(cl)
}

func checkDateAdd(cl *call) string {
	if unit, ok := cl.written(1, ""); ok {
		if _, valid := moveTime(time.Time{}, 0, unit); !valid {
			return badUnit
		}
	}
	return ""
}

// locale is the language asked for by the filter, or that of the render. A reader's language that is not known is
// English; one that the template names must be known.
func (a *args) locale() (*locale, bool) {
	v, ok := a.named("locale")
	if !ok || v.kind == KindNil {
		l, _ := localeOf(a.st.opts.Locale)
		return l, true
	}
	l, known := localeOf(a.st.text(v))
	if !known {
		a.fail(badLanguage + shorten(a.st.text(v)))
	}
	return l, known
}

// shorten cuts what a template names in a message.
func shorten(s string) string {
	if len(s) > 40 {
		s = s[:40]
	}
	return strconv.Quote(strings.ToValidUTF8(s, "?"))
}

// isNumeric says whether a value can be read as a number without guessing.
func isNumeric(v Value) bool {
	if v.isNumber() {
		return true
	}
	if v.kind != KindString {
		return false
	}
	s := strings.Trim(v.s, " \t\n\v\f\r")
	if isDecimal(s) {
		return true
	}
	s = strings.TrimPrefix(s, "-")
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// filterMoney writes an amount in a currency: {{ 1234.5 | money: "EUR" }}.
func filterMoney(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	l, ok := a.locale()
	if !ok {
		return Nil
	}
	code := a.at(0)
	if v, ok := a.named("currency"); ok {
		code = v
	}
	symbol, digits, ok := currencyOf(a.st.text(code), l)
	if !ok {
		return a.fail(badCurrency)
	}
	if !isNumeric(in) {
		return a.fail("money needs a number")
	}
	n := toNumber(in)
	if n.form == formOdd {
		return a.fail("money needs a number")
	}
	if v, ok := a.named("minor_units"); ok && v.truthy() {
		n, _ = compute(n, number{form: formDec, i: 1, scale: digits}, '*')
	}
	buf := a.st.scratch[:0]
	n = n.round(digits, 'r')
	if n.cmp(number{}) < 0 {
		buf = append(buf, '-')
		n = n.abs()
	}
	for i := 0; i < len(l.money); i++ {
		switch l.money[i] {
		case '0':
			buf = appendNumber(buf, n, digits, l)
		case '#':
			buf = append(buf, symbol...)
			// A code of letters does not touch the number.
			if i == 0 && l.money[1] == '0' && len(symbol) > 0 && isNameStart(symbol[len(symbol)-1]) {
				buf = append(buf, nbsp...)
			}
		default:
			buf = append(buf, l.money[i])
		}
	}
	return a.fromScratch(buf)
}

// fromScratch turns what was written to the scratch buffer into a value.
func (a *args) fromScratch(buf []byte) Value {
	a.st.scratch = buf
	if !a.st.charge(len(buf)) {
		return Nil
	}
	return String(a.st.intern(buf))
}

// appendNumber writes a number that is not negative with so many decimals.
func appendNumber(dst []byte, n number, digits int, l *locale) []byte {
	start := len(dst)
	switch {
	case n.form == formInt:
		dst = strconv.AppendInt(dst, n.i, 10)
		for i := 0; i < digits; i++ {
			dst = append(dst, '0')
		}
	case n.form == formDec && n.scale <= digits:
		dst = strconv.AppendInt(dst, n.i, 10)
		for i := n.scale; i < digits; i++ {
			dst = append(dst, '0')
		}
	default:
		dst = append(dst, strings.Replace(n.rat().FloatString(digits), ".", "", 1)...)
	}
	for len(dst)-start <= digits {
		dst = append(dst, 0)
		copy(dst[start+1:], dst[start:])
		dst[start] = '0'
	}
	var plain [64]byte
	all := append(plain[:0], dst[start:]...)
	dst = dst[:start]
	whole := all[:len(all)-digits]
	for i, c := range whole {
		if left := len(whole) - i; i > 0 && left%3 == 0 && len(whole) > l.minGroup {
			dst = append(dst, l.group...)
		}
		dst = append(dst, c)
	}
	if digits > 0 {
		dst = append(dst, l.decimal...)
		dst = append(dst, all[len(whole):]...)
	}
	return dst
}

// maxDecimals bounds the decimals that a template may ask for.
const maxDecimals = 20

// filterNumber writes a number with the signs of the language: {{ 1234.5 | number: 2 }}.
func filterNumber(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	l, ok := a.locale()
	if !ok {
		return Nil
	}
	if !isNumeric(in) {
		return a.fail("number needs a number")
	}
	n := toNumber(in)
	if n.form == formOdd {
		return a.fail("number needs a number")
	}
	places := a.at(0)
	if v, ok := a.named("decimals"); ok {
		places = v
	}
	digits := 0
	switch {
	case places.kind != KindNil:
		d, ok := a.st.strictInt(places)
		if !ok || d < 0 || d > maxDecimals {
			return a.fail("number takes 0 to 20 decimals")
		}
		digits = int(d)
	case n.form == formDec:
		for digits = n.scale; digits > 0 && n.i%10 == 0; digits-- {
			n.i /= 10
			n.scale--
		}
	case n.form == formRat:
		digits = 3
	}
	n = n.round(digits, 'r')
	buf := a.st.scratch[:0]
	if n.cmp(number{}) < 0 {
		buf = append(buf, '-')
		n = n.abs()
	}
	return a.fromScratch(appendNumber(buf, n, digits, l))
}

// zoneOf finds the zone a template names.
func (a *args) zoneOf(v Value) (*time.Location, bool) {
	name := a.st.text(v)
	switch name {
	case "UTC", "utc", "Z":
		return time.UTC, true
	}
	if name != "" && (name[0] == '+' || name[0] == '-') {
		if loc := zoneOffset(name); loc != nil {
			return loc, true
		}
	}
	if a.st.opts.LoadZone != nil && name != "" && len(name) <= 64 {
		if loc, err := a.st.opts.LoadZone(name); err == nil && loc != nil {
			return loc, true
		}
	}
	a.fail("the time zone is not known: " + shorten(name))
	return nil, false
}

// filterFormatDate writes a date in the reader's language, in a style (short, medium, long, full, time) or a format of
// strftime: {{ order.date | format_date: "long", zone: "Europe/Berlin" }}.
func filterFormatDate(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	l, ok := a.locale()
	if !ok {
		return Nil
	}
	t, ok := a.st.toTime(in)
	if !ok {
		return a.fail("format_date needs a date")
	}
	zone := a.st.zone
	if v, ok := a.named("zone"); ok && v.kind != KindNil {
		if zone, ok = a.zoneOf(v); !ok {
			return Nil
		}
	}
	format, ok := l.dateFormat(a.text(0))
	if !ok {
		return a.fail(badStyle)
	}
	if !a.st.charge(4 * len(format)) {
		return Nil
	}
	return a.fromScratch(strftime(a.st.scratch[:0], t.In(zone), format, l.names))
}

// dateFormat returns the format of strftime for a style.
func (l *locale) dateFormat(style string) (string, bool) {
	switch style {
	case "short":
		return l.short, true
	case "", "medium":
		return l.medium, true
	case "long":
		return l.long, true
	case "full":
		return l.full, true
	case "time":
		return l.time, true
	}
	return style, strings.Contains(style, "%")
}

func filterInZone(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	t, ok := a.st.toTime(in)
	if !ok {
		return a.fail("in_zone needs a date")
	}
	zone, ok := a.zoneOf(a.at(0))
	if !ok {
		return Nil
	}
	return Time(t.In(zone))
}

// filterDateAdd moves a time: {{ "now" | date_add: 3, "days" }}.
func filterDateAdd(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	t, ok := a.st.toTime(in)
	if !ok {
		return a.fail("date_add needs a date")
	}
	n, ok := a.st.strictInt(a.at(0))
	if !ok || n > 1e6 || n < -1e6 {
		return a.fail("date_add needs a whole number of at most a million")
	}
	t, ok = moveTime(t, int(n), a.text(1))
	if !ok {
		return a.fail(badUnit)
	}
	return Time(t)
}

// moveTime moves a time by so many units; ok is false for an unknown one.
func moveTime(t time.Time, n int, unit string) (_ time.Time, ok bool) {
	switch strings.TrimSuffix(unit, "s") {
	case "second":
		return t.Add(time.Duration(n) * time.Second), true
	case "minute":
		return t.Add(time.Duration(n) * time.Minute), true
	case "hour":
		return t.Add(time.Duration(n) * time.Hour), true
	case "day":
		return t.AddDate(0, 0, n), true
	case "week":
		return t.AddDate(0, 0, 7*n), true
	case "month":
		return addMonths(t, n), true
	case "year":
		return addMonths(t, 12*n), true
	}
	return t, false
}

// addMonths stays in the month: a month after January 31 is the last of February.
func addMonths(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

// filterPluralize chooses the form of a word for a number: {{ n | pluralize: "item", "items" }}, with three forms in
// the languages that have one for a few.
func filterPluralize(a *args, in Value) Value {
	l, ok := a.locale()
	if !ok {
		return Nil
	}
	if in.kind == KindArray || in.kind == KindRange {
		in = Int(sizeOf(in))
	}
	n := toNumber(in)
	if n.form == formDec && n.scale == 0 {
		n.form = formInt
	}
	form := l.plural(n)
	if form == 2 || len(a.pos) == 2 && form == 1 {
		form = len(a.pos) - 1
	}
	return String(a.text(form))
}

// filterOrdinal writes a whole number as a rank: 1st, 2., 3e.
func filterOrdinal(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	l, ok := a.locale()
	if !ok {
		return Nil
	}
	n, ok := a.st.strictInt(in)
	if !ok {
		return a.fail("ordinal needs a whole number")
	}
	buf := strconv.AppendInt(a.st.scratch[:0], n, 10)
	return a.fromScratch(append(buf, l.ordinal(n)...))
}

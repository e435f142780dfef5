package liquid

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The filters here are ours: names, addresses, links, JSON and digests.
var emailFilters = map[string]*filter{
	"raw":         {fn: filterRaw, ours: true},
	"json":        {fn: filterJSON, ours: true},
	"name_case":   {fn: filterNameCase, ours: true},
	"obfuscate":   {fn: filterObfuscate, ours: true},
	"url_param":   {min: 2, max: 2, fn: filterURLParam, ours: true},
	"utm":         {fn: filterUTM, keywords: []string{"source", "medium", "campaign", "content", "term", "id"}, ours: true},
	"md5":         {fn: digest(md5.New), ours: true},
	"sha1":        {fn: digest(sha1.New), ours: true},
	"sha256":      {fn: digest(sha256.New), ours: true},
	"hmac_sha256": {min: 1, max: 1, fn: filterHMAC, ours: true},
}

// intern copies bytes into the render's own store of texts, so that many short texts take one allocation.
func (st *state) intern(b []byte) string {
	if st.texts.Cap()-st.texts.Len() < len(b) {
		st.texts = strings.Builder{}
		st.texts.Grow(max(st.chunk, len(b)))
	}
	n := st.texts.Len()
	st.texts.Write(b)
	return st.texts.String()[n:]
}

// filterRaw marks a text as fit to be printed as it is.
func filterRaw(a *args, in Value) Value {
	if in.kind != KindString {
		return in
	}
	in.safe = true
	return in
}

func filterJSON(a *args, in Value) Value {
	buf := appendJSON(a.st.scratch[:0], in, 0, a.st.room)
	if a.st.err != nil {
		return Nil
	}
	return a.fromScratch(buf)
}

// particles are the parts of a name that stay small inside it.
var particles = map[string]bool{
	"von": true, "van": true, "der": true, "den": true, "de": true, "del": true, "di": true, "da": true, "do": true, "dos": true,
	"la": true, "le": true, "zu": true, "zur": true, "vom": true, "ter": true, "ten": true, "af": true, "av": true, "y": true, "e": true,
}

// filterNameCase writes a name with capitals where they belong. A name that has both large and small letters was
// written with care and is left as it is.
func filterNameCase(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	s := strings.Join(strings.Fields(a.st.text(in)), " ")
	if !a.st.work(len(s)) {
		return Nil
	}
	if s != strings.ToLower(s) && s != strings.ToUpper(s) {
		return String(s)
	}
	words := strings.Split(strings.ToLower(s), " ")
	for i, w := range words {
		if i > 0 && i < len(words)-1 && particles[w] {
			continue
		}
		words[i] = capitalizeName(w)
	}
	return a.makeText(strings.Join(words, " "))
}

// capitalizeName begins each part of a word with a capital: jean-luc, o'neill, mcdonald.
func capitalizeName(w string) string {
	var out strings.Builder
	up := true
	for i, r := range w {
		switch {
		case up:
			out.WriteRune(unicode.ToTitle(r))
			up = false
		default:
			out.WriteRune(r)
		}
		switch {
		case r == '-' || r == '.':
			up = true
		case r == '\'' || r == '’':
			// O'Neill and D'Angelo, but not Anna's.
			up = i == 1 || (i > 1 && utf8.RuneCountInString(w[:i]) == 1)
		case i == 1 && strings.HasPrefix(w, "mc") && len(w) > 3:
			up = true
		}
	}
	return out.String()
}

// filterObfuscate hides most of an address: jane.doe@shop.example becomes j•••@shop.example. Of any other text the
// last two characters of more than four are left.
func filterObfuscate(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	s := a.st.text(in)
	if at := strings.LastIndexByte(s, '@'); at > 0 {
		_, n := utf8.DecodeRuneInString(s)
		return a.makeText(s[:min(n, at)] + "•••" + s[at:])
	}
	n := utf8.RuneCountInString(s)
	if n <= 4 {
		return String("•••")
	}
	return a.makeText("•••" + s[runeOffset(s, int64(n-2)):])
}

// appendParam adds a parameter to a URL that stands in buf, before the fragment, unless it is there already.
func appendParam(buf []byte, url, key, value string) []byte {
	base, fragment, found := strings.Cut(url, "#")
	path, query, asked := strings.Cut(base, "?")
	for rest := query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if name, _, _ := strings.Cut(pair, "="); name == key {
			return append(buf, url...)
		}
	}
	buf = append(buf, path...)
	buf = append(buf, '?')
	if asked && query != "" {
		buf = append(buf, query...)
		buf = append(buf, '&')
	}
	buf = appendURLComponent(buf, key, false)
	buf = append(buf, '=')
	buf = appendURLComponent(buf, value, false)
	if found {
		buf = append(buf, '#')
		buf = append(buf, fragment...)
	}
	return buf
}

// filterURLParam adds a parameter to a URL: {{ url | url_param: "ref", person.code }}.
func filterURLParam(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	url, key, value := a.st.text(in), a.text(0), a.text(1)
	if !a.st.room(3 * (len(url) + len(key) + len(value))) {
		return Nil
	}
	return a.fromScratch(appendParam(a.st.scratch[:0], url, key, value))
}

// filterUTM adds the parameters of a campaign to a URL of the web: {{ url | utm: source: "rapport", campaign: "may" }}.
func filterUTM(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	url := a.st.text(in)
	lower := lowerText(url[:min(len(url), 8)])
	if !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") && !strings.HasPrefix(lower, "/") {
		return in
	}
	for i, k := range a.call.keys {
		if a.kw[i].kind == KindNil || !slices.Contains(a.call.def.keywords, k) {
			continue
		}
		value := a.st.text(a.kw[i])
		if !a.st.charge(3 * (len(url) + len(value))) {
			return Nil
		}
		a.st.scratch = appendParam(a.st.scratch[:0], url, utmNames[k], value)
		url = a.st.intern(a.st.scratch)
	}
	return String(url)
}

var utmNames = map[string]string{
	"source": "utm_source", "medium": "utm_medium", "campaign": "utm_campaign", "content": "utm_content", "term": "utm_term", "id": "utm_id",
}

func digest(make func() hash.Hash) func(*args, Value) Value {
	return func(a *args, in Value) Value {
		s := a.st.text(in)
		// Hashing costs more for each byte than other work.
		if !a.st.work(16 * len(s)) {
			return Nil
		}
		h := make()
		h.Write([]byte(s))
		return a.makeText(hex.EncodeToString(h.Sum(nil)))
	}
}

func filterHMAC(a *args, in Value) Value {
	s := a.st.text(in)
	if !a.st.work(16 * len(s)) {
		return Nil
	}
	h := hmac.New(sha256.New, []byte(a.text(0)))
	h.Write([]byte(s))
	return a.makeText(hex.EncodeToString(h.Sum(nil)))
}

// Package wording is what the pages for readers say, and how they look: texts by
// language, English and German shipped, others and other words by files of the
// folder, and the colours of a workspace. What comes in are texts and colours that
// were read from files; what goes out is a text in the language of a reader. It
// shows nothing itself, and knows nobody.
package wording

import (
	"embed"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

//go:embed en.yaml de.yaml
var files embed.FS

// First is the language in which every text is shipped first.
const First = "en"

// Texts are what pages say in one language, by key.
type Texts map[string]string

// shipped reads the texts of this package.
func shipped(language string) Texts {
	out := Texts{}
	raw, err := files.ReadFile(language + ".yaml")
	if err == nil {
		err = yaml.Load(raw, &out)
	}
	if err != nil {
		panic("wording: " + language + ".yaml: " + err.Error()) // It is part of the program, and a test reads it.
	}
	return out
}

// Keys lists what pages say, sorted.
func Keys() []string { return slices.Sorted(maps.Keys(shipped(First))) }

var hole = regexp.MustCompile(`\{[a-z]+\}`)

// Holes gives the places of a text that a page fills, sorted: {title}, {until}.
func Holes(text string) []string {
	found := hole.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// Wants gives the holes that the text of a key must have.
func Wants(key string) []string { return Holes(shipped(First)[key]) }

// Book is all texts of a workspace, with its theme. It does not change once made.
type Book struct {
	texts  map[string]Texts
	locale string
	Theme  Theme
}

// New makes a book of the shipped texts and those of a folder, which win. locale is
// the workspace's language, for readers who understand none that there is.
func New(own map[string]Texts, locale string, theme Theme) *Book {
	b := &Book{texts: map[string]Texts{First: shipped(First), "de": shipped("de")}, Theme: theme}
	for language, texts := range own {
		if b.texts[language] == nil {
			b.texts[language] = Texts{}
		}
		maps.Copy(b.texts[language], texts)
	}
	for language := range b.texts {
		for key, text := range b.texts[First] {
			if b.texts[language][key] == "" {
				b.texts[language][key] = text // What nobody translated is better read in English than not at all.
			}
		}
	}
	b.locale = First
	if l, ok := b.nearest(locale); ok {
		b.locale = l
	}
	return b
}

// Languages lists the languages that there are, sorted.
func (b *Book) Languages() []string { return slices.Sorted(maps.Keys(b.texts)) }

// Texts gives the texts in a language that there is.
func (b *Book) Texts(language string) Texts { return b.texts[language] }

// Pick finds the language for a reader: what they chose, else what their browser
// prefers (the header Accept-Language), else the workspace's.
func (b *Book) Pick(chosen, accept string) string {
	if l, ok := b.nearest(chosen); ok {
		return l
	}
	const most = 16 // Nobody reads more languages, and the header is a stranger's.
	for i, part := range strings.SplitN(accept, ",", most+1) {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if l, ok := b.nearest(name); ok && i < most && strings.ReplaceAll(weight, " ", "") != "q=0" {
			return l // Browsers list them in order of preference.
		}
	}
	return b.locale
}

// nearest finds a language as it is named, or without its country.
func (b *Book) nearest(name string) (string, bool) {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	for name != "" {
		if _, ok := b.texts[name]; ok {
			return name, true
		}
		i := strings.LastIndexByte(name, '-')
		if i < 0 {
			return "", false
		}
		name = name[:i]
	}
	return "", false
}

// Say gives a text with its holes filled: pairs of a hole's name and what stands
// there. A key that there is none of gives itself, so that it is seen.
func (t Texts) Say(key string, pairs ...string) string {
	text, ok := t[key]
	if !ok {
		return key
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		text = strings.ReplaceAll(text, "{"+pairs[i]+"}", pairs[i+1])
	}
	return text
}

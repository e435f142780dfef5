package wording_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/wording"
)

func TestBothLanguagesSayTheSame(t *testing.T) {
	t.Parallel()
	b := wording.New(nil, "", wording.Theme{})
	en, de := b.Texts("en"), b.Texts("de")
	same := 0
	for _, key := range wording.Keys() {
		if diff := cmp.Diff(wording.Holes(en[key]), wording.Holes(de[key])); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
		if en[key] == de[key] {
			same++
			t.Errorf("%s is not translated", key)
		}
	}
	if len(en) != len(de) || len(en) != len(wording.Keys()) {
		t.Errorf("%d texts in English, %d in German, %d keys", len(en), len(de), len(wording.Keys()))
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	b := wording.New(map[string]wording.Texts{"pt-br": {"language": "Português"}}, "de-AT", wording.Theme{})
	for _, tt := range []struct{ chosen, accept, want string }{
		{"", "", "de"}, {"", "fr,en;q=0.8", "en"}, {"", "fr", "de"}, {"", "de-CH,en", "de"}, {"en", "de", "en"}, {"xx", "en-GB", "en"},
		{"", "pt-BR", "pt-br"}, {"", "pt", "de"}, {"", "en;q=0,de", "de"}, {"", strings.Repeat("x,", 100) + "en", "de"}, {"../en", "", "de"},
	} {
		if got := b.Pick(tt.chosen, tt.accept); got != tt.want {
			t.Errorf("chosen %q, accepts %q: %s, want %s", tt.chosen, tt.accept, got, tt.want)
		}
	}
	if got := b.Texts("pt-br").Say("unsubscribe_done", "title", "News"); !strings.Contains(got, "“News”") {
		t.Errorf("what is not translated is %q", got)
	}
	if got := b.Languages(); !slices.Equal(got, []string{"de", "en", "pt-br"}) {
		t.Errorf("languages %v", got)
	}
}

func TestThemes(t *testing.T) {
	t.Parallel()
	house := wording.Theme{Corner: -1}
	if f := house.Faint(); len(f) != 0 || house.CSS() != "" {
		t.Errorf("the house's own colours: %+v, %q", f, house.CSS())
	}
	pale := wording.Theme{Light: map[string]string{"accent": "#ffcc00"}, Dark: map[string]string{"text": "#222222"}, Corner: 4}
	var got []string
	for _, f := range pale.Faint() {
		if !f.Dark || f.Front == "text" {
			got = append(got, f.Front+" on "+f.Back)
		}
	}
	want := []string{"accent on card", "accent on page", "on_accent on accent", "text on card", "text on page", "text on note"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if css := pale.CSS(); !strings.Contains(css, "--accent: #ffcc00") || !strings.Contains(css, "dark) { :root { --ink: #222222") || !strings.Contains(css, "4px") {
		t.Error(css)
	}
	if c := wording.Contrast("#000000", "#ffffff"); c < 20.99 || c > 21.01 {
		t.Errorf("black on white is %f", c)
	}
	for s, want := range map[string]bool{`Georgia, "Times New Roman", serif`: true, "a; } body { display: none": false, `"`: false, "url(x)": false} {
		if wording.Families(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

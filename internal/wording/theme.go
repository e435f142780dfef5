package wording

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Theme is how the pages of a workspace look. The zero Theme is the house's own.
type Theme struct {
	Light, Dark map[string]string // colours by name, "#1f5f4a"
	Font        string            // a list of font families that readers have
	Corner      int               // radius of corners in pixels; -1: the house's own
}

// colours are those that a theme may set, with their variable in the style sheet and
// the house's own for light and dark.
var colours = []struct{ name, variable, light, dark string }{
	{"text", "--ink", "#1d2430", "#eceae5"},
	{"quiet", "--soft", "#5a6575", "#a9b0bb"},
	{"card", "--paper", "#ffffff", "#1c2128"},
	{"page", "--ground", "#f3f1ec", "#12161b"},
	{"line", "--line", "#e2ded5", "#323943"},
	{"accent", "--accent", "#1f5f4a", "#7cc9ab"},
	{"on_accent", "--accent-ink", "#ffffff", "#0d1f18"},
	{"note", "--note", "#e9f3ee", "#1d3029"},
	{"off", "--off", "#79746b", "#7a8290"},
}

// Colours lists the names of the colours that a theme may set.
func Colours() (names []string) {
	for _, c := range colours {
		names = append(names, c.name)
	}
	return names
}

var hex = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// Colour tells whether a text is a colour as themes have them.
func Colour(s string) bool { return hex.MatchString(s) }

var families = regexp.MustCompile(`^[A-Za-z0-9 ,"'-]{1,200}$`)

// Families tells whether a text may stand as a list of font families.
func Families(s string) bool {
	return families.MatchString(s) && strings.Count(s, `"`)%2 == 0 && strings.Count(s, "'")%2 == 0
}

// CSS gives the rules that come behind the style sheet.
func (t *Theme) CSS() string {
	var b strings.Builder
	block := func(set map[string]string, open, end string) {
		if len(set) == 0 {
			return
		}
		b.WriteString(open)
		for _, c := range colours {
			if v := set[c.name]; v != "" {
				fmt.Fprintf(&b, "%s: %s; ", c.variable, v)
			}
		}
		b.WriteString(end)
	}
	block(t.Light, "@media not (prefers-color-scheme: dark) { :root { ", "} }\n") // It must not reach into the dark.
	block(t.Dark, "@media (prefers-color-scheme: dark) { :root { ", "} }\n")
	if t.Font != "" {
		fmt.Fprintf(&b, "body { font-family: %s; }\n", t.Font)
	}
	if t.Corner >= 0 && t.Light != nil {
		fmt.Fprintf(&b, ".card, button, .button, .note, input { border-radius: %dpx; }\n", t.Corner)
	}
	return b.String()
}

// pairs are colours that stand on each other, with the contrast that WCAG 2.2 asks
// for at level AA: 4.5 for text (1.4.3), 3 for controls (1.4.11).
var pairs = []struct {
	front, back string
	least       float64
}{
	{"text", "card", 4.5}, {"text", "page", 4.5}, {"text", "note", 4.5}, {"quiet", "card", 4.5}, {"quiet", "page", 4.5},
	{"accent", "card", 4.5}, {"accent", "page", 4.5}, {"on_accent", "accent", 4.5}, {"off", "card", 3},
}

// Faint is a pair of colours that people cannot tell apart well enough.
type Faint struct {
	Front, Back string
	Dark        bool
	Has, Least  float64
}

// Faint lists the pairs of a theme that are too close.
func (t *Theme) Faint() (out []Faint) {
	for _, dark := range []bool{false, true} {
		set := t.Light
		if dark {
			set = t.Dark
		}
		of := func(name string) string {
			if v := set[name]; v != "" {
				return v
			}
			i := slices.Index(Colours(), name)
			if dark {
				return colours[i].dark
			}
			return colours[i].light
		}
		for _, p := range pairs {
			if has := Contrast(of(p.front), of(p.back)); has < p.least {
				out = append(out, Faint{p.front, p.back, dark, has, p.least})
			}
		}
	}
	return out
}

// Contrast is the contrast ratio of two colours, as WCAG defines it.
func Contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(colour string) float64 {
	channel := func(from int) float64 {
		n, err := strconv.ParseUint(colour[from:from+2], 16, 8)
		if err != nil {
			return 0
		}
		if v := float64(n) / 255; v > 0.04045 {
			return math.Pow((v+0.055)/1.055, 2.4)
		}
		return float64(n) / 255 / 12.92
	}
	if !Colour(colour) {
		return 0
	}
	return 0.2126*channel(1) + 0.7152*channel(3) + 0.0722*channel(5)
}

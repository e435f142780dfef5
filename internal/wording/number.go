package wording

import (
	"slices"
	"strings"
)

// commas are the languages that write a decimal comma, and group thousands by points
// or spaces, after the locale data of Unicode.
var commas = strings.Fields("af az be bg bs ca cs da de el es et eu fi fo fr gl hr hu hy id is it ka kk ky lt lv mk nb nl nn no pl pt ro ru sk sl sq sr sv tr uk uz vi")

// points are the regions of those that write a decimal point.
var points = strings.Fields("de-ch de-li it-ch es-mx es-us es-gt es-hn es-ni es-pa es-pr es-sv es-do")

// DecimalComma tells whether readers of a language write 2,5 where others write 2.5.
func DecimalComma(language string) bool {
	base, _, _ := strings.Cut(language, "-")
	return slices.Contains(commas, base) && !slices.Contains(points, language)
}

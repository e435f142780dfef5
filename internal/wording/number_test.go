package wording

import "testing"

func TestDecimalComma(t *testing.T) {
	t.Parallel()
	for language, want := range map[string]bool{"en": false, "de": true, "de-ch": false, "pt-br": true, "fr": true, "es-mx": false, "ja": false, "": false} {
		if DecimalComma(language) != want {
			t.Errorf("%q: %v", language, !want)
		}
	}
}

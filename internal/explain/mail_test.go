package explain

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/content"
	"rapport/internal/message"
)

// TestPartsComeBack reads the parts as the renderer keeps them, and gives JSON.
func TestPartsComeBack(t *testing.T) {
	t.Parallel()
	kept := content.EncodeParts(&message.Rendered{
		Subject: "Your cart", Preheader: "Still there", HTML: []byte("<p>Hi</p>"), Text: []byte("Hi\n"), Headers: [][2]string{{"Feedback-ID", "a:b"}},
	})
	want := &Parts{Subject: "Your cart", Preheader: "Still there", HTML: "<p>Hi</p>", Text: "Hi\n", Headers: [][2]string{{"Feedback-ID", "a:b"}}}
	if diff := cmp.Diff(want, partsOf(kept)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b, err := json.Marshal(MailStory{Parts: partsOf(kept)}); err != nil || !json.Valid(b) {
		t.Errorf("%s, %v", b, err)
	}
	for name, damaged := range map[string][]byte{"none": nil, "cut": kept[:len(kept)-3], "other format": append([]byte{99}, kept[1:]...)} {
		if p := partsOf(damaged); p != nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

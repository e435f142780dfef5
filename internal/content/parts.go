package content

import (
	"errors"

	"github.com/klauspost/compress/s2"

	"rapport/internal/message"
	"rapport/internal/wire"
)

const partsFormat = 1

// maxParts bounds what DecodeParts makes of few bytes.
const maxParts = 8 << 20

var errParts = errors.New("rendered parts: malformed")

// EncodeParts packs what the story of a mail shows: subject, preheader, both
// bodies, headers. Addresses stay out.
func EncodeParts(r *message.Rendered) []byte {
	raw := make([]byte, 0, len(r.HTML)+len(r.Text)+512)
	raw = wire.AppendString(raw, r.Subject)
	raw = wire.AppendString(raw, r.Preheader)
	raw = wire.AppendBytes(raw, r.HTML)
	raw = wire.AppendBytes(raw, r.Text)
	raw = wire.AppendString(raw, r.MessageID)
	raw = append(raw, byte(min(len(r.Headers), 255)))
	for _, h := range r.Headers[:min(len(r.Headers), 255)] {
		raw = wire.AppendString(raw, h[0])
		raw = wire.AppendString(raw, h[1])
	}
	out := make([]byte, 1, 1+s2.MaxEncodedLen(len(raw)))
	out[0] = partsFormat
	return append(out, s2.Encode(nil, raw)...)
}

// DecodeParts unpacks what EncodeParts packed.
func DecodeParts(b []byte) (message.Rendered, error) {
	var r message.Rendered
	if len(b) < 2 || b[0] != partsFormat {
		return r, errParts
	}
	if n, err := s2.DecodedLen(b[1:]); err != nil || n > maxParts {
		return r, errParts
	}
	raw, err := s2.Decode(nil, b[1:])
	if err != nil {
		return r, errParts
	}
	d := wire.Reader{Rest: raw}
	r.Subject, r.Preheader = d.Alias(), d.Alias()
	r.HTML, r.Text = d.Bytes(), d.Bytes()
	r.MessageID = d.Alias()
	for n := d.Byte(); n > 0 && !d.Bad; n-- {
		r.Headers = append(r.Headers, [2]string{d.Alias(), d.Alias()})
	}
	if !d.Done() {
		return r, errParts
	}
	return r, nil
}

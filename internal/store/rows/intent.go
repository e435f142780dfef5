package rows

import (
	"encoding/binary"
	"errors"
	"time"

	"rapport/internal/message"
	"rapport/internal/wire"
)

// intentFormat is the first byte of an intent's body. docs/format/state.md draws it.
const intentFormat = 1

var errIntent = errors.New("malformed intent")

// AppendIntent writes what a mail is, but for its id and person, which stand in
// columns: format, key id (0: not sealed), fields.
func AppendIntent(dst []byte, in *message.Intent) []byte {
	dst = append(dst, intentFormat, 0)
	for _, s := range [...]string{
		in.Key, in.To, in.Template, string(in.Purpose), in.Provider, in.Journey, in.Step, in.Place, in.Cause,
	} {
		dst = wire.AppendString(dst, s)
	}
	dst = append(dst, byte(in.Class))
	dst = binary.AppendVarint(dst, int64(in.Version))
	for _, t := range [...]time.Time{in.Decided, in.Due, in.ValidUntil} {
		dst = appendTime(dst, t)
	}
	if in.Data == nil {
		return append(dst, 0)
	}
	return wire.AppendBytes(append(dst, 1), in.Data)
}

// ReadIntent reads what AppendIntent wrote; nothing points into body.
func ReadIntent(body []byte) (in message.Intent, err error) {
	r := wire.Reader{Rest: body}
	if r.Byte() != intentFormat || r.Uvarint() != 0 {
		return in, errIntent
	}
	for _, s := range [...]*string{
		&in.Key, &in.To, &in.Template, (*string)(&in.Purpose), &in.Provider, &in.Journey, &in.Step, &in.Place, &in.Cause,
	} {
		*s = r.String()
	}
	in.Class = message.Class(r.Byte())
	in.Version = int(r.Varint())
	for _, t := range [...]*time.Time{&in.Decided, &in.Due, &in.ValidUntil} {
		*t = readTime(&r)
	}
	if r.Byte() == 1 {
		in.Data = append([]byte{}, r.Bytes()...)
	}
	if !r.Done() {
		return in, errIntent
	}
	return in, nil
}

// appendTime writes milliseconds behind a byte that tells whether there is a time.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, 0)
	}
	return binary.AppendVarint(append(dst, 1), t.UnixMilli())
}

func readTime(r *wire.Reader) time.Time {
	if r.Byte() != 1 {
		return time.Time{}
	}
	return time.UnixMilli(r.Varint()).UTC()
}

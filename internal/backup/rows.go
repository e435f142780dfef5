package backup

import (
	"encoding/binary"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/store/move"
	"rapport/internal/wire"
)

// The tags in front of values: nil, then the kinds of columns.
const tagNil = 0

// appendRow writes the values of a row.
func appendRow(dst []byte, r move.Row) []byte {
	for _, v := range r {
		switch v := v.(type) {
		case int64:
			dst = binary.AppendVarint(append(dst, byte(move.Int)), v)
		case string:
			dst = wire.AppendString(append(dst, byte(move.Text)), v)
		case []byte:
			dst = wire.AppendBytes(append(dst, byte(move.Blob)), v)
		default:
			dst = append(dst, tagNil)
		}
	}
	return dst
}

// readRows reads the rows of a chunk. The bytes are the chunk's.
func readRows(t *Table, chunk []byte) (out []move.Row, err error) {
	f := wire.Reader{Rest: chunk, Bad: len(t.Columns) == 0}
	for len(f.Rest) > 0 {
		row := make(move.Row, len(t.Columns))
		for i, c := range t.Columns {
			switch tag := f.Byte(); {
			case tag == tagNil:
			case tag != byte(c.Kind):
				f.Bad = true
			case c.Kind == move.Int:
				row[i] = f.Varint()
			case c.Kind == move.Text:
				row[i] = f.String()
			case c.Kind == move.Blob:
				row[i] = f.Bytes()
			default:
				f.Bad = true
			}
		}
		if f.Bad {
			return nil, broken("a row of %s is malformed", t.Name)
		}
		out = append(out, row)
	}
	return out, nil
}

// appendFrame writes a frame of the log.
func appendFrame(dst []byte, f *eventlog.Frame) []byte {
	dst = binary.AppendUvarint(append(dst, byte(f.Lane)), uint64(f.First))
	dst = binary.AppendUvarint(dst, uint64(f.Count))
	dst = binary.AppendVarint(dst, f.At.UnixMilli())
	return wire.AppendBytes(dst, f.Body)
}

func readFrames(lane uint8, chunk []byte) (out []eventlog.Frame, err error) {
	r := wire.Reader{Rest: chunk}
	for len(r.Rest) > 0 {
		f := eventlog.Frame{Lane: eventlog.Lane(r.Byte()), First: int64(r.Uvarint()), Count: int(r.Uvarint()), At: time.UnixMilli(r.Varint()).UTC()}
		f.Body = r.Bytes()
		if r.Bad || uint8(f.Lane) != lane || f.First <= 0 || f.Count <= 0 {
			return nil, broken("a frame of the log is malformed")
		}
		out = append(out, f)
	}
	return out, nil
}

package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
)

// frameFormat is the first byte of a frame's body. docs/format/log.md draws it.
const frameFormat = 1

// maxRaw bounds what a frame may claim to hold before anything is allocated.
const maxRaw = frameTarget + MaxRecord + 16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of a body that is not what was written. They are wrapped by damaged,
// which says where.
var (
	errFormat   = errors.New("unknown format")
	errKey      = errors.New("sealed under an unknown key")
	errChecksum = errors.New("checksum mismatch")
	errShape    = errors.New("records do not fill the frame")
	errMissing  = errors.New("the frame is not there")
)

// appendBody writes a frame's body behind dst: format, key id (0: not sealed),
// checksum, compressed records. The checksum covers the frame's place too, so
// that a frame cannot be taken for another.
func appendBody(dst []byte, f Frame, raw []byte) []byte {
	dst = append(dst, frameFormat)
	dst = binary.AppendUvarint(dst, 0)
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	body := len(dst)
	if need := body + s2.MaxEncodedLen(len(raw)); cap(dst) < need {
		grown := make([]byte, len(dst), need)
		copy(grown, dst)
		dst = grown
	}
	packed := s2.Encode(dst[body:cap(dst)], raw)
	dst = dst[:body+len(packed)]
	binary.LittleEndian.PutUint32(dst[at:], checksum(f, packed))
	return dst
}

func checksum(f Frame, packed []byte) uint32 {
	var head [25]byte
	head[0] = byte(f.Lane)
	binary.LittleEndian.PutUint64(head[1:], uint64(f.First))
	binary.LittleEndian.PutUint64(head[9:], uint64(f.Count))
	binary.LittleEndian.PutUint64(head[17:], uint64(f.At.UnixMilli()))
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, packed)
}

// openBody checks a frame and gives its length-prefixed records.
func openBody(f Frame) ([]byte, error) {
	if len(f.Body) < 1 || f.Body[0] != frameFormat {
		return nil, errFormat
	}
	key, n := binary.Uvarint(f.Body[1:])
	if n <= 0 || key != 0 {
		return nil, errKey
	}
	rest := f.Body[1+n:]
	if len(rest) < 4 {
		return nil, errShape
	}
	if checksum(f, rest[4:]) != binary.LittleEndian.Uint32(rest) {
		return nil, errChecksum
	}
	size, err := s2.DecodedLen(rest[4:])
	if err != nil || size > maxRaw {
		return nil, errShape
	}
	raw, err := s2.Decode(nil, rest[4:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errShape, err)
	}
	return raw, nil
}

// appendRecords cuts raw into records and appends those from position `from` on.
func appendRecords(dst []Record, f Frame, raw []byte, from int64) ([]Record, error) {
	for i := range f.Count {
		size, n := binary.Uvarint(raw)
		if n <= 0 || size > uint64(len(raw)-n) {
			return dst, errShape
		}
		end := n + int(size)
		if pos := f.First + int64(i); pos >= from {
			dst = append(dst, Record{Lane: f.Lane, Pos: pos, At: f.At, Body: raw[n:end:end]})
		}
		raw = raw[end:]
	}
	if len(raw) != 0 {
		return dst, errShape
	}
	return dst, nil
}

package rows

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"rapport/internal/id"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrSum says that a body is not the one that was written into this row.
var ErrSum = errors.New("checksum mismatch")

// sumSize is how many bytes stand behind each body.
const sumSize = 4

// AppendSummed writes a body with a checksum behind it that covers the row's
// number too, so that a body is never taken for another row's. It finds what
// the page's checksum cannot: damage in memory and in the write-ahead log.
func AppendSummed(dst []byte, row int64, body []byte) []byte {
	begin := len(dst)
	dst = append(dst, body...)
	return binary.LittleEndian.AppendUint32(dst, rowSum(row, dst[begin:]))
}

// AppendSum puts the checksum behind a body that stands alone in its buffer.
func AppendSum(body []byte, row int64) []byte {
	return binary.LittleEndian.AppendUint32(body, rowSum(row, body))
}

func rowSum(row int64, body []byte) uint32 {
	sum := crc32.Checksum(body, castagnoli)
	// Mixing the number in afterwards spares a second pass over eight bytes.
	mixed := uint64(row) * 0x9e3779b97f4a7c15
	return sum ^ uint32(mixed>>32) ^ uint32(mixed)
}

// Unsummed takes the checksum off a body; ErrSum says that the row is damaged.
func Unsummed(row int64, raw []byte) ([]byte, error) {
	n := len(raw) - sumSize
	if n < 0 || rowSum(row, raw[:n]) != binary.LittleEndian.Uint32(raw[n:]) {
		return nil, ErrSum
	}
	return raw[:n:n], nil
}

// WithoutSum gives a body without looking at its checksum.
func WithoutSum(raw []byte) []byte { return raw[:max(len(raw)-sumSize, 0)] }

// Number is what a hash lends to the checksum of a row that has no number.
func Number(h id.Hash) int64 { return int64(binary.LittleEndian.Uint64(h[:8]) >> 1) }

package sqlitestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// damagedPage looks for the first page whose checksum does not hold, so that an
// error can name it; "" when it finds none. It reads the whole file and is
// called only when SQLite has met damage.
func damagedPage(path string) string {
	f, err := os.Open(path) //nolint:gosec // The store names its own file.
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // It was only read.
	head := make([]byte, 100)
	if _, err := f.ReadAt(head, 0); err != nil || !bytes.HasPrefix(head, []byte("SQLite format 3\x00")) {
		return "page 1"
	}
	size := int(binary.BigEndian.Uint16(head[16:]))
	if size == 1 {
		size = 65536
	}
	if size < 512 || size&(size-1) != 0 || head[20] != 8 {
		return "page 1"
	}
	page := make([]byte, size)
	for number := int64(1); ; number++ {
		for try := 0; ; try++ {
			n, err := f.ReadAt(page, (number-1)*int64(size))
			if n == 0 || err != nil && !errors.Is(err, io.EOF) {
				return ""
			}
			if n == size && pageHolds(page) {
				break
			}
			if try == 3 { // A page that is being written this moment holds a moment later.
				return fmt.Sprintf("page %d", number)
			}
		}
	}
}

// pageHolds computes SQLite's page checksum, as https://sqlite.org/cksumvfs.html says.
func pageHolds(page []byte) bool {
	body := page[:len(page)-8]
	var s1, s2 uint32
	for ; len(body) >= 8; body = body[8:] {
		s1 += binary.LittleEndian.Uint32(body) + s2
		s2 += binary.LittleEndian.Uint32(body[4:]) + s1
	}
	sum := page[len(page)-8:]
	return binary.LittleEndian.Uint32(sum) == s1 && binary.LittleEndian.Uint32(sum[4:]) == s2
}

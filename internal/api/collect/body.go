package collect

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"rapport/internal/fault"
)

// body is a request's body in memory that is used again.
type body struct {
	bytes []byte
	zip   []byte
}

var bodies = sync.Pool{New: func() any { return new(body) }}

func (b *body) free() {
	b.bytes, b.zip = b.bytes[:0], b.zip[:0]
	bodies.Put(b)
}

// Sentinels of reading a body.
var (
	errTooLarge = errors.New("the body is too large")
	errEncoding = errors.New("the content encoding is not known")
	errBroken   = errors.New("the body could not be read")
	errSlow     = errors.New("the body did not arrive in time")
)

// readBody reads a body of at most limit bytes, also after it is unpacked. It
// never holds more than limit bytes of either form, whatever is sent.
func readBody(w http.ResponseWriter, r *http.Request, limit int) (*body, error) {
	if r.ContentLength > int64(limit) {
		return nil, errTooLarge
	}
	b := bodies.Get().(*body)
	err := b.read(w, r, limit)
	if err != nil {
		b.free()
		return nil, err
	}
	return b, nil
}

func (b *body) read(w http.ResponseWriter, r *http.Request, limit int) error {
	var err error
	if n := r.ContentLength; n >= 0 {
		if int64(cap(b.bytes)) < n {
			b.bytes = make([]byte, 0, n)
		}
		b.bytes = b.bytes[:n]
		_, err = io.ReadFull(r.Body, b.bytes)
	} else {
		b.bytes, err = readAll(b.bytes[:0], r.Body, limit)
	}
	if err != nil {
		return readError(err)
	}
	switch encoding := header(r.Header, "Content-Encoding"); {
	case strings.EqualFold(encoding, "gzip") || strings.EqualFold(encoding, "x-gzip"):
	case encoding == "" || strings.EqualFold(encoding, "identity"):
		if len(b.bytes) < 2 || b.bytes[0] != 0x1f || b.bytes[1] != 0x8b {
			return nil // JSON never begins so; some senders forget to say that they pack.
		}
	default:
		return errEncoding
	}
	return b.unpack(limit)
}

var zips = sync.Pool{New: func() any { return new(gzip.Reader) }}

// unpack unpacks a gzip body; it stops at the limit, however much would come.
func (b *body) unpack(limit int) error {
	b.bytes, b.zip = b.zip[:0], b.bytes
	z := zips.Get().(*gzip.Reader)
	defer zips.Put(z)
	if err := z.Reset(&window{rest: b.zip}); err != nil {
		return errBroken
	}
	var err error
	if b.bytes, err = readAll(b.bytes, z, limit); err != nil && !errors.Is(err, errTooLarge) {
		return errBroken
	}
	return err
}

// window reads from a slice, byte by byte where the unpacker asks so.
type window struct{ rest []byte }

func (w *window) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

func (w *window) ReadByte() (byte, error) {
	if len(w.rest) == 0 {
		return 0, io.EOF
	}
	c := w.rest[0]
	w.rest = w.rest[1:]
	return c, nil
}

// readAll reads up to limit bytes; more is errTooLarge.
func readAll(dst []byte, r io.Reader, limit int) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			if cap(dst) > limit {
				return dst, errTooLarge
			}
			grown := make([]byte, len(dst), min(max(2*cap(dst), 4096), limit+1))
			copy(grown, dst)
			dst = grown
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), limit+1)])
		dst = dst[:len(dst)+n]
		if len(dst) > limit {
			return dst, errTooLarge
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

func readError(err error) error {
	switch {
	case errors.Is(err, errTooLarge):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	}
	return errBroken
}

// failBody answers when a body could not be read. The connection is not used
// again, for the rest of the body may still be on it.
func (h *Handler) failBody(w http.ResponseWriter, r *http.Request, err error) {
	w.Header()["Connection"] = []string{"close"}
	switch {
	case errors.Is(err, errTooLarge):
		h.fail(w, r, http.StatusRequestEntityTooLarge, fault.New(fault.Limited, "payload_too_large",
			"an event has at most 32 KB and a batch at most 500 KB, unpacked"))
	case errors.Is(err, errEncoding):
		h.fail(w, r, http.StatusUnsupportedMediaType, fault.New(fault.Invalid, "encoding_unknown", "a body is sent as it is or as gzip"))
	case errors.Is(err, errSlow):
		h.fail(w, r, http.StatusRequestTimeout, fault.New(fault.Unavailable, "body_too_slow", "the body did not arrive in time"))
	default:
		h.fail(w, r, http.StatusBadRequest, fault.New(fault.Invalid, "bad_request", "the body could not be read to its end"))
	}
}

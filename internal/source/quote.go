package source

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

var errOpenQuote = errors.New("the line is no CSV: a quote opens and does not close")

var errLongLine = errors.New("a line is longer than 1 MiB")

// closer passes lines of CSV on, and closes a quote that stays open. Without it
// one stray quote would swallow the lines behind it: this way it spoils its own
// line only.
type closer struct {
	r     *bufio.Reader
	comma []byte
	ahead [][]byte       // lines read in search of a closing quote, to be looked at again
	out   []byte         // what is yet to be passed on
	line  int64          // how many lines were passed on
	shut  map[int64]bool // the lines that were closed and not asked for yet
}

func newCloser(r io.Reader, comma rune) *closer {
	return &closer{r: bufio.NewReaderSize(r, 64<<10), comma: []byte(string(comma)), shut: map[int64]bool{}}
}

// closed tells whether the quote of a line was closed for it. It forgets: each
// line is asked for once.
func (c *closer) closed(line int64) bool {
	was := c.shut[line]
	delete(c.shut, line)
	return was
}

// Read implements io.Reader.
func (c *closer) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if err := c.record(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// record makes the next record ready: mostly one line, more where a quoted
// column goes over their ends.
func (c *closer) record() error {
	line, err := c.next()
	if err != nil {
		return err
	}
	open, sound := quoted(line, c.comma, false)
	if !open || !sound { // The reader of CSV says what an unsound line lacks.
		c.out = line
		c.line++
		return nil
	}
	lines := [][]byte{bytes.Clone(line)}
	for size := len(line); open && sound && size <= maxLine; {
		if line, err = c.next(); err != nil {
			break // A file that ends, or cannot be read, says so at the next call.
		}
		open, sound = quoted(line, c.comma, true)
		lines = append(lines, bytes.Clone(line))
		size += len(line)
	}
	if !open && sound {
		c.out = bytes.Join(lines, nil)
		c.line += int64(len(lines))
		return nil
	}
	c.line++
	c.shut[c.line] = true
	c.out = append(bytes.TrimRight(lines[0], "\r\n"), '"', '\n')
	c.ahead = append(lines[1:], c.ahead...)
	return nil
}

// next gives the next line with its end. It is good until the next call.
func (c *closer) next() ([]byte, error) {
	if len(c.ahead) > 0 {
		line := c.ahead[0]
		c.ahead = c.ahead[1:]
		return line, nil
	}
	line, err := c.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(line) <= maxLine {
			var more []byte
			more, err = c.r.ReadSlice('\n')
			line = append(line, more...)
		}
	}
	switch {
	case len(line) > maxLine:
		return nil, errLongLine
	case len(line) > 0 && errors.Is(err, io.EOF):
		return line, nil
	}
	return line, err
}

// quoted tells whether a line ends within quotes, when it began within them or
// not, and whether what stands behind a closing quote may stand there (RFC
// 4180 §2: a comma or the end of the line).
func quoted(line, comma []byte, open bool) (still, sound bool) {
	if !open && bytes.IndexByte(line, '"') < 0 {
		return false, true
	}
	for {
		if !open {
			if len(line) > 0 && line[0] == '"' {
				open, line = true, line[1:]
				continue
			}
			_, rest, found := bytes.Cut(line, comma)
			if !found {
				return false, true
			}
			line = rest
			continue
		}
		_, rest, found := bytes.Cut(line, []byte{'"'})
		if !found {
			return true, true
		}
		switch after, more := bytes.CutPrefix(rest, comma); {
		case len(rest) > 0 && rest[0] == '"': // a quote within quotes
			line = rest[1:]
		case more:
			open, line = false, after
		default:
			return false, len(bytes.TrimRight(rest, "\r\n")) == 0
		}
	}
}

// swapped changes one quote for the other, and the other for the one, so that
// the standard reader serves files with quotes of their own; unswap undoes it.
type swapped struct {
	io.Reader
	quote byte
}

// Read implements io.Reader.
func (s *swapped) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	for i, c := range p[:n] {
		switch c {
		case '"':
			p[i] = s.quote
		case s.quote:
			p[i] = '"'
		}
	}
	return n, err
}

func unswap(s string, quote byte) string {
	if strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, quote) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '"':
			return rune(quote)
		case rune(quote):
			return '"'
		}
		return r
	}, s)
}

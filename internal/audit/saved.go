package audit

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strconv"
	"strings"
)

// ReadParcels reads checkpoints that left the machine: one JSON object a line, a
// signed note alone, a mail as it was saved, or any text that such notes stand in.
func ReadParcels(raw []byte) (out []Parcel, err error) {
	if len(raw) > 0 && raw[0] != '{' {
		return readNotes(raw)
	}
	sc := bufio.NewScanner(bytes.NewReader(raw))
	sc.Buffer(nil, maxLine)
	for sc.Scan() {
		if len(sc.Bytes()) == 0 {
			continue
		}
		var p Parcel
		if err := json.Unmarshal(sc.Bytes(), &p); err != nil || p.Checkpoint == "" {
			return nil, errCheckpoint
		}
		out = append(out, p)
	}
	return out, sc.Err()
}

var errNoNote = errors.New("no signed checkpoint is in it")

// readNotes finds notes in a saved mail or a text.
func readNotes(raw []byte) (out []Parcel, err error) {
	var notes []string
	if m, err := mail.ReadMessage(bytes.NewReader(raw)); err == nil {
		notes = notesInPart(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body, 0)
	}
	if len(notes) == 0 { // A text that begins as a mail does is still a text.
		notes = notesIn(string(raw))
	}
	if len(notes) == 0 {
		return nil, errNoNote
	}
	for _, n := range notes {
		out = append(out, Parcel{Checkpoint: n})
	}
	return out, nil
}

// mostLevels is how deep parts of a mail may stand in each other.
const mostLevels = 5

// notesInPart looks through a part of a mail and those in it. The first of a mail's
// alternatives that holds any counts. What cannot be decoded holds none.
func notesInPart(kind, encoding string, body io.Reader, level int) []string {
	media, params, err := mime.ParseMediaType(kind)
	if err != nil {
		media = "text/plain"
	}
	if strings.HasPrefix(media, "multipart/") && level < mostLevels {
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			p, err := parts.NextRawPart()
			if err != nil {
				return nil
			}
			if found := notesInPart(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p, level+1); len(found) > 0 {
				return found
			}
		}
	}
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, _ := io.ReadAll(body) // What was read before an error may hold the note whole.
	return notesIn(string(text))
}

// signatureMark begins a line that signs a note (golang.org/x/mod/sumdb/note).
const signatureMark = "— "

// notesIn finds the notes in a text: lines, the second of which is a number, an
// empty line, and signatures. Blanks at the end of lines and marks of quoting before
// them are not the note's.
func notesIn(text string) (out []string) {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(strings.TrimLeft(lines[i], "> "), "\r \t")
	}
	for i := 4; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], signatureMark) || lines[i-1] != "" {
			continue
		}
		first := i - 2
		for first > 0 && lines[first-1] != "" {
			first--
		}
		end := i
		for end < len(lines) && strings.HasPrefix(lines[end], signatureMark) {
			end++
		}
		if _, err := strconv.ParseInt(lines[first+1], 10, 64); err == nil && first+2 < i-1 {
			out = append(out, strings.Join(lines[first:end], "\n")+"\n")
		}
		i = end
	}
	return out
}

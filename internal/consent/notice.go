package consent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Notice is a text that is shown with a choice, in one version and language. Its
// digest is that of the file, to the byte, so that anybody can check what was shown.
type Notice struct {
	ID       string
	Version  string
	Language string
	Digest   string // SHA-256 of the file, in hex
	Text     string // the file, with its head
	At       time.Time
}

// NoticeRef names a notice in a record.
type NoticeRef struct {
	ID       string `json:"id"`
	Version  string `json:"version"`
	Language string `json:"language,omitempty"`
	Digest   string `json:"sha256,omitempty"` // "" where the workspace has no such text: a sender named it
}

// Name gives the reference in one word; "" for nil.
func (r *NoticeRef) Name() string {
	if r == nil {
		return ""
	}
	return r.ID + "/" + r.Version + "/" + r.Language
}

// Ref gives the reference to a notice.
func (n *Notice) Ref() *NoticeRef {
	return &NoticeRef{ID: n.ID, Version: n.Version, Language: n.Language, Digest: n.Digest}
}

// Body gives the text without its head.
func (n *Notice) Body() string {
	_, body, ok := cutHead(n.Text)
	if !ok {
		return n.Text
	}
	return strings.TrimLeft(body, "\n")
}

const maxNotice = 256 << 10

// ParseNotice reads a file of notices/: NAME.LANGUAGE.md, whose head says the version.
//
//	---
//	version: 3
//	---
//	# How we use your address
func ParseNotice(name string, body []byte) (Notice, *Problem) {
	bad := func(line int, hint, format string, args ...any) (Notice, *Problem) {
		return Notice{}, &Problem{Line: line, Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	n := Notice{Text: string(body)}
	stem := strings.TrimSuffix(name, ".md")
	n.ID, n.Language = strings.TrimSuffix(stem, path.Ext(stem)), strings.TrimPrefix(path.Ext(stem), ".")
	if hint, ok := goodName(n.ID); !ok || !Language(n.Language) || stem == name {
		return bad(0, "write NAME.LANGUAGE.md, for example newsletter.en.md ("+hint+")", "%q cannot be the name of a notice", name)
	}
	if len(body) > maxNotice || !utf8.Valid(body) || bytes.ContainsRune(body, 0) {
		return bad(0, "", "a notice is UTF-8 text of at most %d bytes", maxNotice)
	}
	head, text, ok := cutHead(n.Text)
	if !ok {
		return bad(1, "begin with a line `---`, `version: 1`, and a line `---`", "the notice has no head that says its version")
	}
	for i, line := range strings.Split(strings.TrimSpace(head), "\n") {
		key, value, _ := strings.Cut(line, ":")
		if key != "version" {
			return bad(i+2, "the only key is version", "unknown key %q", key)
		}
		n.Version = strings.Trim(strings.TrimSpace(value), `"'`)
	}
	if n.Version == "" || len(n.Version) > maxNameLength || strings.ContainsAny(n.Version, "/ ") {
		return bad(2, "write for example `version: 1` or `version: 2026-03-01`", "the notice has no version that can be named")
	}
	if strings.TrimSpace(text) == "" {
		return bad(0, "write what people agree to", "the notice says nothing")
	}
	sum := sha256.Sum256(body)
	n.Digest = hex.EncodeToString(sum[:])
	return n, nil
}

func cutHead(text string) (head, body string, ok bool) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	rest, ok := strings.CutPrefix(text, "---\n")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "\n---\n")
}

// SetNotices gives the policy the texts that are in effect. It belongs to making
// the policy, before anybody else sees it.
func (p *Policy) SetNotices(list []Notice) { p.notices = list }

// Notices lists the texts in effect.
func (p *Policy) Notices() []Notice { return slices.Clone(p.notices) }

// Shown gives the notice of a purpose in a language, or in the first one there is;
// nil where the purpose has none.
func (p *Policy) Shown(d *Definition, language string) *Notice {
	var first *Notice
	for i := range p.notices {
		n := &p.notices[i]
		if n.ID != d.Notice || d.Notice == "" {
			continue
		}
		if n.Language == language {
			return n
		}
		if first == nil {
			first = n
		}
	}
	return first
}

// notice completes a reference that somebody made by the text in effect, where
// that is the one they mean.
func (p *Policy) notice(r NoticeRef) *NoticeRef {
	for i := range p.notices {
		n := &p.notices[i]
		if n.ID == r.ID && (r.Version == "" || r.Version == n.Version) && (r.Language == "" || r.Language == n.Language) {
			return n.Ref()
		}
	}
	return &r
}

// Notice completes a reference that a caller made; ok tells whether the text is in
// effect here.
func (a *Authority) Notice(r NoticeRef) (ref *NoticeRef, ok bool) {
	ref = a.Policy().notice(r)
	return ref, ref.Digest != ""
}

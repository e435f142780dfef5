package doctor

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"rapport/internal/project"
)

// resolved gives the secrets that are there, with where each is named.
func (p *Patient) resolved(fn func(at project.Reference, secret string)) {
	for _, r := range p.Config.References() {
		if r.Ref.Kind != "env" && r.Ref.Kind != "file" {
			continue
		}
		if s, err := p.Secrets.Resolve(r.Ref); err == nil {
			fn(r, s)
		}
	}
}

// secretsMissing tells of references that lead nowhere.
func (p *Patient) secretsMissing(context.Context) []Finding {
	var out []Finding
	for _, problem := range p.Config.CheckSecrets(p.Secrets) {
		out = append(out, found(Danger, problem.File, problem.Message, "give it to the server and to this command, or take the reference out"))
	}
	return orFine(out, "every secret that the configuration points at is there")
}

// examples are secrets that stand in manuals and on keyboards.
var examples = []string{
	"secret", "password", "passwort", "passw0rd", "changeme", "change-me", "change_me", "example", "test", "default", "admin", "letmein",
	"qwerty", "123456", "12345678", "rapport", "postgres", "root", "todo", "xxx", "replace-me", "your-secret", "your-password", "key", "token",
}

// leastSecret is how long a secret is at least: 128 bits in hexadecimal or more.
const leastSecret = 16

// secretsWeak tells of secrets that somebody may guess.
func (p *Patient) secretsWeak(context.Context) []Finding {
	var out []Finding
	p.resolved(func(at project.Reference, secret string) {
		about := at.File + " " + at.Ref.String()
		switch {
		case strings.HasPrefix(secret, "-----BEGIN"): // a key, whose strength others look at
		case guessable(secret):
			out = append(out, found(Danger, about, "the secret is one that stands in examples, or one character again and again", "draw another: `openssl rand -hex 32`"))
		case len(secret) < leastSecret && at.Key != "password":
			out = append(out, found(Warning, about, fmt.Sprintf("the secret has fewer than %d characters", leastSecret), "draw another: `openssl rand -hex 32`"))
		}
	})
	return orFine(out, "no secret is one of those that everybody knows")
}

// guessable tells whether a secret, or the bytes of a signing secret, is known to everybody.
func guessable(secret string) bool {
	bare := secret
	for _, prefix := range []string{"whsec_", "rpk_", "rpb_", "rpm_"} {
		bare = strings.TrimPrefix(bare, prefix)
	}
	if slices.Contains(examples, strings.ToLower(bare)) {
		return true
	}
	raw, err := base64.StdEncoding.DecodeString(bare)
	if err != nil {
		raw = []byte(bare)
	}
	return strings.Trim(string(raw), string(raw[:min(1, len(raw))])) == "" || strings.Contains(strings.ToLower(string(raw)), "example")
}

// secretsShared tells of one secret that serves for several things: whoever is
// told one knows the other.
func (p *Patient) secretsShared(context.Context) []Finding {
	first := map[[32]byte]project.Reference{}
	var out []Finding
	p.resolved(func(at project.Reference, secret string) {
		if strings.HasPrefix(secret, "-----BEGIN") {
			return // Two providers may sign for one domain.
		}
		h := sha256.Sum256([]byte(secret))
		before, ok := first[h]
		if !ok {
			first[h] = at
			return
		}
		if before.File == at.File && before.Key == at.Key {
			return
		}
		out = append(out, found(Warning, at.File+" "+at.Ref.String(), "it is the same secret as "+before.Ref.String()+" of "+before.File, "draw another, so that each can be changed, and told, by itself"))
	})
	return orFine(out, "no secret serves for two things")
}

// fileModes tells of secrets, and of people's data, that other users of the machine may read.
func (p *Patient) fileModes(context.Context) []Finding {
	var out []Finding
	look := func(path string, bad Grade) bool {
		info, err := p.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 == 0 {
			return false
		}
		want := "600"
		if info.IsDir() {
			want = "700"
		}
		out = append(out, found(bad, path, fmt.Sprintf("others than its owner may use it (%s)", info.Mode().Perm()), fmt.Sprintf("chmod %s %s", want, path)))
		return true
	}
	for _, r := range p.Config.References() {
		if r.Ref.Kind == "file" {
			path := r.Ref.Value
			if !filepath.IsAbs(path) {
				path = filepath.Join(p.Folder, path)
			}
			look(path, Danger)
		}
	}
	if p.Data != "" {
		if look(p.Data, Warning) { // Else nobody comes to what is in it.
			for _, name := range []string{"state.db", "log.db"} {
				look(filepath.Join(p.Data, name), Warning)
			}
		}
		for _, name := range []string{"keys.json", "keyset.json", "keyset-former.json", "keys.db", "manage.key"} {
			look(filepath.Join(p.Data, name), Danger)
		}
		_ = p.Walk(filepath.Join(p.Data, "acme"), func(path string, d fs.DirEntry, err error) error { // Without certificates by ACME it is not there.
			if err == nil && !d.IsDir() {
				look(path, Danger)
			}
			return nil
		})
	}
	return orFine(out, "secrets and data are readable by their owner only")
}

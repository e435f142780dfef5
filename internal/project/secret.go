package project

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Ref points at a secret without holding it: "env:NAME" or "file:PATH", the
// path being relative to the configuration folder unless it is absolute. Keys
// may also be given as the hash of the key, "sha256:HEX". The zero Ref points
// at nothing.
type Ref struct {
	Kind  string // "env", "file", "sha256" or ""
	Value string
}

// IsZero tells whether the reference points at nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// String gives the form that stands in a file. It never shows a secret.
func (r Ref) String() string {
	if r.IsZero() {
		return ""
	}
	return r.Kind + ":" + r.Value
}

// Secrets is where references are looked up.
type Secrets struct {
	// Env looks up an environment variable, as os.LookupEnv does.
	Env func(name string) (string, bool)
	// File reads a file: a path relative to the configuration folder, or an absolute one.
	File func(path string) ([]byte, error)
}

// errNoSecret says that a reference leads nowhere.
var errNoSecret = errors.New("the secret is not there")

// Resolve gives the secret a reference points at, without surrounding white
// space. Its errors name the reference, never the secret.
func (s Secrets) Resolve(r Ref) (string, error) {
	var v string
	switch r.Kind {
	case "env":
		got, ok := "", false
		if s.Env != nil {
			got, ok = s.Env(r.Value)
		}
		if !ok {
			return "", fmt.Errorf("%s: %w; set the environment variable", r, errNoSecret)
		}
		v = got
	case "file":
		if s.File == nil {
			return "", fmt.Errorf("%s: %w; files are not read here", r, errNoSecret)
		}
		b, err := s.File(r.Value)
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s: %w; write the secret into that file", r, errNoSecret)
		}
		if err != nil {
			return "", fmt.Errorf("read the secret %s: %w", r, err)
		}
		v = string(b)
	default:
		return "", fmt.Errorf("%q holds no secret: %w", r.Kind, errNoSecret)
	}
	if v = strings.TrimSpace(v); v == "" {
		return "", fmt.Errorf("%s: %w; it is empty", r, errNoSecret)
	}
	return v, nil
}

// Reference is where a file of the configuration points at a secret.
type Reference struct {
	File string
	Key  string // the key under which it stands
	Ref  Ref
}

// References lists every reference to a secret that is looked up at start.
func (c *Config) References() []Reference {
	var all []Reference
	add := func(folder, name, key string, refs ...Ref) {
		for _, r := range refs {
			if !r.IsZero() {
				all = append(all, Reference{folder + "/" + name + ".yaml", key, r})
			}
		}
	}
	for _, s := range c.Sources {
		add("sources", s.Name, "keys", s.Keys...)
		add("sources", s.Name, "user_hash", s.UserHash)
	}
	for _, p := range c.Providers {
		add("providers", p.Name, "password", p.Password)
		for _, d := range p.DKIM {
			add("providers", p.Name, "dkim", d.Key)
		}
	}
	for _, d := range c.Destinations {
		add("destinations", d.Name, "secrets", d.Secrets...)
	}
	return all
}

// CheckSecrets names every reference that leads nowhere. Load does not look:
// a folder may be checked on a machine that does not know the secrets.
func (c *Config) CheckSecrets(s Secrets) []Problem {
	var out []Problem
	for _, l := range c.References() {
		if l.Ref.Kind != "env" && l.Ref.Kind != "file" {
			continue
		}
		if _, err := s.Resolve(l.Ref); err != nil {
			out = append(out, Problem{File: l.File, Severity: Error, Message: err.Error()})
		}
	}
	return sortProblems(out)
}

// ref reads a reference. A bare secret is refused without being repeated.
func (s *section) ref(key string) Ref {
	n := s.value(key)
	if n == nil {
		return Ref{}
	}
	return s.file.ref(n, key, "env", "file")
}

// ref reads a reference of one of these kinds from a node.
func (f *file) ref(n *yaml.Node, key string, kinds ...string) Ref {
	forms := "env:NAME or file:PATH"
	if len(kinds) == 3 {
		forms = "env:NAME, file:PATH or sha256:HEX"
	}
	kind, value, ok := strings.Cut(n.Value, ":")
	if n.Kind != yaml.ScalarNode || !ok || value == "" {
		f.errorf(n, "write "+forms, "%q must point at a secret, not hold it", key)
		return Ref{}
	}
	allowed := false
	for _, k := range kinds {
		allowed = allowed || k == kind
	}
	switch {
	case !allowed:
		f.errorf(n, "write "+forms, "%q must point at a secret, not hold it", key)
		return Ref{}
	case kind == "env" && !plainEnv(value):
		f.errorf(n, "use letters, digits and _", "%q names no environment variable", key)
		return Ref{}
	case kind == "file" && !path.IsAbs(value) && !fs.ValidPath(path.Clean(value)):
		f.errorf(n, "write a path inside the folder, or an absolute one", "%q points outside the configuration folder", key)
		return Ref{}
	case kind == "sha256":
		value = strings.ToLower(value)
		if b, err := hex.DecodeString(value); err != nil || len(b) != 32 {
			f.errorf(n, "write sha256: and 64 hexadecimal digits", "%q is no SHA-256", key)
			return Ref{}
		}
	}
	return Ref{Kind: kind, Value: value}
}

func plainEnv(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

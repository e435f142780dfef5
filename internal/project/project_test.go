package project

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected problems in testdata/check")

// folder makes a file system of the files of an archive.
func folder(files []txtar.File) fstest.MapFS {
	m := fstest.MapFS{}
	for _, f := range files {
		m[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	return m
}

// TestCheck loads the folders of testdata/check: each archive holds files and,
// last, the problems that Load must report for them.
func TestCheck(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/check/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("archives: %v, %v", archives, err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files, want := a.Files, ""
			if n := len(files) - 1; n >= 0 && files[n].Name == "want" {
				files, want = files[:n], string(files[n].Data)
			}
			config, problems := Load(folder(files))
			var got strings.Builder
			for _, p := range problems {
				fmt.Fprintln(&got, p)
			}
			if (config == nil) != (Errors(problems) > 0) {
				t.Errorf("config is %v with %d errors", config, Errors(problems))
			}
			if *update {
				a.Files = append(files, txtar.File{Name: "want", Data: []byte(got.String())})
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// minimal is the smallest folder without a problem.
func minimal() fstest.MapFS {
	return folder(txtar.Parse([]byte(`
-- rapport.yaml --
workspace: acorn
base_url: https://mail.shop.example
sending:
  from: Acorn <hello@mail.shop.example>
-- purposes.yaml --
purposes:
  service: {basis: contract}
  sale_or_share: {basis: legitimate_interest, scope: device, gpc: true}
-- sources/site.yaml --
kind: browser
purpose: service
basis: contract
keys: env:SITE_KEY
-- providers/inbox.yaml --
kind: devinbox
`)).Files)
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	c, problems := Load(minimal())
	if len(problems) != 0 {
		t.Fatalf("problems: %v", problems)
	}
	w := c.Workspace
	if w.Name != "acorn" || w.TimeZone != time.UTC || w.Sending.Domain != "mail.shop.example" || w.Sending.Provider != "inbox" {
		t.Errorf("workspace: %+v", w)
	}
	if w.Events.DedupeWindow != 24*time.Hour || w.Events.KeepLog != 72*time.Hour || w.Limits.EventBytes != 32<<10 || w.Limits.BatchEvents != 2500 {
		t.Errorf("defaults: %+v %+v", w.Events, w.Limits)
	}
	if s, ok := c.Source("site"); !ok || s.Keys[0] != (Ref{"env", "SITE_KEY"}) {
		t.Errorf("source: %+v, %v", s, ok)
	}
	if _, ok := c.Provider("nowhere"); ok {
		t.Error("a provider that does not exist was found")
	}
}

func TestDigestNamesContent(t *testing.T) {
	t.Parallel()
	a := Digest(map[string][]byte{"a": []byte("bc"), "d": nil})
	for name, files := range map[string]map[string][]byte{
		"other content": {"a": []byte("bd"), "d": nil},
		"other path":    {"b": []byte("bc"), "d": nil},
		"moved border":  {"ab": []byte("c"), "d": nil},
		"one file less": {"a": []byte("bc")},
	} {
		if Digest(files) == a {
			t.Errorf("%s: same digest", name)
		}
	}
	if Digest(map[string][]byte{"d": {}, "a": []byte("bc")}) != a {
		t.Error("same content, other digest")
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	base, problems := Load(minimal())
	if base == nil {
		t.Fatal(problems)
	}
	next := minimal()
	next["sources/shop.yaml"] = &fstest.MapFile{Data: []byte("kind: server\npurpose: service\nbasis: contract\n")}
	next["rapport.yaml"] = &fstest.MapFile{Data: append(slices.Clip(next["rapport.yaml"].Data), "time_zone: Europe/Berlin\n"...)}
	delete(next, "sources/site.yaml")
	changed, problems := Load(next)
	if changed == nil {
		t.Fatal(problems)
	}
	want := []Change{
		{Kind: "workspace", Action: Changed},
		{Kind: "source", Name: "shop", Action: Added},
		{Kind: "source", Name: "site", Action: Removed},
	}
	if diff := cmp.Diff(want, Diff(base, changed)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d := Diff(base, base); len(d) != 0 {
		t.Errorf("no change, but %v", d)
	}
	if d := Diff(nil, base); len(d) != 4 {
		t.Errorf("from nothing: %v", d)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	s := Secrets{
		Env: func(name string) (string, bool) {
			v, ok := map[string]string{"KEY": " s3cret\n", "EMPTY": ""}[name]
			return v, ok
		},
		File: func(path string) ([]byte, error) {
			if path == "keys/a" {
				return []byte("from file\n"), nil
			}
			return nil, fs.ErrNotExist
		},
	}
	for _, tt := range []struct {
		ref  Ref
		want string
		fail string
	}{
		{Ref{"env", "KEY"}, "s3cret", ""},
		{Ref{"file", "keys/a"}, "from file", ""},
		{Ref{"env", "NONE"}, "", "env:NONE: the secret is not there; set the environment variable"},
		{Ref{"env", "EMPTY"}, "", "env:EMPTY: the secret is not there; it is empty"},
		{Ref{"file", "keys/b"}, "", "file:keys/b: the secret is not there; write the secret into that file"},
		{Ref{}, "", `"" holds no secret: the secret is not there`},
	} {
		got, err := s.Resolve(tt.ref)
		if got != tt.want || err == nil && tt.fail != "" || err != nil && err.Error() != tt.fail {
			t.Errorf("%s: got %q, %v; want %q, %q", tt.ref, got, err, tt.want, tt.fail)
		}
		if err != nil && !errors.Is(err, errNoSecret) {
			t.Errorf("%s: %v is not errNoSecret", tt.ref, err)
		}
	}
	c, problems := Load(minimal())
	if c == nil {
		t.Fatal(problems)
	}
	got := c.CheckSecrets(s)
	if len(got) != 1 || got[0].File != "sources/site.yaml" || !strings.Contains(got[0].Message, "env:SITE_KEY") {
		t.Errorf("secrets: %v", got)
	}
}

// TestSecretsStayUnsaid writes a secret where a reference belongs and looks for
// it in everything that is said about it.
func TestSecretsStayUnsaid(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-very-secret"
	m := minimal()
	m["sources/site.yaml"].Data = []byte("kind: browser\npurpose: service\nbasis: contract\nkeys: [" + secret + "]\nuser_hash: " + secret + "\n")
	m["providers/inbox.yaml"].Data = []byte("kind: smtp\nhost: smtp.mail.example\nauth: {user: u, password: " + secret + "}\n")
	_, problems := Load(m)
	if Errors(problems) != 3 {
		t.Errorf("problems: %v", problems)
	}
	for _, p := range problems {
		if strings.Contains(p.String(), secret) {
			t.Errorf("%s shows the secret", p.File)
		}
	}
}

func TestCircles(t *testing.T) {
	t.Parallel()
	got := circles(map[string][]string{
		"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"d"}, "e": {"a"}, "f": {"missing"},
	})
	want := [][]string{{"a", "b", "c"}, {"d"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{"30s": 30 * time.Second, "15m": 15 * time.Minute, "24h": day, "7d": 7 * day, "2w": 14 * day, "0s": 0} {
		if got, ok := parseDuration(in); !ok || got != want {
			t.Errorf("%s: got %s, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "s", "5", "1.5h", "-1h", "1y", "99999999999w", "h5", "1h30m"} {
		if got, ok := parseDuration(in); ok {
			t.Errorf("%q: got %s, want a refusal", in, got)
		}
	}
	for _, s := range []string{"30s", "15m", "24h", "7d", "2w"} {
		if d, _ := parseDuration(s); span(d) != s {
			t.Errorf("span of %s: %s", s, span(d))
		}
	}
}

// FuzzLoad gives Load a rapport.yaml, a segment and a source of any quality: it
// must answer with problems, never panic, and never without a place.
func FuzzLoad(f *testing.F) {
	base := minimal()
	for _, name := range slices.Sorted(maps.Keys(base)) {
		f.Add(base[name].Data)
	}
	f.Add([]byte("rule:\n  all: [{did: X, within: 24h}, {not: {did: X}}]"))
	f.Add([]byte("a: &x [*x]"))
	f.Add([]byte("? [a]\n: b\n<<: {}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := minimal()
		for _, p := range []string{"rapport.yaml", "segments/a.yaml", "sources/b.yaml", "providers/c.yaml", "purposes.yaml"} {
			m[p] = &fstest.MapFile{Data: data}
		}
		c, problems := Load(m)
		if (c == nil) != (Errors(problems) > 0) {
			t.Fatalf("config %v, problems %v", c != nil, problems)
		}
		for _, p := range problems {
			if p.File == "" || p.Message == "" {
				t.Fatalf("a problem without a place: %+v", p)
			}
		}
	})
}

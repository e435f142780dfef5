package project_test

import (
	"context"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"rapport/internal/consent"
	"rapport/internal/content"
	"rapport/internal/id"
	"rapport/internal/profile"
	"rapport/internal/project"
	"rapport/internal/purpose"
)

// preview is a folder into which the mails of the examples are written, to be
// looked at: go test ./internal/project -run Examples -preview DIR.
var preview = flag.String("preview", "", "write the examples' mails into this folder")

// examples are the folders that the project ships.
func examples() map[string]fs.FS {
	scaffold := fstest.MapFS{}
	for p, b := range project.Scaffold() {
		scaffold[p] = &fstest.MapFile{Data: b}
	}
	return map[string]fs.FS{"scaffold": scaffold, "shop": os.DirFS("../../examples/shop/config"), "cdnow": os.DirFS("../../examples/cdnow")}
}

// TestExamples loads every folder that the project ships, without even a
// warning, and makes each of its mails for somebody of whom everything is known
// and for somebody of whom nothing is.
func TestExamples(t *testing.T) {
	t.Parallel()
	for name, fsys := range examples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, problems := project.Load(fsys)
			for _, p := range problems {
				t.Error(p)
			}
			if c == nil {
				return
			}
			for template, tpl := range c.Templates {
				for kind, sample := range samples(t, tpl.Purpose) {
					t.Run(template+" "+kind, func(t *testing.T) {
						t.Parallel()
						look(t, c, tpl, sample, filepath.Join(name, template+"-"+strings.ReplaceAll(kind, " ", "-")))
					})
				}
			}
		})
	}
}

func look(t *testing.T, c *project.Config, tpl *content.Template, s content.Sample, name string) {
	t.Helper()
	h, err := id.NewHasher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	r, err := content.New(content.Config{People: nobody{}, Permission: policyOnly{c.Policy}, Links: links{}, Hasher: h, Set: c.Content(1)})
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.Preview(t.Context(), tpl, s, time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for part, text := range map[string]string{"subject": out.Subject, "preheader": out.Preheader, "html": string(out.HTML), "text": string(out.Text)} {
		for _, bad := range []string{"{{", "{%", "%}", ", ,", " ,", " .</", "%!", "NaN"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s holds %q:\n%s", part, bad, text)
			}
		}
	}
	if out.Subject == "" || len(out.Text) < 40 {
		t.Errorf("subject %q, text %q", out.Subject, out.Text)
	}
	// Gmail cuts a mail off at 102 KB.
	if n := len(out.HTML); n == 0 || n > 60<<10 {
		t.Errorf("%d bytes of HTML", n)
	}
	if d, _ := c.Policy.Purpose(tpl.Purpose); d.Objectable() != slices.ContainsFunc(out.Headers, func(h [2]string) bool { return h[0] == "List-Unsubscribe" }) {
		t.Errorf("purpose %s, headers %v", tpl.Purpose, out.Headers)
	}
	if *preview != "" {
		to := filepath.Join(*preview, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+".html", out.HTML, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+".txt", append([]byte("Subject: "+out.Subject+"\nPreheader: "+out.Preheader+"\n\n"), out.Text...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// samples are people to make mails for, with what set the mail off.
func samples(t *testing.T, why purpose.Purpose) map[string]content.Sample {
	t.Helper()
	full := &profile.Profile{}
	for name, v := range map[string]any{"email": "ada@mail.example", "first_name": "ada", "name": "Ada Byron"} {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		full.Traits = append(full.Traits, profile.Trait{Name: name, Value: raw, At: 1})
	}
	slices.SortFunc(full.Traits, func(a, b profile.Trait) int { return strings.Compare(a.Name, b.Name) })
	data := `{"order_id":"K-1042","currency":"EUR","shipping":4.9,"total":44.3,"value":39.4,"cart_url":"https://www.kestrel.example/cart","products":[
		{"product_id":"p1","name":"Guji, washed","variant":"250 g, whole bean","price":14.9,"quantity":2,"url":"https://www.kestrel.example/guji"},
		{"product_id":"p2","name":"House espresso","variant":"500 g","price":"9.60","quantity":1}]}`
	return map[string]content.Sample{
		"all known":     {Person: content.Person{Email: "ada@mail.example", View: full.View(why, nil)}, To: "ada@mail.example", Data: []byte(data)},
		"nothing known": {Person: content.Person{Email: "x@mail.example"}, To: "x@mail.example"},
		"odd data": {Person: content.Person{Email: "x@mail.example"}, To: "x@mail.example",
			Data: []byte(`{"currency":"euros","products":[{"name":"","price":"free","quantity":"some"},{}],"total":{},"value":[1],"order_id":"  "}`)},
	}
}

type nobody struct{}

func (nobody) Open(context.Context, id.Person, purpose.Purpose) (content.Person, error) {
	return content.Person{}, nil
}

type policyOnly struct{ policy *consent.Policy }

func (p policyOnly) Policy() *consent.Policy { return p.policy }

func (p policyOnly) DecideAll(_ context.Context, q ...consent.Question) []consent.Decision {
	return make([]consent.Decision, len(q))
}

type links struct{}

func (links) Unsubscribe(id.Message, id.Hash, purpose.Purpose) string {
	return "https://mail.example/u"
}
func (links) Preferences(id.Message, id.Hash, purpose.Purpose) string {
	return "https://mail.example/p"
}
func (links) Open(id.Message) string                       { return "https://mail.example/o" }
func (links) Click(_ id.Message, _ int, url string) string { return url }

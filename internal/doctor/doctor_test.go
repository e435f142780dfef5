package doctor

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"rapport/internal/alert"
	"rapport/internal/backup"
	"rapport/internal/cert"
	"rapport/internal/project"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// folder is a configuration in which all is well; a test changes what it is about.
func folder() map[string]string {
	return map[string]string{
		"rapport.yaml": "workspace: shop\nbase_url: https://mail.shop.example\nsending: {from: shop@mail.shop.example, provider: relay, postal_address: 1 Street}\n" +
			"alerts: {mail: operator@shop.example}\ntrail: {webhook: https://elsewhere.example/trail}\nretention: {purposes: {service: 730d}}\n",
		"purposes.yaml":         "purposes:\n  service: {title: Service, description: S., basis: contract, retention: 2 years}\n",
		"sources/web.yaml":      "kind: browser\npurpose: service\nbasis: contract\norigins: [https://www.shop.example]\nuser_hash: env:USER_HASH\n",
		"providers/relay.yaml":  "kind: smtp\nhost: smtp.relay.example\nauth: {user: u, password: env:SMTP_PASSWORD}\nenvelope_from: b@bounces.shop.example\ndkim: [{domain: shop.example, selector: r1, key: env:DKIM_KEY}]\n",
		"destinations/crm.yaml": "kind: webhook\nurl: https://crm.example/in\npurpose: service\nsecrets: env:CRM_SECRET\nevents: all\nalerts: true\n",
	}
}

// secrets is the environment in which all is well.
func environment() map[string]string {
	return map[string]string{
		"USER_HASH": "b54ca0f3d2a94c0ab54ca0f3d2a94c0a", "SMTP_PASSWORD": "horse-battery", "DKIM_KEY": "-----BEGIN PRIVATE KEY-----",
		"CRM_SECRET": "whsec_b2xkLXNlY3JldC1vZi10aGUtY3JtLTMyLWJ5dGVzIQ==",
	}
}

// patient makes one of files and an environment.
func patient(t *testing.T, files, env map[string]string) *Patient {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	config, problems := project.Load(tree)
	if config == nil {
		t.Fatal(problems)
	}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	return &Patient{Config: config, Secrets: project.Secrets{Env: lookup}, Stat: os.Stat, Walk: filepath.WalkDir, Now: now}
}

// worst runs one check and gives its worst grade and all that it says.
func worst(t *testing.T, p *Patient, name string) (Grade, string) {
	t.Helper()
	i := slices.IndexFunc(checks, func(c check) bool { return c.name == name })
	list := checks[i].look(p, t.Context())
	var text strings.Builder
	for _, f := range list {
		text.WriteString(f.About + ": " + f.Text + " → " + f.Do + "\n")
		if (f.Do == "") != (f.Grade == OK) || f.Text == "" {
			t.Errorf("%s: %+v does not say what to do, or says it where all is well", name, f)
		}
	}
	if len(list) == 0 {
		return "", ""
	}
	return Worst(list), text.String()
}

// TestChecks holds every check that needs nobody else to what is well and what is
// bad. A change is made to the files before the patient is made of them, with no
// patient yet, and then to the patient.
func TestChecks(t *testing.T) {
	t.Parallel()
	with := func(name, text string) func(*Patient, map[string]string, map[string]string) {
		return func(p *Patient, files, _ map[string]string) {
			if p == nil {
				files[name] = text
			}
		}
	}
	replace := func(name, old, new string) func(*Patient, map[string]string, map[string]string) {
		return func(p *Patient, files, _ map[string]string) {
			if p != nil {
				return
			}
			if !strings.Contains(files[name], old) {
				t.Errorf("%s does not hold %q", name, old)
			}
			files[name] = strings.ReplaceAll(files[name], old, new)
		}
	}
	secret := func(name, value string) func(*Patient, map[string]string, map[string]string) {
		return func(_ *Patient, _, env map[string]string) { // It may be done twice.
			if env[name] = value; value == "" {
				delete(env, name)
			}
		}
	}
	server := func(change func(*Server)) func(*Patient, map[string]string, map[string]string) {
		return func(p *Patient, _, _ map[string]string) {
			if p != nil {
				p.Server = &Server{Digest: p.Config.Digest}
				change(p.Server)
			}
		}
	}
	key := func(k Key) func(*Patient, map[string]string, map[string]string) {
		return server(func(s *Server) { s.Keys = []Key{k} })
	}
	standing := func(c cert.Standing) func(*Patient, map[string]string, map[string]string) {
		return server(func(s *Server) { s.Doors.Certificate = &c })
	}
	nothing := func(*Patient, map[string]string, map[string]string) {}
	const terms = "retention: {purposes: {service: 730d}}\n"
	for _, row := range []struct {
		check, name string
		change      func(p *Patient, files, env map[string]string)
		want        Grade
	}{
		{"running", "none", nothing, Note},
		{"running", "the same", server(func(*Server) {}), OK},
		{"running", "another", server(func(s *Server) { s.Digest = "sha256:other" }), Warning},
		{"plain_http", "none runs", nothing, ""},
		{"plain_http", "TLS", server(func(s *Server) { s.Doors = Doors{TLS: true} }), OK},
		{"plain_http", "loopback", server(func(s *Server) { s.Doors = Doors{Loopback: true} }), OK},
		{"plain_http", "beside a proxy", server(func(*Server) {}), Warning},
		{"certificate", "none", server(func(*Server) {}), ""},
		{"certificate", "long", standing(cert.Standing{Names: []string{"a.example", "mail.shop.example"}, Expires: now.Add(30 * day)}), OK},
		{"certificate", "of every name", standing(cert.Standing{Names: []string{"*.shop.example"}, Expires: now.Add(30 * day)}), OK},
		{"certificate", "of another name", standing(cert.Standing{Names: []string{"shop.example"}, Expires: now.Add(30 * day)}), Warning},
		{"certificate", "soon", standing(cert.Standing{Expires: now.Add(13 * day)}), Warning},
		{"certificate", "in two days", standing(cert.Standing{Expires: now.Add(2 * day)}), Danger},
		{"certificate", "over", standing(cert.Standing{Expires: now.Add(-day)}), Danger},
		{"certificate", "missing", standing(cert.Standing{Missing: []string{"a.example"}}), Danger},
		{"base_url", "https", nothing, OK},
		{"base_url", "http", replace("rapport.yaml", "https://mail", "http://mail"), Danger},
		{"base_url", "here", replace("rapport.yaml", "https://mail.shop.example", "http://127.0.0.1:8420"), Warning},
		{"key_age", "none runs", nothing, ""},
		{"key_age", "young", key(Key{ID: "k", Kind: "manage", Created: now.Add(-300 * day)}), OK},
		{"key_age", "old", key(Key{ID: "k", Kind: "manage", Created: now.Add(-400 * day)}), Warning},
		{"key_age", "old and revoked", key(Key{ID: "k", Kind: "manage", Created: now.Add(-400 * day), Revoked: now}), OK},
		{"key_age", "old and expired", key(Key{ID: "k", Kind: "manage", Created: now.Add(-400 * day), Expires: now.Add(-day)}), OK},
		{"key_age", "an ingest key of a year", key(Key{ID: "k", Kind: "ingest", Created: now.Add(-400 * day)}), OK},
		{"key_age", "an ingest key of three", key(Key{ID: "k", Kind: "ingest", Created: now.Add(-1100 * day)}), Warning},
		{"secret_missing", "all there", nothing, OK},
		{"secret_missing", "one is not", secret("CRM_SECRET", ""), Danger},
		{"secret_weak", "strong", nothing, OK},
		{"secret_weak", "known to everybody", secret("SMTP_PASSWORD", "ChangeMe"), Danger},
		{"secret_weak", "one byte again and again", secret("CRM_SECRET", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), Danger},
		{"secret_weak", "short", secret("USER_HASH", "7c9e6b"), Warning},
		{"secret_shared", "each its own", nothing, OK},
		{"secret_shared", "one for two", secret("USER_HASH", environment()["CRM_SECRET"]), Warning},
		{"source_open", "listed", nothing, OK},
		{"source_open", "any site", replace("sources/web.yaml", "origins: [https://www.shop.example]\n", ""), Warning},
		{"source_open", "a site over http", replace("sources/web.yaml", "https://www", "http://www"), Warning},
		{"source_unsigned", "signed", nothing, OK},
		{"source_unsigned", "unsigned", replace("sources/web.yaml", "user_hash: env:USER_HASH\n", ""), Note},
		{"retention", "said", nothing, OK},
		{"retention", "unsaid", replace("purposes.yaml", ", retention: 2 years", ""), Warning},
		{"retention", "only said", replace("rapport.yaml", terms, ""), Warning},
		{"retention", "of mails", replace("rapport.yaml", terms, "retention: {mails: 400d}\n"), OK},
		{"retention", "of a class", replace("rapport.yaml", terms, "retention: {classes: {personal: 730d}}\n"), OK},
		{"retention", "of a planned trait", func(p *Patient, files, env map[string]string) {
			replace("rapport.yaml", terms, "")(p, files, env)
			with("plan/all.yaml", "traits:\n  city: {type: string, retention: 30d}\n")(p, files, env)
		}, OK},
		{"retention", "a plan without terms", func(p *Patient, files, env map[string]string) {
			replace("rapport.yaml", terms, "")(p, files, env)
			with("plan/all.yaml", "traits:\n  city: {type: string}\n")(p, files, env)
		}, Warning},
		{"alerts_unheard", "two ways", nothing, OK},
		{"alerts_unheard", "one way", replace("destinations/crm.yaml", "alerts: true\n", ""), Note},
		{"alerts_unheard", "none", func(_ *Patient, files, _ map[string]string) {
			files["destinations/crm.yaml"] = strings.ReplaceAll(files["destinations/crm.yaml"], "alerts: true\n", "")
			files["rapport.yaml"] = strings.ReplaceAll(files["rapport.yaml"], "alerts: {mail: operator@shop.example}\n", "")
		}, Warning},
		{"alert", "none runs", nothing, ""},
		{"alert", "none", server(func(*Server) {}), OK},
		{"alert", "a warning", server(func(s *Server) { s.Alerts = []alert.Alert{{Severity: alert.Warning, Text: "x", Do: "y"}} }), Warning},
		{"alert", "a danger", server(func(s *Server) { s.Alerts = []alert.Alert{{Severity: alert.Danger, Text: "x", Do: "y"}} }), Danger},
		{"trail_stays", "leaves", nothing, OK},
		{"trail_stays", "stays", replace("rapport.yaml", "trail: {webhook: https://elsewhere.example/trail}\n", ""), Note},
		{"trail_stays", "leaves by mail alone", replace("rapport.yaml", "webhook: https://elsewhere.example/trail", "mail: [notary@elsewhere.example]"), OK},
		{"way_out", "a mail server", nothing, OK},
		{"way_out", "the inbox", with("providers/relay.yaml", "kind: devinbox\n"), Note},
	} {
		files, env := folder(), environment()
		row.change(nil, files, env)
		p := patient(t, files, env)
		row.change(p, maps.Clone(files), maps.Clone(env))
		if got, text := worst(t, p, row.check); got != row.want {
			t.Errorf("%s, %s: %q, want %q\n%s", row.check, row.name, got, row.want, text)
		}
	}
}

func TestPlainHTTPWithoutAProxy(t *testing.T) {
	t.Parallel()
	files := folder()
	files["rapport.yaml"] = strings.ReplaceAll(files["rapport.yaml"], "https://mail", "http://mail")
	p := patient(t, files, environment())
	p.Server = &Server{Doors: Doors{Address: "[::]:8420"}}
	if got, text := worst(t, p, "plain_http"); got != Danger {
		t.Errorf("%s\n%s", got, text)
	}
}

func TestFileModes(t *testing.T) {
	t.Parallel()
	data, config := t.TempDir(), t.TempDir()
	if err := errors.Join(os.Chmod(data, 0o700), os.MkdirAll(filepath.Join(data, "acme", "keys"), 0o700)); err != nil {
		t.Fatal(err)
	}
	paths := []string{filepath.Join(data, "keys.json"), filepath.Join(data, "keyset.json"), filepath.Join(data, "keys.db"), filepath.Join(data, "manage.key"), filepath.Join(data, "acme", "keys", "a.key"), filepath.Join(config, "relay.pem")}
	for _, path := range paths {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := folder()
	files["providers/relay.yaml"] = strings.ReplaceAll(files["providers/relay.yaml"], "env:DKIM_KEY", "file:relay.pem")
	p := patient(t, files, environment())
	p.Data, p.Folder = data, config
	if got, text := worst(t, p, "file_mode"); got != OK {
		t.Errorf("with modes of their owner: %s\n%s", got, text)
	}
	for _, path := range paths {
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if got, text := worst(t, p, "file_mode"); got != Danger || !strings.Contains(text, "chmod 600 "+path) {
			t.Errorf("%s may be read by others: %s\n%s", path, got, text)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, text := worst(t, p, "file_mode"); got != Warning || !strings.Contains(text, "chmod 700 "+data) {
		t.Errorf("the data folder may be entered by others: %s\n%s", got, text)
	}
}

// TestBackups looks at a folder whose backups are missing, old and new.
func TestBackups(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := patient(t, folder(), environment())
	want := func(grade Grade, parts ...string) {
		t.Helper()
		got, text := worst(t, p, "backup_old")
		if got != grade {
			t.Errorf("%q, want %q\n%s", got, grade, text)
		}
		for _, part := range parts {
			if !strings.Contains(text, part+": ") {
				t.Errorf("nothing is said of %s:\n%s", part, text)
			}
		}
	}
	write := func(name string, age time.Duration) {
		t.Helper()
		path := filepath.Join(data, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, time.Time{}, now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	want("")
	p.Data = data
	want("") // It holds nothing.
	write("keys.json", 0)
	want(Note, "data") // It is in PostgreSQL.
	write("state.db", 0)
	want(Warning, "data")
	write(backup.Data.Mark(), 6*day)
	want(OK)
	write("keys.db", 0)
	want(Warning, "keys")
	write(backup.Keys.Mark(), day)
	want(OK)
	write(backup.Data.Mark(), 8*day)
	want(Warning, "data")
	p.Config.Workspace.Alerts.BackupWithin = 9 * day
	want(OK)
}

// TestNoSecretIsShown runs every check over secrets that are bad and looks whether
// any says one.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	env := map[string]string{"USER_HASH": "short-Zq81", "SMTP_PASSWORD": "example-Zq82", "CRM_SECRET": "short-Zq81", "DKIM_KEY": "Zq83"}
	for _, f := range Review(t.Context(), patient(t, folder(), env)) {
		if strings.Contains(f.About+f.Text+f.Do, "Zq8") {
			t.Errorf("%+v", f)
		}
	}
}

// TestManual holds docs/doctor.md to the checks there are.
func TestManual(t *testing.T) {
	t.Parallel()
	text, err := fs.ReadFile(os.DirFS("../../docs"), "doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(string(text), -1) {
		told = append(told, m[1])
	}
	if !slices.Equal(told, Names()) {
		t.Errorf("docs/doctor.md tells of\n%q, there are\n%q", told, Names())
	}
}

// TestDatabaseDurable grades what PostgreSQL says of itself.
func TestDatabaseDurable(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		database *Database
		want     []Grade
	}{
		"files":                {nil, nil},
		"its defaults":         {&Database{}, []Grade{OK}},
		"both off":             {&Database{Off: []string{"fsync", "full_page_writes"}}, []Grade{Danger, Warning}},
		"it cannot be reached": {&Database{Err: errors.New("the database cannot be reached")}, []Grade{Warning}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []Grade
			for _, f := range (&Patient{Database: tt.database}).databaseDurable(t.Context()) {
				got = append(got, f.Grade)
				if f.Grade != OK && f.Do == "" {
					t.Errorf("%+v does not say what to do", f)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

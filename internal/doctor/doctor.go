// Package doctor reviews an installation: how it can be reached, which secrets it
// has, what it keeps, and whether the world will take its mails for its own. What
// comes in are a configuration, a data folder, what a running server says of
// itself, and a name server; what goes out are findings, each with what to do
// next. It changes nothing, sends nothing, and shows no secret.
package doctor

import (
	"cmp"
	"context"
	"io/fs"
	"net"
	"slices"
	"time"

	"rapport/internal/alert"
	"rapport/internal/cert"
	"rapport/internal/project"
)

// Grade says how bad a finding is.
type Grade string

// The grades, from good to bad.
const (
	OK      Grade = "ok"
	Note    Grade = "note"    // worth knowing
	Warning Grade = "warning" // should be changed
	Danger  Grade = "danger"  // must be changed
)

// grades orders them.
var grades = []Grade{OK, Note, Warning, Danger}

// Finding is what one check found of one thing.
type Finding struct {
	Check string `json:"check"`           // stable: small letters and _
	About string `json:"about,omitempty"` // which domain, file, key …
	Grade Grade  `json:"grade"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"` // what to do next; "" where all is well
}

// Resolver asks the domain name system. *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupHost(ctx context.Context, name string) ([]string, error)
}

var _ Resolver = (*net.Resolver)(nil)

// Key is a key of callers, as a server lists it.
type Key struct {
	ID      string
	Kind    string // "ingest", "browser" or "manage"
	Name    string
	Created time.Time
	Expires time.Time // zero: never
	Revoked time.Time // zero: valid
}

// Doors is how a running server is reached.
type Doors struct {
	Address     string         `json:"address"`               // where it listens
	TLS         bool           `json:"tls"`                   // whether it ends TLS itself
	Loopback    bool           `json:"loopback"`              // whether only this machine reaches it
	Certificate *cert.Standing `json:"certificate,omitempty"` // with TLS
}

// Server is what a running server says of itself.
type Server struct {
	Digest string // of the configuration in effect
	Doors  Doors
	Keys   []Key
	Alerts []alert.Alert
}

// Database is what a PostgreSQL database says of itself.
type Database struct {
	Off []string // the settings that are off and without which a loss of power takes what was acknowledged
	Err error    // why it says nothing
}

// Patient is what is reviewed. Config, Secrets, Stat and Now are required.
type Patient struct {
	Config  *project.Config
	Secrets project.Secrets
	Folder  string // of the configuration: its file: references are relative to it
	Data    string // the data folder; "" or one that is not there: none to look at
	Stat    func(path string) (fs.FileInfo, error)
	Walk    func(root string, fn fs.WalkDirFunc) error
	Now     time.Time
	Server  *Server // nil: none runs, or it cannot be asked
	// Database is what a PostgreSQL database says of itself; nil: log and state
	// are files, or it was not asked.
	Database *Database
	DNS      Resolver // nil: nobody is asked
	// Dial connects to the mail servers of providers; nil: nobody is dialled.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// check is one of the things that are looked at.
type check struct {
	name string
	look func(*Patient, context.Context) []Finding
}

// checks lists them in the order of the report. docs/doctor.md tells of each.
var checks = []check{
	{"running", (*Patient).running},
	{"plain_http", (*Patient).plainHTTP},
	{"certificate", (*Patient).certificate},
	{"base_url", (*Patient).baseURL},
	{"key_age", (*Patient).keyAge},
	{"secret_missing", (*Patient).secretsMissing},
	{"secret_weak", (*Patient).secretsWeak},
	{"secret_shared", (*Patient).secretsShared},
	{"file_mode", (*Patient).fileModes},
	{"backup_old", (*Patient).backups},
	{"database_durable", (*Patient).databaseDurable},
	{"source_open", (*Patient).sourcesOpen},
	{"source_unsigned", (*Patient).sourcesUnsigned},
	{"retention", (*Patient).retention},
	{"alerts_unheard", (*Patient).alertsUnheard},
	{"alert", (*Patient).alerts},
	{"trail_stays", (*Patient).trailStays},
	{"way_out", (*Patient).wayOut},
	{"spf", (*Patient).spf},
	{"dkim", (*Patient).dkim},
	{"dmarc", (*Patient).dmarc},
	{"alignment", (*Patient).alignment},
	{"return_path", (*Patient).returnPath},
	{"provider_reach", (*Patient).providerReach},
}

// Names lists the checks in order.
func Names() (out []string) {
	for _, c := range checks {
		out = append(out, c.name)
	}
	return out
}

// Review looks at everything. Findings come in the order of the checks.
func Review(ctx context.Context, p *Patient) []Finding {
	var out []Finding
	for _, c := range checks {
		for _, f := range c.look(p, ctx) {
			f.Check = c.name
			out = append(out, f)
		}
	}
	return out
}

// Worst gives the worst grade among findings.
func Worst(list []Finding) Grade {
	worst := OK
	for _, f := range list {
		if cmp.Compare(slices.Index(grades, f.Grade), slices.Index(grades, worst)) > 0 {
			worst = f.Grade
		}
	}
	return worst
}

// fine is a finding that all is well.
func fine(about, text string) Finding { return Finding{About: about, Grade: OK, Text: text} }

// found is a finding with what to do next.
func found(g Grade, about, text, do string) Finding {
	return Finding{About: about, Grade: g, Text: text, Do: do}
}

// orFine gives findings, or where there are none that all is well.
func orFine(list []Finding, text string) []Finding {
	if len(list) == 0 {
		return []Finding{fine("", text)}
	}
	return list
}

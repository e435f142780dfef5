package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"rapport/internal/app"
	"rapport/internal/doctor"
)

// examined is what `doctor --json` prints.
type examined struct {
	Worst    doctor.Grade         `json:"worst"`
	Counts   map[doctor.Grade]int `json:"counts"`
	Findings []doctor.Finding     `json:"findings"`
}

type doctorFlags struct {
	folder, resolver, database string
	alone, offline, reach, all bool
}

func doctorCommand(c *console) *cobra.Command {
	var fl doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Review an installation for what is dangerous",
		Long: `Doctor looks at a configuration folder, a data folder, the running server if there
is one, and the domain name system: how the server can be reached, which secrets
are weak, shared or readable by others, what is kept without end, and whether
mailbox providers will take your mails for yours (SPF, DKIM, DMARC, return path).
It says what to do about each finding, changes nothing and sends nothing.
docs/doctor.md lists every check. It fails when it finds a danger.`,
		Example: `  rapport doctor --config shop --data /var/lib/rapport
  rapport doctor --config shop --reach            # also connect to the mail servers
  rapport doctor --config shop --alone --offline  # neither server nor name servers
  rapport doctor --config shop --json | jq '.findings[] | select(.grade == "danger")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if fl.folder == "" {
				return usagef("name the configuration folder with --config DIR or RAPPORT_CONFIG")
			}
			return c.doctor(cmd.Context(), fl)
		},
	}
	f := cmd.Flags()
	f.StringVar(&fl.folder, "config", "", "configuration folder")
	f.StringVar(&fl.resolver, "resolver", "", "host:port of a name server to ask; without it the system's")
	f.BoolVar(&fl.alone, "alone", false, "do not ask a running server")
	f.BoolVar(&fl.offline, "offline", false, "do not ask name servers")
	f.BoolVar(&fl.reach, "reach", false, "also connect to the mail servers of the providers")
	f.StringVar(&fl.database, "database", "", "address of the PostgreSQL database that the server works on; a password belongs into RAPPORT_DATABASE or PGPASSWORD")
	f.BoolVar(&fl.all, "all", false, "also show what is well")
	return cmd
}

func (c *console) doctor(ctx context.Context, fl doctorFlags) error {
	if fl.resolver != "" {
		if err := isAddress("--resolver", fl.resolver); err != nil {
			return err
		}
	}
	config, problems, err := c.load(fl.folder)
	if err != nil {
		return err
	}
	if config == nil {
		return c.report(fl.folder, nil, problems, false)
	}
	p := &doctor.Patient{
		Config: config, Secrets: c.secrets(fl.folder), Folder: fl.folder, Data: c.data, Stat: os.Stat, Walk: filepath.WalkDir, Now: c.now(),
	}
	if !fl.offline {
		p.DNS = resolver(fl.resolver)
	}
	if fl.reach {
		p.Dial = new(net.Dialer).DialContext
	}
	if fl.database == "" {
		fl.database, _ = c.env("RAPPORT_DATABASE")
	}
	if fl.database != "" {
		off, err := app.UnsafeSettings(ctx, fl.database)
		p.Database = &doctor.Database{Off: off, Err: err}
	}
	if !fl.alone {
		if p.Server, err = c.askServer(ctx); err != nil {
			return err
		}
	}
	return c.examined(doctor.Review(ctx, p), fl.all)
}

// resolver asks the system's name servers, or the one that is named.
func resolver(address string) *net.Resolver {
	if address == "" {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}

// askServer asks the running server, nil where there is none to ask.
func (c *console) askServer(ctx context.Context) (*doctor.Server, error) {
	if _, set := c.env("RAPPORT_KEY"); !set {
		if _, err := os.Stat(filepath.Join(c.data, "manage.key")); errors.Is(err, fs.ErrNotExist) {
			return nil, nil // Nobody has given a key: there is no server of ours.
		}
	}
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	var s struct {
		Digest string        `json:"digest"`
		Doors  *doctor.Doors `json:"doors"`
	}
	if err := cl.get(ctx, path("status"), nil, &s); err != nil {
		if errors.Is(err, errNoServer) {
			return nil, nil // That is a finding, not a failure.
		}
		return nil, fmt.Errorf("ask the running server (--alone leaves it out): %w", err)
	}
	out := &doctor.Server{Digest: s.Digest}
	if s.Doors != nil {
		out.Doors = *s.Doors
	}
	var keys keysAnswer
	if err := cl.get(ctx, path("keys"), nil, &keys); err != nil {
		return nil, err
	}
	for _, k := range keys.Keys {
		out.Keys = append(out.Keys, doctor.Key{ID: k.ID, Kind: k.Kind, Name: k.Name, Created: k.Created, Expires: k.Expires, Revoked: k.Revoked})
	}
	var alerts alertsAnswer
	if err := cl.get(ctx, path("alerts"), nil, &alerts); err != nil {
		return nil, err
	}
	out.Alerts = alerts.Alerts
	return out, nil
}

// examined prints what was found and fails when something is dangerous.
func (c *console) examined(list []doctor.Finding, all bool) error {
	out := examined{Worst: doctor.Worst(list), Counts: map[doctor.Grade]int{}, Findings: list}
	for _, f := range list {
		out.Counts[f.Grade]++
	}
	if c.json {
		if err := c.printJSON(out); err != nil {
			return err
		}
	} else {
		c.findings(list, all)
		c.printf("%s: %d ok, %s, %s, %s\n", c.grade(out.Worst), out.Counts[doctor.OK],
			count(int64(out.Counts[doctor.Note]), "note", "notes"), count(int64(out.Counts[doctor.Warning]), "warning", "warnings"), count(int64(out.Counts[doctor.Danger]), "danger", "dangers"))
	}
	if out.Worst == doctor.Danger {
		return &exitError{code: exitFailure, err: errors.New("the installation is in danger"), said: true}
	}
	return nil
}

// findings prints a table, and below each line what to do next.
func (c *console) findings(list []doctor.Finding, all bool) {
	for _, f := range list {
		if f.Grade == doctor.OK && !all {
			continue
		}
		about := ""
		if f.About != "" {
			about = " " + clean(f.About)
		}
		c.printf("%s  %s%s\n         %s\n", c.grade(f.Grade), c.bold(f.Check), about, clean(f.Text))
		if f.Do != "" {
			c.printf("         %s %s\n", c.dim("→"), clean(f.Do))
		}
	}
	c.printf("\n")
}

// grade writes a grade, as wide as the longest.
func (c *console) grade(g doctor.Grade) string {
	text := fmt.Sprintf("%-7s", g)
	switch g {
	case doctor.Danger:
		return c.red(text)
	case doctor.Warning:
		return c.yellow(text)
	case doctor.OK:
		return c.green(text)
	}
	return c.dim(text)
}

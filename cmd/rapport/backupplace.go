package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"rapport/internal/backup"
	"rapport/internal/backup/bucket"
)

func (c *console) backupPassphrase() (string, error) {
	return c.secretOf("RAPPORT_BACKUP_PASSPHRASE")
}

// place opens where copies lie. The address of one copy, or of one that is to be
// written and is no folder, names it too.
func (c *console) place(address string, one bool) (p backup.Place, name string, err error) {
	if bucket.Is(address) {
		return c.bucket(address, one)
	}
	if info, err := os.Stat(address); !one && (strings.HasSuffix(address, "/") || err == nil && info.IsDir()) {
		return backup.Folder(address), "", nil
	}
	return backup.Folder(filepath.Dir(address)), filepath.Base(address), nil
}

// answerWithin is how long a service may take to begin an answer.
const answerWithin = 2 * time.Minute

func (c *console) bucket(address string, one bool) (p backup.Place, name string, err error) {
	if one {
		at := strings.LastIndexByte(address, '/')
		address, name = address[:at+1], address[at+1:]
	}
	get := func(name string) string { v, _ := c.env(name); return v }
	o := bucket.Config{Address: address, Endpoint: get("AWS_ENDPOINT_URL_S3"), Region: get("AWS_REGION"), Now: time.Now}
	for name, secret := range map[string]*string{"AWS_ACCESS_KEY_ID": &o.AccessKey, "AWS_SECRET_ACCESS_KEY": &o.Secret, "AWS_SESSION_TOKEN": &o.Session} {
		if *secret, err = c.secretOf(name); err != nil {
			return nil, "", err
		}
	}
	patient := http.DefaultTransport.(*http.Transport).Clone()
	patient.ResponseHeaderTimeout = answerWithin
	o.Client = &http.Client{Transport: patient}
	b, err := bucket.New(o)
	return b, name, err
}

func identityFlag(f *pflag.FlagSet, identity *string) {
	f.StringVar(identity, "identity", "", "file with the age identity that opens the copy; without it the passphrase does, in RAPPORT_BACKUP_PASSPHRASE or RAPPORT_BACKUP_PASSPHRASE_FILE")
}

// opened reads a copy and has fn take what is in it.
func (c *console) opened(ctx context.Context, file, identity string, fn func(io.Reader) error) error {
	var o backup.Opener
	var err error
	if identity == "" {
		o.Passphrase, err = c.backupPassphrase()
	} else if o.Identities, err = os.ReadFile(identity); err != nil { //nolint:gosec // The operator names the file.
		err = fmt.Errorf("read the file of --identity: %w", err)
	}
	if err != nil {
		return err
	}
	p, name, err := c.place(file, true)
	if err != nil {
		return err
	}
	return p.Get(ctx, name, func(r io.Reader) error {
		plain, err := backup.Decrypt(r, o)
		if err != nil {
			return err
		}
		return fn(plain)
	})
}

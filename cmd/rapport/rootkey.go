package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"rapport/internal/app"
	"rapport/internal/seal/kms"
)

// kmsPatience bounds a call to a key management service.
const kmsPatience = 15 * time.Second

// root says under which key what is stored is sealed. Secrets come from the
// environment or from files, never from the command line, which others can read.
func (c *console) root() app.RootKey {
	return app.RootKey{Passphrase: c.passphrase, KMS: c.kms}
}

// rootKeyFlag says where the root key of a new folder is to be.
func rootKeyFlag(f *pflag.FlagSet, address *string) {
	f.StringVar(address, "root-key", "", "where the root key is: file (keyset.json in the data folder), or aws-kms://…, gcp-kms://…, hcvault://…; empty: as the data folder says")
}

func (c *console) passphrase() (string, error) { return c.secretOf("RAPPORT_KEYS_PASSPHRASE") }

// secretOf gives the secret in a variable, or in the file that the variable of that
// name and _FILE names; "" where there is none.
func (c *console) secretOf(name string) (string, error) {
	if word, _ := c.env(name); word != "" {
		return word, nil
	}
	path, _ := c.env(name + "_FILE")
	if path == "" {
		return "", nil
	}
	return secretFile(name+"_FILE", path)
}

// secretFile reads a secret that stands alone in a file. An empty one is refused:
// what was to be encrypted would not be.
func secretFile(named, path string) (string, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return "", fmt.Errorf("read the file that %s names: %w", named, err)
	}
	word := strings.TrimRight(string(raw), "\r\n")
	if word == "" {
		return "", fmt.Errorf("the file that %s names is empty: write the secret into it", named)
	}
	return word, nil
}

// kms gathers what key management services know us by, from the variables that
// their own tools read.
func (c *console) kms() (kms.Config, error) {
	get := func(name string) string { v, _ := c.env(name); return v }
	out := kms.Config{
		AWS: kms.AWS{
			AccessKey: get("AWS_ACCESS_KEY_ID"), Secret: get("AWS_SECRET_ACCESS_KEY"), Session: get("AWS_SESSION_TOKEN"), Endpoint: get("AWS_ENDPOINT_URL_KMS"),
		},
		Google: kms.Google{Endpoint: get("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS")},
		Vault:  kms.Vault{Token: get("VAULT_TOKEN"), Namespace: get("VAULT_NAMESPACE"), Address: get("VAULT_ADDR")},
		Now:    time.Now, Client: &http.Client{Timeout: kmsPatience},
	}
	if path := get("GOOGLE_APPLICATION_CREDENTIALS"); path != "" {
		raw, err := os.ReadFile(path) //nolint:gosec // The operator names the file.
		if err != nil {
			return out, fmt.Errorf("read the file that GOOGLE_APPLICATION_CREDENTIALS names: %w", err)
		}
		out.Google.Credentials = raw
	}
	return out, nil
}

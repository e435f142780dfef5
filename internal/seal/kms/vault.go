package kms

import (
	"net/http"
	"net/url"
	"strings"
)

// Vault is what Vault knows a caller by.
type Vault struct {
	Token     string
	Namespace string // of Vault Enterprise
	Address   string // "" for https and the host of the key's address
}

// vaultKey is a key of Vault's transit engine.
type vaultKey struct {
	c           *Config
	base, mount string
	name        string
}

func newVault(c *Config, address string) (*vaultKey, error) {
	host, path, _ := strings.Cut(address, "/")
	mount, name, ok := strings.Cut(path, "/keys/")
	if host == "" || !ok || mount == "" || name == "" || strings.Contains(name, "/") {
		return nil, invalid("%q is no key of Vault's transit engine: give hcvault://HOST/transit/keys/NAME", address)
	}
	if c.Vault.Token == "" {
		return nil, invalid("Vault knows nobody without a token: set VAULT_TOKEN")
	}
	k := &vaultKey{c: c, base: strings.TrimRight(c.Vault.Address, "/"), mount: mount, name: name}
	if k.base == "" {
		k.base = "https://" + host
	}
	return k, nil
}

// vaultAsked is what both calls take: the bytes are base64, the wrapped ones a
// text of Vault's own.
type vaultAsked struct {
	Plaintext  []byte `json:"plaintext,omitempty"`
	Ciphertext string `json:"ciphertext,omitempty"`
	Associated []byte `json:"associated_data,omitempty"`
}

type vaultSaid struct {
	Data struct {
		Plaintext  []byte `json:"plaintext"`
		Ciphertext string `json:"ciphertext"`
	} `json:"data"`
}

func (k *vaultKey) Encrypt(plain, associated []byte) ([]byte, error) {
	out, err := k.call("encrypt", vaultAsked{Plaintext: plain, Associated: associated})
	return full("Vault", []byte(out.Data.Ciphertext), err)
}

func (k *vaultKey) Decrypt(body, associated []byte) ([]byte, error) {
	out, err := k.call("decrypt", vaultAsked{Ciphertext: string(body), Associated: associated})
	return full("Vault", out.Data.Plaintext, err)
}

func (k *vaultKey) call(what string, in vaultAsked) (out vaultSaid, err error) {
	where := k.base + "/v1/" + k.mount + "/" + what + "/" + url.PathEscape(k.name)
	return out, call(k.c, "Vault", where, in, &out, func(req *http.Request, _ []byte) error {
		req.Header.Set("X-Vault-Token", k.c.Vault.Token)
		req.Header.Set("X-Vault-Request", "true")
		if k.c.Vault.Namespace != "" {
			req.Header.Set("X-Vault-Namespace", k.c.Vault.Namespace)
		}
		return nil
	})
}

package kms

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Google is what Google Cloud KMS knows a caller by.
type Google struct {
	Credentials []byte // the JSON file of a service account
	Endpoint    string // "" for Google's own
}

// account is what a service account's file says.
type account struct {
	Type     string `json:"type"`
	Email    string `json:"client_email"`
	Key      string `json:"private_key"`
	KeyID    string `json:"private_key_id"`
	TokenURI string `json:"token_uri"`
}

// googleKey is a key of Google Cloud KMS.
type googleKey struct {
	c        *Config
	name     string
	endpoint string
	account  account
	key      *rsa.PrivateKey
}

var (
	googleForm  = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/?#]+$`)
	googleScope = "https://www.googleapis.com/auth/cloudkms"
)

func newGoogle(c *Config, name string) (*googleKey, error) {
	if !googleForm.MatchString(name) {
		return nil, invalid("%q is no key of Google Cloud KMS: give gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K", name)
	}
	k := &googleKey{c: c, name: name, endpoint: strings.TrimRight(c.Google.Endpoint, "/")}
	if k.endpoint == "" {
		k.endpoint = "https://cloudkms.googleapis.com"
	}
	if len(c.Google.Credentials) == 0 {
		return nil, invalid("Google Cloud KMS knows nobody without credentials: name a service account's file in GOOGLE_APPLICATION_CREDENTIALS")
	}
	if err := json.Unmarshal(c.Google.Credentials, &k.account); err != nil || k.account.Type != "service_account" || k.account.TokenURI == "" {
		return nil, invalid("the file that GOOGLE_APPLICATION_CREDENTIALS names is not the key of a service account")
	}
	block, _ := pem.Decode([]byte(k.account.Key))
	if block == nil {
		return nil, invalid("the service account's file holds no private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, invalid("the service account's private key cannot be read")
	}
	var ok bool
	if k.key, ok = parsed.(*rsa.PrivateKey); !ok {
		return nil, invalid("the service account's private key is not an RSA key")
	}
	return k, nil
}

// assertion is the signed statement that is exchanged for a token (RFC 7523).
func (k *googleKey) assertion() (string, error) {
	now := k.c.Now()
	head, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": k.account.KeyID})
	if err != nil {
		return "", fmt.Errorf("write an assertion: %w", err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": k.account.Email, "scope": googleScope, "aud": k.account.TokenURI, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("write an assertion: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, k.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign an assertion: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// token exchanges an assertion. It is used for one call: there are few.
func (k *googleKey) token() (string, error) {
	signed, err := k.assertion()
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {signed}}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, k.account.TokenURI, strings.NewReader(form.Encode()))
	if err != nil {
		return "", invalid("the service account's token_uri is no address")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var out struct {
		Token string `json:"access_token"`
	}
	if err := roundTrip(k.c, "Google's token service", req, &out); err != nil {
		return "", err
	}
	return out.Token, nil
}

// googleBytes is what both calls take and give; bytes are base64 in JSON.
type googleBytes struct {
	Plaintext  []byte `json:"plaintext,omitempty"`
	Ciphertext []byte `json:"ciphertext,omitempty"`
	Associated []byte `json:"additionalAuthenticatedData,omitempty"`
}

func (k *googleKey) Encrypt(plain, associated []byte) ([]byte, error) {
	var out googleBytes
	err := k.call("encrypt", googleBytes{Plaintext: plain, Associated: associated}, &out)
	return full("Google Cloud KMS", out.Ciphertext, err)
}

func (k *googleKey) Decrypt(body, associated []byte) ([]byte, error) {
	var out googleBytes
	err := k.call("decrypt", googleBytes{Ciphertext: body, Associated: associated}, &out)
	return full("Google Cloud KMS", out.Plaintext, err)
}

func (k *googleKey) call(what string, in googleBytes, out *googleBytes) error {
	token, err := k.token()
	if err != nil {
		return err
	}
	return call(k.c, "Google Cloud KMS", k.endpoint+"/v1/"+k.name+":"+what, in, out, func(req *http.Request, _ []byte) error {
		req.Header.Set("Authorization", "Bearer "+token)
		return nil
	})
}

package kms_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"strings"
	"testing"

	"rapport/internal/seal/kms"
)

const googleKey = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/rapport"

// whoAsserts reads a JWT after RFC 7523 and gives who signed it, "" where it does
// not hold.
func whoAsserts(t *testing.T, text, audience string, public *rsa.PublicKey) string {
	t.Helper()
	part := strings.Split(text, ".")
	if len(part) != 3 {
		t.Errorf("an assertion of %d parts", len(part))
		return ""
	}
	raw := make([][]byte, 3)
	for i := range part {
		var err error
		raw[i], err = base64.RawURLEncoding.DecodeString(part[i])
		must(t, err)
	}
	var head struct{ Alg, Typ, Kid string }
	var claims struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	must(t, json.Unmarshal(raw[0], &head))
	must(t, json.Unmarshal(raw[1], &claims))
	digest := sha256.Sum256([]byte(part[0] + "." + part[1]))
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], raw[2]); err != nil || head.Alg != "RS256" || head.Kid != "kid" {
		return ""
	}
	now := at.Unix()
	if claims.Aud != audience || claims.Scope != "https://www.googleapis.com/auth/cloudkms" || claims.Iat > now || claims.Exp <= now || claims.Exp-claims.Iat > 3600 {
		t.Errorf("claims %+v", claims)
	}
	return claims.Iss
}

// accountFile writes the file of a service account.
func accountFile(t *testing.T, key *rsa.PrivateKey, tokens string) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	file, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "kid", "client_email": "rapport@p.test", "token_uri": tokens,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	must(t, err)
	return file
}

// TestGoogle against a stand-in of the token service and of the JSON API.
func TestGoogle(t *testing.T) {
	t.Parallel()
	v := newVaulted(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	var base string
	s := serve(t, func(s *standIn, w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		must(s.t, err)
		if r.URL.Path == "/token" {
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			must(s.t, r.ParseForm())
			if r.Form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" ||
				whoAsserts(s.t, r.Form.Get("assertion"), base+"/token", &key.PublicKey) != "rapport@p.test" {
				s.json(w, 400, map[string]string{"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
				return
			}
			s.json(w, 200, map[string]any{"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"})
			return
		}
		if r.Header.Get("Authorization") != "Bearer ya29.token" {
			s.t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		var in struct {
			Plaintext  []byte `json:"plaintext"`
			Ciphertext []byte `json:"ciphertext"`
			Associated []byte `json:"additionalAuthenticatedData"`
		}
		s.read(r, body, &in)
		switch r.URL.Path {
		case "/v1/" + googleKey + ":encrypt":
			s.json(w, 200, map[string]any{"name": googleKey + "/cryptoKeyVersions/1", "ciphertext": v.seal(in.Plaintext, in.Associated)})
		case "/v1/" + googleKey + ":decrypt":
			plain, ok := v.open(in.Ciphertext, in.Associated)
			if !ok {
				s.json(w, 400, map[string]any{"error": map[string]any{"code": 400, "status": "INVALID_ARGUMENT", "message": "Decryption failed"}})
				return
			}
			s.json(w, 200, map[string]any{"plaintext": plain})
		default:
			s.t.Errorf("path %s", r.URL.Path)
		}
	})
	base = s.server.URL
	of := func(k *rsa.PrivateKey) kms.Config {
		return kms.Config{Google: kms.Google{Credentials: accountFile(t, k, base+"/token"), Endpoint: base}}
	}
	holds(t, s, root(t, of(key), "gcp-kms://"+googleKey), root(t, of(other), "gcp-kms://"+googleKey))
}

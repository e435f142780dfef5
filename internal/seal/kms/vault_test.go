package kms_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"rapport/internal/seal/kms"
)

// TestVault against a stand-in of the transit engine that checks the token.
func TestVault(t *testing.T) {
	t.Parallel()
	v := newVaulted(t)
	s := serve(t, func(s *standIn, w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Vault-Token") != "hvs.token" || r.Header.Get("X-Vault-Namespace") != "team" {
			s.json(w, 403, map[string]any{"errors": []string{"permission denied"}})
			return
		}
		body, err := io.ReadAll(r.Body)
		must(s.t, err)
		var in struct {
			Plaintext  []byte `json:"plaintext"`
			Ciphertext string `json:"ciphertext"`
			Associated []byte `json:"associated_data"`
		}
		s.read(r, body, &in)
		switch r.URL.Path {
		case "/v1/transit/encrypt/rapport":
			text := "vault:v1:" + base64.StdEncoding.EncodeToString(v.seal(in.Plaintext, in.Associated))
			s.json(w, 200, map[string]any{"data": map[string]any{"ciphertext": text, "key_version": 1}})
		case "/v1/transit/decrypt/rapport":
			raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(in.Ciphertext, "vault:v1:"))
			must(s.t, err)
			plain, ok := v.open(raw, in.Associated)
			if !ok {
				s.json(w, 400, map[string]any{"errors": []string{"cipher: message authentication failed"}})
				return
			}
			s.json(w, 200, map[string]any{"data": map[string]any{"plaintext": plain}})
		default:
			s.t.Errorf("path %s", r.URL.Path)
		}
	})
	of := func(token string) kms.Config {
		return kms.Config{Vault: kms.Vault{Token: token, Namespace: "team", Address: s.server.URL}}
	}
	const address = "hcvault://vault.example/transit/keys/rapport"
	holds(t, s, root(t, of("hvs.token"), address), root(t, of("hvs.other"), address))
}

package kms_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"rapport/internal/seal/kms"
)

const arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// signature4 computes Signature Version 4 of a request anew, from Amazon's
// description of it, for the credentials of the one caller there is.
func signature4(r *http.Request, body []byte, secret string) (access, signature string, err error) {
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return "", "", fmt.Errorf("no signature: %q", r.Header.Get("Authorization"))
	}
	part := map[string]string{}
	for f := range strings.SplitSeq(fields, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		part[k] = v
	}
	scope := strings.SplitN(part["Credential"], "/", 2)
	if len(scope) != 2 || scope[1] != at.Format("20060102")+"/eu-central-1/kms/aws4_request" {
		return "", "", fmt.Errorf("scope %q", scope)
	}
	canonical := []string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery}
	for name := range strings.SplitSeq(part["SignedHeaders"], ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		canonical = append(canonical, name+":"+strings.TrimSpace(value))
	}
	canonical = append(canonical, "", part["SignedHeaders"], sum(body))
	date := r.Header.Get("X-Amz-Date")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", date, scope[1], sum([]byte(strings.Join(canonical, "\n")))}, "\n")
	key := []byte("AWS4" + secret)
	for step := range strings.SplitSeq(scope[1], "/") {
		key = mac(key, step)
	}
	if want := hex.EncodeToString(mac(key, text)); want != part["Signature"] {
		return scope[0], "", fmt.Errorf("the signature is %s, want %s", part["Signature"], want)
	}
	for _, name := range []string{"host", "x-amz-date", "x-amz-target", "x-amz-security-token"} {
		if !strings.Contains(";"+part["SignedHeaders"]+";", ";"+name+";") {
			return scope[0], "", fmt.Errorf("%s is not signed", name)
		}
	}
	return scope[0], part["Signature"], nil
}

// TestAWS against a stand-in of its JSON API that checks the signature.
func TestAWS(t *testing.T) {
	t.Parallel()
	v := newVaulted(t)
	s := serve(t, func(s *standIn, w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		must(s.t, err)
		access, _, err := signature4(r, body, "secret")
		if access == "stranger" {
			s.json(w, 400, map[string]string{"__type": "AccessDeniedException", "Message": "not authorized"})
			return
		}
		if err != nil || access != "AKIDEXAMPLE" || r.Header.Get("X-Amz-Security-Token") != "session" {
			s.t.Errorf("access %q: %v", access, err)
			s.json(w, 400, map[string]string{"__type": "InvalidSignatureException"})
			return
		}
		var in struct {
			KeyID             string `json:"KeyId"`
			Plaintext         []byte
			CiphertextBlob    []byte
			EncryptionContext map[string]string
		}
		s.read(r, body, &in)
		if in.KeyID != arn || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" || r.URL.Path != "/" {
			s.t.Errorf("%s %q of %q", r.URL.Path, r.Header.Get("Content-Type"), in.KeyID)
		}
		associated, err := hex.DecodeString(in.EncryptionContext["associatedData"])
		must(s.t, err)
		switch r.Header.Get("X-Amz-Target") {
		case "TrentService.Encrypt":
			s.json(w, 200, map[string]any{"KeyId": arn, "CiphertextBlob": v.seal(in.Plaintext, associated), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})
		case "TrentService.Decrypt":
			plain, ok := v.open(in.CiphertextBlob, associated)
			if !ok {
				s.json(w, 400, map[string]string{"__type": "InvalidCiphertextException"})
				return
			}
			s.json(w, 200, map[string]any{"KeyId": arn, "Plaintext": plain, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})
		default:
			s.t.Errorf("target %q", r.Header.Get("X-Amz-Target"))
		}
	})
	of := func(access string) kms.Config {
		return kms.Config{AWS: kms.AWS{AccessKey: access, Secret: "secret", Session: "session", Endpoint: s.server.URL}}
	}
	holds(t, s, root(t, of("AKIDEXAMPLE"), "aws-kms://"+arn), root(t, of("stranger"), "aws-kms://"+arn))
}

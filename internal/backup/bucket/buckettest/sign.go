package buckettest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// refused gives the code by which the service refuses a request, "" where it bears the
// signature that its caller must make: Signature Version 4, computed anew from Amazon's
// description of it, and not by the signer that the client uses.
func refused(r *http.Request, body []byte) string {
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return "AccessDenied"
	}
	part := map[string]string{}
	for f := range strings.SplitSeq(fields, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		part[k] = v
	}
	access, scope, _ := strings.Cut(part["Credential"], "/")
	date := r.Header.Get("X-Amz-Date")
	day, _, _ := strings.Cut(date, "T")
	switch {
	case access != AccessKey:
		return "InvalidAccessKeyId"
	case strings.HasSuffix(scope, "/s3/aws4_request") && scope != day+"/"+Region+"/s3/aws4_request":
		return "PermanentRedirect" // to where the bucket is
	case r.Header.Get("X-Amz-Content-Sha256") != sum(body):
		return "XAmzContentSHA256Mismatch"
	}
	token := r.Header.Get("X-Amz-Security-Token")
	if token != "" && token != Session {
		return "InvalidToken"
	}
	signed := strings.Split(part["SignedHeaders"], ";")
	for _, name := range []string{"host", "x-amz-content-sha256", "x-amz-date"} {
		if !slices.Contains(signed, name) {
			return "AccessDenied"
		}
	}
	if token != "" && !slices.Contains(signed, "x-amz-security-token") {
		return "AccessDenied"
	}
	text := strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, sum([]byte(canonical(r, signed)))}, "\n")
	key := []byte("AWS4" + Secret)
	for step := range strings.SplitSeq(scope, "/") {
		key = mac(key, step)
	}
	if hex.EncodeToString(mac(key, text)) != part["Signature"] {
		return "SignatureDoesNotMatch"
	}
	return ""
}

// canonical writes a request the way in which it is signed.
func canonical(r *http.Request, signed []string) string {
	out := []string{r.Method, uri(r.URL.Path, true), query(r.URL.Query())}
	for _, name := range signed {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		out = append(out, name+":"+strings.TrimSpace(value))
	}
	return strings.Join(append(out, "", strings.Join(signed, ";"), r.Header.Get("X-Amz-Content-Sha256")), "\n")
}

// query writes parameters in order of their names.
func query(q url.Values) string {
	var out []string
	for name, values := range q {
		for _, v := range values {
			out = append(out, uri(name, false)+"="+uri(v, false))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "&")
}

// uri escapes every byte but letters, digits and -._~, and in a path the slash.
func uri(s string, path bool) string {
	const plain = "-._~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(plain, c) >= 0 || path && c == '/' {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return b.String()
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

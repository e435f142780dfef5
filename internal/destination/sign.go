package destination

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rapport/internal/id"
)

// Secret is a key of HMAC-SHA256. It shows itself to nobody.
type Secret struct{ key []byte }

// String keeps the secret.
func (Secret) String() string { return "whsec_…" }

// GoString keeps it too.
func (Secret) GoString() string { return "whsec_…" }

const secretPrefix = "whsec_"

// The sizes of a key that Standard Webhooks allows.
const (
	leastKey = 24
	mostKey  = 64
)

// ParseSecret reads a secret in the form of Standard Webhooks: "whsec_" and 24 to
// 64 bytes in base64. Its error does not repeat it.
func ParseSecret(s string) (Secret, error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(s), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < leastKey || len(key) > mostKey {
		return Secret{}, errors.New("it must be whsec_ and 24 to 64 random bytes in base64: `openssl rand -base64 32` makes the second part")
	}
	return Secret{key}, nil
}

// idOf names an item to receivers: the same at every attempt and for every
// destination, and never used for another.
func idOf(it *Item) string {
	h := sha256.New()
	var n [8]byte
	for _, v := range []int64{it.Seq, int64(it.Kind), it.At.UnixMilli()} {
		binary.BigEndian.PutUint64(n[:], uint64(v))
		_, _ = h.Write(n[:]) // A hash never fails to be written to.
	}
	_, _ = h.Write([]byte(it.Name))
	return "whk" + strings.TrimPrefix(id.NewMessage(it.At, string(h.Sum(nil))).String(), "msg")
}

// sign gives the headers of one attempt. Each secret has its signature, so that
// a receiver who knows only one of them is content.
func sign(secrets []Secret, name string, at time.Time, body []byte) http.Header {
	stamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(secrets))
	for i, s := range secrets {
		mac := hmac.New(sha256.New, s.key)
		_, _ = mac.Write([]byte(name + "." + stamp + ".")) // A hash never fails to be written to.
		_, _ = mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return http.Header{
		"Content-Type":      {"application/json"},
		"User-Agent":        {"Rapport"},
		"Webhook-Id":        {name},
		"Webhook-Timestamp": {stamp},
		"Webhook-Signature": {strings.Join(signatures, " ")},
	}
}
